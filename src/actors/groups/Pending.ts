/**
 * The entries of a lane in the order of the log, and beside them what finds them by what they wait for. Every change
 * of an entry goes through here, so that these always agree.
 */
import { sliceBatch } from "../../protocol/Batch.ts"
import type { Order } from "../../protocol/Position.ts"
import { byOffset, byTime, type Entry, type EntryState, Slot } from "./Entry.ts"
import { LaneKeys } from "./LaneKeys.ts"
import { ReadyEntries } from "./ReadyEntries.ts"
import { SortedList } from "./SortedList.ts"

export class Pending<M> {
  /** Messages by state. */
  readonly counts = { ready: 0, flying: 0, waiting: 0, parked: 0, dying: 0 }
  /** Of the batches at hand. */
  readyBytes = 0
  readonly entries = new SortedList<Slot<M>>(byOffset)
  /** What flies or waits, by time. */
  readonly due = new SortedList<Slot<M>>(byTime)
  readonly dying = new SortedList<Slot<M>>(byOffset)
  private readonly ready = new ReadyEntries<M>()
  /** In order "key": ready entries whose keys are not known. */
  private readonly unknown = new SortedList<Slot<M>>(byOffset)
  private readonly keys: LaneKeys<M> | undefined
  private readonly probe = new Slot<M>(0, 0, 0, undefined)
  private found: Slot<M> | undefined = undefined

  constructor(order: Order) {
    this.keys = order === "key" ? new LaneKeys(this.ready) : undefined
  }

  /** What to deliver next. What has an unknown key goes before all that stands after it. */
  first(): Slot<M> | undefined {
    const ready = this.ready.first
    const unknown = this.unknown.first
    const first =
      unknown === undefined || (ready !== undefined && ready.offset < unknown.offset) ? ready : unknown
    this.found = first
    return first
  }

  /** The entry as a slot; `undefined` if it is no longer one of this lane. */
  find(entry: Entry<M>): Slot<M> | undefined {
    if (this.found === entry && this.found.count > 0) return this.found
    this.probe.offset = entry.offset
    const slot = this.entries.floor(this.probe)
    return slot === entry ? slot : undefined
  }

  /** Those that hold any of the messages `from` to before `to`. */
  within(from: number, to: number): Array<Slot<M>> {
    const slots: Array<Slot<M>> = []
    if (from >= to) return slots
    this.probe.offset = from
    this.entries.collect(this.probe, (slot) => slot.offset < to, slots)
    if (slots.length > 0 && slots[0]!.end <= from) slots.shift()
    return slots
  }

  add(slot: Slot<M>): void {
    this.entries.add(slot)
    this.enter(slot)
    this.settle(slot)
  }

  /** The messages of the slot that stand between `from` and `to` are done. Answers how many. */
  drop(slot: Slot<M>, from: number, to: number): number {
    const { offset, end } = slot
    if (from <= offset) {
      if (to < end) return this.keep(slot, to, end)
      const { count } = slot
      this.leave(slot)
      this.entries.remove(slot)
      slot.count = 0
      slot.batch = undefined
      this.settle(slot)
      return count
    }
    if (to < end) this.split(slot, to)
    return this.keep(slot, offset, from)
  }

  /** Of the slot only the messages `from` to before `to` stay as they are; for the others there may be new slots. */
  isolate(slot: Slot<M>, from: number, to: number): Slot<M> {
    if (to < slot.end) this.split(slot, to)
    return from > slot.offset ? this.split(slot, from) : slot
  }

  change(slot: Slot<M>, state: EntryState, until = 0, member: M | undefined = undefined): void {
    this.leave(slot)
    slot.state = state
    slot.until = until
    slot.member = member
    slot.batch = undefined
    this.enter(slot)
    this.settle(slot)
  }

  /** Changes what the lists are ordered by, or the batch. */
  update(slot: Slot<M>, f: () => void): void {
    this.leave(slot)
    f()
    this.enter(slot)
    this.settle(slot)
  }

  /** The messages from `at` on become a slot of their own, which is answered. */
  split(slot: Slot<M>, at: number): Slot<M> {
    const rest = slot.copy(at, slot.end - at)
    const { batch } = slot
    if (batch !== undefined) rest.batch = sliceBatch(batch, at - slot.offset, batch.count)
    this.keep(slot, slot.offset, at)
    this.add(rest)
    return rest
  }

  /** Neither end changes the slot's place in any list. */
  private keep(slot: Slot<M>, from: number, to: number): number {
    const { batch } = slot
    const gone = slot.count - (to - from)
    if (batch !== undefined) {
      slot.batch = sliceBatch(batch, from - slot.offset, to - slot.offset)
      this.readyBytes += slot.batch.size - batch.size
    }
    slot.offset = from
    slot.count = to - from
    this.counts[slot.state] -= gone
    return gone
  }

  private enter(slot: Slot<M>): void {
    this.counts[slot.state] += slot.count
    switch (slot.state) {
      case "ready":
        this.readyBytes += slot.batch?.size ?? 0
        if (!slot.isKeyKnown) this.unknown.add(slot)
        else if (slot.key === undefined) this.ready.add(slot)
        break
      case "flying":
      case "waiting":
        this.due.add(slot)
        break
      case "dying":
        this.dying.add(slot)
        break
      case "parked":
        return
    }
    if (slot.key !== undefined) this.keys?.enter(slot.key, slot)
  }

  private leave(slot: Slot<M>): void {
    this.counts[slot.state] -= slot.count
    switch (slot.state) {
      case "ready":
        this.readyBytes -= slot.batch?.size ?? 0
        if (!slot.isKeyKnown) this.unknown.remove(slot)
        else if (slot.key === undefined) this.ready.remove(slot)
        break
      case "flying":
      case "waiting":
        this.due.remove(slot)
        break
      case "dying":
        this.dying.remove(slot)
        break
      case "parked":
        return
    }
    if (slot.key !== undefined) this.keys?.leave(slot.key, slot)
  }

  private settle(slot: Slot<M>): void {
    if (slot.key !== undefined) this.keys?.settle(slot.key)
  }
}
