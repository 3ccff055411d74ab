/** The topics of `FailingLog.ts`. */
import { Effect } from "effect"
import { Batch, type BatchOwner, type Slab } from "../../src/protocol/Batch.ts"
import {
  type Held,
  type LogOwner,
  Lost,
  MessageLogError,
  type TopicLog
} from "../../src/services/MessageLog.ts"
import type { Faults } from "./FailingLog.ts"

const takeOne = (counts: Map<string, number>, topic: string): boolean => {
  const left = counts.get(topic) ?? 0
  counts.set(topic, left - 1)
  return left > 0
}

/** Whose sequences a batch has, which the log in memory does not keep. */
type Sequences = Pick<Batch, "offset" | "incarnation" | "firstSequence" | "lastSequence">

/** The owner of the log that stays; whose its batches are changes with each hub. */
export class LastingOwner implements LogOwner {
  to: LogOwner
  log: TopicLog | undefined
  delivered = 0
  dropped = 0
  private sequences: ReadonlyArray<Sequences> = []

  constructor(to: LogOwner) {
    this.to = to
  }

  get name(): string {
    return this.to.name
  }

  get slab(): Slab {
    return this.to.slab
  }

  appended({ firstSequence, incarnation, lastSequence, offset }: Batch): void {
    this.sequences = [...this.sequences, { firstSequence, incarnation, lastSequence, offset }]
  }

  /** A batch that was read as the present owner's, with the sequences with which it was appended. */
  owned(read: Batch): Batch {
    const { bytes, count, end, priority, publisherId, start } = read
    const batch = new Batch(this.to, bytes, start, end, count, priority, publisherId)
    const sequences = this.sequences.findLast(({ offset }) => offset <= read.offset)
    batch.incarnation = sequences?.incarnation ?? 0
    batch.firstSequence = sequences?.firstSequence ?? 0
    batch.lastSequence = sequences?.lastSequence ?? 0
    batch.skip = read.skip
    batch.epoch = read.epoch
    batch.offset = read.offset
    batch.timestamp = read.timestamp
    batch.expires = read.expires
    batch.records = read.records
    return batch
  }

  stored(batch: Batch): void {
    this.to.stored(batch)
  }

  held(batch: Batch): void {
    this.to.held(batch)
  }

  refused(batch: Batch, error: MessageLogError): void {
    this.to.refused(batch, error)
  }
}

/** A held batch that a hub was given. */
export class Given implements Held {
  readonly topic: string
  readonly at: number
  isForgotten = false
  private readonly inner: Held
  private readonly owner: (topic: string) => LastingOwner | undefined

  constructor(inner: Held, owner: (topic: string) => LastingOwner | undefined) {
    this.topic = inner.topic
    this.at = inner.at
    this.inner = inner
    this.owner = owner
  }

  batch(owner: BatchOwner): Batch {
    const batch = this.inner.batch(owner)
    batch.held = this
    return batch
  }

  forget(): void {
    this.isForgotten = true
    this.inner.forget()
  }

  holdAgain(): void {
    const owner = this.owner(this.topic)
    if (!this.isForgotten && owner !== undefined) owner.log?.hold(this.inner.batch(owner), this.at)
  }
}

export class FailingTopicLog implements TopicLog {
  readonly topic: string
  private readonly owner: LogOwner
  private readonly lasting: LastingOwner
  private readonly inner: TopicLog
  private readonly faults: Faults
  private readonly life: number
  private readonly letGo: () => void

  constructor(lasting: LastingOwner, inner: TopicLog, faults: Faults, letGo: () => void) {
    this.topic = lasting.name
    this.owner = lasting.to
    this.lasting = lasting
    this.inner = inner
    this.faults = faults
    this.life = faults.life
    this.letGo = letGo
  }

  get epoch() {
    return this.inner.epoch
  }
  get durability() {
    return this.faults.durability
  }
  get isReceiptEarly() {
    return this.faults.isReceiptEarly
  }
  get nextOffset() {
    return this.inner.nextOffset
  }
  get firstOffset() {
    return this.inner.firstOffset
  }
  get lostUntil() {
    return this.inner.lostUntil
  }
  get lastTimestamp() {
    return this.inner.lastTimestamp
  }
  get messages() {
    return this.inner.messages
  }
  get bytes() {
    return this.inner.bytes
  }
  get room() {
    return this.faults.room
  }

  append(batch: Batch): boolean {
    return this.begin(batch, undefined)
  }

  hold(batch: Batch, at: number): boolean {
    return this.begin(batch, at)
  }

  private begin(batch: Batch, at: number | undefined): boolean {
    const { faults, topic } = this
    if (takeOne(faults.throws, topic)) throw new Error("a fault of the test's")
    if (this.isOver || takeOne(faults.failures, topic)) {
      this.refuse(batch, this.isOver ? "closed" : "io")
      return false
    }
    const isAtOnce = !faults.isLate && !faults.holdsBack.has(topic) && faults.waitingFor(topic) === 0
    if (isAtOnce) return this.keep(batch, at, false)
    faults.add({ log: this, batch, at })
    return false
  }

  /** Appends or holds it, and tells the topic if `isTold`. */
  keep(batch: Batch, at: number | undefined, isTold: boolean): boolean {
    const isKept = at === undefined ? this.inner.append(batch) : this.inner.hold(batch, at)
    if (isKept && at === undefined) this.lasting.appended(batch)
    if (!isKept || !isTold) return isKept
    if (at === undefined) this.owner.stored(batch)
    else this.owner.held(batch)
    return true
  }

  refuse(batch: Batch, reason: MessageLogError["reason"]): void {
    this.owner.refused(batch, new MessageLogError({ reason, topic: this.topic }))
  }

  read(offset: number, maxBytes: number) {
    return Effect.map(this.inner.read(offset, maxBytes), (read) =>
      read.map((each) => (each instanceof Lost ? each : this.lasting.owned(each)))
    )
  }

  offsetAt(time: number) {
    return this.inner.offsetAt(time)
  }

  expire(now: number): void {
    if (!this.isOver) this.inner.expire(now)
  }

  get remove() {
    const removal = Effect.suspend(() => {
      if (this.isOver) return Effect.void
      this.letGo()
      return this.inner.remove
    })
    return Effect.andThen(
      Effect.suspend(() => this.faults.removing ?? Effect.void),
      removal
    )
  }

  close(): void {
    if (this.isOver || this.faults.outlivesHub) return
    this.letGo()
    this.inner.close()
  }

  /** Whether its hub is no more. */
  private get isOver(): boolean {
    return this.life < this.faults.life
  }
}
