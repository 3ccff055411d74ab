/**
 * A topic: the actor that gives messages their place and passes them on.
 *
 * One order for all: the log's. A batch is placed, its publisher gets the receipt, and every subscriber's
 * mailbox gets it by reference. If a subscriber with overflow `wait` is full, the topic waits, what is published
 * meanwhile waits in the topic's mailbox, and when that is full, publishers wait. A batch that fails is reported
 * to its publisher and dropped; the topic keeps its state.
 */
import { type Cause, Effect } from "effect"
import { type Batch, type BatchOwner, Slab } from "../protocol/Batch.ts"
import type { Counters } from "../services/Counters.ts"
import type { MessageLogError, TopicLog } from "../services/MessageLog.ts"
import { Actor } from "./Actor.ts"
import type { ActorSystem } from "./ActorSystem.ts"
import type { BatchTracer } from "./BatchTracer.ts"
import { Producers } from "./Producers.ts"
import { SubscriberList } from "./SubscriberList.ts"
import type { Subscription } from "./Subscription.ts"

export interface TopicOptions {
  readonly system: ActorSystem
  readonly counters: Counters
  readonly tracer: BatchTracer | undefined
  readonly queueSize: number
  readonly queueBytes: number
  /** Milliseconds for which a publisher's last sequence is remembered. */
  readonly deduplicationWindow: number
  /** Told of a batch that failed; answers how long the topic rests. */
  readonly failed: (topic: Topic, batch: Batch, cause: Cause.Cause<MessageLogError>) => Effect.Effect<void>
}

const beforeOpen: TopicLog = {
  epoch: 0,
  durability: "accepted",
  nextOffset: 0,
  firstOffset: 0,
  lostUntil: 0,
  messages: 0,
  bytes: 0,
  append: () => undefined,
  read: () => Effect.succeed([]),
  offsetAt: () => Effect.succeed(0),
  expire: () => {},
  close: () => {}
}

export class Topic extends Actor<Batch, MessageLogError> implements BatchOwner {
  readonly name: string
  readonly nameBytes: Uint8Array
  /** What this topic's small batches are copied into when they are kept. */
  readonly slab = new Slab()
  readonly subscribers = new SubscriberList()
  /** The batch that the present turn is gathering, while a connection reads. */
  gathering: Batch | undefined
  log: TopicLog = beforeOpen
  published = 0
  delivered = 0
  dropped = 0
  lastPublished = 0
  /** When it was made, or last lost a subscriber. */
  private lastUsed: number
  private readonly options: TopicOptions
  private producers: Producers | undefined

  constructor(name: string, nameBytes: Uint8Array, options: TopicOptions) {
    super(options.system, { maxMessages: options.queueSize, maxBytes: options.queueBytes })
    this.name = name
    this.nameBytes = nameBytes
    this.options = options
    this.lastUsed = this.system.now()
  }

  /** Uses the log, at once or when it has been opened; until then what is published waits. */
  open(log: TopicLog | Effect.Effect<TopicLog>): void {
    if (Effect.isEffect(log)) {
      this.start(
        Effect.map(log, (opened) => {
          this.log = opened
        })
      )
    } else {
      this.log = log
    }
  }

  /** Waits until the log is open. */
  get whenOpen(): Effect.Effect<void> {
    return this.log === beforeOpen ? this.whenIdle : Effect.void
  }

  attach(subscription: Subscription): void {
    this.subscribers.add(subscription)
  }

  detach(subscription: Subscription): void {
    if (this.subscribers.remove(subscription)) this.lastUsed = this.system.now()
  }

  protected override messagesOf(batch: Batch): number {
    return batch.count
  }

  protected override bytesOf(batch: Batch): number {
    return batch.end - batch.start
  }

  protected override keep(batch: Batch): void {
    batch.keep()
  }

  protected override failed(batch: Batch, cause: Cause.Cause<MessageLogError>): Effect.Effect<void> {
    this.options.tracer?.failed(batch, cause)
    // One that failed after it was placed is there, and has its receipt.
    if (batch.publisher !== undefined) {
      this.producers ??= new Producers(this.options.deduplicationWindow)
      this.producers.refuse(batch)
    }
    return this.options.failed(this, batch, cause)
  }

  protected override handle(batch: Batch): Effect.Effect<void, MessageLogError> | undefined {
    // The clock may be set back; time in a topic never runs backwards.
    const now = Math.max(this.system.now(), this.lastPublished)
    batch.timestamp = now
    this.lastPublished = now
    if (batch.expires > 0) batch.expires += now
    if (batch.resent ? this.isDuplicate(batch) : this.isLate(batch)) return undefined
    const appending = this.log.append(batch)
    if (appending === undefined) return this.placed(batch)
    return Effect.flatMap(appending, () => this.placed(batch) ?? Effect.void)
  }

  private placed(batch: Batch): Effect.Effect<void> | undefined {
    const { counters, tracer } = this.options
    this.published += batch.count
    counters.messagesReceived += batch.count
    counters.bytesReceived += batch.end - batch.start
    counters.batchesReceived++
    // Only what wants a receipt is ever sent again.
    if (batch.wantsReceipt) {
      this.producers ??= new Producers(this.options.deduplicationWindow)
      this.producers.remember(batch)
    }
    const publisher = batch.publisher
    batch.publisher = undefined
    if (publisher !== undefined && batch.wantsReceipt) publisher.receipt(batch, this.log.durability, false)
    const end = tracer?.route(batch, this.subscribers.length)
    const waiting = this.fanOut(batch)
    if (end === undefined) return waiting
    if (waiting !== undefined) return Effect.ensuring(waiting, Effect.sync(end))
    end()
    return undefined
  }

  private fanOut(batch: Batch): Effect.Effect<void> | undefined {
    const subscribers = this.subscribers.walk()
    let full: Array<Subscription> | undefined
    for (let i = 0; i < subscribers.length; i++) {
      const subscription = subscribers[i]!
      if (subscription.deliver(batch)) continue
      full ??= []
      full.push(subscription)
    }
    this.subscribers.walked()
    if (full === undefined) return undefined
    batch.keep()
    return Effect.forEach(full, (subscription) => subscription.deliverWhenRoom(batch), { discard: true })
  }

  /** Whether this publisher's messages are here already; then it is told so. */
  private isDuplicate(batch: Batch): boolean {
    const newest = this.producers?.find(batch)
    if (newest === undefined) return false
    batch.epoch = this.log.epoch
    batch.offset = newest
    this.options.counters.messagesDuplicate += batch.count
    batch.publisher?.receipt(batch, this.log.durability, true)
    batch.publisher = undefined
    return true
  }

  /** Whether it is what its publisher sends again on another connection; then it leaves no trace. */
  private isLate(batch: Batch): boolean {
    if (this.producers?.isLate(batch) !== true) return false
    batch.publisher?.reject(batch, "unknown-session", "the session goes on on another connection")
    batch.publisher = undefined
    return true
  }

  /** Forgets what has expired. Answers whether nothing is left that would be lost by letting go of the topic. */
  sweep(now: number, idleTimeout: number): boolean {
    this.log.expire(now)
    this.producers?.expire(now)
    return (
      this.isIdle &&
      now - Math.max(this.lastPublished, this.lastUsed) >= idleTimeout &&
      this.log.messages === 0 &&
      (this.producers?.isEmpty ?? true)
    )
  }
}
