/**
 * A topic's log in memory: its newest entries in the hub's store, bounded by messages, bytes and age. It holds
 * numbers only. Messages are bounded exactly, by cutting the oldest batch; bytes and age by whole batches.
 */
import { Effect } from "effect"
import { Batch, sliceBatch } from "../../protocol/Batch.ts"
import { readU32 } from "../../protocol/Bytes.ts"
import { PublishHeader, readPublish } from "../../protocol/Publish.ts"
import { type LogOwner, MessageLogError, type TopicLimits, type TopicLog } from "../MessageLog.ts"
import type { HeldBatches } from "./HeldBatches.ts"
import { Landmarks } from "./Landmarks.ts"
import {
  Double,
  Int,
  none,
  positionOf,
  priorityOf,
  recordsOf,
  type Segment,
  skipOf,
  withSkip
} from "./Segment.ts"
import type { Chain, SegmentStore } from "./SegmentStore.ts"

/** What is left of a topic that was closed. */
export type Place = Pick<TopicLog, "epoch" | "nextOffset" | "lostUntil">

/** What the topics of a log have in common. */
export interface Shared {
  readonly limits: TopicLimits
  readonly store: SegmentStore
  readonly held: HeldBatches
  /** Told when a log is let go of, and not when it is removed. */
  readonly closed: (topic: string, log: TopicLog) => void
}

/** Entries from one mark to the next. */
const markEvery = 64

const emptyBatches: ReadonlyArray<Batch> = []

export class MemoryTopicLog implements TopicLog, Chain {
  readonly durability = "accepted"
  readonly isReceiptEarly = false
  readonly room = undefined
  readonly epoch: number
  readonly number: number
  first: number = none
  last: number = none
  nextOffset = 0
  firstOffset = 0
  bytes = 0
  lostUntil = 0
  /** No entry is older. */
  private firstTime = 0
  private unmarked = 0
  /** The offset of the first mark; 0 if there is none. */
  private firstMark = 0
  private marks: Landmarks | undefined
  private readonly owner: LogOwner
  private readonly shared: Shared
  private readonly store: SegmentStore
  private readonly limits: TopicLimits
  private isOpen = true

  /** Goes on at `place`, where another was closed. Batches that are read are of `owner`. */
  constructor(number: number, owner: LogOwner, place: Place, shared: Shared) {
    this.number = number
    this.epoch = place.epoch
    this.nextOffset = place.nextOffset
    this.firstOffset = place.nextOffset
    this.lostUntil = place.lostUntil
    this.owner = owner
    this.shared = shared
    this.limits = shared.limits
    this.store = shared.store
  }

  get messages(): number {
    return this.nextOffset - this.firstOffset
  }

  get lastTimestamp(): number {
    return this.last === none ? this.lostUntil : this.timeAt(this.last)
  }

  append(batch: Batch): true {
    if (batch.held !== undefined) batch.held.forget()
    const limits = this.limits
    const size = batch.end - batch.start
    batch.epoch = this.epoch
    batch.offset = this.nextOffset
    if (!this.isOpen || limits.messages === 0 || size > limits.bytes || !this.store.isKeepable(size)) {
      this.passOver(batch)
      return true
    }
    this.store.append(this, batch)
    if (this.first === this.last) this.firstTime = batch.timestamp
    this.nextOffset += batch.count
    this.bytes += size
    if (++this.unmarked === markEvery) this.mark(batch.offset)
    while (this.messages > limits.messages || this.bytes > limits.bytes) this.trim()
    this.expire(batch.timestamp)
    this.store.fit()
    return true
  }

  hold(batch: Batch, at: number): boolean {
    if (this.shared.held.add(batch, at)) return true
    this.owner.refused(batch, new MessageLogError({ reason: "full", topic: this.owner.name }))
    return false
  }

  /** A batch that is not kept: what is before it would leave a gap. */
  private passOver(batch: Batch): void {
    this.dropAll()
    this.lostUntil = batch.timestamp
    this.nextOffset += batch.count
    this.firstOffset = this.nextOffset
  }

  private mark(offset: number): void {
    this.unmarked = 0
    this.marks ??= new Landmarks()
    this.marks.push(offset, this.last)
    this.firstMark = this.marks.first
  }

  /** The oldest batch goes, unless only a part of it is too much. */
  private trim(): void {
    const segment = this.store.segmentOf(this.first)
    const int = positionOf(this.first) >> 2
    const excess = this.messages - this.limits.messages
    const size = segment.ints[int + Int.end]! - segment.ints[int + Int.start]!
    const isPartEnough = this.bytes - size < this.limits.bytes
    if (excess > 0 && excess < segment.ints[int + Int.count]! && isPartEnough) this.cut(segment, excess)
    else this.dropFirst()
  }

