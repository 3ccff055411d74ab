/**
 * A topic: the actor that hands messages to the log, which gives them their place, and then passes them on.
 *
 * One order for all: the log's. Once the log keeps a batch, at once or later, its publisher gets the receipt, and every
 * subscriber's mailbox and every group gets it by reference. If a subscriber with overflow `wait` is full, the topic
 * waits, what is published meanwhile waits in the topic's mailbox, and when that is full, publishers wait. A batch
 * that fails is reported to its publisher and dropped; the topic keeps its state.
 */
import { Cause, Effect } from "effect"
import { type Batch, type HeldBatch, Slab } from "../protocol/Batch.ts"
import { isForPublishers } from "../protocol/TopicName.ts"
import type { Counters } from "../services/Counters.ts"
import type { LogOwner, MessageLogError, TopicLog } from "../services/MessageLog.ts"
import { Actor } from "./Actor.ts"
import type { ActorSystem } from "./ActorSystem.ts"
import type { BatchTracer } from "./BatchTracer.ts"
import { Deduplication } from "./Deduplication.ts"
import { fanOut } from "./FanOut.ts"
import { Feed, feedLimit } from "./Feed.ts"
import type { IdMemory } from "./IdMemory.ts"
import type { Part } from "./MessageIds.ts"
import { SubscriberList } from "./SubscriberList.ts"
import type { Subscription } from "./Subscription.ts"

/** Who follows a topic beside its subscribers: groups. */
export interface Follower {
  /** The log has more: this batch, in its place. Called in the turn in which subscribers get it. */
  readonly follow: (topic: Topic, batch: Batch) => void
}

export interface TopicOptions {
  readonly system: ActorSystem
  readonly counters: Counters
  readonly tracer: BatchTracer | undefined
  readonly queueSize: number
  readonly queueBytes: number
  /** Milliseconds for which a publisher's last sequence, and a message's id, are remembered. */
  readonly deduplicationWindow: number
  /** Bounds the ids that all topics remember. */
  readonly idMemory?: IdMemory | undefined
  /** Told of a batch that failed; answers how long the topic rests. */
  readonly failed: (topic: Topic, batch: Batch, cause: Cause.Cause<unknown>) => Effect.Effect<void>
  /** Told of a batch that the log refused; answers how long the topic rests, if it does. */
  readonly refused: (topic: Topic, batch: Batch, error: MessageLogError) => Effect.Effect<void> | undefined
  /** Told that a batch waits for its time. */
  readonly held: () => void
}

const beforeOpen: TopicLog = {
  epoch: 0,
  durability: "accepted",
  isReceiptEarly: false,
  nextOffset: 0,
  firstOffset: 0,
  lostUntil: 0,
  lastTimestamp: 0,
  messages: 0,
  bytes: 0,
  room: undefined,
  append: () => true,
  hold: () => true,
  read: () => Effect.succeed([]),
  offsetAt: () => Effect.succeed(0),
  expire: () => {},
  remove: Effect.void,
  close: () => {}
}

const noFollowers: ReadonlyArray<Follower> = []

export class Topic extends Actor<Batch> implements LogOwner {
  readonly name: string
  readonly nameBytes: Uint8Array
  /** Whether clients may publish to it. */
  readonly isForPublishers: boolean
  /** What this topic's small batches are copied into when they are kept. */
  readonly slab = new Slab()
  readonly subscribers = new SubscriberList()
  followers: ReadonlyArray<Follower> = noFollowers
  /** The batch that the present turn is gathering, while a connection reads. */
  gathering: Batch | undefined
  log: TopicLog = beforeOpen
  published = 0
  delivered = 0
  dropped = 0
  lastPublished = 0
  /** Subscriptions that are being given its past. */
  replays = 0
  /** When it was made, or last lost a subscriber. */
  private lastUsed: number
  private readonly options: TopicOptions
  private readonly known: Deduplication
  /** Batches that the log has taken and not kept yet. */
  private inFlight = 0
  private settledListeners: Array<() => void> | undefined
  private feed: Feed | undefined
  /** To be waited for before anything more is taken, after the log refused something. */
  private rest: Effect.Effect<void> | undefined

  constructor(name: string, nameBytes: Uint8Array, options: TopicOptions) {
    super(options.system, { maxMessages: options.queueSize, maxBytes: options.queueBytes })
    this.name = name
    this.nameBytes = nameBytes
    this.isForPublishers = isForPublishers(name)
    this.options = options
    this.known = new Deduplication(options.deduplicationWindow, options.idMemory)
    this.lastUsed = this.system.now()
  }

  /** Uses the log, at once or when it has been opened; until then what is published waits. */
  open(log: TopicLog | Effect.Effect<TopicLog>): void {
    if (Effect.isEffect(log)) {
      this.start(Effect.flatMap(log, (opened) => this.opened(opened) ?? Effect.void))
      return
    }
    const restoring = this.opened(log)
    if (restoring !== undefined) this.start(restoring)
  }

