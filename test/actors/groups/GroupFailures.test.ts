import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { TestClock } from "effect/testing"
import { decodeText } from "../../../src/protocol/Bytes.ts"
import { hubWith } from "../TestHub.ts"
import { numbered } from "../WireClient.ts"
import { attempts, type GroupClient, member, texts } from "./GroupClient.ts"

const Letters = Schema.Array(
  Schema.Struct({
    offset: Schema.Number,
    key: Schema.optionalKey(Schema.String),
    id: Schema.optionalKey(Schema.String),
    headers: Schema.Record(Schema.String, Schema.String),
    contentType: Schema.String,
    payload: Schema.String
  })
)
const decodeLetters = Schema.decodeUnknownSync(Letters)
const lettersOf = (client: GroupClient, topic: string) =>
  Effect.map(client.ask("dead.show", { topic }), decodeLetters)
const textOf = (payload: string) => decodeText(Buffer.from(payload, "base64"))

describe("group - refusing", () => {
  it.effect("group - again, after the delay that is given", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a")
      yield* client.wire.publishAndWait("a", numbered(3))
      const all = yield* client.received()
      yield* client.refuse("g", [all[1]!], { delay: 500 })
      yield* client.refuse("g", [all[2]!], { delay: 0 })
      assert.deepStrictEqual(attempts(yield* client.received()), ["m2#2"])
      assert.deepInclude(yield* client.info("g"), { waiting: 1, inFlight: 2, lag: 3, redelivered: 1 })
      yield* TestClock.adjust(499)
      assert.deepStrictEqual(attempts(yield* client.received()), [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(attempts(yield* client.received()), ["m1#2"])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - the backoff doubles to its maximum", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a", { backoff: 100, maxBackoff: 500, maxDeliveries: 0 })
      yield* client.wire.publishAndWait("a", ["x"])
      for (const [attempt, wait] of [100, 200, 400, 500, 500].entries()) {
        const found = yield* client.received()
        assert.deepStrictEqual(attempts(found), [`x#${attempt + 1}`])
        yield* client.refuse("g", found)
        yield* TestClock.adjust(wait - 1)
        assert.deepStrictEqual(attempts(yield* client.received()), [], `before ${wait} ms`)
        yield* TestClock.adjust(1)
      }
      assert.deepStrictEqual(attempts(yield* client.received()), ["x#6"])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - an acknowledgement wait that runs out is a failure", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* member(), yield* member()]
      yield* one.join("g", "a", { ackWait: 1000, backoff: 100, creditMessages: 1 })
      yield* one.wire.publishAndWait("a", ["x"])
      const [x] = yield* one.received()
      yield* other.join("g", "a")
      yield* TestClock.adjust(1099)
      assert.deepStrictEqual(attempts(yield* other.received()), [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(attempts(yield* other.received()), ["x#2"])
      // Late, but it is done.
      yield* one.ack("g", [x!])
      yield* TestClock.adjust(10_000)
      assert.deepStrictEqual(attempts(yield* other.received()), [])
      assert.deepInclude(yield* one.info("g"), { lag: 0 })
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - who holds on to a message keeps it", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a", { ackWait: 1000, backoff: 1 })
      yield* client.wire.publishAndWait("a", numbered(2))
      const [held] = yield* client.received()
      for (let times = 0; times < 3; times++) {
        yield* TestClock.adjust(900)
        yield* client.refuse("g", [held!], { fate: "hold" })
      }
      const again = yield* client.received()
      assert.deepStrictEqual([...new Set(texts(again))], ["m1"])
      yield* TestClock.adjust(999)
      assert.notInclude(texts(yield* client.received()), "m0")
      yield* TestClock.adjust(2)
      assert.include(attempts(yield* client.received()), "m0#2")
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - what is given back is another's at once, and has not failed", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* member(), yield* member()]
      yield* one.join("g", "a", { creditMessages: 1, maxDeliveries: 1 })
      yield* one.wire.publishAndWait("a", ["x"])
      const found = yield* one.received()
      yield* other.join("g", "a")
      yield* one.refuse("g", found, { fate: "back" })
      assert.deepStrictEqual(attempts(yield* other.received()), ["x#1"])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - what is parked comes when the group is resumed", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a")
      yield* client.wire.publishAndWait("a", numbered(3))
      const all = yield* client.received()
      yield* client.refuse("g", all.slice(0, 2), { fate: "park", error: "later" })
      yield* TestClock.adjust(25_000)
      assert.deepStrictEqual(
        texts(yield* client.received()).filter((text) => text !== "m2"),
        []
      )
      assert.deepInclude(yield* client.info("g"), { parked: 2 })
      assert.deepStrictEqual(yield* client.ask("group.resume", { name: "g" }), {})
      assert.deepStrictEqual(attempts(yield* client.received()), ["m0#2", "m1#2"])
    }).pipe(Effect.provide(hubWith()))
  )
})

