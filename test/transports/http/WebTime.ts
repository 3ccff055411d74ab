/** Requests over real sockets where the rest goes by a clock that the test sets. */
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"

/** Gives the sockets their time, of which the test's clock knows nothing. */
export const socketsDo = TestClock.withLive(Effect.sleep(5))

export const until = <E, R>(isSo: Effect.Effect<boolean, E, R>) =>
  Effect.gen(function* () {
    while (!(yield* isSo)) yield* socketsDo
  })

/** Lets time pass, in steps of so many milliseconds, until it is done. */
export const timely = <A, E, R>(asking: Effect.Effect<A, E, R>, step = 20) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(asking, { startImmediately: true })
    while (fiber.pollUnsafe() === undefined) {
      yield* socketsDo
      yield* TestClock.adjust(step)
    }
    return yield* Fiber.join(fiber)
  })
