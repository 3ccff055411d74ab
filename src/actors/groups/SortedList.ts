/**
 * Items in order, in chunks: adding at the end and taking from the front cost the same however long it is, anything
 * else costs a binary search and a move within one chunk. What an item is ordered by may change while it is in the
 * list as long as its place among the others does not.
 */
const largestChunk = 64

/** As `splice` would, without the array that it answers. */
const removeAt = <A>(items: Array<A>, at: number): void => {
  for (let i = at + 1; i < items.length; i++) items[i - 1] = items[i]!
  items.pop()
}

export class SortedList<A> {
  size = 0
  /** No chunk is empty. */
  private readonly chunks: Array<Array<A>> = []
  private readonly compare: (a: A, b: A) => number

  /** `compare` is never 0 for two items of the list. */
  constructor(compare: (a: A, b: A) => number) {
    this.compare = compare
  }

  get first(): A | undefined {
    return this.size === 0 ? undefined : this.chunks[0]![0]
  }

  add(item: A): void {
    const { chunks, compare } = this
    this.size++
    const last = chunks.at(-1)
    if (last === undefined) {
      chunks.push([item])
    } else if (compare(last[last.length - 1]!, item) < 0) {
      if (last.length < largestChunk) last.push(item)
      else chunks.push([item])
    } else {
      const index = this.chunkOf(item)
      const chunk = chunks[index]!
      chunk.splice(this.placeIn(chunk, item), 0, item)
      if (chunk.length > largestChunk) chunks.splice(index + 1, 0, chunk.splice(largestChunk >> 1))
    }
  }

  /** Nothing happens if it is not in the list. */
  remove(item: A): void {
    const { chunks } = this
    if (this.size === 0) return
    const front = chunks[0]!
    if (front[0] === item) {
      this.size--
      if (front.length === 1) chunks.shift()
      else front.shift()
      return
    }
    const index = this.chunkOf(item)
    const chunk = chunks[index]!
    const at = this.placeIn(chunk, item)
    if (chunk[at] !== item) return
    this.size--
    if (chunk.length === 1) chunks.splice(index, 1)
    else removeAt(chunk, at)
  }

  clear(): void {
    this.chunks.length = 0
    this.size = 0
  }

  /** The last item that is not after `item`. */
  floor(item: A): A | undefined {
    if (this.size === 0) return undefined
    const index = this.chunkOf(item)
    const chunk = this.chunks[index]!
    const at = this.placeIn(chunk, item)
    const found = chunk[at]
    if (found !== undefined && this.compare(found, item) === 0) return found
    return chunk[at - 1]
  }

  /** Adds to `into` the items from the last one that is not after `from` on, while `holds`. */
  collect(from: A, holds: (item: A) => boolean, into: Array<A>): void {
    if (this.size === 0) return
    const { chunks } = this
    let index = this.chunkOf(from)
    let at = this.placeIn(chunks[index]!, from)
    const here = chunks[index]![at]
    if (at > 0 && (here === undefined || this.compare(here, from) > 0)) at--
    for (; index < chunks.length; index++, at = 0) {
      const chunk = chunks[index]!
      for (; at < chunk.length; at++) {
        const item = chunk[at]!
        if (!holds(item)) return
        into.push(item)
      }
    }
  }

  /** All items, while none is added or removed. */
  *[Symbol.iterator](): Iterator<A> {
    for (const chunk of this.chunks) yield* chunk
  }

  /** The last chunk that does not begin after `item`; the first one if all do. */
  private chunkOf(item: A): number {
    const { chunks, compare } = this
    let low = 1
    let high = chunks.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (compare(chunks[middle]![0]!, item) <= 0) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  /** The index of the first item of the chunk that is not before `item`. */
  private placeIn(chunk: Array<A>, item: A): number {
    const { compare } = this
    if (compare(chunk[0]!, item) >= 0) return 0
    let low = 1
    let high = chunk.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (compare(chunk[middle]!, item) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}
