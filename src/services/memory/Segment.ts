/**
 * A segment of the log in memory: entries of all topics one after the other, as they were appended. An entry is a
 * header of one cache line and, unless they lie in a buffer of their own, the PUBLISH frames. Nothing in it is an
 * object, so the garbage collector has nothing to look at however much is kept.
 */
import type { Batch } from "../../protocol/Batch.ts"

/** Bytes of a header; the frames follow it. */
export const headerBytes = 64
/** Entries begin at multiples of this, so that an address is an integer of 31 bits. */
const unitBits = 4
const unit = 1 << unitBits
/** The largest segment, 1 MiB, in units. */
const segmentBits = 16
export const largestSegment = 1 << (segmentBits + unitBits)
/** Bytes of a store, 16 GiB: half of what addresses can tell apart, since not every segment is of the largest. */
export const largestStore = 2 ** 30 * unit

/** No entry, no chain, no buffer. */
export const none = -1

/** Fields of a header in `doubles`, counted from the entry's beginning. */
export const Double = { offset: 0, timestamp: 1, expires: 2 } as const
/**
 * Fields of a header in `ints`. `next` and `previous` are addresses in the same topic; `previous` means nothing
 * in a topic's first entry. `body` is an index into `bodies`, or `none` if the frames follow the header; `start`
 * and `end` are where they lie in either. `attributes` holds skip, priority and the flags of the records.
 */
export const Int = {
  next: 6,
  previous: 7,
  chain: 8,
  publisher: 9,
  body: 10,
  start: 11,
  end: 12,
  count: 13,
  attributes: 14,
  length: 15
} as const

const skipBits = 16
const priorityBits = 4

export const attributesOf = (skip: number, priority: number, records: number): number =>
  skip | (priority << skipBits) | (records << (skipBits + priorityBits))
export const skipOf = (attributes: number): number => attributes & 0xffff
export const priorityOf = (attributes: number): number => (attributes >>> skipBits) & 0xf
export const recordsOf = (attributes: number): number => attributes >>> (skipBits + priorityBits)
export const withSkip = (attributes: number, skip: number): number => (attributes & ~0xffff) | skip

/** Bytes that an entry with so many bytes of frames in it takes. */
export const entryBytes = (size: number): number => (headerBytes + size + unit - 1) & -unit

export const slotOf = (address: number): number => address >>> segmentBits
/** Where in its segment the entry begins. */
export const positionOf = (address: number): number => (address & ((1 << segmentBits) - 1)) << unitBits

export class Segment {
  readonly slot: number
  readonly bytes: Uint8Array
  readonly doubles: Float64Array
  readonly ints: Int32Array
  /** Bytes that are written. */
  used = 0
  /** Bytes of entries that are still in their topic. */
  live = 0
  /** Before this nothing is live. */
  head = 0
  /** Whether a reader may hold a part of `bytes`, so that they must never be written again. */
  isShared = false
  /** Frames that lie in buffers of their own. */
  readonly bodies: Array<Uint8Array | undefined> = []
  /** The ids of those who published what is here. */
  readonly publishers: Array<string> = []
  /** Where in it they are; only while entries are written here. */
  private publisherIndex: Map<string, number> | undefined
  private lastPublisher: string | undefined
  private lastIndex = 0
  older: Segment | undefined
  newer: Segment | undefined

  constructor(slot: number, bytes: Uint8Array) {
    this.slot = slot
    this.bytes = bytes
    this.doubles = new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length >> 3)
    this.ints = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2)
  }

  get room(): number {
    return this.bytes.length - this.used
  }

  addressOf(position: number): number {
    return (this.slot << segmentBits) | (position >> unitBits)
  }

  /** All of a header but where the frames are and the length. The entry is the last of its chain. */
  writeHeader(position: number, batch: Batch, chain: number, previous: number): void {
    const { doubles, ints } = this
    const double = position >> 3
    doubles[double + Double.offset] = batch.offset
    doubles[double + Double.timestamp] = batch.timestamp
    doubles[double + Double.expires] = batch.expires
    const int = position >> 2
    ints[int + Int.next] = none
    ints[int + Int.previous] = previous
    ints[int + Int.chain] = chain
    ints[int + Int.publisher] = this.publisherOf(batch.publisherId)
    ints[int + Int.count] = batch.count
    ints[int + Int.attributes] = attributesOf(batch.skip, batch.priority, batch.records)
  }

  /** The index of a publisher, who is added if need be. */
  publisherOf(id: string): number {
    if (id === this.lastPublisher) return this.lastIndex
    this.publisherIndex ??= new Map()
    let index = this.publisherIndex.get(id)
    if (index === undefined) {
      index = this.publishers.push(id) - 1
      this.publisherIndex.set(id, index)
    }
    this.lastPublisher = id
    this.lastIndex = index
    return index
  }

  /** To be called when nothing more will be written here. */
  seal(): void {
    this.publisherIndex = undefined
  }

  /** The bytes in which the frames of the entry lie. */
  bodyOf(position: number): Uint8Array {
    const body = this.ints[(position >> 2) + Int.body]!
    return body === none ? this.bytes : this.bodies[body]!
  }
}
