/**
 * A group's place in one topic: which messages are pending, which are with members, and which are done. It does no
 * I/O and knows no clock. All times are milliseconds since 1970, as the caller's clock has them.
 *
 * - A message that was acknowledged is not delivered again, unless it is requeued or the lane is reset. One that was
 *   not is delivered again, until it failed as often as it may; then it dies.
 * - In order "key" a message is delivered only when no earlier one of its key is pending (parked ones do not count) and
 *   none of its key is with a member. A lane that was decoded does not know the keys of its backlog: what it knows
 *   nothing of is asked for first (`peek` answers it without a batch), and nothing that stands after it is delivered
 *   until it was supplied.
 *
 * It is as large as what was pushed and is not done; bounding that is the caller's part.
 */
import { type Batch, sliceBatch } from "../../protocol/Batch.ts"
import type { Fate, Order } from "../../protocol/Position.ts"
import { type Entry, Slot } from "./Entry.ts"
import { decodeLane, encodeLane } from "./LaneState.ts"
import { Pending } from "./Pending.ts"
import { forEachSingle } from "./SingleMessages.ts"
import { supply, supplyFrom } from "./Supply.ts"

export type { Entry, EntryState } from "./Entry.ts"

export interface LaneRules {
  /** The same for the whole life of a lane. */
  readonly order: Order
  /** Failures after which a message dies; 0 is never. */
  readonly maxDeliveries: number
  /** Milliseconds from the first failure to the next delivery; doubled for each further one, up to the maximum. */
  readonly backoff: number
  readonly maxBackoff: number
}

/** Characters of an error that are kept with a message. */
const longestError = 1024
const waitRanOut = "the acknowledgement wait ran out"

export class Lane<M> {
  /** May be replaced, but for the order. */
  rules: LaneRules
  epoch: number
  /** The first offset that was not taken from the log yet. */
  next: number
  private pendingEntries: Pending<M>

  constructor(rules: LaneRules, epoch: number, next: number) {
    this.rules = rules
    this.epoch = epoch
    this.next = next
    this.pendingEntries = new Pending(rules.order)
  }

  /** Everything before it is done. */
  get floor(): number {
    return this.pendingEntries.entries.first?.offset ?? this.next
  }

  /** Messages to be delivered, also those that must wait for an earlier one of their key. */
  get ready(): number {
    return this.pendingEntries.counts.ready
  }

  get inFlight(): number {
    return this.pendingEntries.counts.flying
  }

  get waiting(): number {
    return this.pendingEntries.counts.waiting
  }

  get parked(): number {
    return this.pendingEntries.counts.parked
  }

  get dying(): number {
    return this.pendingEntries.counts.dying
  }

  get pending(): number {
    const { ready, flying, waiting, parked, dying } = this.pendingEntries.counts
    return ready + flying + waiting + parked + dying
  }

  /** Bytes of the batches at hand. */
  get readyBytes(): number {
    return this.pendingEntries.readyBytes
  }

  /** When `expire` has something to do; `Infinity` for never. */
  get nextDue(): number {
    return this.pendingEntries.due.first?.until ?? Infinity
  }

  /** Takes the messages that follow in the log; what stands between `next` and them was compacted away. */
  push(batch: Batch): void {
    const end = batch.offset + batch.count
    if (end <= this.next) return
    const fresh = batch.offset < this.next ? sliceBatch(batch, this.next - batch.offset, batch.count) : batch
    this.next = end
    if (this.rules.order === "key") {
      forEachSingle(fresh, (single, key) => {
        const slot = new Slot<M>(single.offset, single.count, single.priority, single)
        slot.key = key
        this.pendingEntries.add(slot)
      })
    } else {
      this.pendingEntries.add(new Slot<M>(fresh.offset, fresh.count, fresh.priority, fresh))
    }
  }

  /** The messages before `offset` that were not taken yet are ready, without a batch. */
  extendTo(offset: number): void {
    if (offset <= this.next) return
    const slot = new Slot<M>(this.next, offset - this.next, 0, undefined)
    slot.isKeyKnown = this.rules.order === "any"
    this.next = offset
    this.pendingEntries.add(slot)
  }

  /** The messages before `offset` that were not taken yet are lost. */
  skipTo(offset: number): void {
    this.next = Math.max(this.next, offset)
  }

  /**
   * The entry to deliver next: of the highest priority, then of the lowest offset. One without a batch is to be
   * supplied first.
   */
  peek(): Entry<M> | undefined {
    return this.pendingEntries.first()
  }

  /**
   * Gives a ready entry its messages as the log has them, and those of later ready entries that the batch has too. If
   * the batch begins after the entry, what stands before it is lost: answers how many. If it ends earlier, the rest
   * becomes an entry that has none. Nothing happens if the entry needs none of this any more.
   */
  supply(entry: Entry<M>, batch: Batch): number {
    return supply(this.pendingEntries, this.rules.order, entry, batch)
  }

  /** Gives ready entries that have none the messages that the batch has of them. */
  supplyMore(batch: Batch): void {
    supplyFrom(this.pendingEntries, this.rules.order, batch.offset, batch)
  }

  /** The first `count` messages of a ready entry that is at hand are with a member until `until`; the rest stays ready. */
  give(entry: Entry<M>, count: number, member: M, until: number): void {
    const slot = this.pendingEntries.find(entry)
    if (slot === undefined || slot.state !== "ready" || slot.batch === undefined || count <= 0) return
    if (count < slot.count) this.pendingEntries.split(slot, slot.offset + count)
    this.pendingEntries.change(slot, "flying", until, member)
  }

