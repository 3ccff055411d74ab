/**
 * The client's end of one subscription: what arrived and was not read yet, bounded by the credit it gives the
 * hub, and what it has received, by which it goes on after a reconnection.
 *
 * At most once: what comes again is left out. Nothing is lost silently: what the hub drops or can no longer give
 * is in the reader's hands as `Dropped` or `Gap`. Notices of one topic's drops are put together until they are read.
 *
 * A replay that a lost connection cuts short is asked for again as it was, until the hub has said CAUGHTUP: of the
 * topics that it had not come to yet nothing is known here, so there is nothing to resume them from.
 */
import { Array as Arr, type Cause, Effect, Exit } from "effect"
import type { Deliver } from "../../protocol/Deliver.ts"
import type { FrameOf } from "../../protocol/Frame.ts"
import { unlimitedCredit } from "../../protocol/Op.ts"
import { isLiteral } from "../../protocol/Pattern.ts"
import type { Position, Start } from "../../protocol/Position.ts"
import type { Inbound, Inbox, SubscribeOptions } from "../Client.ts"
import type { PolestarError } from "../PolestarError.ts"
import type { Counters } from "./Counters.ts"
import { ResumePoint } from "./ResumePoint.ts"

/** A hub that delivers so many bytes more than it has credit for does not keep to the protocol. */
const overrunBytes = 1_048_576
/** Notices that may wait to be read: a reader that far behind is a slow consumer. */
const maxNotices = 65_536

type Taken = Arr.NonEmptyReadonlyArray<Inbound>
type TakenEffect = Effect.Effect<Taken, PolestarError | Cause.Done>

export interface Credit {
  readonly messages: number
  readonly bytes: number
}

/** What the hub tells a subscription besides messages. */
export type SubscriptionNotice =
  | FrameOf<"Dropped">
  | FrameOf<"Gap">
  | FrameOf<"Recovered">
  | FrameOf<"CaughtUp">

/** What a subscription needs of its session. */
export interface SubscriptionLink {
  /** Nothing is sent while there is no connection. */
  readonly grant: (subscription: number, credit: Credit) => void
  /** Has `wake` called at the end of the turn. */
  readonly wakeLater: (subscription: InboundSubscription) => void
}

export class InboundSubscription {
  readonly id: number
  readonly pattern: string
  readonly options: SubscribeOptions
  readonly inbox: Inbox
  /** Whether the hub has confirmed it, ever. */
  isConfirmed = false
  /** Called once: when it is confirmed, or has ended before. */
  settled: ((exit: Exit.Exit<void, PolestarError | Cause.Done>) => void) | undefined
  private readonly maxMessages: number
  private readonly maxBytes: number
  private readonly link: SubscriptionLink
  private readonly counters: Counters
  private readonly point = new ResumePoint()
  /** When the hub first confirmed it, by the hub's clock. */
  private since = 0
  /** Whether all that it started from has come. */
  private isCaughtUp: boolean
  /** When the last so many messages are asked for again: where topics were before that, until they go on. */
  private readonly cutAt = new Map<string, Position>()
  private items: Array<Inbound> = []
  private messages = 0
  private bytes = 0
  private notices = 0
  /** Of each topic, where in `items` the notice of its drops is. */
  private readonly drops = new Map<string, number>()
  /** What the hub may still send. */
  private creditMessages = 0
  private creditBytes = 0
  private readers: Array<(effect: TakenEffect) => void> = []
  private ended: Exit.Exit<never, PolestarError | Cause.Done> | undefined

  constructor(
    id: number,
    options: SubscribeOptions,
    limits: { readonly queueSize: number; readonly queueBytes: number },
    link: SubscriptionLink,
    counters: Counters
  ) {
    this.id = id
    this.pattern = options.pattern
    this.isCaughtUp = options.start._tag === "Now"
    this.options = options
    this.maxMessages = bounded(options.queueSize ?? limits.queueSize)
    this.maxBytes = bounded(options.queueBytes ?? limits.queueBytes)
    this.link = link
    this.counters = counters
    this.inbox = { take: Effect.suspend(() => this.take()) }
  }

  get hasEnded(): boolean {
    return this.ended !== undefined
  }

  /** Where to subscribe from on a new connection; the list of topics takes at most `maxBytes`. */
  startFrom(maxBytes: number): Start {
    const { start } = this.options
    this.cutAt.clear()
    if (!this.isConfirmed) return start
    if (!this.isCaughtUp) {
      if (start._tag === "Last") {
        for (const { topic, epoch, offset } of this.point.positions())
          this.cutAt.set(topic, { epoch, offset })
      }
      return start
    }
    const since = start._tag === "Time" ? Math.min(start.time, this.since) : this.since
    return { _tag: "Resume", since, topics: this.point.positions(maxBytes) }
  }

  /** The credit for a new connection: what there is room for. */
  firstCredit(): Credit {
    this.creditMessages = Math.max(0, this.maxMessages - this.messages)
    this.creditBytes = Math.max(0, this.maxBytes - this.bytes)
    return { messages: this.creditMessages, bytes: this.creditBytes }
  }

  subscribed({ position, time }: FrameOf<"Subscribed">): void {
    if (this.isConfirmed) return
    this.isConfirmed = true
    this.since = time
    const { start } = this.options
    // Of a replay this is where it ends, not where it begins.
    if (start._tag === "Now" && position !== undefined && isLiteral(this.pattern)) {
      this.point.begin(this.pattern, position)
    }
    this.settle(Exit.void)
  }

