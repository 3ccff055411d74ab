/**
 * The past of a subscription. A fiber of the session's reads the log and fills the subscription's mailbox as it
 * empties, so a replay holds up nobody and is itself never dropped from; when it has caught up with a topic it attaches the
 * subscription there, in the same turn in which it saw that nothing is left, so no message is missed or doubled.
 */
import { Effect, type Scope } from "effect"
import type { Position, Start } from "../protocol/Position.ts"
import { Lost, type MessageLogError, type TopicLog } from "../services/MessageLog.ts"
import type { Subscription } from "./Subscription.ts"
import type { Topic } from "./Topic.ts"

/** Bytes that are read from a log at a time. */
const replayBytes = 262_144

/** The first message of a time or later. If that is lost it is the topic's beginning, so that the gap is told. */
const since = (log: TopicLog, time: number): Effect.Effect<Position, MessageLogError> =>
  log.lostUntil >= time && log.firstOffset > 0
    ? Effect.succeed({ epoch: log.epoch, offset: 0 })
    : Effect.map(log.offsetAt(time), (offset) => ({ epoch: log.epoch, offset }))

/** Where to begin in a topic; undefined is now. */
const beginning = (
  topic: Topic,
  start: Start,
  resumed: ReadonlyMap<string, Position>
): Effect.Effect<Position | undefined, MessageLogError> => {
  const log = topic.log
  switch (start._tag) {
    case "Now":
      return Effect.succeed(undefined)
    case "Last": {
      const offset = Math.max(log.firstOffset, log.nextOffset - start.count)
      return Effect.succeed({ epoch: log.epoch, offset })
    }
    case "First":
      return Effect.succeed({ epoch: log.epoch, offset: log.firstOffset })
    case "Time":
      return since(log, start.time)
    case "Position":
      return Effect.succeed(resumed.get(topic.name))
    case "Resume": {
      const position = resumed.get(topic.name)
      return position === undefined ? since(log, start.since) : Effect.succeed(position)
    }
  }
}

const tellGap = (subscription: Subscription, topic: Topic, from: Position, to: Position): void => {
  subscription.session.hub.counters.gaps++
  subscription.session.outlet.control({
    _tag: "Gap",
    session: subscription.session.number,
    subscription: subscription.id,
    topic: topic.name,
    from,
    to
  })
}

interface Progress {
  messages: number
  gaps: number
}

const catchUp = Effect.fnUntraced(function* (
  subscription: Subscription,
  topic: Topic,
  from: Position | undefined,
  progress: Progress
): Effect.fn.Return<void, MessageLogError> {
  let offset = from?.offset ?? topic.log.nextOffset
  let epoch = from?.epoch ?? topic.log.epoch
  const gap = (to: number) => {
    progress.gaps++
    const next = { epoch: topic.log.epoch, offset: to }
    tellGap(subscription, topic, { epoch, offset }, next)
    epoch = next.epoch
    offset = to
  }
  if (from !== undefined && (from.epoch !== topic.log.epoch || offset > topic.log.nextOffset)) {
    gap(topic.log.firstOffset)
  }
  while (!subscription.closed) {
    const log = topic.log
    if (offset < log.firstOffset) gap(log.firstOffset)
    if (offset >= log.nextOffset) {
      topic.attach(subscription)
      return
    }
    const batches = yield* log.read(offset, replayBytes)
    // A log that has lost what it says it has must not keep this fiber busy for ever.
    if (batches.length === 0 && offset < log.nextOffset) gap(log.nextOffset)
    for (const batch of batches) {
      if (batch instanceof Lost) {
        offset = batch.offset
        gap(batch.offset + batch.count)
        continue
      }
      // What is between was compacted away, and is no loss.
      offset = batch.offset + batch.count
      if (!subscription.isFor(batch)) continue
      yield* subscription.deliverWhenRoom(batch)
      progress.messages += batch.count
      subscription.session.hub.counters.messagesReplayed += batch.count
    }
  }
})

/** Topics that the pattern matches now, and those the client says it knows. */
const topicsOf = (
  subscription: Subscription,
  resumed: ReadonlyMap<string, Position>
): ReadonlyArray<Topic> => {
  const hub = subscription.session.hub
  const topics = new Set<Topic>()
  hub.wake(subscription.pattern)
  hub.forEachTopic(subscription.pattern, (topic) => topics.add(topic))
  for (const name of resumed.keys()) {
    const topic = hub.topicNamed(name)
    if (typeof topic !== "string") topics.add(topic)
  }
  for (const topic of topics) topic.detach(subscription)
  return [...topics]
}

/**
 * Begins a subscription. `now` takes effect at once; any other start is replayed by a fiber of the session's.
 * `resumed` are the client's positions, only of topics that the pattern matches.
 */
export const begin = (
  subscription: Subscription,
  start: Start,
  resumed: ReadonlyMap<string, Position>
): void => {
  const { hub, outlet, number } = subscription.session
  if (start._tag === "Now") {
    hub.forEachTopic(subscription.pattern, (topic) => topic.attach(subscription))
    return
  }
  const topics = topicsOf(subscription, resumed)
  const progress: Progress = { messages: 0, gaps: 0 }
  const replay = Effect.gen(function* (): Effect.gen.Return<void, MessageLogError, Scope.Scope> {
    // Before the first is replayed: what is published to the others meanwhile must not move where they begin.
    const beginnings: Array<Position | undefined> = []
    for (const topic of topics) topic.replays++
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const topic of topics) topic.replays--
      })
    )
    for (const topic of topics) {
      yield* topic.whenOpen
      beginnings.push(yield* beginning(topic, start, resumed))
    }
    for (const [index, topic] of topics.entries())
      yield* catchUp(subscription, topic, beginnings[index], progress)
    if (subscription.closed) return
    outlet.control({
      _tag: "CaughtUp",
      session: number,
      subscription: subscription.id,
      messages: progress.messages
    })
    if (start._tag === "Resume" && progress.gaps === 0) {
      outlet.control({
        _tag: "Recovered",
        session: number,
        subscription: subscription.id,
        messages: progress.messages
      })
    }
  })
  const traced = Effect.withSpan(Effect.scoped(replay), "Subscription.replay", {
    attributes: { pattern: subscription.pattern, start: start._tag, topics: topics.length }
  })
  subscription.session.fork(
    Effect.catchCause(traced, (cause) =>
      Effect.andThen(
        Effect.logWarning("a replay failed", cause),
        Effect.sync(() => subscription.session.close("hub-failed", subscription.id))
      )
    )
  )
}