  /** The messages `from` to before `to` are done, whatever became of them so far. Answers how many were pending. */
  acknowledge(from: number, to: number): number {
    const { entries } = this.pendingEntries
    const first = entries.first
    if (first === undefined || to <= first.offset) return 0
    if (to <= first.end) return from < to ? this.pendingEntries.drop(first, from, to) : 0
    let done = 0
    for (const slot of this.pendingEntries.within(from, to)) done += this.pendingEntries.drop(slot, from, to)
    return done
  }

  /**
   * Those of the messages `from` to before `to` that are with a member for which `isFor` holds come to their fate.
   * `delay` is for `again`, where the backoff stands for none, and for `hold`. Answers how many.
   */
  refuse(
    from: number,
    to: number,
    isFor: (member: M) => boolean,
    fate: Fate,
    now: number,
    delay: number | undefined,
    error: string
  ): number {
    let refused = 0
    for (const each of this.pendingEntries.within(from, to)) {
      if (each.state !== "flying" || each.member === undefined || !isFor(each.member)) continue
      const slot = this.pendingEntries.isolate(each, from, to)
      refused += slot.count
      if (fate === "hold") this.pendingEntries.change(slot, "flying", now + (delay ?? 0), slot.member)
      else if (fate === "back") this.pendingEntries.change(slot, "ready")
      else this.fail(slot, fate, now, delay, error)
    }
    return refused
  }

  /** All that the member has is ready again at once, or dies if that is one failure too many. Answers how many. */
  leave(member: M, now: number, isFailure: boolean, error: string): number {
    const { due, counts } = this.pendingEntries
    if (counts.flying === 0) return 0
    let left = 0
    for (const slot of [...due]) {
      if (slot.state !== "flying" || slot.member !== member) continue
      left += slot.count
      if (isFailure) this.fail(slot, "again", now, 0, error)
      else this.pendingEntries.change(slot, "ready")
    }
    return left
  }

  /** Does what is due. Answers for how many messages. */
  expire(now: number): number {
    const { due } = this.pendingEntries
    let changed = 0
    for (let slot = due.first; slot !== undefined && slot.until <= now; slot = due.first) {
      changed += slot.count
      if (slot.state === "flying") this.fail(slot, "again", now, undefined, waitRanOut)
      else this.pendingEntries.change(slot, "ready")
    }
    return changed
  }

  /** What is to be buried, in order; the lane must not change while it is walked. */
  dyingEntries(): Iterable<Entry<M>> {
    return this.pendingEntries.dying
  }

  /** What is parked is ready. Answers how many. */
  release(): number {
    const { entries, counts } = this.pendingEntries
    const released = counts.parked
    if (released === 0) return 0
    for (const slot of [...entries]) {
      if (slot.state === "parked") this.pendingEntries.change(slot, "ready")
    }
    return released
  }

  /** A message that was done is ready, as if it had never failed. Answers `false` if it is pending or not taken yet. */
  requeue(offset: number): boolean {
    if (!(Number.isSafeInteger(offset) && offset >= 0 && offset < this.next)) return false
    if (this.pendingEntries.within(offset, offset + 1).length > 0) return false
    const slot = new Slot<M>(offset, 1, 0, undefined)
    slot.isKeyKnown = this.rules.order === "any"
    this.pendingEntries.add(slot)
    return true
  }

  /** The log has nothing before `offset` any more. Answers how many pending messages are lost; `next` stays. */
  forget(offset: number): number {
    return this.acknowledge(0, offset)
  }

  /** As new. */
  reset(epoch: number, next: number): void {
    this.epoch = epoch
    this.next = next
    this.pendingEntries = new Pending(this.rules.order)
  }

  /**
   * What must outlive the hub. What is with members is ready in it, without a failure. The times for which messages wait
   * are moved by `shift`.
   */
  encode(shift = 0): Uint8Array {
    return encodeLane({ epoch: this.epoch, next: this.next, slots: this.pendingEntries.entries }, shift)
  }

  /** Answers `undefined` if the bytes are not what `encode` answers. */
  static decode<M>(bytes: Uint8Array, rules: LaneRules): Lane<M> | undefined {
    const state = decodeLane<M>(bytes, rules.order)
    if (state === undefined) return undefined
    const lane = new Lane<M>(rules, state.epoch, state.next)
    for (const slot of state.slots) lane.pendingEntries.add(slot)
    return lane
  }

  /** In order, while nothing is changed. */
  entries(): Iterable<Entry<M>> {
    return this.pendingEntries.entries
  }

  private fail(
    slot: Slot<M>,
    fate: "again" | "dead" | "park",
    now: number,
    delay: number | undefined,
    error: string
  ): void {
    const { maxDeliveries, backoff, maxBackoff } = this.rules
    slot.failures++
    slot.error = error.slice(0, longestError)
    if (fate === "dead" || (maxDeliveries > 0 && slot.failures >= maxDeliveries)) {
      this.pendingEntries.change(slot, "dying", now)
    } else if (fate === "park") {
      this.pendingEntries.change(slot, "parked")
    } else {
      const until = now + (delay ?? Math.min(maxBackoff, backoff * 2 ** (slot.failures - 1)))
      if (until > now) this.pendingEntries.change(slot, "waiting", until)
      else this.pendingEntries.change(slot, "ready")
    }
  }
}
