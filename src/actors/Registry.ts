/**
 * The topics of a hub and who subscribes to them. Patterns are matched when a topic is made and when a
 * subscription is, never when a message is published.
 */
import { type Cause, Effect, Fiber, Schedule } from "effect"
import type { Batch } from "../protocol/Batch.ts"
import { encodeText } from "../protocol/Bytes.ts"
import type { ErrorCode } from "../protocol/ErrorCode.ts"
import { isLiteral, matches } from "../protocol/Pattern.ts"
import { PatternTrie } from "../protocol/PatternTrie.ts"
import { decodeTopicName, isForPublishers, isReserved } from "../protocol/TopicName.ts"
import { TopicTrie } from "../protocol/TopicTrie.ts"
import type { Counters } from "../services/Counters.ts"
import type { MessageLog, MessageLogError, TopicLog, TopicPlace } from "../services/MessageLog.ts"
import type { Settings } from "../services/Settings.ts"
import type { ActorSystem } from "./ActorSystem.ts"
import type { BatchTracer } from "./BatchTracer.ts"
import { IdMemory } from "./IdMemory.ts"
import type { Subscription } from "./Subscription.ts"
import { Topic } from "./Topic.ts"
import { TopicIndex } from "./TopicIndex.ts"
import { TopicNames } from "./TopicNames.ts"

export interface RegistryOptions {
  readonly system: ActorSystem
  readonly counters: Counters
  readonly settings: Settings["Service"]
  readonly messageLog: MessageLog["Service"]
  readonly tracer: BatchTracer | undefined
  readonly failed: (topic: Topic, batch: Batch, cause: Cause.Cause<unknown>) => Effect.Effect<void>
  readonly refused: (topic: Topic, batch: Batch, error: MessageLogError) => Effect.Effect<void> | undefined
  /** Told that something is held until its time. */
  readonly held: () => void
  /** Told of a topic that was made, before anything is published to it. */
  readonly topicMade: (topic: Topic) => void
  /** Told of a topic that is about to be removed: then one of the two others follows. */
  readonly topicLeaving: (topic: Topic) => void
  /** Told of a topic that was removed, with all its messages; another of its name may be there already. */
  readonly topicRemoved: (topic: Topic) => void
  /** Told of a topic that could not be removed. */
  readonly topicKept: (topic: Topic) => void
}

/** Places of the index that are looked at before others run. */
const sweepSlice = 16_384

/** Stored topics that are looked at, and made, before others run. */
const wakeSlice = 64

/** Closed sessions that are remembered. */
const maxClosedSessions = 65_536

/** Waits between tries to open a log. */
const openingBackoff = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("5 seconds")])

export class Registry {
  readonly system: ActorSystem
  readonly counters: Counters
  readonly settings: Settings["Service"]
  readonly tracer: BatchTracer | undefined
  readonly index = new TopicIndex()
  readonly topics = new TopicTrie<Topic>()
  readonly names: TopicNames
  readonly subscriptions = new PatternTrie<Subscription>()
  private readonly idMemory = new IdMemory()
  /** Of the session opened last. */
  lastOrdinal = 0
  /** The latest sessions that closed, by uuid. */
  private readonly closedSessions = new Set<string>()
  private readonly options: RegistryOptions

  constructor(options: RegistryOptions) {
    this.options = options
    this.names = new TopicNames((after) => options.messageLog.names(after))
    this.system = options.system
    this.counters = options.counters
    this.settings = options.settings
    this.tracer = options.tracer
  }

  /** The topic that a client names in a frame, made if need be and allowed; else why not. */
  topicOfBytes(bytes: Uint8Array, start: number, end: number): Topic | ErrorCode {
    const known = this.index.find(bytes, start, end)
    if (known !== undefined) return known.isForPublishers ? known : "reserved-topic"
    const name = decodeTopicName(bytes, start, end)
    if (typeof name !== "string") return "invalid-topic"
    if (!isForPublishers(name)) return "reserved-topic"
    return this.make(name, false)
  }

  /** The topic of that name, which must be a valid one, made if need be. */
  topicNamed(name: string): Topic | ErrorCode {
    return this.topics.get(name) ?? this.make(name, false)
  }

  /** Makes a topic that is new, also where topics are not made by use. */
  create(name: string): Topic | ErrorCode {
    return this.make(name, true)
  }

  private make(name: string, asked: boolean): Topic | ErrorCode {
    const { autoCreateTopics, deduplicationWindow, maxTopics, queueBytes, queueSize } = this.settings
    const { messageLog } = this.options
    const mayMake = autoCreateTopics || asked || isReserved(name) || messageLog.describe(name) !== undefined
    if (!mayMake) return "topic-not-found"
    if (this.topics.size >= maxTopics) return "limit-reached"
    const topic = new Topic(name, encodeText(name), {
      system: this.system,
      counters: this.counters,
      tracer: this.tracer,
      queueSize,
      queueBytes,
      deduplicationWindow,
      idMemory: this.idMemory,
      failed: this.options.failed,
      refused: this.options.refused,
      held: this.options.held
    })
    const log = messageLog.open(name, topic)
    topic.open(Effect.isEffect(log) ? untilOpened(name, log) : log)
    this.topics.set(name, topic)
    this.names.add(name)
    this.index.add(topic)
    this.counters.topicsCreated++
    this.subscriptions.forEachMatch(name, (subscription) => {
      topic.attach(subscription)
    })
    this.options.topicMade(topic)
    return topic
  }