  /** Takes a delivery that was checked; `false` if the hub had no credit for it by far. */
  deliver(topic: string, batch: Deliver, urgent: boolean): boolean {
    if (this.ended !== undefined) return true
    const size = batch.end - batch.start
    if (this.bytes > this.maxBytes + overrunBytes) return false
    this.creditMessages -= batch.count
    this.creditBytes -= size
    if (this.cutAt.size > 0 && !urgent) this.tellMissed(topic, batch)
    const fresh = this.point.receive(topic, batch.epoch, batch.offset, batch.count, urgent)
    if (fresh === undefined) {
      this.items.push({ _tag: "Messages", topic, batch })
      this.counters.received += batch.count
      this.messages += batch.count
      this.bytes += size
    } else {
      for (const { from, to } of fresh) {
        const skip = batch.skip + from - batch.offset
        const part: Deliver = { ...batch, skip, count: to - from, offset: from }
        this.items.push({ _tag: "Messages", topic, batch: part })
        this.counters.received += to - from
        this.messages += to - from
      }
      if (fresh.length === 0) this.grantRoom()
      else this.bytes += size
    }
    this.link.wakeLater(this)
    return true
  }

  /** Takes a notice; `false` if the reader is too far behind to be told more. */
  notice(frame: SubscriptionNotice): boolean {
    if (this.ended !== undefined) return true
    if (frame._tag === "Dropped") this.dropped(frame.topic, frame.from, frame.to, frame.count)
    else if (frame._tag === "Recovered") this.push({ _tag: "Recovered", messages: frame.messages })
    else if (frame._tag === "CaughtUp") {
      this.isCaughtUp = true
      this.cutAt.clear()
    } else if (this.point.gap(frame.topic, frame.from, frame.to)) {
      this.push({ _tag: "Gap", topic: frame.topic, from: frame.from, to: frame.to })
    }
    this.link.wakeLater(this)
    return this.notices <= maxNotices
  }

  /** Gives what has arrived to the reader that waits. */
  wake(): void {
    if (this.readers.length === 0) return
    const items = this.takeItems()
    if (items !== undefined) this.readers.shift()?.(Effect.succeed(items))
  }

  /** Readers get what has arrived, then this. */
  finish(exit: Exit.Exit<never, PolestarError | Cause.Done>): void {
    if (this.ended !== undefined) return
    this.ended = exit
    this.settle(exit)
    this.wake()
    const readers = this.readers
    this.readers = []
    for (const reader of readers) reader(exit)
  }

  private settle(exit: Exit.Exit<void, PolestarError | Cause.Done>): void {
    const settled = this.settled
    this.settled = undefined
    settled?.(exit)
  }

  private take(): TakenEffect {
    const items = this.takeItems()
    if (items !== undefined) return Effect.succeed(items)
    if (this.ended !== undefined) return this.ended
    return Effect.callback((resume) => {
      this.readers.push(resume)
      return Effect.sync(() => {
        this.readers = this.readers.filter((reader) => reader !== resume)
      })
    })
  }

  private takeItems(): Taken | undefined {
    const items = this.items
    if (!Arr.isArrayNonEmpty(items)) return undefined
    this.items = []
    this.messages = 0
    this.bytes = 0
    this.notices = 0
    this.drops.clear()
    this.grantRoom()
    return items
  }

  /** Grants what there is room for, once it is half of all. */
  private grantRoom(): void {
    const messages = this.maxMessages - this.messages - this.creditMessages
    const bytes = this.maxBytes - this.bytes - this.creditBytes
    if (this.ended !== undefined || (messages * 2 < this.maxMessages && bytes * 2 < this.maxBytes)) return
    const credit = { messages: Math.max(0, messages), bytes: Math.max(0, bytes) }
    this.creditMessages += credit.messages
    this.creditBytes += credit.bytes
    this.link.grant(this.id, credit)
  }

  private dropped(topic: string, from: Position, to: Position, count: number): void {
    this.counters.dropped += count
    this.point.dropped(topic, from, to, count)
    const index = this.drops.get(topic)
    const known = index === undefined ? undefined : this.items[index]
    if (index !== undefined && known?._tag === "Dropped" && known.from.epoch === from.epoch) {
      this.items[index] = {
        _tag: "Dropped",
        topic,
        from: from.offset < known.from.offset ? from : known.from,
        to: to.offset > known.to.offset ? to : known.to,
        count: known.count + count
      }
      return
    }
    this.drops.set(topic, this.items.length)
    this.push({ _tag: "Dropped", topic, from, to, count })
  }

  /** The last so many messages may be others by now: those between where the replay was cut and these are missed. */
  private tellMissed(topic: string, { epoch, offset }: Deliver): void {
    const from = this.cutAt.get(topic)
    if (from === undefined) return
    this.cutAt.delete(topic)
    if (from.epoch === epoch && offset <= from.offset) return
    this.push({ _tag: "Gap", topic, from, to: { epoch, offset } })
  }

  private push(notice: Inbound): void {
    this.items.push(notice)
    this.notices++
  }
}

/** What the wire can grant; the highest number there stands for no limit. */
const bounded = (limit: number): number => Math.max(1, Math.min(Math.floor(limit), unlimitedCredit - 1))
