import { assert } from "@effect/vitest"
import { Effect, Exit, Schema, Scope, Stream } from "effect"
import { Polestar } from "../../../src/sdk/Polestar.ts"
import * as Topic from "../../../src/sdk/Topic.ts"
import {
  anotherClient,
  bytesOf,
  ownPrefix,
  range,
  reasonOf,
  silently,
  type Tests,
  take,
  textOf
} from "./Kit.ts"

export const subscribeTests = (it: Tests): void => {
  it.effect("sdk - patterns: one segment, one or more, or the whole name", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      const prefix = ownPrefix()
      const star1 = yield* star.open(Topic.pattern(`${prefix}.*.x`, Schema.Number))
      const tail = yield* star.open(Topic.pattern(`${prefix}.>`, Schema.Number))
      const one = yield* star.open(Topic.make(`${prefix}.b.x`, Schema.Number))
      const publish = (name: string, value: number) =>
        star.publish(Topic.make<string, number>(`${prefix}.${name}`, Schema.Number), value)
      yield* publish("a.x", 1)
      yield* publish("a.y", 2)
      yield* publish("b.x", 3)
      yield* publish("a.b.x", 4)
      yield* publish("b.x", 5)
      const values = (list: ReadonlyArray<{ readonly value: number }>) => list.map(({ value }) => value)
      assert.deepStrictEqual(values(yield* take(star1.messages, 3)), [1, 3, 5])
      assert.deepStrictEqual(values(yield* take(tail.messages, 5)), [1, 2, 3, 4, 5])
      assert.deepStrictEqual(values(yield* take(one.messages, 2)), [3, 5])
    })
  )

  it.effect("sdk - from: now, the first, the last, a position, a time", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      const topic = Topic.make(`${ownPrefix()}.kept`, Schema.Number)
      const receipts = yield* Effect.forEach(range(10), (value) => star.publish(topic, value))
      const all = yield* take(star.subscribe(topic, { from: { last: 100 } }), 10)
      const first = yield* take(star.subscribe(topic, { from: "first" }), 10)
      assert.deepStrictEqual(
        first.map(({ position }) => position),
        all.map(({ position }) => position)
      )
      assert.deepStrictEqual(
        all.map(({ position, value }) => [position, value]),
        receipts.map(({ position }, index) => [position, index])
      )
      const lastThree = yield* take(star.subscribe(topic, { from: { last: 3 } }), 3)
      assert.deepStrictEqual(
        lastThree.map(({ value }) => value),
        [7, 8, 9]
      )
      const position = receipts[6]?.position ?? { epoch: 0, offset: 0 }
      const fromSix = yield* take(star.subscribe(topic, { from: { position } }), 4)
      assert.deepStrictEqual(
        fromSix.map(({ value }) => value),
        [6, 7, 8, 9]
      )
      const time = all[5]?.timestamp ?? 0
      const expected = all.filter(({ timestamp }) => timestamp >= time).map(({ value }) => value)
      for (const from of [{ time }, { time: new Date(time) }]) {
        const sinceTime = yield* take(star.subscribe(topic, { from }), expected.length)
        assert.deepStrictEqual(
          sinceTime.map(({ value }) => value),
          expected
        )
      }
      const live = yield* star.open(topic, { from: "now" })
      yield* star.publish(topic, 10)
      const [next] = yield* take(live.messages, 1)
      assert.strictEqual(next?.value, 10)
    })
  )

  it.effect("sdk - what was kept and what comes join without a seam", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      const topic = Topic.make(`${ownPrefix()}.seam`, Schema.Number)
      yield* star.publishAll(topic, range(500))
      const rest = yield* Effect.forkChild(
        Effect.forEach(range(500), (value) => star.publish(topic, 500 + value), { concurrency: 50 }),
        { startImmediately: true }
      )
      const deliveries = yield* take(star.subscribe(topic, { from: { last: 10_000 } }), 1000)
      assert.deepStrictEqual(
        deliveries.map(({ value }) => value),
        range(1000)
      )
      assert.isDefined(rest)
    })
  )

  it.effect("sdk - one order for all subscribers, and each publisher's own within it", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      const topic = Topic.make(`${ownPrefix()}.ordered`, Schema.Tuple([Schema.Number, Schema.Number]))
      const publishers = yield* Effect.forEach(range(4), () => anotherClient)
      const wide = { queueSize: 5000, overflow: "wait" } as const
      const first = yield* star.open(topic, wide)
      const second = yield* (yield* anotherClient).open(topic, wide)
      const total = publishers.length * 300
      const [, one, two] = yield* Effect.all(
        [
          Effect.forEach(
            publishers,
            (publisher, who) =>
              Effect.forEach(range(30), (round) =>
                publisher.publishAll(
                  topic,
                  range(10).map((index) => [who, round * 10 + index] as const)
                )
              ),
            { concurrency: "unbounded" }
          ),
          take(first.messages, total),
          take(second.messages, total)
        ],
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        one.map(({ value }) => value),
        two.map(({ value }) => value)
      )
      const start = one[0]?.position.offset ?? 0
      assert.deepStrictEqual(
        one.map(({ position }) => position.offset),
        range(total).map((index) => start + index)
      )
      for (const who of range(publishers.length)) {
        assert.deepStrictEqual(
          one.filter(({ value }) => value[0] === who).map(({ value }) => value[1]),
          range(300)
        )
      }
    })
  )

  it.effect("sdk - two subscriptions of one client each get every message", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      const prefix = ownPrefix()
      const topic = Topic.make(`${prefix}.twice`, Schema.Number)
      const both = [yield* star.open(topic), yield* star.open(topic)]
      const other = yield* star.open(Topic.pattern(`${prefix}.*`, Schema.Unknown))
      yield* star.publishAll(topic, range(20))
      for (const { messages } of [...both, other]) {
        const deliveries = yield* take(messages, 20)
        assert.deepStrictEqual(
          deliveries.map(({ value }) => value),
          range(20)
        )
      }
    })
  )

  it.effect("sdk - without echo a client does not hear itself, and hears the others", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      const other = yield* anotherClient
      const topic = Topic.make(`${ownPrefix()}.echo`, Schema.String)
      const quiet = yield* star.open(topic, { echo: false })
      const loud = yield* star.open(topic)
      yield* star.publish(topic, "mine")
      yield* other.publish(topic, "theirs")
      yield* star.publish(topic, "mine again")
      yield* other.publish(topic, "theirs again")
      const heard = yield* take(quiet.messages, 2)
      assert.deepStrictEqual(
        heard.map(({ value }) => value),
        ["theirs", "theirs again"]
      )
      assert.strictEqual((yield* take(loud.messages, 4)).length, 4)
    })
  )

  it.effect("sdk - what cannot be decoded is told, and the stream goes on", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      const name = `${ownPrefix()}.mixed`
      const topic = Topic.make(name, Schema.Struct({ n: Schema.Number }))
      const raw = Topic.raw(name)
      const before = yield* star.metrics
      const told = yield* star.open(topic)
      const left = yield* star.open(topic)
      yield* star.publish(topic, { n: 1 })
      const bad = yield* star.publish(raw, bytesOf("{"))
      yield* star.publish(raw, bytesOf('{"n":"2"}'))
      yield* star.publish(topic, { n: 3 })
      const events = yield* take(told.events, 4)
      assert.deepStrictEqual(
        events.map(({ _tag }) => _tag),
        ["Message", "Undecodable", "Undecodable", "Message"]
      )
      const [, undecodable] = events
      if (undecodable?._tag !== "Undecodable") return assert.fail("the second is to be undecodable")
      assert.strictEqual(undecodable.topic, name)
      assert.deepStrictEqual(undecodable.position, bad.position)
      assert.strictEqual(textOf(undecodable.payload), "{")
      assert.strictEqual(undecodable.error.reason._tag, "DecodeFailed")
      const messages = yield* take(left.messages, 2)
      assert.deepStrictEqual(
        messages.map(({ value }) => value.n),
        [1, 3]
      )
      assert.strictEqual((yield* star.metrics).undecodable - before.undecodable, 4)
    }).pipe(silently)
  )

  it.effect("sdk - what cannot be subscribed to says why", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      const invalid = [
        reasonOf(Stream.runDrain(star.subscribe(Topic.raw<string>("a..b")))),
        reasonOf(Stream.runDrain(star.events(Topic.pattern("a.b*", Schema.String)))),
        reasonOf(Stream.runDrain(star.subscribe(Topic.raw("a"), { from: { last: -1 } }))),
        reasonOf(Stream.runDrain(star.subscribe(Topic.raw("a"), { from: { time: Number.NaN } }))),
        reasonOf(
          Stream.runDrain(star.subscribe(Topic.raw("a"), { from: { position: { epoch: 1, offset: 0.5 } } }))
        )
      ]
      for (const reason of yield* Effect.all(invalid)) assert.strictEqual(reason._tag, "MessageInvalid")
    })
  )

  it.effect("sdk - a subscription ends with its stream or its scope", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      const topic = Topic.make(`${ownPrefix()}.left`, Schema.Number)
      const subscribers = Effect.map(star.topics(topic.name), ([info]) => info?.subscribers)
      yield* star.publish(topic, 0)
      assert.strictEqual(yield* subscribers, 0)

      const scope = yield* Scope.make()
      yield* Scope.provide(star.open(topic), scope)
      assert.strictEqual(yield* subscribers, 1)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* subscribers, 0)

      yield* take(star.subscribe(topic, { from: { last: 1 } }), 1)
      assert.strictEqual(yield* subscribers, 0)

      const inside = star.subscribe(topic, { from: { last: 1 } }).pipe(
        Stream.mapEffect(() => subscribers),
        Stream.take(1),
        Stream.runCollect
      )
      assert.deepStrictEqual(yield* inside, [1])
      assert.strictEqual(yield* subscribers, 0)
    })
  )
}
