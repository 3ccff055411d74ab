import { assert } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import * as PayloadCodec from "../../../src/sdk/PayloadCodec.ts"
import { Polestar } from "../../../src/sdk/Polestar.ts"
import * as Topic from "../../../src/sdk/Topic.ts"
import { bytesOf, ownPrefix, range, reasonOf, type Tests, take, textOf } from "./Kit.ts"

const Reading = Schema.Struct({ celsius: Schema.Number, at: Schema.Date })

export const publishTests = (it: Tests): void => {
  it.effect("sdk - a typed value goes round, with its parameters and its place", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      const topic = Topic.make(`${ownPrefix()}.weather.{city}.{street}`, Reading)
      const { messages } = yield* star.open(topic)
      const value = { celsius: 12.5, at: new Date(1_000) }
      const target = topic.at({ city: "london", street: "é" })
      const receipt = yield* star.publish(target, value)
      const [delivery] = yield* take(messages, 1)
      assert.deepStrictEqual(delivery?.value, value)
      assert.deepStrictEqual(delivery?.params, { city: "london", street: "é" })
      assert.strictEqual(delivery?.topic, target.name)
      assert.deepStrictEqual(delivery?.position, receipt.position)
      assert.strictEqual(receipt.topic, target.name)
      assert.isFalse(receipt.duplicate)
      assert.strictEqual(delivery?.contentType, "application/json")
      assert.deepStrictEqual(Object.keys(delivery?.headers ?? {}), [])
      assert.isUndefined(delivery?.id)
      assert.isUndefined(delivery?.key)
      assert.isAbove(delivery?.timestamp ?? 0, 0)
    })
  )

  it.effect("sdk - id, key, headers and content type arrive", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      const topic = Topic.named(`${ownPrefix()}.a`, PayloadCodec.text)
      const { messages } = yield* star.open(topic)
      const headers: Record<string, string> = { "x-colour": "blue", "": "no name", long: "é".repeat(1000) }
      yield* star.publish(topic, "hello", { id: "id-1", key: "key-1", headers, priority: 3 })
      const [delivery] = yield* take(messages, 1)
      assert.strictEqual(delivery?.value, "hello")
      assert.strictEqual(delivery?.id, "id-1")
      assert.strictEqual(delivery?.key, "key-1")
      assert.strictEqual(delivery?.contentType, "text/plain; charset=utf-8")
      assert.deepStrictEqual({ ...delivery?.headers }, headers)
    })
  )

  it.effect("sdk - a codec by choice", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      const topic = Topic.make(`${ownPrefix()}.a`, Reading, { codec: PayloadCodec.binary })
      const { messages } = yield* star.open(topic)
      const value = { celsius: -3, at: new Date(5) }
      yield* star.publish(topic, value)
      const [delivery] = yield* take(messages, 1)
      assert.deepStrictEqual(delivery?.value, value)
      assert.strictEqual(delivery?.contentType, topic.codec.contentType)
    })
  )

  it.effect("sdk - bytes go as they are, none and many", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      const topic = Topic.raw(`${ownPrefix()}.bytes`)
      const { messages } = yield* star.open(topic)
      const payloads = [new Uint8Array(0), Uint8Array.of(0, 255), new Uint8Array(100_000).fill(7)]
      for (const payload of payloads) yield* star.publish(topic, payload)
      const deliveries = yield* take(messages, payloads.length)
      assert.deepStrictEqual(
        deliveries.map(({ value }) => new Uint8Array(value)),
        payloads
      )
    })
  )

  it.effect("sdk - publishAll keeps the order and gives each message its receipt", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      const topic = Topic.make(`${ownPrefix()}.many`, Schema.Number)
      const { messages } = yield* star.open(topic, { queueSize: 5000 })
      const receipts = yield* star.publishAll(topic, range(3000), {
        id: (value) => `id-${value}`,
        key: "all",
        headers: { x: "y" }
      })
      const first = receipts[0]?.position ?? { epoch: -1, offset: -1 }
      assert.deepStrictEqual(
        receipts.map(({ position }) => position),
        range(3000).map((index) => ({ epoch: first.epoch, offset: first.offset + index }))
      )
      const last = yield* take(messages, 1)
      assert.deepStrictEqual([last[0]?.id, last[0]?.key, last[0]?.headers.x], ["id-0", "all", "y"])
      assert.deepStrictEqual(yield* star.publishAll(topic, []), [])
    })
  )

  it.effect("sdk - concurrent publishes of one client are all taken, in the order they were made", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      const topic = Topic.make(`${ownPrefix()}.concurrent`, Schema.Number)
      const receipts = yield* Effect.forEach(range(500), (value) => star.publish(topic, value), {
        concurrency: "unbounded"
      })
      const offsets = receipts.map(({ position }) => position.offset)
      assert.deepStrictEqual(
        offsets,
        range(500).map((index) => (offsets[0] ?? 0) + index)
      )
    })
  )

  it.effect("sdk - what cannot be published says why, and publishes nothing", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      const prefix = ownPrefix()
      const topic = Topic.make(`${prefix}.checked.{name}`, Schema.String.check(Schema.isMaxLength(3)))
      const target = topic.at({ name: "a" })
      const tags = yield* Effect.all([
        reasonOf(star.publish(topic.at({ name: "a.b" }), "abc")),
        reasonOf(star.publish(Topic.raw<string>(`${prefix}.*`), bytesOf("x"))),
        reasonOf(star.publish(target, "too long")),
        reasonOf(star.publishAll(target, ["ok", "too long"])),
        reasonOf(star.publish(target, "abc", { priority: 10 })),
        reasonOf(star.publish(target, "abc", { ttl: 0 })),
        reasonOf(star.publish(target, "abc", { deliverAt: Number.NaN })),
        reasonOf(star.publish(target, "abc", { key: "k".repeat(256) })),
        reasonOf(star.publish(Topic.raw("$reserved"), bytesOf("x")))
      ])
      assert.deepStrictEqual(
        tags.map(({ _tag }) => _tag),
        [
          "MessageInvalid",
          "MessageInvalid",
          "EncodeFailed",
          "EncodeFailed",
          "MessageInvalid",
          "MessageInvalid",
          "MessageInvalid",
          "MessageInvalid",
          "Rejected"
        ]
      )
      assert.deepStrictEqual(yield* star.topics(`${prefix}.>`), [])
      yield* star.publish(target, "abc")
    })
  )

  it.effect("sdk - a message published within a sampled span carries its trace", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      const topic = Topic.raw(`${ownPrefix()}.traced`)
      const { messages } = yield* star.open(topic)
      const span = yield* Effect.useSpan("test", (span) =>
        Effect.as(Effect.withParentSpan(star.publish(topic, bytesOf("in")), span), span)
      )
      yield* star.publish(topic, bytesOf("out"))
      const deliveries = yield* take(messages, 2)
      assert.deepStrictEqual(
        deliveries.map(({ value, headers }) => [textOf(value), headers.traceparent]),
        [
          ["in", `00-${span.traceId}-${span.spanId}-01`],
          ["out", undefined]
        ]
      )
    }).pipe(Effect.withTracerEnabled(true))
  )

  it.effect("sdk - topics and stats", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      const prefix = ownPrefix()
      const topic = Topic.make(`${prefix}.{name}`, Schema.Number)
      yield* star.open(topic)
      yield* star.publishAll(topic.at({ name: "a" }), [1, 2, 3])
      yield* star.publish(topic.at({ name: "b" }), 4)
      const topics = yield* star.topics(`${prefix}.>`)
      const found = topics.map(({ name, subscribers, nextOffset, firstOffset }) => [
        name,
        subscribers,
        nextOffset - firstOffset
      ])
      assert.sameDeepMembers(found, [
        [`${prefix}.a`, 1, 3],
        [`${prefix}.b`, 1, 1]
      ])
      assert.isAtLeast((yield* star.topics()).length, 2)
      assert.strictEqual((yield* reasonOf(star.topics("a..b")))._tag, "Rejected")
      assert.isObject(yield* star.stats)
    })
  )

  it.effect("sdk - says that it is connected, and counts", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      assert.strictEqual((yield* star.state)._tag, "Connected")
      const [first] = yield* take(star.states, 1)
      assert.strictEqual(first?._tag, "Connected")
      const before = yield* star.metrics
      const topic = Topic.raw(`${ownPrefix()}.counted`)
      const { messages } = yield* star.open(topic)
      yield* star.publish(topic, bytesOf("x"))
      yield* Stream.runDrain(Stream.take(messages, 1))
      const after = yield* star.metrics
      assert.strictEqual(after.published - before.published, 1)
      assert.strictEqual(after.received - before.received, 1)
    })
  )
}
