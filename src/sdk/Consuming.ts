/**
 * A handler for every message of a subscription.
 *
 * Delivery is at most once: a message whose handler failed, after its retries, goes to `onFailure` and is then done
 * with. A handler that dies (a defect) ends the consumer. While the circuit is open nothing is handled, and what
 * arrives waits, in this client and in the hub, within the subscription's bounds.
 */
import { Duration, Effect, Exit, Layer, Result, type Schedule, Scope, Semaphore, Stream } from "effect"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import type { Delivery } from "./Delivery.ts"
import type { PolestarError } from "./PolestarError.ts"
import type { SubscribeOptions } from "./Subscribing.ts"
import { type TraceMode, withConsumerSpan } from "./Tracing.ts"

export type Handler<A, Params, E, R> = (delivery: Delivery<A, Params>) => Effect.Effect<void, E, R>

export interface CircuitBreakerOptions {
  /** When it opens: `CircuitBreaker.consecutive(5)`, `CircuitBreaker.rate({ … })`. */
  readonly tripPolicy: CircuitBreaker.TripPolicy
  /** How long it stays open; a schedule gives each opening in a row its own time. */
  readonly openDuration: Duration.Input | Schedule.Schedule<unknown, number>
  /** The longest that it may stay open. Default 1 hour. */
  readonly maxOpenDuration?: Duration.Input | undefined
}

export interface ConsumeOptions<A, Params, E, E2, R2, R3> extends SubscribeOptions {
  /** Handlers at once. Default 1, which keeps the order; with more, they start in order and end in any. */
  readonly concurrency?: number | undefined
  /** When to run a failed handler again, for the same message. Default never. */
  readonly retry?: Schedule.Schedule<unknown, NoInfer<E>, never, R3> | undefined
  /** For a message whose handler failed for good. Default: log it as a warning. If it fails, so does the consumer. */
  readonly onFailure?:
    | ((error: NoInfer<E>, delivery: Delivery<A, Params>) => Effect.Effect<void, E2, R2>)
    | undefined
  /** Stops handling for a while when handlers fail. Retries of one message are one outcome. Default none. */
  readonly circuitBreaker?: CircuitBreakerOptions | undefined
  /** How the handler's span relates to the message's trace. Default `"child"`. */
  readonly trace?: TraceMode | undefined
}

/** Counts of one client's consumers, since it was made. */
export interface ConsumeCounts {
  handled: number
  handlerFailures: number
}

/** Runs the handler for each message, until the stream ends or fails. */
export const consume = <A, Params, E, R, E2, R2, R3>(
  messages: Stream.Stream<Delivery<A, Params>, PolestarError>,
  handler: Handler<A, Params, E, R>,
  options: ConsumeOptions<A, Params, E, E2, R2, R3>,
  counts: ConsumeCounts
): Effect.Effect<void, PolestarError | E2, R | R2 | R3> => {
  const { circuitBreaker } = options
  if (circuitBreaker === undefined) return run(messages, handler, options, counts, (effect) => effect)
  // The circuit's scope is not the handler's: a handler that asks for one means its own.
  return Effect.scopedWith((scope) =>
    Effect.flatMap(Scope.provide(makeGuard(circuitBreaker), scope), (guard) =>
      run(messages, handler, options, counts, guard)
    )
  )
}

const run = <A, Params, E, R, E2, R2, R3>(
  messages: Stream.Stream<Delivery<A, Params>, PolestarError>,
  handler: Handler<A, Params, E, R>,
  options: ConsumeOptions<A, Params, E, E2, R2, R3>,
  counts: ConsumeCounts,
  guard: Guard
): Effect.Effect<void, PolestarError | E2, R | R2 | R3> => {
  const { retry, onFailure, concurrency = 1, trace = "child" } = options
  const handle = (delivery: Delivery<A, Params>): Effect.Effect<void, E2, R | R2 | R3> => {
    const once = Effect.suspend(() => handler(delivery))
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
  }
  return concurrency === 1
    ? Stream.runForEach(messages, handle)
    : Stream.runDrain(Stream.mapEffect(messages, handle, { concurrency, unordered: true }))
}

const logFailure = (error: unknown, delivery: Delivery<unknown, unknown>): Effect.Effect<void> =>
  Effect.logWarning("The handler of a message failed", error).pipe(
    Effect.annotateLogs({ topic: delivery.topic, ...delivery.position })
  )

type Guard = <E, R>(effect: Effect.Effect<void, E, R>) => Effect.Effect<void, E, R>

const circuit = "polestar.consume"
/** Between tries while another handler is the probe: milliseconds. */
const probeWait = 20

const waitOf = ({ reason }: CircuitBreaker.CircuitBreakerError): Duration.Duration =>
  Duration.max(
    reason._tag === "CircuitOpen" ? reason.retryAfter : Duration.millis(probeWait),
    Duration.millis(1)
  )

/**
 * Runs effects through one circuit, each of them exactly once: what the circuit rejects waits and is tried again.
 * Those that wait do so in line, since a circuit that has just been half open takes one at a time.
 */
const makeGuard = Effect.fnUntraced(function* (
  options: CircuitBreakerOptions
): Effect.fn.Return<Guard, never, Scope.Scope> {
  const store = yield* Layer.build(CircuitBreaker.layerStoreMemory())
  const breaker = yield* Effect.provideContext(CircuitBreaker.make(options), store)
  const line = yield* Semaphore.make(1)
  return <E, R>(effect: Effect.Effect<void, E, R>) => {
    // The effect's failure travels as a value, and cannot be taken for a rejection by the circuit.
    const attempt = breaker.execute(Effect.result(effect), {
      key: circuit,
      classify: (exit) =>
        Exit.isSuccess(exit) && Result.isSuccess(exit.value)
          ? CircuitBreaker.success
          : CircuitBreaker.failure()
    })
    const untilAdmitted: Effect.Effect<Result.Result<void, E>, never, R> = Effect.catch(
      attempt,
      (rejection) => Effect.andThen(Effect.sleep(waitOf(rejection)), untilAdmitted)
    )
    return Effect.flatMap(
      Effect.catch(attempt, () => line.withPermit(untilAdmitted)),
      Effect.fromResult
    )
  }
})
