/** What a lane keeps of messages that are not done. */
import type { Batch } from "../../protocol/Batch.ts"

/**
 * To be delivered; with a member; to be delivered later; set aside until it is released; to be moved to the
 * dead-letter topic.
 */
export type EntryState = "ready" | "flying" | "waiting" | "parked" | "dying"

/** Messages that stand one after the other and share one state. All that is before `next` and in no entry is done. */
export interface Entry<M> {
  readonly offset: number
  readonly count: number
  readonly state: EntryState
  /** Attempts that failed. */
  readonly failures: number
  /** Flying: when the acknowledgement wait ends; waiting: when it is delivered again; dying: since when (ms). */
  readonly until: number
  /** Flying: whose. */
  readonly member: M | undefined
  /** Its messages exactly, if they are at hand: only of a ready entry. */
  readonly batch: Batch | undefined
  /** Of the last failure. */
  readonly error: string
  /** In order "key", of which every entry is one message: its key, if it has one and it is known. */
  readonly key: string | undefined
}

/** An entry as the lane changes it. */
export class Slot<M> implements Entry<M> {
  offset: number
  count: number
  state: EntryState = "ready"
  failures = 0
  until = 0
  member: M | undefined = undefined
  batch: Batch | undefined
  error = ""
  key: string | undefined = undefined
  /** Of the batch, also after it went. */
  priority: number
  /** False in order "key" until the messages were seen. Only a ready entry can be so. */
  isKeyKnown = true

  constructor(offset: number, count: number, priority: number, batch: Batch | undefined) {
    this.offset = offset
    this.count = count
    this.priority = priority
    this.batch = batch
  }

  get end(): number {
    return this.offset + this.count
  }

  /** A slot for other messages that shares all else but the batch. */
  copy(offset: number, count: number): Slot<M> {
    const slot = new Slot<M>(offset, count, this.priority, undefined)
    slot.state = this.state
    slot.failures = this.failures
    slot.until = this.until
    slot.member = this.member
    slot.error = this.error
    slot.key = this.key
    slot.isKeyKnown = this.isKeyKnown
    return slot
  }
}

interface Placed {
  readonly offset: number
}

export const byOffset = (a: Placed, b: Placed): number => a.offset - b.offset

export const byTime = (a: Placed & { until: number }, b: Placed & { until: number }): number =>
  a.until - b.until || a.offset - b.offset
