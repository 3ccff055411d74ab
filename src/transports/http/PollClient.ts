/**
 * A polling client with a `client_id`: a member of its groups that stays between its polls, so that what it was given
 * and did not acknowledge is still its own. At least once. It takes messages only while a poll waits for them.
 */
import { Deferred, Effect } from "effect"
import type { LocalConnection, LocalOutlet } from "../../actors/LocalConnection.ts"
import type { Receiver } from "../../actors/Outlet.ts"
import type { Session } from "../../actors/Session.ts"
import type { Batch } from "../../protocol/Batch.ts"
import type { CloseReason } from "../../protocol/CloseReason.ts"
import type { Frame, FrameOf } from "../../protocol/Frame.ts"
import type { Texts } from "../../protocol/json/Texts.ts"
import { maxAckRanges, notGiven, unlimitedCredit } from "../../protocol/Op.ts"
import { matches } from "../../protocol/Pattern.ts"
import type { OffsetRange, Start } from "../../protocol/Position.ts"
import { clientGroupName } from "../ClientGroup.ts"
import { countDelivery, openSession } from "./HubClient.ts"
import type { PolledTexts } from "./PolledTexts.ts"
import { type Refusal, refusalOfClose, refusalOfError } from "./Refusal.ts"
import { sliceTexts } from "./TextParts.ts"

const session = 1

interface Membership {
  readonly subscription: number
  readonly group: string
  readonly pattern: string
  /** Messages that the hub may still give to it. */
  credit: number
}

/** Messages that were given to the client's member, and to no poll yet. */
interface Held {
  readonly topic: string
  readonly epoch: number
  readonly offset: number
  readonly texts: Texts
}

/** A poll that waits, until it has taken what it was woken for. */
export interface Waiter {
  readonly max: number
  isWoken: boolean
  wake: () => void
}

export class PollClient implements LocalOutlet {
  readonly isWaiting = false
  /** The longest time that any of its groups waits for an acknowledgement, in milliseconds. */
  ackWait = 0
  failure: Refusal | undefined
  readonly waiters: Array<Waiter> = []
  private readonly clientId: string
  private readonly texts: PolledTexts
  private readonly onEnded: () => void
  private readonly members = new Map<string, Membership>()
  private held: Array<Held> = []
  private heldMessages = 0
  private readonly asked = new Map<number, Deferred.Deferred<Frame, Refusal>>()
  private lastRequest = 1
  private lastSubscription = 0
  private connection: LocalConnection | undefined

  constructor(clientId: string, texts: PolledTexts, onEnded: () => void) {
    this.clientId = clientId
    this.texts = texts
    this.onEnded = onEnded
  }

  /** To be called once, before all else. */
  begin(connection: LocalConnection): void {
    this.connection = connection
    openSession(connection, session, this.clientId)
  }

  get isWritable(): boolean {
    return this.heldMessages < this.wanted
  }

  /** Messages that all who wait would take. */
  private get wanted(): number {
    return this.waiters.reduce((sum, { max }) => sum + max, 0)
  }

  /** Wakes as many as there are messages for. */
  wakeNext(): void {
    let left = this.heldMessages
    for (const waiter of [...this.waiters]) {
      if (left <= 0) return
      left -= waiter.max
      if (!waiter.isWoken) waiter.wake()
    }
  }

  /** Reads the pattern in the group that it has for this client, from `start` if that is new. */
  join(pattern: string, start: Start): Effect.Effect<void, Refusal> {
    return Effect.suspend(() => {
      if (this.members.has(pattern)) return Effect.void
      return this.joinGroup(clientGroupName(this.clientId, pattern), pattern, start)
    })
  }

  private joinGroup(group: string, pattern: string, start: Start): Effect.Effect<void, Refusal> {
    return Effect.suspend(() => {
      const subscription = ++this.lastSubscription
      const membership: Membership = { subscription, group, pattern, credit: 0 }
      this.members.set(pattern, membership)
      const joining = this.ask((request) => ({
        _tag: "Join",
        session,
        request,
        subscription,
        group,
        pattern,
        creditMessages: 0,
        creditBytes: unlimitedCredit,
        start,
        order: "any",
        ackWait: notGiven.u32,
        maxDeliveries: notGiven.u16,
        maxInFlight: notGiven.u32,
        backoff: notGiven.u32,
        maxBackoff: notGiven.u32
      }))
      return Effect.tapError(Effect.asVoid(joining), () =>
        Effect.sync(() => {
          if (this.members.get(pattern) === membership) this.members.delete(pattern)
        })
      )
    })
  }

  /** Joins the groups of this client that exist and read the topic, to acknowledge in them what was given earlier. */
  rejoin(topic: string): Effect.Effect<void, Refusal> {
    return Effect.suspend(() => {
      const known = this.connection?.options.groups
      if (known === undefined || this.reads(topic)) return Effect.void
      const found = known.all().filter(({ record }) => {
        const { name, pattern } = record
        return matches(pattern, topic) && name === clientGroupName(this.clientId, pattern)
      })
      return Effect.forEach(found, ({ record }) => this.join(record.pattern, { _tag: "Now" }), {
        discard: true
      })
    })
  }

  private reads(topic: string): boolean {
    return [...this.members.keys()].some((pattern) => matches(pattern, topic))
  }

