/**
 * The ids of a topic's latest messages, so that one whose id was seen within a window of time is not stored twice.
 * Bounded by the window and by a number of ids. They are in two maps, the later and the earlier half, and are forgotten a
 * half at a time: a map from which the first is taken again and again becomes slow.
 */
import type { Batch } from "../protocol/Batch.ts"
import { readU32 } from "../protocol/Bytes.ts"
import { decodeRecord, RecordFlags } from "../protocol/Message.ts"
import { PublishHeader, readPublish } from "../protocol/Publish.ts"
import { IdMemory, Ids, type Seen } from "./IdMemory.ts"

/** Ids that a topic remembers at most: about 20 MB. At least half as many of the latest are remembered. */
const maxIds = 200_000

/** The frames of a batch that share one answer. */
export interface Part {
  readonly batch: Batch
  /** The id that is known already, if that is why the part must not be stored. */
  readonly duplicateOf: string | undefined
}

export class MessageIds {
  private later = new Ids()
  private earlier = new Ids()
  private readonly window: number
  private readonly memory: IdMemory

  /** `window` is in milliseconds; `memory` bounds the ids of all topics together. */
  constructor(window: number, memory = new IdMemory()) {
    this.window = window
    this.memory = memory
  }

  get isEmpty(): boolean {
    return this.later.seen.size + this.earlier.seen.size === 0
  }

  /** The offset of the message of this id; -1 if it has none yet; `undefined` if the id is not known. */
  find(id: string, now: number): number | undefined {
    const seen = this.later.seen.get(id) ?? this.earlier.seen.get(id)
    return seen === undefined || seen.at < now - this.window ? undefined : seen.offset
  }

  /** Whether an id of the batch is known, or stands in it twice. */
  knowsAny(batch: Batch): boolean {
    const own = new Set<string>()
    let known = false
    forEachId(batch, (id) => {
      known ||= own.has(id) || this.find(id, batch.timestamp) !== undefined
      own.add(id)
    })
    return known
  }

  /** Whether each of its messages has an id of one that has its place. */
  arePlaced(batch: Batch): boolean {
    let placed = 0
    forEachId(batch, (id) => {
      if ((this.find(id, batch.timestamp) ?? -1) >= 0) placed++
    })
    return placed === batch.count
  }

  /** The batch is on its way. */
  add(batch: Batch): void {
    forEachId(batch, (id) => {
      this.put(id, { offset: -1, at: batch.timestamp })
    })
  }

  /** The batch is stored. */
  place(batch: Batch): void {
    forEachId(batch, (id, index) => {
      this.put(id, { offset: batch.offset + index, at: batch.timestamp })
    })
  }

  /** The batch left no trace. */
  remove(batch: Batch): void {
    forEachId(batch, (id) => {
      for (const { seen } of [this.later, this.earlier]) if (seen.get(id)?.offset === -1) seen.delete(id)
    })
  }

  expire(now: number): void {
    for (const ids of [this.later, this.earlier]) if (ids.at < now - this.window) this.memory.clear(ids)
  }

  private put(id: string, seen: Seen): void {
    if (this.later.seen.size >= maxIds / 2) {
      this.memory.clear(this.earlier)
      this.earlier = this.later
      this.later = new Ids()
    }
    this.memory.put(this.later, id, seen)
  }
}

/** Calls `f` with each id in the batch and where its message stands, counted from the batch's first. */
export const forEachId = (batch: Batch, f: (id: string, index: number) => void): void => {
  let index = -batch.skip
  forEachFrame(batch, (header, _start, end) => {
    forEachRecord(batch.bytes, header, end, (at, next) => {
      const id = idOf(batch.bytes, at, next)
      if (id !== undefined && index >= 0 && index < batch.count) f(id, index)
      index++
    })
  })
}

export const idOf = (bytes: Uint8Array, at: number, next: number): string | undefined =>
  (bytes[at + 4]! & RecordFlags.id) === 0 ? undefined : decodeRecord(bytes, at, next)?.id

/** The PUBLISH frames of a batch. The header is valid until `f` returns. */
export const forEachFrame = (
  batch: Batch,
  f: (header: PublishHeader, start: number, end: number) => void
): void => {
  const header = new PublishHeader()
  for (let start = batch.start; start < batch.end; ) {
    const end = start + 4 + readU32(batch.bytes, start)
    if (!readPublish(batch.bytes, start, end, header)) return
    f(header, start, end)
    start = end
  }
}

export const forEachRecord = (
  bytes: Uint8Array,
  header: PublishHeader,
  end: number,
  f: (at: number, next: number) => void
): void => {
  for (let at = header.records; at < end; ) {
    const next = at + 4 + readU32(bytes, at)
    f(at, next)
    at = next
  }
}
