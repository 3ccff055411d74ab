/** Groups as the SDK shows them: shared work, what is done, where they start, how they are looked after. */
import { assert } from "@effect/vitest"
import { Clock, Deferred, Effect, Fiber, Queue, Schema, Stream } from "effect"
import type { Polestar } from "../../../src/sdk/Polestar.ts"
import * as Topic from "../../../src/sdk/Topic.ts"
import { settled, setUp } from "./GroupKit.ts"
import { anotherClient, range, reasonOf, silently, type Tests, take, textOf } from "./Kit.ts"

export const groupTests = (it: Tests): void => {
  it.effect("sdk - a group's members share its work, and each message is done once", () =>
    Effect.gen(function* () {
      const { options, star, topic } = yield* setUp(200)
      const other = yield* anotherClient
      const handled = yield* Queue.unbounded<readonly [member: number, value: number]>()
      const member = (number: number, client: Polestar["Service"]) =>
        client.consume(topic, { ...options, concurrency: 4, prefetch: 8 }, ({ value }) =>
          Effect.andThen(Effect.sleep("1 millis"), Queue.offer(handled, [number, value])).pipe(Effect.asVoid)
        )
      yield* Effect.forkChild(member(1, star))
      yield* Effect.forkChild(member(2, other))
      const all = yield* Queue.takeN(handled, 200)
      assert.sameMembers(
        all.map(([, value]) => value),
        range(200)
      )
      assert.strictEqual(new Set(all.map(([by]) => by)).size, 2)
      const info = yield* settled(options.group)
      assert.deepInclude(info, {
        members: 2,
        acknowledged: 200,
        inFlight: 0,
        redelivered: 0,
        deadLettered: 0
      })
      assert.strictEqual(yield* Queue.size(handled), 0)
    })
  )

  it.effect("sdk - one client may be several members of a group", () =>
    Effect.gen(function* () {
      const { options, star, topic } = yield* setUp()
      const begun = yield* Queue.unbounded<number>()
      const member = star.consume(topic, { ...options, prefetch: 1 }, ({ value }) =>
        Effect.andThen(Queue.offer(begun, value), Effect.never)
      )
      const first = yield* Effect.forkChild(member)
      yield* Effect.forkChild(member)
      yield* Effect.repeat(star.groups.list, {
        until: (all) => all.some(({ members, name }) => name === options.group && members === 2)
      })
      yield* star.publishAll(topic, range(2))
      assert.sameMembers(yield* Queue.takeN(begun, 2), range(2))
      yield* Fiber.interrupt(first)
      assert.deepInclude(yield* star.groups.info(options.group), { members: 1 })
    })
  )

  it.effect("sdk - what is acknowledged never comes again; all else does, and comes first", () =>
    Effect.gen(function* () {
      const { options, star, topic } = yield* setUp(6)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const group = yield* star.join(topic, options)
          const [zero, one, two, three] = yield* take(group.messages, 6)
          assert.isDefined(three)
          if (!zero || !one || !two || !three) return
          yield* group.acknowledge(three)
          yield* group.acknowledgeUpTo(one)
        })
      )
      yield* star.publish(topic, 6)
      const again = yield* star.join(topic, options)
      const deliveries = yield* take(again.messages, 4)
      assert.deepStrictEqual(
        deliveries.map(({ attempt, value }) => [value, attempt]),
        [
          [2, 1],
          [4, 1],
          [5, 1],
          [6, 1]
        ]
      )
      yield* again.acknowledge(deliveries)
      assert.deepInclude(yield* star.groups.info(options.group), { lag: 0, inFlight: 0 })
    })
  )

  it.effect(
    "sdk - after its last attempt a message is a dead letter, which says why, and can be requeued",
    () =>
      Effect.gen(function* () {
        const { options, prefix, star, topic } = yield* setUp()
        yield* star.publish(topic, 7, { key: "k", id: "seven", headers: { mine: "yes" } })
        const attempts: Array<number> = []
        let isWell = false
        const well = yield* Deferred.make<number>()
        yield* Effect.forkChild(
          star.consume(topic, { ...options, maxDeliveries: 2 }, ({ attempt }) => {
            attempts.push(attempt)
            return isWell ? Effect.asVoid(Deferred.succeed(well, attempt)) : Effect.fail("broken")
          })
        )
        const letters = star.deadLetters.list({ group: prefix })
        const [listed] = yield* Effect.repeat(letters, { until: (all) => all.length > 0 })
        assert.deepStrictEqual(attempts, [1, 2])
        const dead = `$dead.${prefix}.${topic.name}`
        assert.deepStrictEqual(listed, { topic: dead, group: prefix, origin: topic.name, messages: 1 })
        const [letter] = yield* star.deadLetters.show(dead)
        assert.isDefined(letter)
        assert.deepInclude(letter, { key: "k" })
        assert.strictEqual(textOf(letter?.payload ?? new Uint8Array()), "7")
        assert.deepInclude(letter?.headers, {
          mine: "yes",
          "polestar-group": prefix,
          "polestar-topic": topic.name,
          "polestar-offset": "0",
          "polestar-attempts": "2",
          "polestar-error": "broken",
          "polestar-id": "seven"
        })
        isWell = true
        assert.deepStrictEqual(yield* star.deadLetters.requeue(dead), { requeued: 1, missing: 0 })
        assert.strictEqual(yield* Deferred.await(well), 1)
        assert.deepStrictEqual(yield* star.deadLetters.list({ group: prefix }), [])
        assert.deepInclude(yield* settled(prefix), { deadLettered: 1 })
      }).pipe(silently)
  )

  it.effect("sdk - order by key: one after the other across members, whatever fails", () =>
    Effect.gen(function* () {
      const { options, star, topic } = yield* setUp()
      const other = yield* anotherClient
      const count = 60
      yield* star.publishAll(topic, range(count), { key: (value) => `k${value % 4}` })
      const running = new Set<string>()
      const done = new Map<string, Array<number>>()
      const finished = yield* Queue.unbounded<number>()
      const member = (client: Polestar["Service"]) =>
        client.consume(
          topic,
          { ...options, order: "key", concurrency: 8, maxDeliveries: 0 },
          ({ attempt, key = "", value }) =>
            Effect.gen(function* () {
              assert.isFalse(running.has(key), `two messages of ${key} at once`)
              running.add(key)
              yield* Effect.sleep("1 millis")
              running.delete(key)
              if (value % 10 === 0 && attempt === 1) return yield* Effect.fail("once")
              done.set(key, [...(done.get(key) ?? []), value])
              yield* Queue.offer(finished, value)
            })
        )
      yield* Effect.forkChild(member(star))
      yield* Effect.forkChild(member(other))
      assert.sameMembers(yield* Queue.takeN(finished, count), range(count))
      for (const values of done.values()) {
        assert.deepStrictEqual(
          values,
          [...values].sort((a, b) => a - b)
        )
      }
    }).pipe(silently)
  )

  it.effect(
    "sdk - what waits for its turn in a client is not given to another, however long that takes",
    () =>
      Effect.gen(function* () {
        const { options, star, topic } = yield* setUp(6)
        const seen: Array<number> = []
        const done = yield* Deferred.make<void>()
        yield* Effect.forkChild(
          star.consume(topic, { ...options, prefetch: 10, ackWait: 300 }, ({ attempt, value }) =>
            Effect.gen(function* () {
              seen.push(attempt)
              yield* Effect.sleep("120 millis")
              if (value === 5) yield* Deferred.succeed(done, undefined)
            })
          )
        )
        yield* Deferred.await(done)
        assert.deepStrictEqual(seen, [1, 1, 1, 1, 1, 1])
      })
  )

  it.effect(
    "sdk - a new group starts now, at the first, at a position or a time; one that is there goes on",
    () =>
      Effect.gen(function* () {
        const { prefix, star, topic } = yield* setUp(3)
        const [, second] = yield* take(star.subscribe(topic, { from: { last: 3 } }), 2)
        assert.isDefined(second)
        if (second === undefined) return
        const first = (group: string, start: Parameters<typeof star.join>[1]["start"]) =>
          Effect.scoped(
            Effect.gen(function* () {
              const { messages } = yield* star.join(topic, { group: `${prefix}-${group}`, start })
              yield* star.publish(topic, 99)
              const [delivery] = yield* take(messages, 1)
              return delivery?.value
            })
          )
        assert.strictEqual(yield* first("now", undefined), 99)
        assert.strictEqual(yield* first("first", "first"), 0)
        assert.strictEqual(yield* first("position", { position: second.position }), 1)
        assert.strictEqual(yield* first("time", { time: second.timestamp }), 0)
        assert.strictEqual(yield* first("position", "first"), 1)
      })
  )

  it.effect("sdk - a group is made, described, paused, reset and removed", () =>
    Effect.gen(function* () {
      const { prefix, star, topic } = yield* setUp(3)
      const made = yield* star.groups.create(prefix, `${prefix}.>`, {
        start: "first",
        ackWait: "7 seconds",
        inactiveThreshold: "2 days"
      })
      assert.deepInclude(made, {
        name: prefix,
        pattern: `${prefix}.>`,
        order: "any",
        ackWait: 7000,
        inactiveThreshold: 172_800_000,
        members: 0,
        lag: 3
      })
      assert.isTrue((yield* star.groups.list).some(({ name }) => name === prefix))
      const everything = Topic.pattern(`${prefix}.>`, Schema.Number)
      yield* star.groups.pause(prefix)
      const group = yield* star.join(everything, { group: prefix })
      const taking = yield* Effect.forkChild(take(group.messages, 3))
      yield* star.groups.info(prefix)
      assert.isUndefined(taking.pollUnsafe())
      yield* star.groups.resume(prefix)
      const deliveries = yield* Fiber.join(taking)
      yield* group.acknowledge(deliveries)
      yield* star.groups.reset(prefix, { position: { offset: 1 } }, { topic: topic.name })
      assert.deepInclude(yield* star.groups.info(prefix), { lag: 2 })
      const again = yield* take(group.messages, 2)
      assert.deepStrictEqual(
        again.map(({ value }) => value),
        [1, 2]
      )
      const ending = yield* Effect.forkChild(Effect.flip(Stream.runDrain(group.messages)))
      yield* star.groups.remove(prefix)
      const ended = yield* Fiber.join(ending)
      assert.deepInclude(ended.reason, { _tag: "Disconnected", closeReason: "group-removed" })
      assert.deepInclude(yield* reasonOf(star.groups.info(prefix)), {
        _tag: "Rejected",
        code: "unknown-group"
      })
    })
  )

  it.effect("sdk - a group's pattern and order cannot be changed by who joins", () =>
    Effect.gen(function* () {
      const { options, prefix, star, topic } = yield* setUp()
      yield* star.join(topic, options)
      for (const join of [
        star.join(topic, { ...options, order: "key" }),
        star.join(Topic.dynamic<string>(`${prefix}.>`), options)
      ]) {
        assert.deepInclude(yield* reasonOf(join), { _tag: "Rejected", code: "group-mismatch" })
      }
    })
  )

  it.effect("sdk - a message that is held comes at its time, and its receipt says so", () =>
    Effect.gen(function* () {
      const { options, star, topic } = yield* setUp()
      const group = yield* star.join(topic, options)
      const before = yield* Clock.currentTimeMillis
      const receipts = [
        yield* star.publish(topic, 3, { deliverAt: before + 150 }),
        yield* star.publish(topic, 2, { delay: 60 }),
        yield* star.publish(topic, 1, { deliverAt: new Date(before - 1000) })
      ]
      assert.deepStrictEqual(
        receipts.map(({ held }) => held),
        [true, true, false]
      )
      const deliveries = yield* take(group.messages, 3)
      assert.deepStrictEqual(
        deliveries.map(({ value }) => value),
        [1, 2, 3]
      )
      assert.isAtLeast((yield* Clock.currentTimeMillis) - before, 149)
    })
  )

  it.effect("sdk - a message of an id that was seen is not stored again, and its receipt says so", () =>
    Effect.gen(function* () {
      const { options, star, topic } = yield* setUp()
      const group = yield* star.join(topic, options)
      const first = yield* star.publish(topic, 1, { id: "a" })
      const others = yield* star.publishAll(topic, [1, 2, 1], { id: (value) => (value === 1 ? "a" : "b") })
      assert.deepStrictEqual(
        [first, ...others].map(({ duplicate }) => duplicate),
        [false, true, false, true]
      )
      const deliveries = yield* take(group.messages, 2)
      assert.deepStrictEqual(
        deliveries.map(({ id, value }) => [id, value]),
        [
          ["a", 1],
          ["b", 2]
        ]
      )
      yield* group.acknowledge(deliveries)
      assert.deepInclude(yield* star.groups.info(options.group), { lag: 0 })
    })
  )
}
