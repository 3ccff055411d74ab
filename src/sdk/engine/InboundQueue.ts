/**
 * What arrived for one subscription, or one member of a group, and was not read yet: for one reader, bounded by the
 * credit that the hub is given. Credit is granted again as what arrived is taken.
 */
import { Array as Arr, type Cause, Effect, Exit } from "effect"
import type { Deliver } from "../../protocol/Deliver.ts"
import type { Frame, FrameOf } from "../../protocol/Frame.ts"
import { unlimitedCredit } from "../../protocol/Op.ts"
import type { Inbound, Inbox } from "../Client.ts"
import type { PolestarError } from "../PolestarError.ts"
import type { Counters } from "./Counters.ts"
import type { Range } from "./ResumePoint.ts"

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
  readonly wakeLater: (subscription: InboundQueue) => void
}

export interface InboundLimits {
  readonly messages: number
  readonly bytes: number
}

export abstract class InboundQueue {
  readonly id: number
  readonly pattern: string
  readonly inbox: Inbox
  /** For who waits too long for the hub's answer. */
  abstract readonly operation: string | undefined
  /** Whether the hub has confirmed it, ever. */
  isConfirmed = false
  /** Called once: when it is confirmed, or has ended before. */
  settled: ((exit: Exit.Exit<void, PolestarError | Cause.Done>) => void) | undefined
  protected items: Array<Inbound> = []
  /** Messages that may wait here. */
  protected maxMessages: number
  protected readonly link: SubscriptionLink
  protected readonly counters: Counters
  private readonly maxBytes: number
  private messages = 0
  private bytes = 0
  private notices = 0
  /** What the hub may still send. */
  private creditMessages = 0
  private creditBytes = 0
  private readers: Array<(effect: TakenEffect) => void> = []
  private ended: Exit.Exit<never, PolestarError | Cause.Done> | undefined

  constructor(
    id: number,
    pattern: string,
    limits: InboundLimits,
    link: SubscriptionLink,
    counters: Counters
  ) {
    this.id = id
    this.pattern = pattern
    this.maxMessages = bounded(limits.messages)
    this.maxBytes = bounded(limits.bytes)
    this.link = link
    this.counters = counters
    this.inbox = { take: Effect.suspend(() => this.take()) }
  }

  /** The frame that asks for it on a new connection; a list in it takes at most `maxBytes`. */
  abstract request(session: number, request: number, maxBytes: number): Frame
  /** Takes the hub's answer; `false` if it answers something else. */
  abstract answered(answer: Frame): boolean
  /** Takes a delivery that was checked; `false` if the hub had no credit for it by far. */
  abstract deliver(topic: string, batch: Deliver, urgent: boolean): boolean
  /** Takes a notice; `false` if the reader is too far behind to be told more. */
  abstract notice(frame: SubscriptionNotice): boolean
  /** The connection, or the session on it, is gone. */
  abstract detached(): void

  get hasEnded(): boolean {
    return this.ended !== undefined
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

  /** The credit for a new connection: what there is room for. */
  protected firstCredit(): Credit {
    this.creditMessages = Math.max(0, this.maxMessages - this.messages)
    this.creditBytes = Math.max(0, this.maxBytes - this.bytes)
    return { messages: this.creditMessages, bytes: this.creditBytes }
  }

  /** The hub may send nothing on a new connection until more is granted. */
  protected noCredit(): Credit {
    this.creditMessages = 0
    this.creditBytes = 0
    return { messages: 0, bytes: 0 }
  }

  protected confirm(): void {
    this.isConfirmed = true
    this.settle(Exit.void)
  }

  /** Counts a delivery against the credit; `false` if the hub had none for it by far. */
  protected spend(batch: Deliver): boolean {
    if (this.bytes > this.maxBytes + overrunBytes) return false
    this.creditMessages -= batch.count
    this.creditBytes -= batch.end - batch.start
    return true
  }

  /** Keeps those messages of a delivery that are wanted, given as rising ranges; `undefined` stands for all. */
  protected keep(topic: string, batch: Deliver, wanted: ReadonlyArray<Range> | undefined): void {
    for (const part of partsOf(batch, wanted)) {
      this.items.push({ _tag: "Messages", topic, batch: part })
      this.messages += part.count
      this.counters.received += part.count
    }
    if (wanted?.length === 0) this.grantRoom()
    else this.bytes += batch.end - batch.start
    this.link.wakeLater(this)
  }

  /** Has the reader told; `false` if it is too far behind to be told more. */
  protected tell(notice: Inbound): boolean {
    this.items.push(notice)
    this.notices++
    this.link.wakeLater(this)
    return this.notices <= maxNotices
  }

  /** Leaves out, of what was not read yet, all but those messages of each delivery that are wanted. */
  protected narrow(wantedOf: (topic: string, batch: Deliver) => ReadonlyArray<Range> | undefined): void {
    const items: Array<Inbound> = []
    this.messages = 0
    for (const item of this.items) {
      if (item._tag !== "Messages") {
        items.push(item)
        continue
      }
      for (const batch of partsOf(item.batch, wantedOf(item.topic, item.batch))) {
        items.push({ ...item, batch })
        this.messages += batch.count
      }
    }
    this.items = items
    this.grantRoom()
  }

  /** Lets go of what was not read. */
  protected clear(): void {
    this.items = []
    this.messages = 0
    this.bytes = 0
    this.notices = 0
  }

  /** Grants what there is room for, once it is half of all. */
  protected grantRoom(): void {
    const messages = this.maxMessages - this.messages - this.creditMessages
    const bytes = this.maxBytes - this.bytes - this.creditBytes
    if (this.ended !== undefined || (messages * 2 < this.maxMessages && bytes * 2 < this.maxBytes)) return
    const credit = { messages: Math.max(0, messages), bytes: Math.max(0, bytes) }
    this.creditMessages += credit.messages
    this.creditBytes += credit.bytes
    this.link.grant(this.id, credit)
  }

  /** The reader comes for more. */
  protected returned(): void {}

  /** So many messages are about to be given to the reader. */
  protected taken(_messages: number): void {}

  private settle(exit: Exit.Exit<void, PolestarError | Cause.Done>): void {
    const settled = this.settled
    this.settled = undefined
    settled?.(exit)
  }

  private take(): TakenEffect {
    this.returned()
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
    const messages = this.messages
    this.clear()
    this.taken(messages)
    this.grantRoom()
    return items
  }
}

/** Those messages of a delivery that stand in some ranges, rising; `undefined` stands for all. */
const partsOf = (batch: Deliver, ranges: ReadonlyArray<Range> | undefined): ReadonlyArray<Deliver> =>
  ranges === undefined
    ? [batch]
    : ranges.map(({ from, to }) => ({
        ...batch,
        skip: batch.skip + from - batch.offset,
        count: to - from,
        offset: from
      }))

/** What the wire can grant; the highest number there stands for no limit. */
const bounded = (limit: number): number => Math.max(1, Math.min(Math.floor(limit), unlimitedCredit - 1))