  private cut(segment: Segment, messages: number): void {
    const position = positionOf(this.first)
    this.lostUntil = this.timeAt(this.first)
    const int = position >> 2
    const { ints } = segment
    const bytes = segment.bodyOf(position)
    const header = new PublishHeader()
    let left = skipOf(ints[int + Int.attributes]!) + messages
    let start = ints[int + Int.start]!
    for (;;) {
      const frameEnd = start + 4 + readU32(bytes, start)
      if (!readPublish(bytes, start, frameEnd, header) || header.count > left) break
      left -= header.count
      start = frameEnd
    }
    const removed = start - ints[int + Int.start]!
    ints[int + Int.start] = start
    ints[int + Int.count]! -= messages
    ints[int + Int.attributes] = withSkip(ints[int + Int.attributes]!, left)
    segment.doubles[(position >> 3) + Double.offset]! += messages
    this.firstOffset += messages
    this.bytes -= removed
    this.store.bytes -= removed
  }

  private dropFirst(): void {
    const segment = this.store.segmentOf(this.first)
    const position = positionOf(this.first)
    const { doubles, ints } = segment
    const int = position >> 2
    this.bytes -= ints[int + Int.end]! - ints[int + Int.start]!
    this.firstOffset += ints[int + Int.count]!
    this.firstTime = doubles[(position >> 3) + Double.timestamp]!
    this.lostUntil = this.firstTime
    this.first = ints[int + Int.next]!
    if (this.first === none) this.last = none
    this.store.free(segment, position)
    if (this.firstMark > 0 && this.firstMark < this.firstOffset) this.dropMarks()
  }

  private dropMarks(): void {
    const marks = this.marks!
    marks.dropBefore(this.firstOffset)
    this.firstMark = marks.first
  }

  dropThrough(address: number): void {
    let dropped: number
    do {
      dropped = this.first
      this.dropFirst()
    } while (dropped !== address)
  }

  moved(offset: number, from: number, to: number): void {
    this.marks?.move(offset, from, to)
  }

  expire(now: number): void {
    const oldest = now - this.limits.age
    while (this.first !== none && this.firstTime < oldest) {
      // That was only a lower bound.
      this.firstTime = this.timeAt(this.first)
      if (this.firstTime >= oldest) return
      this.dropFirst()
    }
  }

  private timeAt(address: number): number {
    return this.store.segmentOf(address).doubles[(positionOf(address) >> 3) + Double.timestamp]!
  }

  private offsetOf(address: number): number {
    return this.store.segmentOf(address).doubles[(positionOf(address) >> 3) + Double.offset]!
  }

  private nextOf(address: number): number {
    return this.store.segmentOf(address).ints[(positionOf(address) >> 2) + Int.next]!
  }

  /** The entry that holds `offset`, or the first. */
  private find(offset: number): number {
    if (this.last !== none && this.offsetOf(this.last) <= offset) return this.last
    let found = this.marks?.before(offset) ?? this.first
    for (let next = found; next !== none && this.offsetOf(next) <= offset; next = this.nextOf(next))
      found = next
    return found
  }

  read(offset: number, maxBytes: number): Effect.Effect<ReadonlyArray<Batch>> {
    return Effect.sync(() => {
      if (offset >= this.nextOffset) return emptyBatches
      const found: Array<Batch> = []
      let bytes = 0
      for (
        let address = this.find(offset);
        address !== none && (found.length === 0 || bytes < maxBytes);
        address = this.nextOf(address)
      ) {
        const batch = this.batchAt(address)
        const kept = batch.offset < offset ? sliceBatch(batch, offset - batch.offset, batch.count) : batch
        bytes += kept.size
        found.push(kept)
      }
      return found
    })
  }

  /** Its bytes stay as they are also when the entry is gone. */
  private batchAt(address: number): Batch {
    const segment = this.store.segmentOf(address)
    const position = positionOf(address)
    const { doubles, ints } = segment
    const int = position >> 2
    const double = position >> 3
    const attributes = ints[int + Int.attributes]!
    if (ints[int + Int.body] === none) segment.isShared = true
    const batch = new Batch(
      this.owner,
      segment.bodyOf(position),
      ints[int + Int.start]!,
      ints[int + Int.end]!,
      ints[int + Int.count]!,
      priorityOf(attributes),
      segment.publishers[ints[int + Int.publisher]!]!
    )
    batch.skip = skipOf(attributes)
    batch.epoch = this.epoch
    batch.offset = doubles[double + Double.offset]!
    batch.timestamp = doubles[double + Double.timestamp]!
    batch.expires = doubles[double + Double.expires]!
    batch.records = recordsOf(attributes)
    return batch
  }

  offsetAt(time: number): Effect.Effect<number> {
    return Effect.sync(() => {
      const isBefore = (address: number) => this.timeAt(address) < time
      let address = this.marks?.last(isBefore) ?? this.first
      while (address !== none && isBefore(address)) address = this.nextOf(address)
      return address === none ? this.nextOffset : this.offsetOf(address)
    })
  }

  get remove(): Effect.Effect<void> {
    return Effect.sync(() => {
      this.shared.held.forgetTopic(this.owner.name)
      this.letGo()
    })
  }

  close(): void {
    if (this.letGo()) this.shared.closed(this.owner.name, this)
  }

  /** Whether it was open until now. */
  private letGo(): boolean {
    if (!this.isOpen) return false
    this.isOpen = false
    this.dropAll()
    this.store.remove(this)
    return true
  }

  private dropAll(): void {
    while (this.first !== none) this.dropFirst()
  }
}