  /** Lets the groups of these patterns give as many messages as those who wait would take. */
  want(patterns: ReadonlyArray<string>): void {
    const { wanted } = this
    for (const pattern of patterns) {
      const membership = this.members.get(pattern)
      if (membership === undefined) continue
      const messages = Math.max(0, wanted - membership.credit)
      membership.credit += messages
      this.connection?.send({
        _tag: "Credit",
        session,
        subscription: membership.subscription,
        messages,
        bytes: 0
      })
    }
  }

  /** Up to `max` of the messages that are there for these patterns. */
  take(
    patterns: ReadonlyArray<string>,
    max: number
  ): { readonly parts: ReadonlyArray<Texts>; readonly count: number } {
    const parts: Array<Texts> = []
    const kept: Array<Held> = []
    let left = max
    for (const each of this.held) {
      const isWanted = left > 0 && patterns.some((pattern) => matches(pattern, each.topic))
      const messages = each.texts.ends.length
      const taken = isWanted ? Math.min(left, messages) : 0
      if (taken > 0) parts.push(taken === messages ? each.texts : sliceTexts(each.texts, 0, taken))
      if (taken < messages)
        kept.push({ ...each, offset: each.offset + taken, texts: sliceTexts(each.texts, taken, messages) })
      left -= taken
    }
    this.held = kept
    this.heldMessages -= max - left
    return { parts, count: max - left }
  }

  /** Acknowledges offsets of a topic in every group of the client that reads it. Answers whether there is any. */
  acknowledge(
    topic: string,
    epoch: number,
    ranges: ReadonlyArray<OffsetRange>
  ): Effect.Effect<boolean, Refusal> {
    return Effect.suspend(() => {
      const reading = [...this.members.values()].filter(({ pattern }) => matches(pattern, topic))
      const asking: Array<Effect.Effect<Frame, Refusal>> = []
      for (const { group } of reading) {
        for (let at = 0; at < ranges.length; at += maxAckRanges) {
          const part = ranges.slice(at, at + maxAckRanges)
          asking.push(
            this.ask((request) => ({ _tag: "Ack", session, request, group, topic, epoch, ranges: part }))
          )
        }
      }
      return Effect.as(
        Effect.forEach(asking, (each) => each, { discard: true, concurrency: "unbounded" }),
        reading.length > 0
      )
    })
  }

  deliver(session: Session, receiver: Receiver, batch: Batch, attempt = 0): void {
    for (const membership of this.members.values()) {
      if (membership.subscription === receiver.id) membership.credit -= batch.count
    }
    countDelivery(this.connection, session, batch)
    const { epoch, offset, topic } = batch
    // What was held too long is given again, so the older copy is nobody's.
    if (attempt > 1) this.forget(topic, epoch, offset, offset + batch.count)
    this.held.push({ topic, epoch, offset, texts: this.texts.of(batch, attempt) })
    this.heldMessages += batch.count
    this.wakeNext()
  }

  private forget(topic: string, epoch: number, from: number, to: number): void {
    this.held = this.held.filter((each) => {
      const messages = each.texts.ends.length
      const isOther = each.topic !== topic || each.epoch !== epoch
      if (isOther || each.offset >= to || each.offset + messages <= from) return true
      this.heldMessages -= messages
      return false
    })
  }

  control(frame: Frame): void {
    switch (frame._tag) {
      case "Joined":
        this.ackWait = Math.max(this.ackWait, frame.ackWait)
        this.answer(frame)
        return
      case "Acked":
        this.answer(frame)
        return
      case "Failure":
        this.fail(frame)
        return
      case "Left":
        for (const [pattern, { subscription }] of this.members) {
          if (subscription === frame.subscription) this.members.delete(pattern)
        }
        this.wakeAll()
        return
      case "Closed":
        this.failure = refusalOfClose(frame.reason)
        this.wakeAll()
        return
      default:
    }
  }

  /** The receiver is pumped by the credit that the next poll gives. */
  pumpLater(): void {}

  ended(reason: CloseReason): void {
    this.failure ??= refusalOfClose(reason)
    const failure = this.failure
    for (const asked of this.asked.values()) Deferred.doneUnsafe(asked, Effect.fail(failure))
    this.asked.clear()
    this.wakeAll()
    this.onEnded()
  }

  isTaking(): boolean {
    return true
  }

  wakeAll(): void {
    for (const { wake } of [...this.waiters]) wake()
  }

  private ask(frame: (request: number) => Frame): Effect.Effect<Frame, Refusal> {
    return Effect.suspend(() => {
      if (this.failure !== undefined) return Effect.fail(this.failure)
      const request = ++this.lastRequest
      const answer = Deferred.makeUnsafe<Frame, Refusal>()
      this.asked.set(request, answer)
      this.connection?.send(frame(request))
      return Effect.ensuring(
        Deferred.await(answer),
        Effect.sync(() => this.asked.delete(request))
      )
    })
  }

  private answer(frame: FrameOf<"Joined"> | FrameOf<"Acked">): void {
    const asked = this.asked.get(frame.request)
    if (asked !== undefined) Deferred.doneUnsafe(asked, Effect.succeed(frame))
  }

  private fail(frame: FrameOf<"Failure">): void {
    const asked = this.asked.get(frame.request)
    if (asked !== undefined)
      Deferred.doneUnsafe(asked, Effect.fail(refusalOfError(frame.code, frame.message)))
  }
}
