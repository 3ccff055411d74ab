/**
 * Batches of all topics that wait for their time, in memory: a heap by time, then in the order in which they came.
 * Each is a copy of its own, so that nothing else is pinned for as long as it waits.
 */
import { Batch, type BatchOwner } from "../../protocol/Batch.ts"
import { allocateBytes, copyBytes } from "../../protocol/Bytes.ts"
import type { Held } from "../MessageLog.ts"

/** What one that waits takes besides its bytes, so that many small ones are bounded too. */
const overhead = 512

class HeldInMemory implements Held {
  readonly topic: string
  readonly at: number
  readonly order: number
  private readonly source: Batch
  private readonly bytes: Uint8Array

  constructor(source: Batch, at: number, order: number) {
    this.topic = source.topic
    this.at = at
    this.order = order
    this.bytes = allocateBytes(source.size)
    copyBytes(source.bytes, source.start, source.end, this.bytes, 0)
    // Its fields are kept; its bytes and its publisher are not.
    this.source = fieldsOf(source, source.owner, this.bytes)
  }

  get size(): number {
    return this.bytes.length + overhead
  }

  batch(owner: BatchOwner): Batch {
    const batch = fieldsOf(this.source, owner, this.bytes)
    batch.held = this
    return batch
  }

  isBefore(other: HeldInMemory): boolean {
    return this.at < other.at || (this.at === other.at && this.order < other.order)
  }

  /** It was forgotten when it was taken, since nothing outlives the process. */
  forget(): void {}
}

/** A batch like `source` that is in no log and no longer to be held. */
const fieldsOf = (source: Batch, owner: BatchOwner, bytes: Uint8Array): Batch => {
  const { count, priority, publisherId } = source
  const batch = new Batch(owner, bytes, 0, bytes.length, count, priority, publisherId)
  batch.skip = source.skip
  batch.expires = source.expires
  batch.incarnation = source.incarnation
  batch.firstSequence = source.firstSequence
  batch.lastSequence = source.lastSequence
  batch.records = source.records
  return batch
}

export class HeldBatches {
  /** Bytes that are held, with what keeping them takes. */
  bytes = 0
  private readonly maxBytes: number
  private order = 0
  /** No entry is before the one at half its index. */
  private heap: Array<HeldInMemory> = []

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }

  /** When the first is due; `Infinity` if there is none. */
  get nextDue(): number {
    return this.heap[0]?.at ?? Number.POSITIVE_INFINITY
  }

  /** Keeps a copy until `at`; `false` if there is no room for it. */
  add(batch: Batch, at: number): boolean {
    if (this.bytes + batch.size + overhead > this.maxBytes) return false
    const held = new HeldInMemory(batch, at, this.order++)
    this.bytes += held.size
    this.heap.push(held)
    this.up(this.heap.length - 1)
    return true
  }

  /** Takes those that are due at `now`, about `maxBytes` of them. */
  take(now: number, maxBytes: number): ReadonlyArray<Held> {
    const taken: Array<Held> = []
    for (let size = 0; this.nextDue <= now && (taken.length === 0 || size < maxBytes); ) {
      const held = this.takeFirst()
      size += held.size
      taken.push(held)
    }
    return taken
  }

  forgetTopic(topic: string): void {
    if (this.heap.every((held) => held.topic !== topic)) return
    // In order, which is a heap too.
    this.heap = this.heap
      .filter((held) => held.topic !== topic)
      .sort((one, other) => (one.isBefore(other) ? -1 : 1))
    this.bytes = this.heap.reduce((sum, { size }) => sum + size, 0)
  }

  private takeFirst(): HeldInMemory {
    const first = this.heap[0]!
    const last = this.heap.pop()!
    if (this.heap.length > 0) {
      this.heap[0] = last
      this.down()
    }
    this.bytes -= first.size
    return first
  }

  private up(from: number): void {
    const { heap } = this
    const held = heap[from]!
    let index = from
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!held.isBefore(heap[parent]!)) break
      heap[index] = heap[parent]!
      index = parent
    }
    heap[index] = held
  }

  private down(): void {
    const { heap } = this
    const held = heap[0]!
    let index = 0
    for (;;) {
      let child = index * 2 + 1
      if (child + 1 < heap.length && heap[child + 1]!.isBefore(heap[child]!)) child++
      if (child >= heap.length || !heap[child]!.isBefore(held)) break
      heap[index] = heap[child]!
      index = child
    }
    heap[index] = held
  }
}
