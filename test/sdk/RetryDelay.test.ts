import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Schedule } from "effect"
import { delayOf } from "../../src/sdk/RetryDelay.ts"

const delays = <R>(schedule: Schedule.Schedule<unknown, string, never, R>, attempts: number) =>
  Effect.forEach(
    Array.from({ length: attempts }, (_, index) => index + 1),
    (attempt) =>
      Effect.map(delayOf(schedule, attempt, "error"), (delay) =>
        delay === undefined ? "ended" : Duration.toMillis(delay)
      )
  )

describe("retry delay", () => {
  it.effect("retry delay - is that of the schedule's step of the attempt", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* delays(Schedule.exponential("100 millis"), 4), [100, 200, 400, 800])
      assert.deepStrictEqual(yield* delays(Schedule.spaced("1 second"), 2), [1000, 1000])
    })
  )

  it.effect("retry delay - ends when the schedule does, by its count, its input or the time it took", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* delays(Schedule.recurs(2), 4), [0, 0, "ended", "ended"])
      const fatal = Schedule.spaced("1 second").pipe(
        Schedule.setInputType<string>(),
        Schedule.while(({ input }) => input !== "error")
      )
      assert.deepStrictEqual(yield* delays(fatal, 1), ["ended"])
      const limited = Schedule.spaced("1 second").pipe(Schedule.upTo({ duration: "2500 millis" }))
      assert.deepStrictEqual((yield* delays(limited, 6)).at(-1), "ended")
    })
  )
})
