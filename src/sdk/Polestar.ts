/**
 * The SDK: typed topics over one hub, remote or in this process. It runs in Node and in browsers; which hub it
 * talks to, and over what, is its Layer.
 */
import { type Clock, Context, Effect, Layer, Result, type Scope, Stream } from "effect"
import {
  type DeadLetters,
  type Groups,
  listTopics,
  makeDeadLetters,
  makeGroups,
  readStats,
  removeTopic,
  type TopicInfo
} from "./Administration.ts"
import type * as Client from "./Client.ts"
import { type ConsumeCounts, type ConsumeOptions, consume, type Handler, type Handlers } from "./Consuming.ts"
import type { Delivery, SubscriptionEvent } from "./Delivery.ts"
import {
  consumeGroup,
  type GroupConsumeOptions,
  type GroupHandler,
  type GroupHandlers
} from "./GroupConsuming.ts"
import { type GroupSubscription, type JoinOptions, join } from "./GroupSubscription.ts"
import { makeClient } from "./MakeClient.ts"
import type { PolestarError } from "./PolestarError.ts"
import {
  encodeMessage,
  encodeMessages,
  engineOptions,
  headersWith,
  type PublishAllOptions,
  type PublishOptions
} from "./Publishing.ts"
import { open, type SubscribeOptions, type Subscription } from "./Subscribing.ts"
import type { TopicSource, TopicTarget } from "./Topic.ts"
import { withProducerSpan } from "./Tracing.ts"

export type { TopicInfo } from "./Administration.ts"

export interface PolestarMetrics extends Client.ClientMetrics, Readonly<ConsumeCounts> {}

export type PolestarOptions = Parameters<typeof makeClient>[0]

export class Polestar extends Context.Service<
  Polestar,
  {
    /**
     * Publishes one value, and answers when the hub has taken it, as the receipt says. What is published at the
     * same time is sent together, so publish concurrently, or use `publishAll`, where throughput matters.
     * Fails with `MessageInvalid` or `EncodeFailed` before anything is sent; see `PolestarError` for the rest.
     */
    readonly publish: <A>(
      target: TopicTarget<A>,
      value: A,
      options?: PublishOptions
    ) => Effect.Effect<Client.Receipt, PolestarError>
    /**
     * Publishes values in order, with a receipt each. None is sent if one of them cannot be encoded; if it fails
     * later, some may have been published.
     */
    readonly publishAll: <A>(
      target: TopicTarget<A>,
      values: Iterable<A>,
      options?: PublishAllOptions<A>
    ) => Effect.Effect<ReadonlyArray<Client.Receipt>, PolestarError>
    /**
     * The messages of a topic, a family or a pattern, as they come: at most once, in the order of each topic.
     * Subscribes when the stream is run and unsubscribes when it ends. A message that cannot be decoded is left
     * out, counted, and the first one of a stream logged; `events` has them.
     */
    readonly subscribe: <A, Params>(
      source: TopicSource<A, Params>,
      options?: SubscribeOptions
    ) => Stream.Stream<Delivery<A, Params>, PolestarError>
    /** All that a subscription hears: messages, those that cannot be decoded, what was dropped, recovered, lost. */
    readonly events: <A, Params>(
      source: TopicSource<A, Params>,
      options?: SubscribeOptions
    ) => Stream.Stream<SubscriptionEvent<A, Params>, PolestarError>
    /**
     * Subscribes now, and answers when the hub has confirmed it: what is published after that arrives. The
     * streams of what it answers are `events` and `subscribe`'s; it unsubscribes with the scope.
     */
    readonly open: <A, Params>(
      source: TopicSource<A, Params>,
      options?: SubscribeOptions
    ) => Effect.Effect<Subscription<A, Params>, PolestarError, Scope.Scope>
    /**
     * Joins a group, and answers when the hub has confirmed it: its messages are shared with the other members, and are
     * to be acknowledged or refused. Leaves with the scope, which gives everything back at once. A new group starts now,
     * unless `start` says otherwise.
     */
    readonly join: <A, Params>(
      source: TopicSource<A, Params>,
      options: JoinOptions
    ) => Effect.Effect<GroupSubscription<A, Params>, PolestarError, Scope.Scope>
    readonly consume: Consume
    /** The hub's topics that match a pattern, or all but its own. */
    readonly topics: (pattern?: string) => Effect.Effect<ReadonlyArray<TopicInfo>, PolestarError>
    /** Deletes a topic's log. What groups had not acknowledged of it is lost to them. */
    readonly removeTopic: (name: string) => Effect.Effect<void, PolestarError>
    /** The hub's groups: to look at, to make, to set and to remove. */
    readonly groups: Groups
    /** What groups gave up on: to look at, to give to its group again, to drop. */
    readonly deadLetters: DeadLetters
    /** The hub's metrics, by name. */
    readonly stats: Effect.Effect<{ readonly [name: string]: unknown }, PolestarError>
    /** Whether there is a connection. */
    readonly state: Effect.Effect<Client.ConnectionState>
    /** The state now, and every change. */
    readonly states: Stream.Stream<Client.ConnectionState>
    /** This client's metrics. */
    readonly metrics: Effect.Effect<PolestarMetrics>
    /** The engine beneath: bytes in, bytes out, and sessions of one's own. */
    readonly client: Client.Client
  }