  /** The same, while others run in between: what comes meanwhile is left to `wake`. */
  readonly wakeInTurns = Effect.fnUntraced({ self: this }, function* (this: Registry, pattern: string) {
    if (isLiteral(pattern)) return
    let looked = 0
    for (const name of this.options.messageLog.names()) {
      if (matches(pattern, name) && this.topics.get(name) === undefined) this.make(name, true)
      if (++looked % wakeSlice === 0) yield* Effect.yieldNow
    }
  })

  /** Where a topic is, open or not; `undefined` if there is none. */
  placeOf(name: string): TopicPlace | undefined {
    return this.topics.get(name)?.log ?? this.options.messageLog.describe(name)
  }

  /** Whether a message that is to be held until then (ms) is refused. */
  isTooFarOff(deliverAt: number): boolean {
    return deliverAt - this.system.now() > this.settings.maxDelay
  }

  /** Makes the topics that the pattern matches and that only the log knows of. */
  wake(pattern: string): void {
    const { messageLog } = this.options
    const isClosed = (name: string) => this.topics.get(name) === undefined
    if (isLiteral(pattern)) {
      if (isClosed(pattern) && messageLog.describe(pattern) !== undefined) this.make(pattern, true)
      return
    }
    for (const name of messageLog.names()) if (matches(pattern, name) && isClosed(name)) this.make(name, true)
  }

  /**
   * Forgets a topic and all its messages; `false` if there is none. What is published to it from then on begins anew. It is
   * done to its end even if whoever asked for it goes.
   */
  readonly removeTopic = Effect.fn("Registry.removeTopic")(
    { self: this },
    function* (this: Registry, name: string): Effect.fn.Return<boolean, MessageLogError> {
      this.wake(name)
      const topic = this.topics.get(name)
      if (topic === undefined) return false
      yield* topic.whenIdle
      // Two may ask at once.
      if (this.topics.get(name) !== topic) return false
      return yield* Fiber.join(this.system.fork(this.letGo(topic)))
    }
  )

  /** From the first moment on the name is free, so that nobody publishes to a log that is going. */
  private letGo(topic: Topic): Effect.Effect<boolean, MessageLogError> {
    this.index.removeAll(new Set([topic]))
    this.topics.delete(topic.name)
    this.names.remove(topic.name)
    this.options.topicLeaving(topic)
    return topic.log.remove.pipe(
      Effect.tapError(() => Effect.sync(() => this.keep(topic))),
      Effect.map(() => {
        this.options.topicRemoved(topic)
        return true
      })
    )
  }

  /** Its log is opened anew, as after it was idle. */
  private keep(topic: Topic): void {
    topic.log.close()
    this.wake(topic.name)
    this.options.topicKept(topic)
  }

  /** Makes the subscription known; which topics it is attached to is up to the caller. */
  addSubscription(subscription: Subscription): void {
    this.subscriptions.add(subscription.pattern, subscription)
  }

  removeSubscription(subscription: Subscription): void {
    this.subscriptions.remove(subscription.pattern, subscription)
    this.forEachTopic(subscription.pattern, (topic) => topic.detach(subscription))
  }

  /** Counts a session, and whether its client was here before. */
  sessionOpened(id: string): void {
    this.counters.sessionsOpened++
    if (this.closedSessions.delete(id)) this.counters.sessionsResumed++
  }

  sessionClosed(id: string): void {
    this.closedSessions.add(id)
    if (this.closedSessions.size <= maxClosedSessions) return
    const oldest = this.closedSessions.values().next()
    if (oldest.done !== true) this.closedSessions.delete(oldest.value)
  }

  forEachTopic(pattern: string, f: (topic: Topic) => void): void {
    if (isLiteral(pattern)) {
      const topic = this.topics.get(pattern)
      if (topic !== undefined) f(topic)
      return
    }
    this.topics.forEachMatch(pattern, f)
  }

  /** Forgets expired messages, and lets go of the topics that are idle and hold none. Others run in between. */
  readonly sweep: Effect.Effect<void> = Effect.gen({ self: this }, function* (this: Registry) {
    this.options.messageLog.tidy(this.system.now())
    const isIdle = (topic: Topic) => topic.sweep(this.system.now(), this.settings.topicIdleTimeout)
    const idle = new Set<Topic>()
    for (let from = 0; from < this.index.capacity; from += sweepSlice) {
      this.index.forEachIn(from, from + sweepSlice, (topic) => {
        if (isIdle(topic)) idle.add(topic)
      })
      yield* Effect.yieldNow
    }
    // Meanwhile one may have been removed, and another made of its name.
    for (const topic of idle) if (this.topics.get(topic.name) !== topic || !isIdle(topic)) idle.delete(topic)
    this.index.removeAll(idle)
    for (const topic of idle) {
      this.topics.delete(topic.name)
      this.names.remove(topic.name)
      topic.log.close()
    }
    this.counters.topicsPassivated += idle.size
  })
}

/** Tries until the log opens; what is published meanwhile waits. */
const untilOpened = (name: string, log: Effect.Effect<TopicLog, MessageLogError>): Effect.Effect<TopicLog> =>
  log.pipe(
    Effect.tapError((error) => Effect.logError(`the log of ${name} could not be opened`, error)),
    Effect.retry(openingBackoff),
    Effect.orDie
  )
