/**
 * The log in memory: for each topic the newest batches, bounded by messages, bytes and age, and all topics
 * together by bytes. Nothing outlives the process, nor the closing of a topic whose messages have all expired:
 * opened again it has another epoch.
 */
import { Clock, Effect, Layer, Random } from "effect"
import { type Batch, sliceBatch } from "../protocol/Batch.ts"
import { Deque } from "../protocol/Deque.ts"
import { MessageLog, type TopicLog } from "./MessageLog.ts"

export interface MemoryLimits {
  /** Messages a topic keeps; 0 keeps none. */
  readonly messages: number
  /** Bytes a topic keeps, frames included. */
  readonly bytes: number
  /** Milliseconds for which a message is kept. */
  readonly age: number
  /** Bytes that all topics keep together. When they are reached, a topic that appends forgets its own oldest. */
  readonly totalBytes: number
}

/** What the topics share. */
interface Total {
  bytes: number
}

/** Epochs rise with time, and differ for logs that were made in the same millisecond. */
const epochsPerMillisecond = 1024

const emptyBatches: ReadonlyArray<Batch> = []

class MemoryTopicLog implements TopicLog {
  readonly durability = "accepted"
  readonly epoch: number
  private readonly keeps: boolean
  nextOffset = 0
  messages = 0
  bytes = 0
  private readonly batches = new Deque<Batch>()
  private readonly limits: MemoryLimits
  private readonly total: Total

  constructor(epoch: number, limits: MemoryLimits, total: Total) {
    this.epoch = epoch
    this.limits = limits
    this.total = total
    this.keeps = limits.messages > 0 && limits.bytes > 0
  }

  get firstOffset(): number {
    return this.batches.at(0)?.offset ?? this.nextOffset
  }

  append(batch: Batch): undefined {
    batch.epoch = this.epoch
    batch.offset = this.nextOffset
    this.nextOffset += batch.count
    if (!this.keeps) return
    batch.keep()
    this.batches.push(batch)
    this.retain(batch)
    const limits = this.limits
    while (
      this.messages > limits.messages ||
      this.bytes > limits.bytes ||
      (this.total.bytes > limits.totalBytes && this.batches.length > 0)
    ) {
      this.forgetOldest(this.messages - limits.messages)
    }
    this.forgetOlder(batch.timestamp)
  }

  /** Whole batches go, unless only a part of one is too many. */
  private forgetOldest(excess: number): void {
    const oldest = this.batches.shift()
    if (oldest === undefined) return
    this.release(oldest)
    if (excess <= 0 || excess >= oldest.count || this.bytes >= this.limits.bytes) return
    const left = sliceBatch(oldest, excess, oldest.count)
    this.batches.unshift(left)
    this.retain(left)
  }

  private retain(batch: Batch): void {
    const size = batch.end - batch.start
    this.messages += batch.count
    this.bytes += size
    this.total.bytes += size
  }

  private release(batch: Batch): void {
    const size = batch.end - batch.start
    this.messages -= batch.count
    this.bytes -= size
    this.total.bytes -= size
  }

  expire(now: number): void {
    this.forgetOlder(now)
  }

  private forgetOlder(now: number): void {
    const oldest = now - this.limits.age
    for (
      let batch = this.batches.at(0);
      batch !== undefined && batch.timestamp < oldest;
      batch = this.batches.at(0)
    ) {
      this.batches.shift()
      this.release(batch)
    }
  }

  /** The index of the first batch for which `isAfter` holds, which must rise along the queue. */
  private search(isAfter: (batch: Batch) => boolean): number {
    let low = 0
    let high = this.batches.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (isAfter(this.batches.at(middle)!)) high = middle
      else low = middle + 1
    }
    return low
  }

  read(offset: number, maxBytes: number): Effect.Effect<ReadonlyArray<Batch>> {
    return Effect.sync(() => {
      if (offset >= this.nextOffset) return emptyBatches
      const found: Array<Batch> = []
      let bytes = 0
      let index = this.search((batch) => batch.offset + batch.count > offset)
      for (; index < this.batches.length && (found.length === 0 || bytes < maxBytes); index++) {
        const batch = this.batches.at(index)!
        const kept = batch.offset < offset ? sliceBatch(batch, offset - batch.offset, batch.count) : batch
        bytes += kept.size
        found.push(kept)
      }
      return found
    })
  }

  offsetAt(time: number): Effect.Effect<number> {
    return Effect.sync(() => {
      const index = this.search((batch) => batch.timestamp >= time)
      return this.batches.at(index)?.offset ?? this.nextOffset
    })
  }

  close(): void {
    for (let batch = this.batches.shift(); batch !== undefined; batch = this.batches.shift())
      this.release(batch)
  }
}

export const make = Effect.fnUntraced(function* (limits: MemoryLimits) {
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const total: Total = { bytes: 0 }
  let newest = 0
  const open = (): TopicLog => {
    // By chance, so that two processes differ that start in the same millisecond.
    const chance = Math.floor(random.nextDoubleUnsafe() * epochsPerMillisecond)
    newest = Math.max(newest + 1, clock.currentTimeMillisUnsafe() * epochsPerMillisecond + chance)
    return new MemoryTopicLog(newest, limits, total)
  }
  return MessageLog.of({ open, bytes: () => total.bytes })
})

export const layer = (limits: MemoryLimits): Layer.Layer<MessageLog> => Layer.effect(MessageLog, make(limits))
