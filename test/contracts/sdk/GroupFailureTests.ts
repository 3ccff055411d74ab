/** What becomes of a group's messages that were not handled. */
import { assert } from "@effect/vitest"
import { Clock, Deferred, Effect, Fiber, Queue, Schedule } from "effect"
import * as Failure from "../../../src/sdk/Failure.ts"
import * as Topic from "../../../src/sdk/Topic.ts"
import { settled, setUp } from "./GroupKit.ts"
import { range, reasonOf, silently, type Tests, take } from "./Kit.ts"

export const groupFailureTests = (it: Tests): void => {
  it.effect("sdk - a failed message comes again with its next attempt, by schedule or backoff", () =>
    Effect.gen(function* () {
      for (const retry of [undefined, Schedule.spaced("30 millis")]) {
        const { options, star, topic } = yield* setUp(2)
        const seen = yield* Queue.unbounded<readonly [number, number, number]>()
        yield* Effect.forkChild(
          star.consume(topic, { ...options, retry }, ({ attempt, value }) =>
            Effect.gen(function* () {
              yield* Queue.offer(seen, [value, attempt, yield* Clock.currentTimeMillis])
              if (value === 0 && attempt < 3) return yield* Effect.fail("busy")
            })
          )
        )
        const all = yield* Queue.takeN(seen, 4)
        const zero = all.filter(([value]) => value === 0)
        assert.deepStrictEqual(
          zero.map(([, attempt]) => attempt),
          [1, 2, 3]
        )
        // A timer may fire up to a millisecond early by the clock of whole milliseconds.
        const least = retry === undefined ? 19 : 29
        for (let i = 1; i < 3; i++) assert.isAtLeast(zero[i]![2] - zero[i - 1]![2], least)
        assert.deepInclude(yield* settled(options.group), { acknowledged: 2, redelivered: 2 })
      }
    }).pipe(silently)
  )

  it.effect("sdk - dead letters can be listened to, and dropped", () =>
    Effect.gen(function* () {
      const { options, prefix, star, topic } = yield* setUp()
      const dead = `$dead.${prefix}.${topic.name}`
      const letters = yield* star.open(Topic.raw(`$dead.${prefix}.>`))
      yield* Effect.forkChild(
        star.consume(topic, options, {
          handle: ({ value }) => Effect.fail(`no ${value}`),
          onFailure: () => Failure.deadLetter
        })
      )
      yield* star.publishAll(topic, [1, 2])
      const heard = yield* take(letters.messages, 2)
      assert.deepStrictEqual(
        heard.map(({ headers, topic: of }) => [of, headers["polestar-error"], headers["polestar-attempts"]]),
        [
          [dead, "no 1", "1"],
          [dead, "no 2", "1"]
        ]
      )
      const [first] = heard
      assert.strictEqual(yield* star.deadLetters.drop(dead, [first?.position.offset ?? -1]), 1)
      assert.lengthOf(yield* star.deadLetters.show(dead), 1)
      assert.strictEqual(yield* star.deadLetters.drop(dead), 1)
      assert.deepStrictEqual(yield* star.deadLetters.list({ group: prefix }), [])
      const refused = yield* reasonOf(star.publish(Topic.raw<string>(dead), new Uint8Array(1)))
      assert.strictEqual(refused._tag, "Rejected")
    })
  )

  it.effect("sdk - what is parked waits for the group to be resumed", () =>
    Effect.gen(function* () {
      const { options, star, topic } = yield* setUp(2)
      const handled = yield* Queue.unbounded<readonly [number, number]>()
      let isWell = false
      yield* Effect.forkChild(
        star.consume(topic, options, {
          handle: ({ attempt, value }) =>
            value === 0 && !isWell
              ? Effect.fail("not yet")
              : Queue.offer(handled, [value, attempt]).pipe(Effect.asVoid),
          onFailure: () => Failure.park
        })
      )
      assert.deepStrictEqual(yield* Queue.take(handled), [1, 1])
      const parked = star.groups.info(options.group)
      yield* Effect.repeat(parked, { until: (info) => info.parked === 1 && info.inFlight === 0 })
      isWell = true
      yield* star.groups.resume(options.group)
      assert.deepStrictEqual(yield* Queue.take(handled), [0, 2])
      assert.deepInclude(yield* settled(options.group), { parked: 0, acknowledged: 2 })
    })
  )

  it.effect("sdk - interruption gives back at once, and that is no attempt", () =>
    Effect.gen(function* () {
      const { options, star, topic } = yield* setUp(10)
      const begun = yield* Deferred.make<void>()
      const slow = yield* Effect.forkChild(
        star.consume(topic, { ...options, ackWait: "1 minute" }, ({ value }) =>
          value === 0 ? Effect.void : Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)
        )
      )
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(slow)
      const group = yield* star.join(topic, options)
      const deliveries = yield* take(group.messages, 9)
      assert.deepStrictEqual(
        deliveries.map(({ attempt, value }) => [value, attempt]),
        range(9).map((i) => [i + 1, 1])
      )
    })
  )

  it.effect("sdk - a message that is neither acknowledged nor refused comes again after the wait", () =>
    Effect.gen(function* () {
      const { options, star, topic } = yield* setUp(1)
      const group = yield* star.join(topic, { ...options, ackWait: 50 })
      const deliveries = yield* take(group.messages, 2)
      assert.deepStrictEqual(
        deliveries.map(({ attempt, value }) => [value, attempt]),
        [
          [0, 1],
          [0, 2]
        ]
      )
    })
  )
}
