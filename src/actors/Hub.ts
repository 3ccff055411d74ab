/**
 * The hub: the supervisor of topics, connections and their sessions. It is a Layer; when its scope closes it
 * drains: it says it is shutting down, lets mailboxes run empty within a time limit, and says goodbye.
 */
import { Context, Deferred, Effect, Layer, Schedule, Scope } from "effect"
import type { CloseReason } from "../protocol/CloseReason.ts"
import type { Duplex } from "../protocol/Duplex.ts"
import type { ErrorCode } from "../protocol/ErrorCode.ts"
import { checkTopicName } from "../protocol/TopicName.ts"
import { Auth } from "../services/Auth.ts"
import { Counters } from "../services/Counters.ts"
import { type HubMetrics, metricsOf, registerMetrics } from "../services/HubMetrics.ts"
import { MessageLog } from "../services/MessageLog.ts"
import { makePublishRate, type PublishRate } from "../services/PublishRate.ts"
import { Settings } from "../services/Settings.ts"
import type { StateStore, StateStoreError } from "../services/StateStore.ts"
import { makeActorSystem } from "./ActorSystem.ts"
import { Connections } from "./Connections.ts"
import { drainOf } from "./Drain.ts"
import { HubClients } from "./HubClients.ts"
import { answerRequest } from "./HubRequests.ts"
import { makeHubTopics } from "./HubTopics.ts"
import {
  countTopics,
  gaugesOf,
  Rates,
  type TopicInfo,
  type TopicPage,
  TopicQueues,
  topicsOf
} from "./HubView.ts"
import { watchKeys } from "./KeyWatch.ts"
import type { LocalClient, LocalConnection, LocalOutlet } from "./LocalConnection.ts"
import { Refusals, type Refused } from "./Refusals.ts"
import type { Registry } from "./Registry.ts"
import { type HubError, Supervisor } from "./Supervisor.ts"

/** Room in a frame for what surrounds one payload of the largest size. */
const frameOverhead = 131_072
/** Milliseconds between looks for expired messages and idle topics. */
const sweepInterval = 5_000

export class Hub extends Context.Service<
  Hub,
  {
    /** Names this run of the hub. */
    readonly id: string
    /** Serves the client at the other end, on a fiber of the hub's, until it goes, is sent away, or the hub has drained. */
    readonly serve: (duplex: Duplex) => void
    /** A client's end of a connection in memory, closed with the scope. It may do all that clients may. */
    readonly connect: Effect.Effect<Duplex, never, Scope.Scope>
    /**
     * A client of a transport in this process, which has asked who it is, until the scope closes or its identity
     * expires. Fails with the reason if the hub or the identity has as many as it may, or the hub shuts down.
     */
    readonly connectLocal: (
      outlet: LocalOutlet,
      client?: LocalClient
    ) => Effect.Effect<LocalConnection, CloseReason, Scope.Scope>
    /**
     * Counts and logs what a transport refused, before it became anything of the hub's; `times` is how many requests or
     * messages it stands for.
     */
    readonly refused: (refused: Refused, times?: number) => void
    /** What each client may publish in a minute, by whatever it publishes. */
    readonly rate: PublishRate
    /** Everything that the hub counts, now. */
    readonly metrics: Effect.Effect<HubMetrics>
    /** How much there is of what is counted without a look at all of it. */
    readonly counts: Effect.Effect<{ readonly topics: number; readonly subscriptions: number }>
    /** The topics that the pattern matches, in order of name: all of them, or a page. */
    readonly topics: (pattern: string, page?: TopicPage) => Effect.Effect<ReadonlyArray<TopicInfo>>
    /** How many topics there are, open or not. */
    readonly topicCount: Effect.Effect<number>
    /** Makes a topic, also where topics are not made by use; `false` if it is there. */
    readonly createTopic: (name: string) => Effect.Effect<boolean, ErrorCode>
    /** Fails when the hub cannot go on. */
    readonly failure: Effect.Effect<never, HubError>
    /**
     * Stops taking sessions and publishes, waits until mailboxes are empty or the time limit is over, and says
     * goodbye to everyone. Also done when the hub's scope closes.
     */
    readonly drain: Effect.Effect<void>
  }
