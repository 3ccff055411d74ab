/** Ranges of offsets, put together. Pure. */
import type { OffsetRange } from "../../protocol/Position.ts"

/** Ranges that may be kept before they are put together. */
const compactAt = 4096

/** The same offsets in as few ranges as possible, rising. */
export const merged = (ranges: ReadonlyArray<OffsetRange>): ReadonlyArray<OffsetRange> => {
  const sorted = [...ranges].sort((a, b) => a.from - b.from)
  const result: Array<{ from: number; to: number }> = []
  for (const { from, to } of sorted) {
    const last = result.at(-1)
    if (from >= to) continue
    if (last === undefined || from > last.to) result.push({ from, to })
    else if (to > last.to) last.to = to
  }
  return result
}

/** What of `from` to before `to` is in none of the ranges, rising; `undefined` if that is all of it. */
export const without = (
  from: number,
  to: number,
  ranges: ReadonlyArray<OffsetRange>
): ReadonlyArray<OffsetRange> | undefined => {
  const overlapping = ranges.filter((range) => range.from < to && range.to > from)
  if (overlapping.length === 0) return undefined
  const left: Array<OffsetRange> = []
  let at = from
  for (const range of merged(overlapping)) {
    if (range.from > at) left.push({ from: at, to: range.from })
    at = Math.max(at, range.to)
  }
  if (at < to) left.push({ from: at, to })
  return left
}

/** Parts of at most `size`. */
export const cut = <A>(all: ReadonlyArray<A>, size: number): ReadonlyArray<ReadonlyArray<A>> => {
  if (all.length <= size) return [all]
  const parts: Array<ReadonlyArray<A>> = []
  for (let at = 0; at < all.length; at += size) parts.push(all.slice(at, at + size))
  return parts
}

/** Takes ranges one by one; what follows on the one before costs nothing. */
export class RangeGatherer {
  private ranges: Array<{ from: number; to: number }> = []
  private isRising = true
  private compactAt = compactAt

  add(from: number, to: number): void {
    const last = this.ranges.at(-1)
    if (last !== undefined && from === last.to) {
      last.to = to
      return
    }
    if (last !== undefined && from < last.to) this.isRising = false
    this.ranges.push({ from, to })
    if (this.ranges.length < this.compactAt) return
    this.ranges = this.merged().map(({ from, to }) => ({ from, to }))
    this.isRising = true
    this.compactAt = Math.max(compactAt, this.ranges.length * 2)
  }

  /** As they are: they may overlap. */
  get all(): ReadonlyArray<OffsetRange> {
    return this.ranges
  }

  merged(): ReadonlyArray<OffsetRange> {
    return this.isRising ? this.ranges : merged(this.ranges)
  }
}

interface TopicRange extends OffsetRange {
  readonly topic: string
  readonly epoch: number
}

/** Ranges by topic and epoch, put together. */
export const byTopic = (
  ranges: Iterable<TopicRange>
): ReadonlyArray<
  readonly [of: { readonly topic: string; readonly epoch: number }, ranges: ReadonlyArray<OffsetRange>]
> => {
  const groups = new Map<string, Array<TopicRange>>()
  for (const range of ranges) {
    const key = `${range.epoch} ${range.topic}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [range])
    else group.push(range)
  }
  return Array.from(groups.values(), (group) => [group[0]!, merged(group)] as const)
}
