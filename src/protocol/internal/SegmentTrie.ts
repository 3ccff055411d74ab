/**
 * The tree under `TopicTrie` and `PatternTrie`: a node for each segment, an entry where a name ends.
 *
 * To the tree a wildcard is a segment like any other. Every leaf but the root has an entry: `removeEntry` prunes,
 * so memory follows the names that are there, not those that have been. No name is deeper than `maxSegments`.
 */

export interface Entry<V> {
  readonly name: string
  value: V
}

export interface Node<V> {
  entry: Entry<V> | undefined
  /** Absent, rather than empty, in a leaf: most nodes are leaves, and an empty map is far larger than the node. */
  children: Map<string, Node<V>> | undefined
}

export const makeNode = <V>(): Node<V> => ({ entry: undefined, children: undefined })

/** The segments of a name, in order. */
export const segmentsOf = (name: string): ReadonlyArray<string> => {
  const segments: Array<string> = []
  let start = 0
  for (let end = name.indexOf("."); end !== -1; end = name.indexOf(".", start)) {
    segments.push(name.slice(start, end))
    start = end + 1
  }
  segments.push(name.slice(start))
  return segments
}

/** The entry of a name, if it has one. */
export const getEntry = <V>(root: Node<V>, name: string): Entry<V> | undefined => {
  let node: Node<V> | undefined = root
  for (const segment of segmentsOf(name)) {
    node = node.children?.get(segment)
    if (node === undefined) return undefined
  }
  return node.entry
}

/** The node of a name, made if it is not there. Whoever calls gives it its entry. */
export const ensureNode = <V>(root: Node<V>, name: string): Node<V> => {
  let node = root
  for (const segment of segmentsOf(name)) {
    node.children ??= new Map()
    let child = node.children.get(segment)
    if (child === undefined) {
      child = makeNode()
      node.children.set(segment, child)
    }
    node = child
  }
  return node
}

/** Removes the entry of a name, and every node that was there only for it. Answers whether there was one. */
export const removeEntry = <V>(root: Node<V>, name: string): boolean => {
  // The last node on the way that stays whatever happens, and the segment by which the way leaves it.
  let anchor = root
  let branch = ""
  let node = root
  for (const segment of segmentsOf(name)) {
    const child: Node<V> | undefined = node.children?.get(segment)
    if (child === undefined) return false
    if (node === root || node.entry !== undefined || (node.children?.size ?? 0) > 1) {
      anchor = node
      branch = segment
    }
    node = child
  }
  if (node.entry === undefined) return false
  node.entry = undefined
  if (node.children === undefined) {
    anchor.children?.delete(branch)
    if (anchor.children?.size === 0) anchor.children = undefined
  }
  return true
}

/** Visits every entry at and below a node. */
export const forEachEntry = <V>(node: Node<V>, f: (value: V, name: string) => void): void => {
  if (node.entry !== undefined) f(node.entry.value, node.entry.name)
  if (node.children === undefined) return
  for (const child of node.children.values()) forEachEntry(child, f)
}

/** The nodes below a node, counted one by one. */
export const countNodes = <V>(node: Node<V>): number => {
  let count = 0
  for (const child of node.children?.values() ?? []) count += 1 + countNodes(child)
  return count
}
