/**
 * The SDK for those who do not write Effect: promises and async iterables over a Layer of `Polestar`.
 *
 *     const client = await connect(layer)
 *     await client.publish("weather.london", { celsius: 12 })
 *     for await (const { topic, value } of client.subscribe("weather.>")) console.log(topic, value)
 *
 * Topics are plain strings, with values of type `unknown` (see `Topic.dynamic`), or typed topics. What fails is
 * thrown as a `PolestarError`, and so is a failure of a subscription, out of its loop. What is asked of a client that
 * is closed, or was under way when it was, is refused as `Closed`.
 */
import {
  Cause,
  type Context,
  Effect,
  Exit,
  type Layer,
  ManagedRuntime,
  Predicate,
  Scope,
  Stream
} from "effect"
import type { ConnectionState, Receipt } from "./Client.ts"
import type { Delivery } from "./Delivery.ts"
import type { Failure } from "./Failure.ts"
import type { GroupConsumeOptions } from "./GroupConsuming.ts"
import type { GroupDelivery } from "./GroupSubscription.ts"
import { Polestar, type PolestarMetrics, type TopicInfo } from "./Polestar.ts"
import { Closed, PolestarError } from "./PolestarError.ts"
import type { PublishAllOptions, PublishOptions } from "./Publishing.ts"
import type { SubscribeOptions, Subscription } from "./Subscribing.ts"
import * as Topic from "./Topic.ts"

export interface PromiseSubscription<A, Params = Topic.NoParams>
  extends AsyncIterableIterator<Delivery<A, Params>, undefined, undefined> {
  /** Subscribes if nothing was asked for yet, and answers when the hub has confirmed it. */
  readonly ready: () => Promise<void>
  /** Unsubscribes, as leaving a `for await` does. */
  readonly return: () => Promise<IteratorReturnResult<undefined>>
}