  /** What must be done before anything is taken: to remember what was published in the window before. */
  private opened(log: TopicLog): Effect.Effect<void> | undefined {
    this.log = log
    this.lastPublished = log.lastTimestamp
    return this.known.restore(log, this.system.now())
  }

  get isOpen(): boolean {
    return this.log !== beforeOpen
  }

  /** Waits until the log is open. */
  get whenOpen(): Effect.Effect<void> {
    return this.isOpen ? Effect.void : this.whenIdle
  }

  /** Whether nothing is on its way through the topic. */
  get isSettled(): boolean {
    return this.isIdle && this.inFlight === 0 && (this.feed?.isIdle ?? true)
  }

  attach(subscription: Subscription): void {
    this.subscribers.add(subscription)
  }

  detach(subscription: Subscription): void {
    if (this.subscribers.remove(subscription)) this.lastUsed = this.system.now()
  }

  follow(follower: Follower): void {
    if (!this.followers.includes(follower)) this.followers = [...this.followers, follower]
  }

  unfollow(follower: Follower): void {
    this.followers = this.followers.filter((each) => each !== follower)
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

  protected override failed(batch: Batch, cause: Cause.Cause<unknown>): Effect.Effect<void> {
    this.options.tracer?.failed(batch, cause)
    // One that failed after it was placed is there, and has its receipt.
    if (batch.publisher !== undefined) this.known.refused(batch)
    return this.options.failed(this, batch, cause)
  }

  protected override handle(batch: Batch): Effect.Effect<void> | undefined {
    // The clock may be set back; time in a topic never runs backwards.
    const now = Math.max(this.system.now(), this.lastPublished)
    batch.timestamp = now
    this.lastPublished = now
    if (batch.held !== undefined) return this.takeHeld(batch, batch.held)
    if (batch.resent)
      return this.whenSettledBefore(() => (this.isDuplicate(batch) ? undefined : this.take(batch)))
    return this.isLate(batch) ? undefined : this.take(batch)
  }

  /** Does `work` when nothing is on its way to the log any more: now, or later. */
  private whenSettledBefore(work: () => Effect.Effect<void> | undefined): Effect.Effect<void> | undefined {
    if (this.inFlight === 0) return work()
    return Effect.flatMap(this.logSettled, () => work() ?? Effect.void)
  }

  private readonly logSettled: Effect.Effect<void> = Effect.callback<void>((resume) => {
    if (this.inFlight === 0) return resume(Effect.void)
    this.settledListeners ??= []
    this.settledListeners.push(() => resume(Effect.void))
  })

  /** Takes a batch that is new as a whole; of its messages some may have ids that are known. */
  private take(batch: Batch): Effect.Effect<void> | undefined {
    if (!this.known.knowsAny(batch)) return this.takeNew(batch)
    // A message that is known may still be on its way, and then has no offset to tell.
    return this.whenSettledBefore(() =>
      Effect.forEach(
        this.known.split(batch),
        (part) => Effect.suspend(() => this.takePart(part) ?? Effect.void),
        { discard: true }
      )
    )
  }

  /** What was held was looked at before, but may have been published again after a restart of the hub. */
  private takeHeld(batch: Batch, held: HeldBatch): Effect.Effect<void> | undefined {
    // The first of them may still be on its way to the log.
    return this.whenSettledBefore(() => {
      if (!this.known.isPlaced(batch)) return this.append(batch)
      this.options.counters.messagesDuplicate += batch.count
      held.forget()
      return undefined
    })
  }

  private takeNew(batch: Batch): Effect.Effect<void> | undefined {
    this.known.begin(batch)
    return this.append(batch)
  }

  private takePart({ batch, duplicateOf }: Part): Effect.Effect<void> | undefined {
    if (duplicateOf === undefined) return this.takeNew(batch)
    return this.whenSettledBefore(() => {
      this.answerDuplicate(batch, this.known.offsetOf(duplicateOf, batch.timestamp))
      return undefined
    })
  }

  /** Gives a batch to the log, when that has room. */
  private append(batch: Batch): Effect.Effect<void> | undefined {
    const room = this.takeRest() ?? this.log.room ?? this.feedRoom
    if (room !== undefined) return Effect.flatMap(room, () => this.append(batch) ?? Effect.void)
    if (batch.holdUntil > batch.timestamp && batch.held === undefined) {
      this.inFlight++
      if (this.log.hold(batch, batch.holdUntil)) this.held(batch)
      return undefined
    }
    if (batch.expires > 0) batch.expires += batch.timestamp
    this.inFlight++
    if (this.log.append(batch)) {
      this.inFlight--
      return this.placed(batch)
    }
    if (this.log.isReceiptEarly) this.giveReceipt(batch, "accepted")
    return this.takeRest()
  }

  private takeRest(): Effect.Effect<void> | undefined {
    const rest = this.rest
    this.rest = undefined
    return rest
  }

  private get feedRoom(): Effect.Effect<void> | undefined {
    return this.feed !== undefined && this.feed.bytes > feedLimit ? this.feed.whenIdle : undefined
  }

  stored(batch: Batch): void {
    this.feed ??= new Feed(
      this.system,
      (stored) => this.pass(stored),
      (stored, cause) => this.failed(stored, cause)
    )
    this.remember(batch)
    this.feed.take(batch)
    this.settle()
  }

  held(batch: Batch): void {
    batch.epoch = 0
    batch.offset = 0
    this.known.held(batch)
    this.giveReceipt(batch, this.log.durability)
    batch.publisher = undefined
    this.options.held()
    this.settle()
  }

  refused(batch: Batch, error: MessageLogError): void {
    this.options.tracer?.failed(batch, Cause.fail(error))
    this.known.refused(batch)
    // It has had its receipt, which promised no more than that.
    if (this.log.isReceiptEarly && batch.wantsReceipt && batch.holdUntil === 0) batch.publisher = undefined
    this.rest = this.options.refused(this, batch, error) ?? this.rest
    this.settle()
    // Else it rests when it is through with what it is at.
    if (this.isIdle && this.rest !== undefined) this.start(this.takeRest() ?? Effect.void)
  }

  /** To be called when all else is known of a batch: who waits for this asks for it at once. */
  private settle(): void {
    this.inFlight--
    const listeners = this.settledListeners
    if (this.inFlight > 0 || listeners === undefined) return
    this.settledListeners = undefined
    for (const listener of listeners) listener()
  }

  private placed(batch: Batch): Effect.Effect<void> | undefined {
    this.remember(batch)
    return this.pass(batch)
  }

  /** Counts what the log keeps now, and gives the receipt. */
  private remember(batch: Batch): void {
    const { counters } = this.options
    this.published += batch.count
    counters.messagesReceived += batch.count
    counters.bytesReceived += batch.end - batch.start
    counters.batchesReceived++
    this.known.stored(batch)
    if (!this.log.isReceiptEarly || batch.held !== undefined) this.giveReceipt(batch, this.log.durability)
    batch.publisher = undefined
  }

  private giveReceipt(batch: Batch, durability: TopicLog["durability"]): void {
    if (batch.wantsReceipt) batch.publisher?.receipt(batch, durability, false)
  }

  /** Gives a batch that has its place to whoever is to have it. */
  private pass(batch: Batch): Effect.Effect<void> | undefined {
    const end = this.options.tracer?.route(batch, this.subscribers.length)
    const waiting = fanOut(this.subscribers, batch)
    for (const follower of this.followers) this.tellFollower(follower, batch)
    if (end === undefined) return waiting
    if (waiting !== undefined) return Effect.ensuring(waiting, Effect.sync(end))
    end()
    return undefined
  }

  private tellFollower(follower: Follower, batch: Batch): void {
    try {
      follower.follow(this, batch)
    } catch (error) {
      this.system.fork(Effect.logError(`a group could not follow ${this.name}`, error))
    }
  }

  /** Whether this publisher's messages are here already; then it is told so. */
  private isDuplicate(batch: Batch): boolean {
    const newest = this.known.findResent(batch)
    if (newest === undefined) return false
    this.answerDuplicate(batch, newest)
    return true
  }

  /** Without an offset it is held until its time. */
  private answerDuplicate(batch: Batch, offset: number | undefined): void {
    batch.epoch = offset === undefined ? 0 : this.log.epoch
    batch.offset = offset ?? 0
    this.options.counters.messagesDuplicate += batch.count
    if (batch.wantsReceipt) batch.publisher?.receipt(batch, this.log.durability, true)
    batch.publisher = undefined
  }

  /** Whether it is what its publisher sends again on another connection; then it leaves no trace. */
  private isLate(batch: Batch): boolean {
    if (!this.known.isLate(batch)) return false
    batch.publisher?.reject(batch, "unknown-session", "the session goes on on another connection")
    batch.publisher = undefined
    return true
  }

  /** Forgets what has expired. Answers whether nothing is left that would be lost by letting go of the topic. */
  sweep(now: number, idleTimeout: number): boolean {
    this.log.expire(now)
    this.known.expire(now)
    return (
      this.isSettled &&
      this.replays === 0 &&
      now - Math.max(this.lastPublished, this.lastUsed) >= idleTimeout &&
      // A log that outlives the process loses nothing by being closed.
      (this.log.messages === 0 || this.log.durability !== "accepted") &&
      this.known.isEmpty
    )
  }
}