describe("group - dead letters", () => {
  it.effect("group - a message that failed too often is a dead letter, with its history", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a.b", { backoff: 1, maxDeliveries: 2 })
      yield* client.wire.subscribe("$dead.>", { subscription: 9 })
      yield* TestClock.adjust(5000)
      const payload = new TextEncoder().encode("{}")
      const headers = { colour: "red" }
      const message = { id: "i1", key: "k1", contentType: "application/json", headers, payload }
      const { position } = yield* client.wire.publishAndWait("a.b", ["before", "before too"])
      yield* client.wire.publishAndWait("a.b", [message])
      const [, , first] = yield* client.received()
      yield* client.refuse("g", [first!], { error: "one" })
      yield* TestClock.adjust(1)
      yield* client.refuse("g", yield* client.received(), { error: "two".repeat(3000) })
      const letters = yield* lettersOf(client, "$dead.g.a.b")
      assert.strictEqual(letters.length, 1)
      const { headers: history, id, key, contentType, payload: text } = letters[0]!
      assert.deepStrictEqual([key, contentType, textOf(text)], ["k1", "application/json", "{}"])
      assert.notStrictEqual(id, "i1")
      assert.deepInclude(history, {
        colour: "red",
        "polestar-group": "g",
        "polestar-topic": "a.b",
        "polestar-epoch": `${position.epoch}`,
        "polestar-offset": "2",
        "polestar-timestamp": "5000",
        "polestar-attempts": "2",
        "polestar-id": "i1"
      })
      assert.strictEqual(history["polestar-error"]?.length, 1024)
      assert.deepStrictEqual(texts(yield* client.received(9)), ["{}"])
      assert.deepStrictEqual(yield* client.ask("dead"), [
        { topic: "$dead.g.a.b", group: "g", origin: "a.b", messages: 1 }
      ])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - dead at once, if the member says so", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a", { maxDeliveries: 0 })
      yield* client.wire.publishAndWait("a", ["x"])
      yield* client.refuse("g", yield* client.received(), { fate: "dead", error: "no good" })
      const [letter] = yield* lettersOf(client, "$dead.g.a")
      assert.deepInclude(letter?.headers, { "polestar-attempts": "1", "polestar-error": "no good" })
      assert.deepInclude(yield* client.info("g"), { deadLettered: 1, lag: 0 })
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - of an unset limit it is that of the hub", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a", { backoff: 1 })
      yield* client.wire.publishAndWait("a", ["x"])
      for (let failures = 0; failures < 3; failures++) {
        yield* client.refuse("g", yield* client.received(), { delay: 0 })
      }
      assert.deepStrictEqual(attempts(yield* client.received()), [])
      assert.deepInclude(yield* client.info("g"), { deadLettered: 1, maxDeliveries: 3 })
    }).pipe(Effect.provide(hubWith({ maxRetries: 2 })))
  )

  it.effect("group - a topic whose name is too long has its dead letters with the group's others", () =>
    Effect.gen(function* () {
      const client = yield* member()
      const topic = `a.${"b".repeat(250)}`
      yield* client.join("g", "a.*")
      yield* client.wire.publishAndWait(topic, ["x"])
      yield* client.refuse("g", yield* client.received(), { fate: "dead" })
      const [letter] = yield* lettersOf(client, "$dead.g")
      assert.strictEqual(letter?.headers["polestar-topic"], topic)
      assert.deepStrictEqual(yield* client.ask("dead.requeue", { topic: "$dead.g" }), {
        requeued: 1,
        missing: 0
      })
      assert.deepStrictEqual(attempts(yield* client.received()), ["x#1"])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - a requeued message is given to the group again, and may die again", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a", { maxDeliveries: 1 })
      yield* client.wire.publishAndWait("a", numbered(2))
      yield* client.refuse("g", yield* client.received())
      const topic = "$dead.g.a"
      assert.deepStrictEqual(yield* client.ask("dead.requeue", { topic, offsets: [1] }), {
        requeued: 1,
        missing: 0
      })
      const again = yield* client.received()
      assert.deepStrictEqual(attempts(again), ["m1#1"])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(
        (yield* lettersOf(client, topic)).map(({ payload }) => textOf(payload)),
        ["m0"]
      )
      yield* client.refuse("g", again, { error: "again" })
      const letters = yield* lettersOf(client, topic)
      assert.deepStrictEqual(
        letters.map(({ headers, payload }) => [textOf(payload), headers["polestar-error"]]),
        [
          ["m0", ""],
          ["m1", "again"]
        ]
      )
      assert.deepInclude(yield* client.info("g"), { lag: 0, deadLettered: 3 })
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - what the origin no longer has stays dead", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a", { maxDeliveries: 1 })
      yield* client.wire.publishAndWait("a", ["x"])
      yield* client.refuse("g", yield* client.received())
      yield* client.wire.publishAndWait("a", numbered(10))
      yield* client.ack("g", yield* client.received())
      const topic = "$dead.g.a"
      assert.deepStrictEqual(yield* client.ask("dead.requeue", { topic }), { requeued: 0, missing: 1 })
      assert.strictEqual((yield* lettersOf(client, topic)).length, 1)
      yield* client.ask("group.remove", { name: "g" })
      assert.deepStrictEqual(yield* client.ask("dead.requeue", { topic }), { requeued: 0, missing: 1 })
    }).pipe(Effect.provide(hubWith({ hotTierMessages: 5 })))
  )

  it.effect("group - dropped ones are gone", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a", { maxDeliveries: 1 })
      yield* client.wire.publishAndWait("a", numbered(3))
      yield* client.refuse("g", yield* client.received())
      const topic = "$dead.g.a"
      assert.deepStrictEqual(yield* client.ask("dead.drop", { topic, offsets: [1, 7] }), { dropped: 1 })
      assert.deepStrictEqual(
        (yield* lettersOf(client, topic)).map(({ offset }) => offset),
        [0, 2]
      )
      assert.deepStrictEqual(yield* client.ask("dead.drop", { topic }), { dropped: 2 })
      assert.deepStrictEqual(yield* client.ask("dead"), [])
      assert.deepStrictEqual(yield* client.ask("dead.requeue", { topic }), { requeued: 0, missing: 0 })
      assert.strictEqual(yield* client.askInVain("dead.drop", { topic: "$dead.no" }), "topic-not-found")
      assert.strictEqual(yield* client.askInVain("dead.show", { topic: "a" }), "bad-request")
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect(
    "group - a group of dead letters works, and what it refuses is set aside and no dead letter again",
    () =>
      Effect.gen(function* () {
        const client = yield* member()
        yield* client.join("g", "a", { maxDeliveries: 1 })
        yield* client.join("undertaker", "$dead.g.>", { subscription: 2, maxDeliveries: 1 })
        yield* client.wire.publishAndWait("a", ["x"])
        yield* client.refuse("g", yield* client.received())
        const letters = yield* client.received(2)
        assert.deepStrictEqual(texts(letters), ["x"])
        yield* client.refuse("undertaker", letters, { fate: "dead" })
        assert.deepInclude(yield* client.info("undertaker"), { lag: 1, parked: 1, deadLettered: 0 })
      }).pipe(Effect.provide(hubWith()))
  )
})

