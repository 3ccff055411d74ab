/**
 * The batch as the hub carries it: some PUBLISH frames of one topic and one publisher, contiguous, with the
 * place that the log gave them. It is passed by reference from the connection that read it to those that
 * deliver it; its payloads are never encoded again.
 */
import { allocateBytes, copyBytes, readU32 } from "./Bytes.ts"
import type { Placed } from "./Deliver.ts"
import type { ErrorCode } from "./ErrorCode.ts"
import type { Durability } from "./Position.ts"
import { PublishHeader, readPublish } from "./Publish.ts"

const smallestSlab = 1024
const largestSlab = 65_536

/** Memory that batches are copied to, one after the other. It begins small and doubles, so quiet users cost little. */
export class Slab {
  bytes: Uint8Array = new Uint8Array(0)
  private used = 0

  /** Answers where `length` bytes may be written in `bytes`, which may have become another buffer. */
  reserve(length: number): number {
    const capacity = this.bytes.length
    if (this.used + length > capacity) {
      const size = Math.min(largestSlab, Math.max(smallestSlab, capacity * 2))
      this.bytes = allocateBytes(Math.max(size, length))
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
  /** For what is kept of it. */
  readonly slab: Slab
  /** Messages that were handed to connections, and messages that overflow took, for all subscribers. */
  delivered: number
  dropped: number
}

/** Who published a batch: told what became of it. */
export interface Publisher {
  /** The session's uuid. */
  readonly id: string
  /** Rises from session to session: of two with one uuid the higher is the later. */
  readonly ordinal: number
  /** The session's uuid and incarnation: whose sequences these are. */
  readonly producer: string
  readonly receipt: (batch: Batch, durability: Durability, duplicate: boolean) => void
  /** The batch left no trace. */
  readonly reject: (batch: Batch, code: ErrorCode, message: string) => void
}

/** Where a batch was held until its time; only the log that held it knows more. */
export interface HeldBatch {
  readonly topic: string
  /** When it is due: milliseconds since 1970. */
  readonly at: number
  /** Forgets it, when it was appended to a log of another engine than that which held it. */
  readonly forget: () => void
}

export class Batch implements Placed {
  bytes: Uint8Array
  start: number
  end: number
  /** How far the batch may grow in place. */
  private limit = 0
  count: number
  skip = 0
  epoch = 0
  offset = 0
  timestamp = 0
  /** The hub's clock, with fractions of milliseconds, when the first of it was read; -1 for one that comes from the log. */
  receivedAt = -1
  readonly owner: BatchOwner
  readonly priority: number
  /** Milliseconds to live, then, once it is stamped, the time at which it expires; 0 is never. */
  expires = 0
  readonly publisherId: string
  /** With the publisher's uuid: whose sequences these are. */
  incarnation = 0
  /** The time (ms) until which it must be held; 0 for at once. */
  holdUntil = 0
  /** Where it was held until now, if it was. */
  held: HeldBatch | undefined
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

  /** Whether the frame at `start` of `bytes` follows this batch in the same bytes. */
  isFollowedBy(bytes: Uint8Array, start: number): boolean {
    return this.bytes === bytes && this.end === start
  }

  /** Adds the PUBLISH frame `bytes[start, end)`: at no cost if it follows in the same bytes, else by a copy to `slab`. */
  extend(slab: Slab, bytes: Uint8Array, start: number, end: number, count: number): void {
    this.count += count
    const length = end - start
    if (this.bytes === bytes && this.end === start) {
      this.end = end
      return
    }
    if (this.end + length > this.limit) {
      const size = this.end - this.start
      // Room for as much again, so that a batch which grows frame by frame is moved seldom.
      const room = (size + length) * 2
      this.moveTo(slab, slab.reserve(room))
      this.limit = this.start + room
    }
    copyBytes(bytes, start, end, this.bytes, this.end)
    this.end += length
  }

  /**
   * To be called before the batch waits in a mailbox: it then holds at most about four times its own bytes,
   * copied if it is a small part of the buffer that it lies in.
   */
  keep(): void {
    const slab = this.owner.slab
    const size = this.end - this.start
    if (this.bytes === slab.bytes || size * 4 >= this.bytes.buffer.byteLength) return
    this.moveTo(slab, slab.reserve(size))
  }

  private moveTo(to: Slab, at: number): void {
    const size = this.end - this.start
    copyBytes(this.bytes, this.start, this.end, to.bytes, at)
    this.bytes = to.bytes
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
