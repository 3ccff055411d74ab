/**
 * A handler for every message of a live subscription.
 *
 * Delivery is at most once: a message whose handler failed, after its retries, goes to `onFailure` and is then done
 * with. A handler that dies (a defect) ends the consumer. While the circuit is open nothing is handled, and what
 * arrives waits, in this client and in the hub, within the subscription's bounds.
 */
import { Effect, type Schedule, Scope, Stream } from "effect"
import { type CircuitBreakerOptions, type Guard, makeGuard } from "./CircuitGuard.ts"
import type { Delivery } from "./Delivery.ts"
import type { PolestarError } from "./PolestarError.ts"
import type { SubscribeOptions } from "./Subscribing.ts"
import { type TraceMode, withConsumerSpan } from "./Tracing.ts"

export type Handler<A, Params, E, R> = (delivery: Delivery<A, Params>) => Effect.Effect<void, E, R>

/** A handler, and what to do with its failures. `handle` stands first, so that its errors are known to `onFailure`. */
export interface Handlers<A, Params, E, R, E2, R2> {
  readonly handle: Handler<A, Params, E, R>
  /** For a message whose handler failed for good. If it fails, so does the consumer. */
  readonly onFailure: (error: NoInfer<E>, delivery: Delivery<A, Params>) => Effect.Effect<void, E2, R2>
}

/** Options of every consumer. */
export interface HandlingOptions {
  /** Handlers at once. Default 1, which keeps the order; with more, they start in order and end in any. */
  readonly concurrency?: number | undefined
  /** Stops handling for a while when handlers fail. Local retries of one message are one outcome. Default none. */
  readonly circuitBreaker?: CircuitBreakerOptions | undefined
  /** How the handler's span relates to the message's trace. Default `"child"`. */
  readonly trace?: TraceMode | undefined
}

/** Without a `group` the consumer is a live one. */
export interface ConsumeOptions<E, R3> extends SubscribeOptions, HandlingOptions {
  readonly group?: undefined
  /** When to run a failed handler again, for the same message. Default never. */
  readonly retry?: Schedule.Schedule<unknown, E, never, R3> | undefined
}

/** Counts of one client's consumers, since it was made. */
export interface ConsumeCounts {
  handled: number
  handlerFailures: number
}

/** Runs the handler for each message, until the stream ends or fails. Without `onFailure` a failure is logged. */
export const consume = <A, Params, E, R, E2, R2, R3>(
  messages: Stream.Stream<Delivery<A, Params>, PolestarError>,
  options: ConsumeOptions<E, R3>,
  handler: Handler<A, Params, E, R> | Handlers<A, Params, E, R, E2, R2>,
  counts: ConsumeCounts
): Effect.Effect<void, PolestarError | E2, R | R2 | R3> =>
  // The circuit's scope is not the handler's: a handler that asks for one means its own.
  Effect.scopedWith((scope) =>
    Effect.flatMap(Scope.provide(makeGuard(options.circuitBreaker), scope), (guard) =>
      run(messages, options, handler, counts, guard)
    )
  )

const run = <A, Params, E, R, E2, R2, R3>(
  messages: Stream.Stream<Delivery<A, Params>, PolestarError>,
  options: ConsumeOptions<E, R3>,
  handler: Handler<A, Params, E, R> | Handlers<A, Params, E, R, E2, R2>,
  counts: ConsumeCounts,
  guard: Guard
): Effect.Effect<void, PolestarError | E2, R | R2 | R3> => {
  const { retry, trace = "child" } = options
  const handle = typeof handler === "function" ? handler : handler.handle
  const onFailure = typeof handler === "function" ? undefined : handler.onFailure
  return runEach(messages, options.concurrency, (delivery): Effect.Effect<void, E2, R | R2 | R3> => {
    const once = Effect.suspend(() => handle(delivery))
    const traced = withConsumerSpan(trace, delivery, retry === undefined ? once : Effect.retry(once, retry))
    return Effect.matchEffect(guard(traced), {
      onSuccess: () => {
        counts.handled++
        return Effect.void
      },
      onFailure: (error): Effect.Effect<void, E2, R2> => {
        counts.handlerFailures++
        return onFailure === undefined ? logFailure(error, delivery) : onFailure(error, delivery)
      }
    })
  })
}

/** Runs an effect for each element, so many at once. */
export const runEach = <A, E, E2, R>(
  stream: Stream.Stream<A, E>,
  concurrency = 1,
  f: (element: A) => Effect.Effect<void, E2, R>
): Effect.Effect<void, E | E2, R> =>
  concurrency === 1
    ? Stream.runForEach(stream, f)
    : Stream.runDrain(Stream.mapEffect(stream, f, { concurrency, unordered: true }))

export const logFailure = (error: unknown, delivery: Delivery<unknown, unknown>): Effect.Effect<void> =>
  Effect.logWarning("The handler of a message failed", error).pipe(
    Effect.annotateLogs({ topic: delivery.topic, ...delivery.position })
  )
