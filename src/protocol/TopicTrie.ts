/**
 * Which topics match a pattern: a map from topics to values.
 *
 * A match visits only subtrees whose path matches the beginning of the pattern; `a.b.*` looks at what is under
 * `a.b`, however many other topics there are. The depth of a walk is never more than `maxSegments`. Topics and
 * patterns are to be checked before they come here.
 */
import {
  countNodes,
  ensureNode,
  forEachEntry,
  getEntry,
  makeNode,
  type Node,
  removeEntry,
  segmentsOf
} from "./internal/SegmentTrie.ts"
import { isReserved } from "./TopicName.ts"

export class TopicTrie<A> {
  readonly #root: Node<A> = makeNode()
  #size = 0

  /** How many topics there are. */
  get size(): number {
    return this.#size
  }

  /** How many nodes the trie keeps, for tests and diagnosis: it counts them one by one. None when it is empty. */
  get nodes(): number {
    return countNodes(this.#root)
  }

  /** Gives a topic its value, in place of the one that it had. */
  set(topic: string, value: A): void {
    const node = ensureNode(this.#root, topic)
    if (node.entry === undefined) {
      node.entry = { name: topic, value }
      this.#size++
    } else {
      node.entry.value = value
    }
  }

  get(topic: string): A | undefined {
    return getEntry(this.#root, topic)?.value
  }

  /** Removes a topic, and what was kept for it alone. Answers `false` if it was not there. */
  delete(topic: string): boolean {
    if (!removeEntry(this.#root, topic)) return false
    this.#size--
    return true
  }

  /**
   * Calls `f` once for each topic that matches the pattern, in no given order. `f` may delete topics, but is not to
   * set new ones.
   */
  forEachMatch(pattern: string, f: (value: A, topic: string) => void): void {
    visitMatches(this.#root, segmentsOf(pattern), 0, f)
  }

  /** Calls `f` once for each topic, the hub's own as well. The rules of `forEachMatch` hold. */
  forEach(f: (value: A, topic: string) => void): void {
    forEachEntry(this.#root, f)
  }
}

const visitMatches = <A>(
  node: Node<A>,
  pattern: ReadonlyArray<string>,
  depth: number,
  f: (value: A, topic: string) => void
): void => {
  const segment = pattern[depth]
  if (segment === undefined) {
    if (node.entry !== undefined) f(node.entry.value, node.entry.name)
    return
  }
  if (node.children === undefined) return
  if (segment !== "*" && segment !== ">") {
    const child = node.children.get(segment)
    if (child !== undefined) visitMatches(child, pattern, depth + 1, f)
    return
  }
  for (const [name, child] of node.children) {
    // The hub's own topics are for those who name them.
    if (depth === 0 && isReserved(name)) continue
    if (segment === "*") visitMatches(child, pattern, depth + 1, f)
    else forEachEntry(child, f)
  }
}
