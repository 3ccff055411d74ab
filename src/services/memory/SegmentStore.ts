/**
 * What the log in memory keeps of all topics, as a log of segments: an append writes to the end of the newest, so
 * that it touches hardly any memory that is not in the cache, and room is made from the oldest.
 *
 * A topic's entries are a chain through the segments. A segment whose entries have all left their chains is used
 * again; of one that is mostly left, what is still wanted is moved to the newest, so that a busy topic does not
 * push out the quiet ones; and when that is not enough, the oldest entries are dropped, whatever topic they are of.
 */
import type { Batch } from "../../protocol/Batch.ts"
import { allocateBytes, copyBytes } from "../../protocol/Bytes.ts"
import {
  Double,
  entryBytes,
  headerBytes,
  Int,
  largestSegment,
  largestStore,
  none,
  positionOf,
  Segment,
  slotOf
} from "./Segment.ts"

/** A topic's entries, of which it knows the ends. */
export interface Chain {
  /** By which entries name it. */
  readonly number: number
  /** Addresses of the oldest and the newest entry, or `none`. */
  first: number
  last: number
  /** Frees entries from the first on until that at `address` is free. */
  readonly dropThrough: (address: number) => void
  /** An entry has another address now; its neighbours know already. */
  readonly moved: (offset: number, from: number, to: number) => void
}

const smallestSegment = 16_384
/** A new segment is about this part of what is held, so that little traffic holds little. */
const segmentShare = 8
/** Frames of more bytes lie in a buffer of their own: in that which they came in if they are half of it. */
const largestInline = smallestSegment / 2 - headerBytes
/** How many segments, from the oldest on, are looked at for the one with the least in it. */
const candidates = 64

export class SegmentStore {
  /** Bytes of the frames that are kept. */
  bytes = 0
  /** Bytes of the segments and of frames' own buffers. */
  held = 0
  /** Of entries in their chains and of frames' own buffers. */
  private live = 0
  private readonly totalBytes: number
  private readonly capacity: number
  private readonly segmentLimit: number
  private readonly slots: Array<Segment | undefined> = []
  private readonly freeSlots: Array<number> = []
  private readonly chains: Array<Chain | undefined> = []
  private readonly freeChains: Array<number> = []
  private oldest: Segment | undefined
  private newest: Segment | undefined
  /** Of a segment that nobody reads, to be the next. */
  private spare: Uint8Array | undefined

  /** Keeps at most `totalBytes` of frames, and holds no more than that, headers included, or 256 KiB. */
  constructor(totalBytes: number) {
    this.totalBytes = totalBytes
    const bound = Math.min(Math.max(totalBytes, smallestSegment * 16), largestStore)
    this.segmentLimit = Math.min(largestSegment, powerOfTwo(bound / 16))
    // There may be one more segment than is counted: the spare one, or that into which an old one is emptied.
    this.capacity = bound - this.segmentLimit
  }

  add<C extends Chain>(make: (number: number) => C): C {
    const number = this.freeChains.pop() ?? this.chains.length
    const chain = make(number)
    this.chains[number] = chain
    return chain
  }

  /** The chain must be empty. */
  remove(chain: Chain): void {
    this.chains[chain.number] = undefined
    this.freeChains.push(chain.number)
  }

  segmentOf(address: number): Segment {
    return this.slots[slotOf(address)]!
  }

  /** Whether so many bytes of frames may be kept at all: about half of what the store may hold. */
  isKeepable(size: number): boolean {
    return size <= this.totalBytes && size * 2 <= this.capacity - this.segmentLimit
  }

  /** Adds a placed batch, which must be keepable, to the chain's end. `fit` is to be called afterwards. */
  append(chain: Chain, batch: Batch): void {
    const size = batch.end - batch.start
    const body = size <= largestInline ? undefined : ownBytes(batch)
    if (body !== undefined) this.hold(body.buffer.byteLength)
    if (this.held > this.capacity) this.makeRoom()
    const length = entryBytes(body === undefined ? size : 0)
    let segment = this.newest
    if (segment === undefined || segment.room < length) segment = this.begin()
    const position = segment.used
    segment.used = position + length
    segment.live += length
    this.live += length
    this.bytes += size
    segment.writeHeader(position, batch, chain.number, chain.last)
    const int = position >> 2
    segment.ints[int + Int.length] = length
    let start = position + headerBytes
    if (body === undefined) {
      segment.ints[int + Int.body] = none
      copyBytes(batch.bytes, batch.start, batch.end, segment.bytes, start)
    } else {
      segment.ints[int + Int.body] = segment.bodies.push(body) - 1
      start = body === batch.bytes ? batch.start : 0
    }
    segment.ints[int + Int.start] = start
    segment.ints[int + Int.end] = start + size
    const address = segment.addressOf(position)
    if (chain.last === none) chain.first = address
    else this.setNext(chain.last, address)
    chain.last = address
  }

  /** Drops the oldest entries until no more is kept than may be. */
  fit(): void {
    while (this.bytes > this.totalBytes && this.dropOldest()) {}
  }

  /** Of an entry that has left its chain. */
  free(segment: Segment, position: number): void {
    const { ints } = segment
    const int = position >> 2
    const length = ints[int + Int.length]!
    const body = ints[int + Int.body]!
    ints[int + Int.chain] = none
    this.bytes -= ints[int + Int.end]! - ints[int + Int.start]!
    this.live -= length
    segment.live -= length
    if (body !== none) {
      this.hold(-segment.bodies[body]!.buffer.byteLength)
      segment.bodies[body] = undefined
    }
    if (segment.live === 0 && segment !== this.newest) this.release(segment)
  }