describe("group - what is not delivered", () => {
  it.effect("group - what expired is passed over, and is done", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a", { creditMessages: 0 })
      yield* client.wire.publishAndWait("a", ["short"], { ttl: 100 })
      yield* client.wire.publishAndWait("a", ["long"])
      yield* TestClock.adjust(100)
      client.wire.credit(1, 10)
      assert.deepStrictEqual(texts(yield* client.received()), ["long"])
      assert.deepInclude(yield* client.info("g"), { lag: 1 })
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - what expired while it waited for its next attempt does not come again", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a")
      yield* client.wire.publishAndWait("a", ["short"], { ttl: 100 })
      yield* client.refuse("g", yield* client.received(), { delay: 200 })
      yield* TestClock.adjust(200)
      assert.deepStrictEqual(texts(yield* client.received()), [])
      assert.deepInclude(yield* client.info("g"), { lag: 0, deadLettered: 0 })
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - a member is told of what retention took", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a")
      yield* client.wire.publishAndWait("a", numbered(2))
      assert.strictEqual((yield* client.received()).length, 2)
      client.wire.unsubscribe(1)
      let epoch = 0
      for (const text of numbered(10, "m", 2))
        epoch = (yield* client.wire.publishAndWait("a", [text])).position.epoch
      yield* client.join("g", "a")
      assert.deepStrictEqual(texts(yield* client.received()), numbered(5, "m", 7))
      const { from, subscription, to, topic } = yield* client.wire.next("Gap")
      assert.deepStrictEqual(
        [subscription, topic, from, to],
        [1, "a", { epoch, offset: 0 }, { epoch, offset: 7 }]
      )
      assert.deepInclude(yield* client.info("g"), { lost: 7, inFlight: 5, lag: 5 })
    }).pipe(Effect.provide(hubWith({ hotTierMessages: 5 })))
  )

  it.effect("group - a topic that was removed begins anew, and the group with it", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a", { creditMessages: 1, ackWait: 1000, backoff: 1 })
      const before = yield* client.wire.publishAndWait("a", numbered(3))
      yield* client.received()
      yield* client.ask("topic.remove", { name: "a" })
      const after = yield* client.wire.publishAndWait("a", ["new"])
      assert.notStrictEqual(after.position.epoch, before.position.epoch)
      client.wire.credit(1, 10)
      assert.deepStrictEqual(texts(yield* client.received()), ["new"])
      const { from, to } = yield* client.wire.next("Gap")
      assert.deepStrictEqual([from, to], [before.position, { ...before.position, offset: 3 }])
      assert.deepInclude(yield* client.info("g"), { lag: 1, inFlight: 1 })
    }).pipe(Effect.provide(hubWith()))
  )
})
