/**
 * One page of a round of a cursor: reads topic by topic in order of name what is older than the round's time, until there
 * is enough for one answer. What a topic was given a place in time before that, and has not stored yet, is waited for.
 */
import { Effect } from "effect"
import type { LocalConnection } from "../../actors/LocalConnection.ts"
import type { Topic } from "../../actors/Topic.ts"
import { unlimitedCredit } from "../../protocol/Op.ts"
import { matches } from "../../protocol/Pattern.ts"
import type { Position } from "../../protocol/Position.ts"
import { compareTopicNames } from "../../protocol/TopicName.ts"
import type { Collector } from "./Collector.ts"
import type { Cursor } from "./Cursor.ts"
import { session } from "./HubClient.ts"
import { type Refusal, refusalOfError } from "./Refusal.ts"

/** Topics that are looked at before others run. */
const slice = 64
/** Milliseconds between two looks at what is being stored, and for how long one topic is waited for. */
const settleStep = 5
const settleTime = 200
/** Milliseconds for which the past of one topic may be read. */
const readTime = 10_000

export interface PollRoundOptions {
  readonly connection: LocalConnection
  readonly collector: Collector
  /** With the round. */
  readonly cursor: Cursor
  readonly until: number
  readonly patterns: ReadonlyArray<string>
  readonly max: number
  /** Whether to answer with what there is. */
  readonly isOver: () => boolean
  /** Waits so many milliseconds at most until the collector has the past that it expects. */
  readonly caughtUp: (most: number) => Effect.Effect<void>
}

export class PollRound {
  private readonly options: PollRoundOptions
  private subscription = 0
  private looked = 0

  constructor(options: PollRoundOptions) {
    this.options = options
  }

  /** Answers whether the round is over; the cursor is moved on. */
  readonly read: Effect.Effect<boolean, Refusal> = Effect.gen({ self: this }, function* (this: PollRound) {
    const { cursor, isOver, until } = this.options
    // Not within a turn of the hub's, of which all is of one time.
    yield* Effect.yieldNow
    const at = cursor.round
    if (at?.position !== undefined) {
      if (isOver()) return false
      // The cursor is the client's own text: what was not asked for is passed, as what there is not is.
      if (!(yield* this.isMine(at.topic) ? this.readTopic(at.topic) : this.passed(at.topic))) return false
    }
    for (let after: string | undefined = at?.topic ?? ""; after !== undefined; ) {
      const { last, names }: Names = this.namesAfter(after)
      for (const name of names) {
        if (isOver() || !(yield* this.readTopic(name))) return false
        if (++this.looked % slice === 0) yield* Effect.yieldNow
      }
      after = last
    }
    cursor.endRound(until)
    return true
  })

  /** The next topics: those that there are, and those that the cursor names. */
  private namesAfter(after: string): Names {
    const { connection, cursor, patterns } = this.options
    const { names } = connection.options.registry
    const slices = patterns.map((pattern) => names.slice(pattern, after))
    const ends = slices.flatMap(({ last }) => (last === undefined ? [] : [last])).sort(compareTopicNames)
    const [last] = ends
    const all = new Set([
      ...slices.flatMap(({ names }) => names),
      ...[...cursor.positions.keys()].filter((topic) => this.isMine(topic))
    ])
    const isNext = (name: string) =>
      compareTopicNames(name, after) > 0 && (last === undefined || compareTopicNames(name, last) <= 0)
    return { names: [...all].filter(isNext).sort(compareTopicNames), last }
  }

  /** Whether it was asked for, by somebody who may read it. */
  private isMine(topic: string): boolean {
    const { connection, patterns } = this.options
    return (
      patterns.some((pattern) => matches(pattern, topic)) && connection.identity.subscribe.allowsTopic(topic)
    )
  }

  /** Answers whether it is through with the topic. */
  private readTopic(name: string): Effect.Effect<boolean, Refusal> {
    return Effect.suspend(() => {
      const { connection, cursor, until } = this.options
      const { registry } = connection.options
      const position = cursor.positionOf(name)
      // One that is gone is not made by reading: if it is made again, its reader is told what was lost.
      if (registry.placeOf(name) === undefined) return this.passed(name, this.kept(name, position))
      const topic = registry.topicNamed(name)
      if (typeof topic === "string")
        return position === undefined
          ? Effect.fail(refusalOfError(topic).about(name))
          : this.passed(name, position)
      if (position === undefined && cursor.last !== undefined) return this.readLast(topic, cursor.last)
      if (this.isRead(topic, position))
        return this.passed(name, topic.lastPublished < until ? undefined : position)
      return this.readPast(topic, position)
    })
  }

