/** The wheel of waits, by a clock that the test sets. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, FiberSet, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Deadlines, makeDeadlines } from "../../../src/transports/http/Deadlines.ts"

describe("deadlines", () => {
  it.effect("deadlines - ring once, not before their time and no more than 20 ms after it", () =>
    Effect.gen(function* () {
      const deadlines = yield* makeDeadlines
      const rung: Array<string> = []
      deadlines.after(1000, () => rung.push("b"))
      deadlines.after(0, () => rung.push("a"))
      deadlines.after(60_000, () => rung.push("c"))
      yield* TestClock.adjust(20)
      assert.deepStrictEqual(rung, ["a"])
      yield* TestClock.adjust(979)
      assert.deepStrictEqual(rung, ["a"])
      yield* TestClock.adjust(21)
      assert.deepStrictEqual(rung, ["a", "b"])
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(rung, ["a", "b", "c"])
    })
  )

  it.effect("deadlines - who stops is not told", () =>
    Effect.gen(function* () {
      const deadlines = yield* makeDeadlines
      const rung: Array<number> = []
      const waits = Array.from({ length: 10 }, (_, n) => deadlines.after(100, () => rung.push(n)))
      for (const [n, wait] of waits.entries()) if (n % 2 === 0) wait.stop()
      yield* TestClock.adjust(200)
      assert.deepStrictEqual(rung, [1, 3, 5, 7, 9])
      for (const wait of waits) wait.stop()
    })
  )

  it.effect("deadlines - nothing runs while nobody waits, also if all who did have stopped", () =>
    Effect.gen(function* () {
      const fibers = yield* FiberSet.make<void>()
      const fork = yield* FiberSet.runtime(fibers)<never>()
      const deadlines = new Deadlines(yield* Clock.Clock, fork)
      const waits = [deadlines.after(30_000, () => {}), deadlines.after(30_000, () => {})]
      for (const wait of waits) wait.stop()
      yield* TestClock.adjust(40)
      assert.strictEqual(yield* FiberSet.size(fibers), 0)
      let rings = 0
      const early = deadlines.after(100, () => rings++)
      deadlines.after(1000, () => rings++)
      early.stop()
      yield* TestClock.adjust(1020)
      assert.strictEqual(rings, 1)
      assert.strictEqual(yield* FiberSet.size(fibers), 0)
    })
  )

  it.effect("deadlines - work again after nobody waited, and from within a ring", () =>
    Effect.gen(function* () {
      const deadlines = yield* makeDeadlines
      const rung: Array<number> = []
      deadlines.after(100, () => {
        rung.push(1)
        deadlines.after(0, () => rung.push(2))
      })
      yield* TestClock.adjust("1 minute")
      deadlines.after(100, () => rung.push(3))
      yield* TestClock.adjust(99)
      assert.deepStrictEqual(rung, [1, 2])
      yield* TestClock.adjust(21)
      assert.deepStrictEqual(rung, [1, 2, 3])
    })
  )

  it.effect("deadlines - one that fails does not keep the others from ringing", () =>
    Effect.gen(function* () {
      const deadlines = yield* makeDeadlines
      const rung: Array<number> = []
      deadlines.after(100, () => {
        throw new Error("a defect")
      })
      deadlines.after(100, () => rung.push(1))
      deadlines.after(200, () => rung.push(2))
      yield* TestClock.adjust(300)
      assert.deepStrictEqual(rung, [1, 2])
    })
  )

  it.effect("deadlines - none rings after the scope has closed", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const deadlines = yield* Scope.provide(makeDeadlines, scope)
      let rings = 0
      deadlines.after(100, () => rings++)
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust(1000)
      assert.strictEqual(rings, 0)
    })
  )
})
