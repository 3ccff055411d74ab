/**
 * Which values have a pattern that matches a topic: a map from patterns to sets of values.
 *
 * A match visits only nodes whose path matches the beginning of the topic: one child by name and at most two
 * wildcards at each node. However patterns were chosen, that is never more than the nodes that they made, and the
 * depth never more than `maxSegments`. Patterns and topics are to be checked before they come here.
 */
import {
  countNodes,
  ensureNode,
  getEntry,
  makeNode,
  type Node,
  removeEntry,
  segmentsOf
} from "./internal/SegmentTrie.ts"
import { isReserved } from "./TopicName.ts"

export class PatternTrie<A> {
  readonly #root: Node<Set<A>> = makeNode()
  #size = 0

  /** How many pairs of a pattern and a value there are. */
  get size(): number {
    return this.#size
  }

  /** How many nodes the trie keeps, for tests and diagnosis: it counts them one by one. None when it is empty. */
  get nodes(): number {
    return countNodes(this.#root)
  }

  /** Adds a value to a pattern. Answers `false`, and changes nothing, if it was there. */
  add(pattern: string, value: A): boolean {
    const node = ensureNode(this.#root, pattern)
    node.entry ??= { name: pattern, value: new Set() }
    const values = node.entry.value
    if (values.has(value)) return false
    values.add(value)
    this.#size++
    return true
  }

  /** Removes a value from a pattern, and what was kept for it alone. Answers `false` if it was not there. */
  remove(pattern: string, value: A): boolean {
    const values = getEntry(this.#root, pattern)?.value
    if (values === undefined || !values.delete(value)) return false
    if (values.size === 0) removeEntry(this.#root, pattern)
    this.#size--
    return true
  }

  /** The values that have at least one pattern that matches the topic, each of them once, in no given order. */
  matches(topic: string): ReadonlyArray<A> {
    const values = new Set<A>()
    this.forEachMatch(topic, (value) => values.add(value))
    return [...values]
  }

  /**
   * Calls `f` once for each pair of a matching pattern and a value, in no given order: a value with two matching
   * patterns comes twice. `f` may remove from the trie, but is not to add to it.
   */
  forEachMatch(topic: string, f: (value: A, pattern: string) => void): void {
    visitMatches(this.#root, segmentsOf(topic), 0, f)
  }
}

const visitMatches = <A>(
  node: Node<Set<A>>,
  topic: ReadonlyArray<string>,
  depth: number,
  f: (value: A, pattern: string) => void
): void => {
  const segment = topic[depth]
  if (segment === undefined) {
    emit(node, f)
    return
  }
  const children = node.children
  if (children === undefined) return
  if (depth > 0 || !isReserved(segment)) {
    const tail = children.get(">")
    if (tail !== undefined) emit(tail, f)
    const star = children.get("*")
    if (star !== undefined) visitMatches(star, topic, depth + 1, f)
  }
  const literal = children.get(segment)
  if (literal !== undefined) visitMatches(literal, topic, depth + 1, f)
}

const emit = <A>({ entry }: Node<Set<A>>, f: (value: A, pattern: string) => void): void => {
  if (entry === undefined) return
  for (const value of entry.value) f(value, entry.name)
}