/** As of `Polestar.consume`. */
export interface PromiseGroupOptions extends GroupConsumeOptions<unknown, never> {
  /** Chooses for each failure what becomes of its message. */
  readonly onFailure?: ((error: unknown, delivery: GroupDelivery<unknown, unknown>) => Failure) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface PromiseClient {
  /** Answers when the hub has taken the message. By a plain string: bytes go as bytes, all else as JSON. */
  readonly publish: {
    (topic: string, value: unknown, options?: PublishOptions): Promise<Receipt>
    <A>(topic: Topic.TopicTarget<A>, value: A, options?: PublishOptions): Promise<Receipt>
  }
  /** In order, with a receipt each. */
  readonly publishAll: {
    (
      topic: string,
      values: Iterable<unknown>,
      options?: PublishAllOptions<unknown>
    ): Promise<ReadonlyArray<Receipt>>
    <A>(
      topic: Topic.TopicTarget<A>,
      values: Iterable<A>,
      options?: PublishAllOptions<A>
    ): Promise<ReadonlyArray<Receipt>>
  }
  /**
   * For one `for await`. It subscribes with the first step, or with `ready`, and unsubscribes when the loop is
   * left. Closing the client ends the loop.
   */
  readonly subscribe: {
    (pattern: string, options?: SubscribeOptions): PromiseSubscription<unknown>
    <A, Params>(
      topic: Topic.TopicSource<A, Params>,
      options?: SubscribeOptions
    ): PromiseSubscription<A, Params>
  }
  /**
   * Runs a handler for each message of a group, as one of its members: a promise that is fulfilled acknowledges,
   * one that is rejected is a failed attempt; see `Polestar.consume`. It is done when `signal` is aborted or the client
   * closed, which gives back what is being handled, and rejected if the subscription fails.
   */
  readonly consume: {
    (
      pattern: string,
      options: PromiseGroupOptions,
      handler: PromiseHandler<unknown, Topic.NoParams>
    ): Promise<void>
    <A, Params>(
      topic: Topic.TopicSource<A, Params>,
      options: PromiseGroupOptions,
      handler: PromiseHandler<A, Params>
    ): Promise<void>
  }
  readonly topics: (pattern?: string) => Promise<ReadonlyArray<TopicInfo>>
  readonly stats: () => Promise<{ readonly [name: string]: unknown }>
  readonly metrics: () => PolestarMetrics
  readonly state: () => ConnectionState
  /** Ends all subscriptions and the connection. */
  readonly close: () => Promise<void>
}

/** Connects, and fails if the first connection cannot be made. */
export const connect = async <E>(layer: Layer.Layer<Polestar, E>): Promise<PromiseClient> => {
  const runtime = ManagedRuntime.make(layer)
  try {
    const star = await runtime.runPromise(Polestar)
    return makeClient(runtime, star)
  } catch (error) {
    await runtime.dispose()
    throw error
  }
}

type Runtime = ManagedRuntime.ManagedRuntime<Polestar, unknown>
type RunPromise = <A>(effect: Effect.Effect<A, PolestarError>) => Promise<A>
type Leave = () => Promise<IteratorReturnResult<undefined>>

const makeClient = (runtime: Runtime, star: Polestar["Service"]): PromiseClient => {
  const live = new Set<Leave>()
  let isClosed = false
  const refused = () => new PolestarError({ reason: new Closed() })
  const run: RunPromise = async (effect) => {
    if (isClosed) throw refused()
    const exit = await runtime.runPromiseExit(effect)
    if (Exit.isSuccess(exit)) return exit.value
    throw isClosed && Cause.hasInterruptsOnly(exit.cause) ? refused() : Cause.squash(exit.cause)
  }
  return {
    publish: <A>(topic: string | Topic.TopicTarget<A>, value: A, options?: PublishOptions) =>
      run(
        !Predicate.isString(topic)
          ? star.publish(topic, value, options)
          : value instanceof Uint8Array
            ? star.publish(Topic.raw<string>(topic), value, options)
            : star.publish<unknown>(Topic.dynamic<string>(topic), value, options)
      ),
    publishAll: <A>(
      topic: string | Topic.TopicTarget<A>,
      values: Iterable<A>,
      options?: PublishAllOptions<A>
    ) =>
      run(
        Predicate.isString(topic)
          ? publishAllTo(star, topic, [...values], options)
          : star.publishAll(topic, values, options)
      ),
    subscribe: <A, Params>(topic: string | Topic.TopicSource<A, Params>, options?: SubscribeOptions) =>
      Predicate.isString(topic)
        ? iterate(run, star.open(Topic.dynamic<string>(topic), options), live)
        : iterate(run, star.open(topic, options), live),
    consume: async <A, Params>(...call: NamedCall | TypedCall<A, Params>) => {
      if (isClosed) throw refused()
      await (isNamed(call)
        ? handleAll(runtime, star, Topic.dynamic<string>(call[0]), call[1], call[2], live)
        : handleAll(runtime, star, call[0], call[1], call[2], live))
    },
    topics: (pattern) => run(star.topics(pattern)),
    stats: () => run(star.stats),
    metrics: () => Effect.runSync(star.metrics),
    state: () => Effect.runSync(star.state),
    close: async () => {
      isClosed = true
      await Promise.all([...live].map((leave) => leave()))
      await runtime.dispose()
    }
  }
}

/** To a plain string: bytes if all of them are, else JSON. */
const publishAllTo = <A>(
  star: Polestar["Service"],
  topic: string,
  values: ReadonlyArray<A>,
  options: PublishAllOptions<A> | undefined
): Effect.Effect<ReadonlyArray<Receipt>, PolestarError> => {
  const bytes = values.filter((value) => value instanceof Uint8Array)
  return bytes.length === values.length
    ? star.publishAll(Topic.raw<string>(topic), bytes, options)
    : star.publishAll(Topic.dynamic<string>(topic), values, options)
}

type PromiseHandler<A, Params> = (delivery: GroupDelivery<A, Params>) => Promise<void> | void
type NamedCall = readonly [string, PromiseGroupOptions, PromiseHandler<unknown, Topic.NoParams>]
type TypedCall<A, Params> = readonly [
  Topic.TopicSource<A, Params>,
  PromiseGroupOptions,
  PromiseHandler<A, Params>
]

const isNamed = <A, Params>(call: NamedCall | TypedCall<A, Params>): call is NamedCall =>
  Predicate.isString(call[0])

/** Runs a consumer until it is told to stop, or fails. */
const handleAll = async <A, Params>(
  runtime: Runtime,
  star: Polestar["Service"],
  source: Topic.TopicSource<A, Params>,
  { onFailure, signal, ...options }: PromiseGroupOptions,
  handler: PromiseHandler<A, Params>,
  live: Set<Leave>
): Promise<void> => {
  const closing = new AbortController()
  const handle = (delivery: GroupDelivery<A, Params>) =>
    Effect.tryPromise({ try: async () => handler(delivery), catch: (error): unknown => error })
  const consumer = star.consume(source, options, onFailure === undefined ? handle : { handle, onFailure })
  const running = runtime.runPromiseExit(consumer, {
    signal: signal === undefined ? closing.signal : AbortSignal.any([signal, closing.signal])
  })
  const leave: Leave = async () => {
    closing.abort()
    await running
    return done
  }
  live.add(leave)
  const exit = await running
  live.delete(leave)
  if (Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)) throw Cause.squash(exit.cause)
}

const done: IteratorReturnResult<undefined> = { done: true, value: undefined }

/** One subscription in a scope of its own, which `leave` closes; `live` has it for as long as it is open. */
const iterate = <A, Params>(
  run: RunPromise,
  subscription: Effect.Effect<Subscription<A, Params>, PolestarError, Scope.Scope>,
  live: Set<Leave>
): PromiseSubscription<A, Params> => {
  const scope = Scope.makeUnsafe()
  let source: Promise<AsyncIterator<Delivery<A, Params>>> | undefined
  let leaving: Promise<IteratorReturnResult<undefined>> | undefined
  const start = (): Promise<AsyncIterator<Delivery<A, Params>>> => {
    live.add(leave)
    source ??= run(
      Effect.contextWith((context: Context.Context<never>) =>
        Effect.map(Scope.provide(subscription, scope), ({ messages }) =>
          Stream.toAsyncIterableWith(messages, context)[Symbol.asyncIterator]()
        )
      )
    )
    return source
  }
  const end = async (): Promise<IteratorReturnResult<undefined>> => {
    live.delete(leave)
    try {
      const iterator = await source
      await iterator?.return?.()
    } catch {
      // Subscribing failed, which whoever waited for it was told.
    }
    await Effect.runPromise(Scope.close(scope, Exit.void))
    return done
  }
  const leave: Leave = () => {
    leaving ??= end()
    return leaving
  }
  return {
    ready: async () => {
      await start()
    },
    next: async () => {
      if (leaving !== undefined) return leaving
      try {
        const step = await (await start()).next()
        return step.done === true ? await leave() : step
      } catch (error) {
        await leave()
        throw error
      }
    },
    return: leave,
    [Symbol.asyncIterator]() {
      return this
    }
  }
}
