/**
 * A member of a group: what one session's subscription to the group may be given now. The hub keeps no mailbox for
 * it: what it has no credit for stays the group's.
 */
import type { Batch } from "../../protocol/Batch.ts"
import { unlimitedCredit } from "../../protocol/Op.ts"
import type { Position } from "../../protocol/Position.ts"
import type { Session } from "../Session.ts"
import { addedCredit } from "../Subscription.ts"
import type { Group } from "./Group.ts"

export class Member {
  readonly session: Session
  readonly id: number
  readonly groupName: string
  closed = false
  /** The group, once it was found or made. */
  group: Group | undefined
  private creditMessages: number
  private creditBytes: number

  constructor(session: Session, id: number, groupName: string, creditMessages: number, creditBytes: number) {
    this.session = session
    this.id = id
    this.groupName = groupName
    this.creditMessages = creditMessages
    this.creditBytes = creditBytes
  }

  /** Whether it may be given something now. */
  get isFree(): boolean {
    return !this.closed && this.creditMessages > 0 && this.creditBytes > 0 && this.session.outlet.isWritable
  }

  /** Messages that it may be given now. */
  get room(): number {
    return this.creditMessages
  }

  addCredit(messages: number, bytes: number): void {
    this.creditMessages = addedCredit(this.creditMessages, messages)
    this.creditBytes = addedCredit(this.creditBytes, bytes)
    this.group?.dispatch()
  }

  deliver(batch: Batch, attempt: number): void {
    if (this.creditMessages !== unlimitedCredit) this.creditMessages -= batch.count
    if (this.creditBytes !== unlimitedCredit) this.creditBytes -= batch.size
    batch.owner.delivered += batch.count
    this.session.outlet.deliver(this.session, this, batch, attempt)
    if (!this.session.outlet.isWritable) this.session.outlet.pumpLater(this)
  }

  /** The connection takes more again. Answers whether it is full: it must then be pumped once more. */
  pump(): boolean {
    if (!this.session.outlet.isWritable) return true
    this.group?.dispatch()
    return false
  }

  /** `isFailure` if it may have ended because of what it had. */
  leave(isFailure: boolean, error: string): void {
    this.closed = true
    this.group?.leave(this, isFailure, error)
  }

  /** The messages from `from` to before `to` are lost to the group. */
  tellGap(topic: string, from: Position, to: Position): void {
    this.session.hub.counters.gaps++
    this.session.outlet.control({
      _tag: "Gap",
      session: this.session.number,
      subscription: this.id,
      topic,
      from,
      to
    })
  }
}