  /** The position, if there is room for it beside the others. */
  private kept(name: string, position: Position | undefined): Position | undefined {
    const { cursor } = this.options
    if (position === undefined || !cursor.hasRoomFor(name, position.epoch, position.offset)) return undefined
    return position
  }

  private passed(name: string, position?: Position): Effect.Effect<boolean> {
    const { cursor, until } = this.options
    return Effect.sync(() => {
      cursor.passed(name, until, position)
      return true
    })
  }

  /** Whether it is seen without a look at its messages that nothing of it is to be read. */
  private isRead(topic: Topic, position: Position | undefined): boolean {
    if (!topic.isOpen || !topic.isSettled) return false
    if (position === undefined) return topic.lastPublished < this.options.cursor.since
    return position.epoch === topic.log.epoch && position.offset === topic.log.nextOffset
  }

  /** The last so many of those that are older than the round. */
  private readLast(topic: Topic, count: number): Effect.Effect<boolean> {
    return Effect.gen({ self: this }, function* (this: PollRound) {
      yield* Effect.timeoutOption(topic.whenOpen, readTime)
      if (!topic.isOpen) return false
      const { log } = topic
      const offsetAt = Effect.orElseSucceed(log.offsetAt(this.options.until), () => log.nextOffset)
      const end = yield* offsetAt
      const offset = Math.max(log.firstOffset, end - count)
      if (offset >= end && topic.isSettled) return yield* this.passed(topic.name)
      return yield* this.readPast(topic, { epoch: log.epoch, offset })
    })
  }

  private readPast(topic: Topic, position: Position | undefined): Effect.Effect<boolean> {
    return Effect.gen({ self: this }, function* (this: PollRound) {
      const { caughtUp, collector, connection, cursor, until } = this.options
      const subscription = this.subscribe(topic.name, position)
      yield* caughtUp(readTime)
      const isWhole = () => {
        const waits = connection.sessions.get(session)?.subscriptions.get(subscription)?.isWaiting ?? true
        return collector.isWritable && (collector.isBeyond || (collector.isCaughtUp && !waits))
      }
      // Others may have made it anew meanwhile.
      const isStored = () => collector.isBeyond || topic.isSettled || topic.log.lastTimestamp >= until
      for (let waited = 0; isWhole() && !isStored() && waited < settleTime; waited += settleStep)
        yield* Effect.sleep(settleStep)
      const end = collector.end
      const isDone = isWhole()
      connection.send({ _tag: "Unsubscribe", session, request: ++this.subscription, subscription })
      if (!isDone) return false
      const kept = isStored() ? yield* this.beyond(topic, position) : end
      if (kept !== undefined && !cursor.hasRoomFor(topic.name, kept.epoch, kept.offset)) return false
      cursor.passed(topic.name, until, kept)
      return true
    })
  }

  /** The position, if it is behind messages that are not older than the round. */
  private beyond(topic: Topic, position: Position | undefined): Effect.Effect<Position | undefined> {
    const { log } = topic
    if (position === undefined || position.epoch !== log.epoch || log.lastTimestamp < this.options.until)
      return Effect.succeed(undefined)
    return log.offsetAt(this.options.until).pipe(
      Effect.map((offset) => (position.offset > offset ? position : undefined)),
      Effect.orElseSucceed(() => position)
    )
  }

  private subscribe(name: string, position: Position | undefined): number {
    const { collector, connection, cursor, max } = this.options
    // Each has a request of its own, to begin and to end; the first one opened the session.
    this.subscription += 2
    const subscription = this.subscription
    collector.expectPast(name)
    connection.send({
      _tag: "Subscribe",
      session,
      request: subscription,
      subscription,
      pattern: name,
      overflow: "drop-oldest",
      echo: true,
      creditMessages: max - collector.count,
      // What the collector takes is bounded by what it holds.
      creditBytes: unlimitedCredit,
      start: {
        _tag: "Resume",
        since: cursor.since,
        topics: position === undefined ? [] : [{ topic: name, ...position }]
      }
    })
    return subscription
  }
}

interface Names {
  readonly names: ReadonlyArray<string>
  /** After which to go on, if there are more. */
  readonly last: string | undefined
}
