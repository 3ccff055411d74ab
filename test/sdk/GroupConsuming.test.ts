import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, References, Schedule } from "effect"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import { TestClock } from "effect/testing"
import * as Failure from "../../src/sdk/Failure.ts"
import { reasonOf, resultOf, start } from "./ClientFixture.ts"
import { settle } from "./FakeHub.ts"
import { acks, connected, inGroup, Numbers, refusals } from "./GroupFixture.ts"

const reconnect = Effect.gen(function* () {
  yield* settle
  yield* TestClock.adjust("10 seconds")
  yield* settle
})

const silently = Effect.provideService(References.MinimumLogLevel, "None")

describe("group consumer", () => {
  it.effect("group consumer - a success acknowledges, what was handled together in one frame", () =>
    Effect.gen(function* () {
      const { give, hub, star } = yield* connected
      const handled: Array<readonly [number, number]> = []
      const fiber = yield* start(
        star.consume(Numbers, { ...inGroup, start: "first" }, ({ attempt, value }) =>
          Effect.sync(() => handled.push([value, attempt]))
        )
      )
      assert.deepInclude(hub.last.of("Join")[0], { group: "g", pattern: "numbers", start: { _tag: "First" } })
      yield* give(0, [10, 11, 12])
      yield* give(3, [13], 3)
      assert.deepStrictEqual(handled, [
        [10, 1],
        [11, 1],
        [12, 1],
        [13, 3]
      ])
      assert.deepStrictEqual(acks(hub), [
        [0, 3],
        [3, 4]
      ])
      assert.deepInclude(yield* star.metrics, { handled: 4, received: 4 })
      yield* Fiber.interrupt(fiber)
      assert.lengthOf(hub.last.of("Refuse"), 0)
      assert.lengthOf(hub.last.of("Unsubscribe"), 1)
    })
  )

  it.effect("group consumer - a failure waits for the group's backoff, unless the consumer chooses", () =>
    Effect.gen(function* () {
      const { give, hub, star } = yield* connected
      const fates = [
        Failure.retry(),
        Failure.retryAfter("3 seconds"),
        Failure.park,
        Effect.succeed(Failure.deadLetter),
        Failure.giveBack
      ]
      yield* start(
        star.consume(Numbers, inGroup, {
          handle: ({ value }) => Effect.fail(new Error(`no ${value}`)),
          onFailure: (error, { value }) => {
            assert.strictEqual(error.message, `no ${value}`)
            return fates[value] ?? Failure.retry()
          }
        })
      )
      yield* give(0, [0, 1, 2, 3, 4])
      assert.deepStrictEqual(refusals(hub), [
        ["again", "backoff", "Error: no 0", 0],
        ["again", 3000, "Error: no 1", 1],
        ["park", "backoff", "Error: no 2", 2],
        ["dead", "backoff", "Error: no 3", 3],
        ["back", "backoff", "Error: no 4", 4]
      ])
      assert.deepStrictEqual(acks(hub), [])
      assert.deepInclude(yield* star.metrics, { handled: 0, handlerFailures: 5 })
    })
  )

  it.effect("group consumer - a plain handler's failure is logged, and waits for the group's backoff", () =>
    Effect.gen(function* () {
      const { give, hub, star } = yield* connected
      yield* start(star.consume(Numbers, inGroup, () => Effect.fail({ _tag: "Busy" })))
      yield* give(0, [0])
      assert.deepStrictEqual(refusals(hub), [["again", "backoff", '{"_tag":"Busy"}', 0]])
    }).pipe(silently)
  )

  for (const [whenExhausted, fate] of [
    [undefined, "dead"],
    ["dead-letter", "dead"],
    ["park", "park"]
  ] as const) {
    it.effect(
      `group consumer - a schedule gives each attempt its delay, then ${fate} (${whenExhausted})`,
      () =>
        Effect.gen(function* () {
          const { give, hub, star } = yield* connected
          const retry = Schedule.exponential("100 millis").pipe(Schedule.upTo({ times: 3 }))
          yield* start(star.consume(Numbers, { ...inGroup, retry, whenExhausted }, () => Effect.fail("busy")))
          for (let attempt = 1; attempt <= 4; attempt++) yield* give(7, [1], attempt)
          assert.deepStrictEqual(refusals(hub), [
            ["again", 100, "busy", 7],
            ["again", 200, "busy", 7],
            ["again", 400, "busy", 7],
            [fate, "backoff", "busy", 7]
          ])
        }).pipe(silently)
    )
  }

  it.effect("group consumer - a retry that was chosen goes by the schedule", () =>
    Effect.gen(function* () {
      const { give, hub, star } = yield* connected
      yield* start(
        star.consume(
          Numbers,
          { ...inGroup, retry: Schedule.spaced("2 seconds") },
          {
            handle: () => Effect.fail("busy"),
            onFailure: (_, { value }) => (value === 0 ? Failure.retry() : Failure.park)
          }
        )
      )
      yield* give(0, [0, 1])
      assert.deepStrictEqual(refusals(hub), [
        ["again", 2000, "busy", 0],
        ["park", "backoff", "busy", 1]
      ])
    })
  )

  it.effect(
    "group consumer - an onFailure that fails, or a defect, ends the consumer; the message comes again",
    () =>
      Effect.gen(function* () {
        const { give, hub, star } = yield* connected
        const stopping = yield* start(
          star.consume(Numbers, inGroup, {
            handle: () => Effect.fail("bad"),
            onFailure: (error) => Effect.fail(`stop: ${error}`)
          })
        )
        yield* give(0, [0, 1])
        assert.deepStrictEqual(resultOf(stopping), Exit.fail("stop: bad"))
        assert.deepStrictEqual(refusals(hub), [
          ["again", "backoff", "bad", 0],
          ["back", "backoff", "", 1]
        ])
        const dying = yield* start(star.consume(Numbers, inGroup, () => Effect.die(new Error("defect"))))
        yield* give(5, [5])
        const exit = resultOf(dying)
        assert.isTrue(exit !== undefined && Exit.isFailure(exit) && Exit.hasDies(exit))
        assert.deepStrictEqual(refusals(hub).at(-1), ["again", "backoff", "Error: defect", 5])
        assert.lengthOf(hub.last.of("Unsubscribe"), 2)
      })
  )

  it.effect(
    "group consumer - interrupted it gives back at once what it has, and waits for the hub to know",
    () =>
      Effect.gen(function* () {
        const { give, hub, star } = yield* connected
        hub.ignored.add("Unsubscribe")
        let interrupted = 0
        const fiber = yield* start(
          star.consume(Numbers, { ...inGroup, concurrency: 2 }, ({ value }) =>
            value === 0
              ? Effect.void
              : Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
          )
        )
        yield* give(0, [0, 1, 2, 3])
        yield* give(4, [4, 5])
        const interrupting = yield* start(Fiber.interrupt(fiber))
        assert.strictEqual(interrupted, 2)
        assert.deepStrictEqual(acks(hub), [[0, 1]])
        // What was not taken is given back by leaving.
        const back = hub.last.of("Refuse").at(-1)
        assert.deepInclude(back, { fate: "back", ranges: [{ from: 1, to: 4 }] })
        const kinds = hub.last.seen.map(({ _tag }) => _tag)
        assert.deepStrictEqual(kinds.slice(-2), ["Refuse", "Unsubscribe"])
        assert.isUndefined(resultOf(interrupting))
        const { request } = hub.last.of("Unsubscribe")[0] ?? {}
        hub.last.send({ _tag: "Unsubscribed", session: 2, request: request ?? 0 })
        yield* settle
        assert.isDefined(resultOf(interrupting))
      })
  )

  it.effect("group consumer - what waits for its turn is held on to; what is being handled is not", () =>
    Effect.gen(function* () {
      const { give, hub, star } = yield* connected
      hub.ackWait = 9000
      yield* start(star.consume(Numbers, inGroup, () => Effect.never))
      yield* give(0, [0, 1, 2])
      yield* give(3, [3])
      yield* TestClock.adjust("2999 millis")
      yield* settle
      assert.lengthOf(hub.last.of("Refuse"), 0)
      yield* TestClock.adjust("1 millis")
      yield* settle
      assert.deepStrictEqual(
        hub.last.of("Refuse").map(({ fate, ranges, request }) => ({ fate, ranges, request })),
        [{ fate: "hold", ranges: [{ from: 1, to: 4 }], request: 0 }]
      )
      yield* TestClock.adjust("3 seconds")
      yield* settle
      assert.lengthOf(hub.last.of("Refuse"), 2)
    })
  )

  it.effect("group consumer - what waits for an open circuit is held on to, and handled when it closes", () =>
    Effect.gen(function* () {
      const { give, hub, star } = yield* connected
      hub.ackWait = 9000
      const seen: Array<number> = []
      const circuitBreaker = {
        tripPolicy: CircuitBreaker.consecutive(1),
        openDuration: "10 seconds"
      } as const
      yield* start(
        star.consume(Numbers, { ...inGroup, circuitBreaker }, ({ value }) => {
          seen.push(value)
          return value === 0 ? Effect.fail("down") : Effect.void
        })
      )
      yield* give(0, [0, 1])
      yield* TestClock.adjust("3 seconds")
      yield* settle
      assert.deepStrictEqual(refusals(hub), [
        ["again", "backoff", "down", 0],
        ["hold", "backoff", "", 1]
      ])
      assert.deepStrictEqual(seen, [0])
      yield* TestClock.adjust("7 seconds")
      yield* settle
      assert.deepStrictEqual(seen, [0, 1])
      assert.deepStrictEqual(acks(hub), [[1, 2]])
    }).pipe(silently)
  )

  it.effect("group consumer - a message that comes again while it is handled has one handler", () =>
    Effect.gen(function* () {
      const { give, hub, star } = yield* connected
      const gate = yield* Latch.make()
      const begun: Array<readonly [number, number]> = []
      yield* start(
        star.consume(Numbers, { ...inGroup, concurrency: 2 }, ({ attempt, value }) => {
          begun.push([value, attempt])
          return gate.await
        })
      )
      yield* give(0, [0, 1, 2])
      yield* give(0, [0, 1, 2], 2)
      assert.deepStrictEqual(begun, [
        [0, 1],
        [1, 1]
      ])
      yield* gate.open
      yield* settle
      assert.deepStrictEqual(begun.slice(2), [[2, 1]])
      assert.deepStrictEqual(
        acks(hub).flatMap(([from = 0, to = 0]) => Array.from({ length: to - from }, (_, i) => from + i)),
        [0, 1, 2]
      )
      assert.deepInclude(yield* star.metrics, { handled: 3 })
    })
  )

  it.effect(
    "group consumer - after a reconnection what was being handled is acknowledged, the rest comes again",
    () =>
      Effect.gen(function* () {
        const { give, hub, star } = yield* connected
        const gate = yield* Latch.make()
        const begun: Array<readonly [number, number]> = []
        yield* start(
          star.consume(Numbers, inGroup, ({ attempt, value }) => {
            begun.push([value, attempt])
            return gate.await
          })
        )
        yield* give(0, [0, 1, 2])
        hub.last.cut()
        yield* reconnect
        // The hub gives all of them again, here; 0 is being handled still.
        yield* give(0, [0, 1, 2], 2)
        assert.deepStrictEqual(begun, [[0, 1]])
        yield* gate.open
        yield* settle
        assert.deepStrictEqual(begun.slice(1), [
          [1, 2],
          [2, 2]
        ])
        assert.deepStrictEqual(acks(hub), [
          [0, 1],
          [1, 3]
        ])
      })
  )

  it.effect(
    "group consumer - an acknowledgement that was on its way is told again, and its message not handled",
    () =>
      Effect.gen(function* () {
        const { give, hub, star } = yield* connected
        hub.ignored.add("Ack")
        let handled = 0
        yield* start(star.consume(Numbers, inGroup, () => Effect.sync(() => handled++)))
        yield* give(0, [0])
        hub.last.cut()
        yield* reconnect
        assert.deepStrictEqual(acks(hub), [[0, 1]])
        yield* give(0, [0, 1], 2)
        assert.strictEqual(handled, 2)
        hub.last.cut()
      })
  )

  it.effect("group consumer - what cannot be decoded is a dead letter, and all else is handled", () =>
    Effect.gen(function* () {
      const { give, hub, star } = yield* connected
      const handled: Array<number> = []
      yield* start(star.consume(Numbers, inGroup, ({ value }) => Effect.sync(() => handled.push(value))))
      yield* give(0, [0, "?", 2])
      assert.deepStrictEqual(handled, [0, 2])
      const [refusal] = refusals(hub)
      assert.deepStrictEqual([refusal?.[0], refusal?.[3]], ["dead", 1])
      assert.match(String(refusal?.[2]), /could not be decoded/)
      assert.deepInclude(yield* star.metrics, { undecodable: 1 })
    }).pipe(silently)
  )

  it.effect("group consumer - ends with an error when its group is removed", () =>
    Effect.gen(function* () {
      const { hub, star } = yield* connected
      const fiber = yield* start(star.consume(Numbers, inGroup, () => Effect.void))
      hub.last.send({ _tag: "Left", session: 2, subscription: 1, reason: "group-removed" })
      yield* settle
      assert.deepInclude(reasonOf(fiber), { _tag: "Disconnected", closeReason: "group-removed" })
    })
  )

  it.effect("group consumer - options that cannot be are told before anything is sent", () =>
    Effect.gen(function* () {
      const { hub, star } = yield* connected
      for (const wrong of [
        { group: "a.b" },
        { group: "" },
        { group: "x".repeat(65) },
        { group: "g", ackWait: 0 },
        { group: "g", maxDeliveries: 65_535 },
        { group: "g", maxInFlight: 0.5 },
        { group: "g", start: { position: { epoch: -1, offset: 0 } } }
      ]) {
        const error = yield* Effect.flip(star.consume(Numbers, wrong, () => Effect.void))
        assert.strictEqual(error.reason._tag, "MessageInvalid", JSON.stringify(wrong))
      }
      assert.lengthOf(hub.last.of("Join"), 0)
      yield* start(
        star.consume(Numbers, { group: "g", maxDeliveries: Number.POSITIVE_INFINITY }, () => Effect.void)
      )
      assert.deepInclude(hub.last.of("Join")[0], { maxDeliveries: 0 })
    })
  )
})