>()("polestar/sdk/Polestar") {
  /** The service over a client that is there, with one session for as long as the scope. */
  static readonly fromClient = (
    client: Client.Client
  ): Effect.Effect<Polestar["Service"], PolestarError, Scope.Scope> =>
    Effect.clockWith((clock) =>
      Effect.map(client.openSession(), (session) => makeService(client, session, clock))
    )

  /** Connects, and fails with `ConnectFailed` if the first connection cannot be made. */
  static readonly make = (
    options: PolestarOptions
  ): Effect.Effect<Polestar["Service"], PolestarError, Scope.Scope> =>
    Effect.flatMap(makeClient(options), Polestar.fromClient)

  /** A client over any stream of bytes. */
  static readonly layer = (options: PolestarOptions): Layer.Layer<Polestar, PolestarError> =>
    Layer.effect(Polestar, Polestar.make(options))
}

/** A handler for each message, until it is interrupted, or the subscription fails; a defect ends it too. */
export interface Consume {
  /**
   * As a member of a group, at least once. The handler's success acknowledges. After its failure the message comes
   * again: by `retry`, else by the group's backoff; or `{ handle, onFailure }` chooses for each. Interruption gives back
   * at once what it has.
   */
  <A, Params, E, R, E2 = never, R2 = never, R3 = never>(
    source: TopicSource<A, Params>,
    options: GroupConsumeOptions<E, R3>,
    handler: GroupHandler<A, Params, E, R> | GroupHandlers<A, Params, E, R, E2, R2>
  ): Effect.Effect<void, PolestarError | E2, R | R2 | R3>
  /**
   * Live, at most once. A handler's failure is tried again here, as `retry` says, then given to `onFailure` of
   * `{ handle, onFailure }`, or logged.
   */
  <A, Params, E, R, E2 = never, R2 = never, R3 = never>(
    source: TopicSource<A, Params>,
    options: ConsumeOptions<E, R3>,
    handler: Handler<A, Params, E, R> | Handlers<A, Params, E, R, E2, R2>
  ): Effect.Effect<void, PolestarError | E2, R | R2 | R3>
}

type Publishers = Pick<Polestar["Service"], "publish" | "publishAll">

const makePublishers = (session: Client.ClientSession, clock: Clock.Clock): Publishers => ({
  publish: (target, value, options) =>
    withProducerSpan(target.name, (traceparent) => {
      const message = encodeMessage(target, value, options, headersWith(options?.headers, traceparent))
      if (Result.isFailure(message)) return Effect.fail(message.failure)
      const engine = engineOptions(options, clock.currentTimeMillisUnsafe())
      if (Result.isFailure(engine)) return Effect.fail(engine.failure)
      return session.publish(target.name, message.success, engine.success)
    }),
  publishAll: (target, values, options) =>
    withProducerSpan(target.name, (traceparent) => {
      const headers = headersWith(options?.headers, traceparent)
      const messages = encodeMessages(target, values, options, headers)
      if (Result.isFailure(messages)) return Effect.fail(messages.failure)
      const engine = engineOptions(options, clock.currentTimeMillisUnsafe())
      if (Result.isFailure(engine)) return Effect.fail(engine.failure)
      if (messages.success.length === 0) return Effect.succeed([])
      return session.publishAll(target.name, messages.success, engine.success)
    })
})

const makeConsume =
  (client: Client.Client, subscribe: Polestar["Service"]["subscribe"], counts: ConsumeCounts): Consume =>
  <A, Params, E, R, E2, R2, R3>(
    source: TopicSource<A, Params>,
    ...call: LiveCall<A, Params, E, R, E2, R2, R3> | GroupCall<A, Params, E, R, E2, R2, R3>
  ) =>
    isOfGroup(call)
      ? consumeGroup(client, source, call[0], call[1], counts)
      : consume(subscribe(source, call[0]), call[0], call[1], counts)

type LiveCall<A, Params, E, R, E2, R2, R3> = readonly [
  options: ConsumeOptions<E, R3>,
  handler: Handler<A, Params, E, R> | Handlers<A, Params, E, R, E2, R2>
]

type GroupCall<A, Params, E, R, E2, R2, R3> = readonly [
  options: GroupConsumeOptions<E, R3>,
  handler: GroupHandler<A, Params, E, R> | GroupHandlers<A, Params, E, R, E2, R2>
]

const isOfGroup = <A, Params, E, R, E2, R2, R3>(
  call: LiveCall<A, Params, E, R, E2, R2, R3> | GroupCall<A, Params, E, R, E2, R2, R3>
): call is GroupCall<A, Params, E, R, E2, R2, R3> => call[0].group !== undefined

const makeService = (
  client: Client.Client,
  session: Client.ClientSession,
  clock: Clock.Clock
): Polestar["Service"] => {
  const counts: ConsumeCounts = { handled: 0, handlerFailures: 0 }
  const openSubscription: Polestar["Service"]["open"] = (source, options) =>
    open(client, session, source, options)
  const subscribe: Polestar["Service"]["subscribe"] = (source, options) =>
    Stream.unwrap(Effect.map(openSubscription(source, options), ({ messages }) => messages))
  return Polestar.of({
    ...makePublishers(session, clock),
    subscribe,
    events: (source, options) =>
      Stream.unwrap(Effect.map(openSubscription(source, options), ({ events }) => events)),
    open: openSubscription,
    join: (source, options) => join(client, source, options),
    consume: makeConsume(client, subscribe, counts),
    topics: (pattern) => listTopics(client, pattern),
    removeTopic: (name) => removeTopic(client, name),
    groups: makeGroups(client),
    deadLetters: makeDeadLetters(client),
    stats: readStats(client),
    state: client.state,
    states: client.states,
    metrics: Effect.map(client.metrics, (metrics) => ({ ...metrics, ...counts })),
    client
  })
}
