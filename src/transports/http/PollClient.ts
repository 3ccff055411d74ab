/**
 * A polling client with a `client_id`: a member of its groups that stays between its polls, so that what it was given
 * and did not acknowledge is still its own. At least once. It takes messages only while a poll waits for them.
 */
import { Effect } from "effect"
import type { LocalConnection, LocalOutlet } from "../../actors/LocalConnection.ts"
import type { Receiver } from "../../actors/Outlet.ts"
import type { Session } from "../../actors/Session.ts"
import type { Batch } from "../../protocol/Batch.ts"
import type { CloseReason } from "../../protocol/CloseReason.ts"
import type { Frame } from "../../protocol/Frame.ts"
import { maxAckRanges } from "../../protocol/Op.ts"
import type { OffsetRange, Start } from "../../protocol/Position.ts"
import { enoughBytes } from "./Collector.ts"
import type { Deadline, Deadlines } from "./Deadlines.ts"
import { HeldMessages } from "./HeldMessages.ts"
import { countDelivery, openSession, session } from "./HubClient.ts"
import type { PolledTexts } from "./PolledTexts.ts"
import { type ClientName, PollGroups } from "./PollGroups.ts"
import { Questions } from "./Questions.ts"
import { type Refusal, refusalOfClose, refusalOfError } from "./Refusal.ts"
import type { UnreadAnswers } from "./UnreadAnswers.ts"

/** Milliseconds for which a poll that has something waits for what is being read, so that one answer holds all. */
const gatherTime = 20

/** A poll that waits, until it has taken what it was woken for. */
export interface Waiter {
  readonly patterns: ReadonlyArray<string>
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
  private readonly client: ClientName
  private readonly texts: PolledTexts
  private readonly unread: UnreadAnswers
  private readonly deadlines: Deadlines
  private readonly onEnded: () => void
  private readonly held = new HeldMessages()
  /** The first request was to open the session. */
  private readonly questions = new Questions(1)
  private readonly groups: PollGroups
  /** While there are messages, and more is waited for. */
  private gathering: Deadline | undefined
  private connection: LocalConnection | undefined

  constructor(options: {
    readonly client: ClientName
    readonly texts: PolledTexts
    readonly unread: UnreadAnswers
    readonly deadlines: Deadlines
    readonly onEnded: () => void
  }) {
    this.client = options.client
    this.groups = new PollGroups(options.client, () => this.questions.number())
    this.texts = options.texts
    this.unread = options.unread
    this.deadlines = options.deadlines
    this.onEnded = options.onEnded
  }

  /** To be called once, before all else. */
  begin(connection: LocalConnection): void {
    this.connection = connection
    this.groups.begin(connection)
    openSession(connection, this.client.id)
  }

  get isWritable(): boolean {
    return this.held.count < this.wanted && this.held.bytes < enoughBytes && !this.unread.isFull
  }

  /** Messages that all who wait would take. */
  private get wanted(): number {
    return this.waiters.reduce((sum, { max }) => sum + max, 0)
  }

  /** Wakes as many as there are messages for; not who would take more, while that is being read. */
  wakeNext(): void {
    let left = this.held.count
    const mayGrow = this.gathering !== undefined && this.held.bytes < enoughBytes && this.isReading
    for (const waiter of [...this.waiters]) {
      if (left <= 0 || (mayGrow && left < waiter.max)) return
      left -= waiter.max
      if (!waiter.isWoken) waiter.wake()
    }
  }

  /** Whether one of its groups has not yet read all that it can give. */
  get isReading(): boolean {
    return this.groups.isReading
  }

  groupRead(): void {
    this.wakeNext()
  }

  /** Whether it is a member of the groups of all these patterns. */
  hasJoined(patterns: ReadonlyArray<string>): boolean {
    return this.groups.hasJoined(patterns)
  }

  /** As `PollGroups.join`. */
  join(patterns: ReadonlyArray<string>, start: Start): Effect.Effect<void, Refusal> {
    return Effect.suspend(() =>
      this.failure === undefined ? this.groups.join(patterns, start) : Effect.fail(this.failure)
    )
  }

  /** Joins the groups of this client that exist and read any of the topics, to acknowledge in them what was given earlier. */
  rejoin(topics: ReadonlyArray<string>): Effect.Effect<void, Refusal> {
    return Effect.suspend(() => this.join(this.groups.unjoined(topics), { _tag: "Now" }))
  }

  /** Whether it is in no group, nor about to be. */
  get isNobody(): boolean {
    return this.groups.isEmpty
  }

  /** Lets the groups of these patterns give as many messages as those who wait would take. */
  want(patterns: ReadonlyArray<string>): void {
    this.groups.want(patterns, this.wanted)
  }

  /** Up to `max` of the messages that are there for these patterns. */
  take(patterns: ReadonlyArray<string>, max: number) {
    const wasFull = this.held.bytes >= enoughBytes
    const taken = this.held.take(patterns, max)
    if (taken.count > 0) this.gathered()
    // What was not given for its size is for who still waits.
    if (wasFull) for (const waiter of [...this.waiters]) if (!waiter.isWoken) this.want(waiter.patterns)
    return taken
  }

  private gathered(): void {
    this.gathering?.stop()
    this.gathering = undefined
  }

  /** Acknowledges offsets of a topic in every group of the client that reads it. Answers whether there is any. */
  acknowledge(
    topic: string,
    epoch: number,
    ranges: ReadonlyArray<OffsetRange>
  ): Effect.Effect<boolean, Refusal> {
    return Effect.suspend(() => {
      const reading = this.groups.readersOf(topic)
      const asking: Array<Effect.Effect<Frame, Refusal>> = []
      for (const group of reading) {
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
    this.groups.gave(receiver.id, batch.count)
    countDelivery(this.connection, session, batch)
    const { epoch, offset, topic } = batch
    // What was held too long is given again, so the older copy is nobody's.
    if (attempt > 1) this.held.forget(topic, epoch, offset, offset + batch.count)
    this.held.add({ topic, epoch, offset, texts: this.texts.of(batch, attempt) })
    if (this.gathering === undefined && this.isReading) {
      this.gathering = this.deadlines.after(gatherTime, () => {
        this.gathering = undefined
        this.wakeNext()
      })
    }
    this.wakeNext()
  }

  control(frame: Frame): void {
    switch (frame._tag) {
      case "Joined":
        this.ackWait = Math.max(this.ackWait, frame.ackWait)
        this.groups.settle(frame.request)
        return
      case "Acked":
        this.questions.answer(frame.request, frame)
        return
      case "Failure": {
        const refused = refusalOfError(frame.code, frame.message)
        this.groups.settle(frame.request, refused)
        this.questions.refuse(frame.request, refused)
        return
      }
      case "Left":
        this.groups.left(frame.subscription)
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
    this.questions.end(this.failure)
    this.groups.end(this.failure)
    this.gathered()
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
    return Effect.suspend(() =>
      this.failure === undefined
        ? this.questions.ask((request) => this.connection?.send(frame(request)))
        : Effect.fail(this.failure)
    )
  }
}
