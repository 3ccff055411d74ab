/**
 * What a subscription has received: for each topic an epoch and the intervals of offsets that came or were told
 * to be dropped or gone. From it a resumed subscription says where it goes on, and leaves out what comes again.
 *
 * Normally a topic is one interval. An urgent message that overtakes others leaves a hole; a message that cannot
 * have overtaken (priority 0) closes all holes before it, since what is still missing there expired, was dropped,
 * or was the subscriber's own. Until the first such message it is not known where a topic begins; it is not among
 * the positions then, and what came of it is left out when it comes again. Bounded: of a topic with more than
 * `maxIntervals` intervals the newest are not remembered, and of more than `maxTopics` topics those that were quiet
 * longest are forgotten. Then nothing is lost, but messages may come a second time after a reconnection; their
 * positions tell.
 */
import type { Position, TopicPosition } from "../../protocol/Position.ts"

export const maxIntervals = 64
export const maxTopics = 16_384

/** The offsets from `from` to before `to`. */
export interface Range {
  readonly from: number
  readonly to: number
}

interface Seen {
  readonly topic: string
  epoch: number
  /** Whether all messages before the first pair have come, or will not. */
  hasBegun: boolean
  /** Pairs of from and to, rising, apart from each other; the first pair may be empty, and says where it began. */
  bounds: Array<number>
}

/** Bytes of a topic's name and its lengths in a SUBSCRIBE frame, at most. */
const listedBytes = (topic: string): number => 17 + topic.length * 3

export class ResumePoint {
  private readonly topics = new Map<string, Seen>()
  private newest: Seen | undefined
  private readonly topicLimit: number

  constructor(topicLimit = maxTopics) {
    this.topicLimit = topicLimit
  }

  /** Sets where a topic begins, unless it has begun. */
  begin(topic: string, position: Position): void {
    if (this.topics.has(topic)) return
    this.add(topic, position.epoch, position.offset, position.offset, true)
  }

  /**
   * Takes note of `count` messages at `offset`; `urgent` if all of them have a priority above 0. Answers which are
   * new, rising: `undefined` stands for all.
   */
  receive(
    topic: string,
    epoch: number,
    offset: number,
    count: number,
    urgent: boolean
  ): ReadonlyArray<Range> | undefined {
    const seen = this.touch(topic)
    const end = offset + count
    if (seen === undefined || seen.epoch !== epoch) {
      if (seen === undefined) this.add(topic, epoch, offset, end, !urgent)
      else reset(seen, epoch, offset, end, !urgent)
      return undefined
    }
    if (!urgent) seen.hasBegun = true
    const bounds = seen.bounds
    const last = bounds.length - 1
    if (bounds[last] === offset) {
      bounds[last] = end
      if (!urgent && last > 1) seen.bounds = [bounds[0]!, end]
      return undefined
    }
    const fresh = offset > bounds[last]! ? undefined : missing(bounds, offset, end)
    cover(seen, urgent ? offset : Math.min(offset, bounds[0]!), end)
    return fresh
  }

  /**
   * Takes note that `count` messages of the range will not come. If that is not the whole range it is not known
   * which, and then they may come after all when the subscription is resumed.
   */
  dropped(topic: string, from: Position, to: Position, count: number): void {
    const seen = this.topics.get(topic)
    // Of a topic that never delivered, earlier messages may still wait: it is not to begin after them.
    if (seen === undefined || seen.epoch !== from.epoch || from.epoch !== to.epoch) return
    if (to.offset > from.offset && count >= to.offset - from.offset) cover(seen, from.offset, to.offset)
  }

  /** Takes note that the topic goes on at `to`. Answers `false` if nothing is missed by it: all of it has come before. */
  gap(topic: string, from: Position, to: Position): boolean {
    const seen = this.touch(topic)
    const isRange = from.epoch === to.epoch && from.offset <= to.offset
    // Messages before a range that is gone may still wait.
    if (seen === undefined) this.add(topic, to.epoch, isRange ? from.offset : to.offset, to.offset, !isRange)
    else if (seen.epoch !== to.epoch || !isRange) reset(seen, to.epoch, to.offset, to.offset, true)
    else {
      const isMissed = missing(seen.bounds, from.offset, to.offset)?.length !== 0
      cover(seen, from.offset, to.offset)
      return isMissed
    }
    return true
  }

  /**
   * The first message of each topic that was not received: of the topics used last, as many as take no more
   * than `maxBytes` on the wire.
   */
  positions(maxBytes = Number.POSITIVE_INFINITY): ReadonlyArray<TopicPosition> {
    const all = [...this.topics.values()]
    const positions: Array<TopicPosition> = []
    let bytes = 0
    for (let i = all.length - 1; i >= 0; i--) {
      const seen = all[i]!
      if (!isBegun(seen)) continue
      const { bounds, epoch, topic } = seen
      bytes += listedBytes(topic)
      if (bytes > maxBytes) break
      positions.push({ topic, epoch, offset: bounds[1]! })
    }
    return positions.reverse()
  }

  /** The topic's entry, which becomes the one used last. */
  private touch(topic: string): Seen | undefined {
    if (this.newest?.topic === topic) return this.newest
    const seen = this.topics.get(topic)
    if (seen === undefined) return undefined
    this.topics.delete(topic)
    this.topics.set(topic, seen)
    this.newest = seen
    return seen
  }

  private add(topic: string, epoch: number, from: number, to: number, hasBegun: boolean): void {
    if (this.topics.size >= this.topicLimit) {
      for (const oldest of this.topics.keys()) {
        this.topics.delete(oldest)
        break
      }
    }
    this.newest = { topic, epoch, hasBegun, bounds: [from, to] }
    this.topics.set(topic, this.newest)
  }
}

/** Offsets begin at 0, so nothing comes before that. */
const isBegun = ({ bounds, hasBegun }: Seen): boolean => hasBegun || bounds[0] === 0

const reset = (seen: Seen, epoch: number, from: number, to: number, hasBegun: boolean): void => {
  seen.epoch = epoch
  seen.hasBegun = hasBegun
  seen.bounds = [from, to]
}

/** The parts of `[from, to)` that no interval covers. */
const missing = (
  bounds: ReadonlyArray<number>,
  from: number,
  to: number
): ReadonlyArray<Range> | undefined => {
  const ranges: Array<Range> = []
  let at = from
  for (let i = 0; i < bounds.length && at < to; i += 2) {
    if (bounds[i + 1]! <= at) continue
    if (bounds[i]! >= to) break
    if (bounds[i]! > at) ranges.push({ from: at, to: bounds[i]! })
    at = bounds[i + 1]!
  }
  if (at === from) return undefined
  if (at < to) ranges.push({ from: at, to })
  return ranges
}

/** Adds `[from, to)` and joins what it touches. */
const cover = (seen: Seen, from: number, to: number): void => {
  const bounds = seen.bounds
  let first = 0
  while (first < bounds.length && bounds[first + 1]! < from) first += 2
  let after = first
  let low = from
  let high = to
  while (after < bounds.length && bounds[after]! <= to) {
    low = Math.min(low, bounds[after]!)
    high = Math.max(high, bounds[after + 1]!)
    after += 2
  }
  bounds.splice(first, after - first, low, high)
  if (bounds.length > maxIntervals * 2) bounds.length = maxIntervals * 2
}