>()("polestar/actors/Hub") {
  /** Fails if the groups that were there before cannot be read. */
  static readonly layer: Layer.Layer<Hub, StateStoreError, Settings | Auth | MessageLog | StateStore> =
    Layer.effect(
      Hub,
      Effect.suspend(() => make)
    )
}

const make = Effect.gen(function* () {
  const settings = yield* Settings
  const messageLog = yield* MessageLog
  const auth = yield* Auth
  const context = yield* Effect.context<never>()
  // The actors' own scope, made before the drain is registered, so that it closes after the drain that needs them.
  const actors = yield* Scope.fork(yield* Effect.scope)
  const system = yield* Effect.provideService(makeActorSystem(settings.queueTotalBytes), Scope.Scope, actors)
  const counters = new Counters()
  const supervisor = new Supervisor(system, counters, settings)
  const connections = new Connections({ system, counters, max: settings.maxConnections })
  const refusals = new Refusals(system, counters)
  const rate = yield* makePublishRate
  const rates = new Rates()
  const id = crypto.randomUUID()
  const made = yield* makeHubTopics({ hubId: id, system, counters, supervisor, context })
  const { deadLetters, groups, registry } = made
  const queues = new TopicQueues()
  const gauges = () => gaugesOf(registry, connections, messageLog, groups, rates, queues)
  const metrics = Effect.sync(() => metricsOf(counters, gauges()))
  const topics = (pattern: string, page?: TopicPage) => topicsOf(registry, pattern, page)
  const maxAnswer = settings.maxMessageSize + frameOverhead / 2
  const clients = new HubClients({
    registry,
    groups,
    connections,
    refusals,
    rate,
    auth,
    hubId: id,
    maxMessage: settings.maxMessageSize,
    maxFrame: settings.maxMessageSize + frameOverhead,
    answer: answerRequest({ metrics, topics, registry, groups, deadLetters, maxAnswer })
  })

  // Whoever asks first drains; the others wait for that.
  const drain = yield* Effect.cached(drainOf(registry, groups, connections))
  // Before the drain, so that it ends after it and what the drain counts is still seen.
  yield* registerMetrics(counters, gauges)
  yield* Effect.addFinalizer(() => drain)
  const tick = Effect.sync(() => rates.tick(counters))
  yield* Effect.forkScoped(Effect.repeat(tick, Schedule.spaced("1 second")))
  for (const sweep of [registry.sweep, groups.expire])
    yield* Effect.forkScoped(Effect.repeat(sweep, Schedule.spaced(sweepInterval)))
  yield* Effect.forkScoped(
    Effect.repeat(connections.checkWriting, Schedule.spaced(settings.clientWriteTimeout))
  )
  yield* watchKeys(auth, connections)
  yield* Effect.forkScoped(
    Effect.catch(Deferred.await(supervisor.failed), (error) =>
      Effect.andThen(Effect.logError("the hub cannot go on", error), connections.endAll("hub-failed"))
    )
  )

  return Hub.of({
    id,
    serve: (duplex) => void system.fork(clients.serve(duplex)),
    connect: clients.connect,
    connectLocal: (outlet, client) => clients.connectLocal(outlet, client),
    refused: (refused, times) => refusals.add(refused, times),
    rate,
    metrics,
    counts: Effect.sync(() => ({ topics: registry.topics.size, subscriptions: registry.subscriptions.size })),
    topics,
    topicCount: countTopics(registry),
    createTopic: (name) => createTopic(registry, name),
    failure: Deferred.await(supervisor.failed),
    drain
  })
})

const createTopic = (registry: Registry, name: string): Effect.Effect<boolean, ErrorCode> =>
  Effect.suspend(() => {
    if (checkTopicName(name) !== undefined) return Effect.fail<ErrorCode>("invalid-topic")
    if (registry.topics.get(name) !== undefined) return Effect.succeed(false)
    const topic = registry.create(name)
    return typeof topic === "string" ? Effect.fail(topic) : Effect.succeed(true)
  }).pipe(Effect.withSpan("Hub.createTopic", { attributes: { topic: name } }))
