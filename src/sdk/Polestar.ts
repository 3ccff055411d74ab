/**
 * The SDK: typed topics over one hub, remote or in this process. It runs in Node and in browsers; which hub it
 * talks to, and over what, is its Layer.
 */
import { Context, Effect, Layer, Result, Schema, type Scope, Stream } from "effect"
import * as Client from "./Client.ts"
import { type ConsumeCounts, type ConsumeOptions, consume, type Handler } from "./Consuming.ts"
import type { Delivery, SubscriptionEvent } from "./Delivery.ts"
import { decodeFailed, type PolestarError } from "./PolestarError.ts"
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

const TopicInfoSchema = Schema.Struct({
  name: Schema.String,
  subscribers: Schema.Number,
  /** Messages that the hub holds. */
  messages: Schema.Number,
  epoch: Schema.Number,
  /** The oldest message held, and the one that comes next. */
  firstOffset: Schema.Number,
  nextOffset: Schema.Number
})

/** What a hub says of one of its topics. */
export type TopicInfo = typeof TopicInfoSchema.Type

const decodeTopics = Schema.decodeUnknownResult(Schema.Array(TopicInfoSchema))
const decodeStats = Schema.decodeUnknownResult(Schema.Record(Schema.String, Schema.Unknown))

export interface PolestarMetrics extends Client.ClientMetrics, Readonly<ConsumeCounts> {}

export type PolestarOptions = Parameters<typeof Client.make>[0]

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
     * Runs a handler for each message until it is interrupted, or the subscription fails. A handler's failure is
     * tried again as `retry` says, then given to `onFailure`; a defect ends the consumer.
     */
    readonly consume: <A, Params, E, R, E2 = never, R2 = never, R3 = never>(
      source: TopicSource<A, Params>,
      handler: Handler<A, Params, E, R>,
      options?: ConsumeOptions<A, Params, E, E2, R2, R3>
    ) => Effect.Effect<void, PolestarError | E2, R | R2 | R3>
    /** The hub's topics that match a pattern, or all but its own. */
    readonly topics: (pattern?: string) => Effect.Effect<ReadonlyArray<TopicInfo>, PolestarError>
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
    Effect.map(client.openSession(), (session) => makeService(client, session))

  /** Connects, and fails with `ConnectFailed` if the first connection cannot be made. */
  static readonly make = (
    options: PolestarOptions
  ): Effect.Effect<Polestar["Service"], PolestarError, Scope.Scope> =>
    Effect.flatMap(Client.make(options), Polestar.fromClient)

  /** A client over any stream of bytes. */
  static readonly layer = (options: PolestarOptions): Layer.Layer<Polestar, PolestarError> =>
    Layer.effect(Polestar, Polestar.make(options))
}

type Publishers = Pick<Polestar["Service"], "publish" | "publishAll">

const makePublishers = (session: Client.ClientSession): Publishers => ({
  publish: (target, value, options) =>
    withProducerSpan(target.name, (traceparent) => {
      const message = encodeMessage(target, value, options, headersWith(options?.headers, traceparent))
      if (Result.isFailure(message)) return Effect.fail(message.failure)
      const engine = engineOptions(options)
      if (Result.isFailure(engine)) return Effect.fail(engine.failure)
      return session.publish(target.name, message.success, engine.success)
    }),
  publishAll: (target, values, options) =>
    withProducerSpan(target.name, (traceparent) => {
      const headers = headersWith(options?.headers, traceparent)
      const messages = encodeMessages(target, values, options, headers)
      if (Result.isFailure(messages)) return Effect.fail(messages.failure)
      const engine = engineOptions(options)
      if (Result.isFailure(engine)) return Effect.fail(engine.failure)
      if (messages.success.length === 0) return Effect.succeed([])
      return session.publishAll(target.name, messages.success, engine.success)
    })
})

/** The hub answers as many topics as fit into a frame; what comes after the last of them is asked for next. */
const allTopics = Effect.fnUntraced(function* (client: Client.Client, pattern: string | undefined) {
  const topics: Array<TopicInfo> = []
  for (;;) {
    const after = topics.at(-1)?.name
    const request = {
      ...(pattern === undefined ? {} : { pattern }),
      ...(after === undefined ? {} : { after })
    }
    const answer = yield* client.request("topics", request)
    const page = yield* Effect.mapError(Effect.fromResult(decodeTopics(answer)), decodeFailed)
    // A hub that does not know `after` answers the same again.
    if (page.length === 0 || (after !== undefined && page.some(({ name }) => name <= after))) return topics
    for (const topic of page) topics.push(topic)
  }
})

const makeService = (client: Client.Client, session: Client.ClientSession): Polestar["Service"] => {
  const counts: ConsumeCounts = { handled: 0, handlerFailures: 0 }
  const openSubscription: Polestar["Service"]["open"] = (source, options) =>
    open(client, session, source, options)
  const subscribe: Polestar["Service"]["subscribe"] = (source, options) =>
    Stream.unwrap(Effect.map(openSubscription(source, options), ({ messages }) => messages))
  return Polestar.of({
    ...makePublishers(session),
    subscribe,
    events: (source, options) =>
      Stream.unwrap(Effect.map(openSubscription(source, options), ({ events }) => events)),
    open: openSubscription,
    consume: (source, handler, options = {}) => consume(subscribe(source, options), handler, options, counts),
    topics: (pattern) => allTopics(client, pattern),
    stats: Effect.flatMap(client.request("stats", {}), (answer) =>
      Effect.mapError(Effect.fromResult(decodeStats(answer)), decodeFailed)
    ),
    state: client.state,
    states: client.states,
    metrics: Effect.map(client.metrics, (metrics) => ({ ...metrics, ...counts })),
    client
  })
}
