/** Runs handlers through one circuit breaker: while it is open nothing is handled, and what there is waits. */
import { Duration, Effect, Exit, Layer, Result, type Schedule, type Scope, Semaphore } from "effect"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"

export interface CircuitBreakerOptions {
  /** When it opens: `CircuitBreaker.consecutive(5)`, `CircuitBreaker.rate({ … })`. */
  readonly tripPolicy: CircuitBreaker.TripPolicy
  /** How long it stays open; a schedule gives each opening in a row its own time. */
  readonly openDuration: Duration.Input | Schedule.Schedule<unknown, number>
  /** The longest that it may stay open. Default 1 hour. */
  readonly maxOpenDuration?: Duration.Input | undefined
}

export type Guard = <E, R>(effect: Effect.Effect<void, E, R>) => Effect.Effect<void, E, R>

const unguarded: Guard = (effect) => effect

/** The guard of a consumer; the circuit ends with the scope. */
export const makeGuard = (
  options: CircuitBreakerOptions | undefined
): Effect.Effect<Guard, never, Scope.Scope> =>
  options === undefined ? Effect.succeed(unguarded) : makeCircuit(options)

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
const makeCircuit = Effect.fnUntraced(function* (
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
