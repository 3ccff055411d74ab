/**
 * The hub: the supervisor of topics, connections and their sessions. It is a Layer; when its scope closes it
 * drains: it says it is shutting down, lets mailboxes run empty within a time limit, and says goodbye.
 */
import { Cause, Context, Deferred, Effect, Layer, Schedule, Scope } from "effect"
import type { CloseReason } from "../protocol/CloseReason.ts"
import type { Duplex } from "../protocol/Duplex.ts"
import { duplexPair } from "../protocol/DuplexPair.ts"
import { type ErrorCode, errorMessage } from "../protocol/ErrorCode.ts"
import { checkTopicName } from "../protocol/TopicName.ts"
import { Auth, everybody } from "../services/Auth.ts"
import { Counters } from "../services/Counters.ts"
import { type HubMetrics, metricsOf, registerMetrics } from "../services/HubMetrics.ts"
import { MessageLog } from "../services/MessageLog.ts"
import { makePublishRate, type PublishRate } from "../services/PublishRate.ts"
import { Settings } from "../services/Settings.ts"
import { StateStore, type StateStoreError } from "../services/StateStore.ts"
import { makeActorSystem } from "./ActorSystem.ts"
import { Alarm } from "./Alarm.ts"
import { makeBatchTracer } from "./BatchTracer.ts"
import { Connections } from "./Connections.ts"
import { Delays } from "./Delays.ts"
import type { ConnectionOptions, Served } from "./FrameHost.ts"
import { DeadLetters } from "./groups/DeadLetters.ts"
import { Groups } from "./groups/Groups.ts"
import { watchHolding } from "./Holding.ts"
import { answerRequest } from "./HubRequests.ts"
import { gaugesOf, Rates, type TopicInfo, topicsOf } from "./HubView.ts"
import { type LocalClient, LocalConnection, type LocalOutlet, localClient } from "./LocalConnection.ts"
import { Refusals, type Refused } from "./Refusals.ts"
import { Registry } from "./Registry.ts"
import { serve } from "./ServeConnection.ts"
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
    /** Serves the client at the other end until it goes or is sent away. Never fails. */
    readonly serve: (duplex: Duplex) => Effect.Effect<void>
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
    /** The topics that the pattern matches, by name. */
    readonly topics: (pattern: string) => Effect.Effect<ReadonlyArray<TopicInfo>>
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
  const store = yield* StateStore
  const auth = yield* Auth
  const context = yield* Effect.context<never>()
  // The actors' own scope, made before the drain is registered, so that it closes after the drain that needs them.
  const actors = yield* Scope.fork(yield* Effect.scope)
  const system = yield* Effect.provideService(makeActorSystem(settings.queueTotalBytes), Scope.Scope, actors)
  const counters = new Counters()
  const rates = new Rates()
  const supervisor = new Supervisor(system, counters, settings)
  const connections = new Connections({ system, counters, max: settings.maxConnections })
  const refusals = new Refusals(system, counters)
  const rate = yield* makePublishRate
  const id = crypto.randomUUID()
  const registry = new Registry({
    system,
    counters,
    settings,
    messageLog,
    tracer: makeBatchTracer(context, system, counters),
    failed: (topic, batch, cause) => {
      batch.publisher?.reject(batch, "topic-failed", errorMessage("topic-failed"))
      return supervisor.restart(`topic ${topic.name}`, Cause.squash(cause))
    },
    refused: (topic, batch, error) => {
      const code = error.reason === "full" ? "storage-full" : "topic-failed"
      batch.publisher?.reject(batch, code, errorMessage(code))
      // Its topic was removed: no failure either.
      if (error.reason === "closed") return undefined
      if (error.reason !== "full") return supervisor.restart(`topic ${topic.name}`, error)
      // No failure of the topic's: it takes messages again when there is room.
      counters.storageFull += batch.count
      return undefined
    },
    held: () => delays.check(),
    topicMade: (topic) => groups.topicMade(topic),
    topicRemoved: (topic) => {
      groups.topicRemoved(topic)
      deadLetters.topicRemoved(topic.name)
    }
  })
  const delays = new Delays(registry, messageLog)
  const groups = new Groups(registry, store, id)
  const deadLetters = new DeadLetters(registry, store, groups)
  yield* groups.load()
  yield* deadLetters.load
  delays.check()
  const metrics = Effect.sync(() =>
    metricsOf(counters, gaugesOf(registry, connections, messageLog, groups, rates))
  )
  const topics = (pattern: string) => Effect.sync(() => topicsOf(registry, pattern))
  const options: ConnectionOptions = {
    registry,
    groups,
    connections,
    refusals,
    rate,
    auth,
    hubId: id,
    maxMessage: settings.maxMessageSize,
    maxFrame: settings.maxMessageSize + frameOverhead,
    answer: answerRequest({
      metrics,
      topics,
      registry,
      groups,
      deadLetters,
      maxAnswer: settings.maxMessageSize + frameOverhead / 2
    })
  }

  const serveDuplex = (duplex: Duplex, to: ConnectionOptions = options): Effect.Effect<void> => {
    let served: Served | undefined
    const serving = serve(duplex, to, (connection) => {
      served = connection
      const { refusal } = connections
      connections.add(connection)
      if (refusal !== undefined) connection.turnAway(refusal)
    })
    const left = Effect.sync(() => {
      if (served !== undefined) connections.delete(served)
    })
    return Effect.ensuring(serving, left)
  }

  const openLocal = (outlet: LocalOutlet, client: LocalClient) =>
    Effect.suspend(() => {
      const { refusal } = connections
      if (refusal !== undefined) return Effect.fail(refusal)
      const connection = new LocalConnection(options, outlet, client)
      connections.add(connection)
      const refused = connections.identified(connection, client.identity)
      if (refused === undefined) return Effect.succeed(connection)
      connection.reason = refused
      connections.delete(connection)
      return Effect.fail(refused)
    })
  const closeLocal = (connection: LocalConnection) =>
    Effect.sync(() => {
      connection.end("normal")
      Deferred.doneUnsafe(connection.gone, Effect.void)
      connections.delete(connection)
    })
  const connectLocal = (
    outlet: LocalOutlet,
    client = localClient
  ): Effect.Effect<LocalConnection, CloseReason, Scope.Scope> =>
    Effect.gen(function* () {
      const connection = yield* Effect.acquireRelease(openLocal(outlet, client), closeLocal)
      const { expiresAt } = client.identity
      const expired = () => connection.end("token-expired")
      if (Number.isFinite(expiresAt))
        new Alarm(system, expired, undefined, yield* Effect.scope).set(expiresAt)
      return connection
    })

  // Whoever asks first drains; the others wait for that.
  const drain = yield* Effect.cached(drainOf(registry, groups, connections))
  // Before the drain, so that it ends after it and what the drain counts is still seen.
  yield* registerMetrics(counters, () => gaugesOf(registry, connections, messageLog, groups, rates))
  yield* Effect.addFinalizer(() => drain)
  yield* Effect.forkScoped(Effect.repeat(registry.sweep, Schedule.spaced(sweepInterval)))
  const tick = Effect.sync(() => rates.tick(counters))
  yield* Effect.forkScoped(Effect.repeat(tick, Schedule.spaced("1 second")))
  const checkWriting = Effect.sync(() => {
    for (const connection of connections) connection.checkWriting()
  })
  yield* Effect.forkScoped(Effect.repeat(checkWriting, Schedule.spaced(settings.clientWriteTimeout)))

  yield* watchHolding(auth, connections)

  const end = Effect.sync(() => {
    for (const connection of connections) connection.end("hub-failed")
  })
  yield* Effect.forkScoped(
    Effect.catch(Deferred.await(supervisor.failed), (error) =>
      Effect.andThen(Effect.logError("the hub cannot go on", error), end)
    )
  )

  return Hub.of({
    id,
    serve: (duplex) => serveDuplex(duplex),
    connect: Effect.gen(function* () {
      const [ours, theirs] = duplexPair()
      yield* Effect.addFinalizer(() => Effect.sync(() => theirs.end()))
      // Whoever is in this process need not say who it is.
      system.fork(serveDuplex(ours, { ...options, auth: everybody }))
      return theirs
    }),
    connectLocal,
    refused: (refused, times) => refusals.add(refused, times),
    rate,
    metrics,
    topics,
    createTopic: (name) =>
      Effect.suspend(() => {
        if (checkTopicName(name) !== undefined) return Effect.fail<ErrorCode>("invalid-topic")
        if (registry.topics.get(name) !== undefined) return Effect.succeed(false)
        const topic = registry.create(name)
        return typeof topic === "string" ? Effect.fail(topic) : Effect.succeed(true)
      }).pipe(Effect.withSpan("Hub.createTopic", { attributes: { topic: name } })),
    failure: Deferred.await(supervisor.failed),
    drain
  })
})

/** Ends a hub in order: nothing new, then empty mailboxes, then goodbye. */
const drainOf = (registry: Registry, groups: Groups, connections: Connections): Effect.Effect<void> => {
  const emptied = Effect.gen(function* () {
    const isBusy = () => {
      let busy = false
      registry.topics.forEach((topic) => {
        busy ||= !topic.isSettled
      })
      return busy || !groups.isSaved || [...connections].some((connection) => connection.isWaiting)
    }
    // Mailboxes empty as their clients read and grant credit, and what waited for them comes after.
    yield* Effect.repeat(Effect.void, { schedule: Schedule.spaced("10 millis"), while: isBusy })
  })
  const drain = Effect.gen(function* () {
    connections.isDraining = true
    for (const connection of connections) connection.isDraining = true
    yield* Effect.timeoutOption(emptied, registry.settings.drainTimeout)
    for (const connection of connections) connection.end("shutting-down")
    const gone = Effect.forEach(connections, (connection) => Deferred.await(connection.gone), {
      concurrency: "unbounded",
      discard: true
    })
    yield* Effect.timeoutOption(gone, registry.settings.writeTimeout)
  })
  return Effect.withSpan(drain, "Hub.drain")
}