  private hold(bytes: number): void {
    this.held += bytes
    this.live += bytes
  }

  private setNext(address: number, next: number): void {
    this.segmentOf(address).ints[(positionOf(address) >> 2) + Int.next] = next
  }

  /** A new segment, and what that takes. */
  private begin(): Segment {
    const before = this.newest
    const size = Math.min(this.segmentLimit, Math.max(smallestSegment, powerOfTwo(this.held / segmentShare)))
    const segment = new Segment(this.freeSlots.pop() ?? this.slots.length, this.takeSpare(size))
    this.slots[segment.slot] = segment
    this.held += segment.bytes.length
    segment.older = before
    if (before === undefined) this.oldest = segment
    else before.newer = segment
    this.newest = segment
    before?.seal()
    if (before?.live === 0) this.release(before)
    // Two for the one that is new, so that what is held becomes less.
    if (this.isWasteful && this.compact() && this.isWasteful) this.compact()
    this.makeRoom()
    return segment
  }

  private get isWasteful(): boolean {
    return this.held > this.live * 2 + this.segmentLimit * 4
  }

  private takeSpare(size: number): Uint8Array {
    const spare = this.spare
    this.spare = undefined
    return spare !== undefined && spare.length >= size && spare.length <= size * 2
      ? spare
      : allocateBytes(size)
  }

  private makeRoom(): void {
    const newest = this.newest
    // Into which nothing would be moved any more.
    if (newest !== undefined && newest.used * 2 > newest.bytes.length) {
      this.begin()
      return
    }
    while (this.held > this.capacity && this.compact()) {}
    while (this.held > this.capacity && this.dropOldest()) {}
  }

  /** Moves what is live in an old segment to the newest, of which that fills no more than half. */
  private compact(): boolean {
    const to = this.newest
    const from = to === undefined ? undefined : this.emptiest(to.bytes.length / 2 - to.used)
    if (to === undefined || from === undefined) return false
    for (let position = from.head; position < from.used; ) {
      const length = from.ints[(position >> 2) + Int.length]!
      if (from.ints[(position >> 2) + Int.chain] !== none) this.move(from, position, length, to)
      position += length
    }
    this.release(from)
    return true
  }

  /** Of the oldest segments that with the smallest part live, if that is less than half and at most `room` bytes. */
  private emptiest(room: number): Segment | undefined {
    let found: Segment | undefined
    let least = 0.5
    let left = candidates
    for (let each = this.oldest; each !== this.newest && each !== undefined && left > 0; each = each.newer) {
      const share = each.live / each.bytes.length
      if (share < least && each.live <= room) {
        found = each
        least = share
      }
      left--
    }
    return found
  }

  private move(from: Segment, position: number, length: number, to: Segment): void {
    const at = to.used
    copyBytes(from.bytes, position, position + length, to.bytes, at)
    to.used = at + length
    to.live += length
    from.live -= length
    const { ints } = to
    const int = at >> 2
    ints[int + Int.publisher] = to.publisherOf(from.publishers[ints[int + Int.publisher]!]!)
    const body = ints[int + Int.body]!
    if (body === none) {
      ints[int + Int.start]! += at - position
      ints[int + Int.end]! += at - position
    } else {
      ints[int + Int.body] = to.bodies.push(from.bodies[body]) - 1
    }
    this.relink(from.addressOf(position), to, at)
  }

  private relink(before: number, to: Segment, position: number): void {
    const { doubles, ints } = to
    const int = position >> 2
    const chain = this.chains[ints[int + Int.chain]!]!
    const address = to.addressOf(position)
    const next = ints[int + Int.next]!
    if (chain.first === before) chain.first = address
    else this.setNext(ints[int + Int.previous]!, address)
    if (chain.last === before) chain.last = address
    else this.segmentOf(next).ints[(positionOf(next) >> 2) + Int.previous] = address
    chain.moved(doubles[(position >> 3) + Double.offset]!, before, address)
  }

  /** Drops the oldest entry, and what its topic has before it; `false` if there is none. */
  private dropOldest(): boolean {
    for (let segment = this.oldest; segment !== undefined; segment = segment.newer) {
      while (segment.head < segment.used) {
        const position = segment.head
        const chain = segment.ints[(position >> 2) + Int.chain]!
        segment.head += segment.ints[(position >> 2) + Int.length]!
        if (chain === none) continue
        this.chains[chain]!.dropThrough(segment.addressOf(position))
        return true
      }
    }
    return false
  }

  private release(segment: Segment): void {
    const { newer, older } = segment
    if (older === undefined) this.oldest = newer
    else older.newer = newer
    if (newer === undefined) this.newest = older
    else newer.older = older
    this.slots[segment.slot] = undefined
    this.freeSlots.push(segment.slot)
    this.held -= segment.bytes.length
    if (!segment.isShared) this.spare = segment.bytes
  }
}

const powerOfTwo = (bytes: number): number => 2 ** Math.floor(Math.log2(Math.max(bytes, 1)))

/** The bytes of a batch in a buffer that holds little else: at most twice as much. */
const ownBytes = (batch: Batch): Uint8Array => {
  const size = batch.end - batch.start
  if (size * 2 >= batch.bytes.buffer.byteLength) return batch.bytes
  const bytes = allocateBytes(size)
  copyBytes(batch.bytes, batch.start, batch.end, bytes, 0)
  return bytes
}
