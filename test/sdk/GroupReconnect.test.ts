/** A group's consumer over a connection that is cut again and again, with a real hub. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Queue, Schedule, Schema, Stream } from "effect"
import { Hub } from "../../src/actors/Hub.ts"
import * as HubStorage from "../../src/actors/HubStorage.ts"
import type { Duplex } from "../../src/protocol/Duplex.ts"
import { Polestar } from "../../src/sdk/Polestar.ts"
import * as Topic from "../../src/sdk/Topic.ts"
import { Settings } from "../../src/services/Settings.ts"

const Numbers = Topic.make("numbers", Schema.Number)
const hub = HubStorage.layer.pipe(Layer.provide(Settings.layerWith({})))
const options = { group: "g", start: "first", backoff: 5, maxBackoff: 10, maxDeliveries: 0 } as const

/** A client whose connection a test may cut. */
const cuttable = Effect.gen(function* () {
  const { connect } = yield* Hub
  let last: Duplex | undefined
  const dial = Effect.tap(connect, (duplex) => Effect.sync(() => (last = duplex)))
  const star = yield* Polestar.make({ dial, reconnect: Schedule.spaced("5 millis") })
  return { star, cut: Effect.sync(() => last?.destroy()) }
})

describe("group reconnect", () => {
  it.live("group reconnect - what is being handled is acknowledged on the next connection, once", () =>
    Effect.gen(function* () {
      const { cut, star } = yield* cuttable
      yield* star.publishAll(Numbers, [0, 1, 2])
      const handled: Array<number> = []
      const begun = yield* Queue.unbounded<number>()
      const fiber = yield* Effect.forkScoped(
        star.consume(Numbers, options, ({ value }) =>
          Effect.gen(function* () {
            yield* Queue.offer(begun, value)
            if (value === 0) yield* Effect.sleep("80 millis")
            handled.push(value)
          })
        )
      )
      yield* Queue.take(begun)
      yield* cut
      yield* Effect.repeat(star.groups.info("g"), {
        until: ({ lag }) => lag === 0,
        schedule: Schedule.spaced("5 millis")
      })
      assert.deepStrictEqual(handled, [0, 1, 2])
      assert.isAtLeast((yield* star.metrics).reconnects, 1)
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(hub), Effect.scoped)
  )

  it.live("group reconnect - under cuts everything is done, and nothing after it was confirmed", () =>
    Effect.gen(function* () {
      const { cut, star } = yield* cuttable
      const count = 2000
      const confirmed = new Set<number>()
      const again: Array<number> = []
      yield* star.publishAll(
        Numbers,
        Array.from({ length: count }, (_, i) => i)
      )
      const one = Effect.scoped(
        Effect.gen(function* () {
          const group = yield* star.join(Numbers, options)
          yield* Stream.runForEachArray(Stream.take(group.messages, 200), (deliveries) => {
            for (const { value } of deliveries) if (confirmed.has(value)) again.push(value)
            // It is cut before the hub can answer, so what is acknowledged is told on another connection.
            const told = Effect.all([group.acknowledge(deliveries), cut], { concurrency: 2 })
            return Effect.map(told, () => {
              for (const { value } of deliveries) confirmed.add(value)
            })
          })
        })
      )
      yield* Effect.repeat(one, { until: () => confirmed.size > 600 })
      assert.isAtLeast((yield* star.metrics).reconnects, 5)
      const rest = yield* Effect.forkScoped(
        star.consume(Numbers, options, ({ value }) =>
          Effect.sync(() => {
            if (confirmed.has(value)) again.push(value)
          })
        )
      )
      yield* Effect.repeat(star.groups.info("g"), {
        until: ({ lag }) => lag === 0,
        schedule: Schedule.spaced("10 millis")
      })
      assert.deepStrictEqual(again, [])
      yield* Fiber.interrupt(rest)
      assert.deepInclude(yield* star.groups.info("g"), { lag: 0, inFlight: 0, deadLettered: 0 })
    }).pipe(Effect.provide(hub), Effect.scoped)
  )
})
