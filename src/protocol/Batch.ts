/**
 * The batch as the hub carries it: some PUBLISH frames of one topic and one publisher, contiguous, with the
 * place that the log gave them. It is passed by reference from the connection that read it to those that
 * deliver it; its payloads are never encoded again.
 */
import { copyBytes, readU32 } from "./Bytes.ts"
import type { Placed } from "./Deliver.ts"
import type { ErrorCode } from "./ErrorCode.ts"
import { PublishHeader, readPublish } from "./Publish.ts"

const smallestSlab = 1024
const largestSlab = 65_536

/**
 * Memory that one topic's small batches are copied into, so that keeping a few of them does not keep the
 * socket's chunks of 64 KiB that they came in. Slabs begin small and double, so a quiet topic costs little.
 */
export class Slab {
  bytes: Uint8Array = new Uint8Array(0)
  used = 0

  /** Answers where `length` bytes may be written in `bytes`, which may have become another buffer. */
  reserve(length: number): number {
    if (this.used + length > this.bytes.length) {
      const size = Math.min(largestSlab, Math.max(smallestSlab, this.bytes.length * 2))
      this.bytes = new Uint8Array(Math.max(size, length))
      this.used = 0
    }
    const at = this.used
    this.used = at + length
    return at
  }
}

/** The topic of a batch. */
export interface BatchOwner {
  readonly name: string
  readonly slab: Slab
  /** Messages that were handed to connections, and messages that overflow took, for all subscribers. */
  delivered: number
  dropped: number
}

/** Who published a batch: told what became of it. */
export interface Publisher {
  /** The session's uuid. */
  readonly id: string
  readonly receipt: (batch: Batch, duplicate: boolean) => void
  /** The batch left no trace. */
  readonly reject: (batch: Batch, code: ErrorCode, message: string) => void
}

export class Batch implements Placed {
  bytes: Uint8Array
  start: number
  end: number
  count: number
  skip = 0
  epoch = 0
  offset = 0
  timestamp = 0
  /** The hub's clock, with fractions of milliseconds, when the first of it was read. */
  receivedAt = 0
  readonly owner: BatchOwner
  readonly priority: number
  /** Milliseconds to live, then, once it is stamped, the time at which it expires; 0 is never. */
  expires = 0
  readonly publisherId: string
  /** Until the receipt was given. */
  publisher: Publisher | undefined
  firstSequence = 0
  lastSequence = 0
  wantsReceipt = false
  resent = false
  /** The flags of all its records. */
  records = 0

  constructor(
    owner: BatchOwner,
    bytes: Uint8Array,
    start: number,
    end: number,
    count: number,
    priority: number,
    publisherId: string
  ) {
    this.owner = owner
    this.bytes = bytes
    this.start = start
    this.end = end
    this.count = count
    this.priority = priority
    this.publisherId = publisherId
  }

  get topic(): string {
    return this.owner.name
  }

  get size(): number {
    return this.end - this.start
  }

  /** Adds the PUBLISH frame `bytes[start, end)`: at no cost if it follows in the same bytes, else by a copy. */
  extend(bytes: Uint8Array, start: number, end: number, count: number): void {
    this.count += count
    if (this.bytes === bytes && this.end === start) {
      this.end = end
      return
    }
    const slab = this.owner.slab
    const length = end - start
    if (this.bytes !== slab.bytes || this.end !== slab.used || slab.used + length > slab.bytes.length) {
      this.moveTo(slab, length)
    } else {
      slab.used += length
    }
    copyBytes(bytes, start, end, this.bytes, this.end)
    this.end += length
  }

  /**
   * To be called before the batch is kept for longer than the turn: it then holds at most twice its own bytes,
   * copied if it is a small part of the buffer that it came in.
   */
  keep(): void {
    const slab = this.owner.slab
    if (this.bytes === slab.bytes) return
    const size = this.end - this.start
    if (this.bytes.buffer.byteLength <= size * 2 || size >= largestSlab) return
    this.moveTo(slab, 0)
  }

  private moveTo(slab: Slab, extra: number): void {
    const size = this.end - this.start
    const at = slab.reserve(size + extra)
    copyBytes(this.bytes, this.start, this.end, slab.bytes, at)
    this.bytes = slab.bytes
    this.start = at
    this.end = at + size
  }
}

/**
 * The messages `from` to before `to` of a batch, counted from its first: the same bytes, without the frames at
 * both ends that hold none of them.
 */
export const sliceBatch = (batch: Batch, from: number, to: number): Batch => {
  const header = new PublishHeader()
  let start = batch.start
  let end = batch.start
  let index = -batch.skip
  let skip = batch.skip + from
  while (end < batch.end && index < to) {
    const frameEnd = end + 4 + readU32(batch.bytes, end)
    if (!readPublish(batch.bytes, end, frameEnd, header)) break
    index += header.count
    end = frameEnd
    if (index <= from) {
      start = frameEnd
      skip = from - index
    }
  }
  const slice = new Batch(batch.owner, batch.bytes, start, end, to - from, batch.priority, batch.publisherId)
  slice.skip = skip
  slice.epoch = batch.epoch
  slice.offset = batch.offset + from
  slice.timestamp = batch.timestamp
  slice.receivedAt = batch.receivedAt
  slice.expires = batch.expires
  slice.records = batch.records
  return slice
}
