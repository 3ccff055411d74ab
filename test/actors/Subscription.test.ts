import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { Hub } from "../../src/actors/Hub.ts"
import { unlimitedCredit } from "../../src/protocol/Op.ts"
import { hubWith } from "./TestHub.ts"
import { connect, greeted, numbered, type Received, sessionId, type WireClient } from "./WireClient.ts"

const metrics = Effect.flatMap(Hub, (hub) => hub.metrics)
const offsets = (messages: ReadonlyArray<Received>) => messages.map((message) => message.offset)
const texts = (messages: ReadonlyArray<Received>) => messages.map((message) => message.text)
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index)

/** Publishes batches of so many messages, `m0` and on, one after the other. */
const publishBatches = Effect.fnUntraced(function* (
  client: WireClient,
  topic: string,
  sizes: ReadonlyArray<number>
) {
  let next = 0
  for (const size of sizes) {
    yield* client.publishAndWait(topic, numbered(size, "m", next))
    next += size
  }
})

const drops = (client: WireClient) =>
  client.takeAll("Dropped").map(({ count, from, subscription, to, topic }) => ({
    subscription,
    topic,
    from: from.offset,
    to: to.offset,
    count
  }))

describe("subscription - overflow", () => {
  it.effect("subscription - drop-oldest keeps the newest and says exactly what it dropped", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.subscribe("a", { overflow: "drop-oldest", creditMessages: 0 })
      yield* publishBatches(client, "a", [3, 3, 3])
      yield* client.settled
      assert.deepStrictEqual(drops(client), [
        { subscription: 1, topic: "a", from: 0, to: 1, count: 1 },
        { subscription: 1, topic: "a", from: 1, to: 4, count: 3 }
      ])
      client.credit(1, 100)
      const found = yield* client.messages(1, 5)
      assert.deepStrictEqual(offsets(found), range(4, 9))
      assert.deepStrictEqual(texts(found), numbered(5, "m", 4))
      yield* client.publishAndWait("a", ["next"])
      assert.deepStrictEqual(offsets(yield* client.messages(1, 1)), [9])
      const { messagesDelivered, messagesDropped } = yield* metrics
      assert.strictEqual(messagesDropped["drop-oldest"], 4)
      assert.strictEqual(messagesDelivered, 6)
    }).pipe(Effect.provide(hubWith({ clientQueueSize: 5 })))
  )

  it.effect("subscription - drop-oldest of a batch larger than the mailbox keeps its end", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.subscribe("a", { overflow: "drop-oldest", creditMessages: 0 })
      yield* publishBatches(client, "a", [2, 12])
      yield* client.settled
      const dropped = drops(client)
      assert.strictEqual(
        dropped.reduce((sum, { count }) => sum + count, 0),
        9
      )
      assert.deepStrictEqual([dropped[0]?.from, dropped.at(-1)?.to], [0, 9])
      client.credit(1, 100)
      assert.deepStrictEqual(texts(yield* client.messages(1, 5)), numbered(5, "m", 9))
    }).pipe(Effect.provide(hubWith({ clientQueueSize: 5 })))
  )

  it.effect("subscription - drop-newest keeps the oldest and says exactly what it dropped", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.subscribe("a", { overflow: "drop-newest", creditMessages: 0 })
      yield* publishBatches(client, "a", [3, 3, 3])
      yield* client.settled
      assert.deepStrictEqual(drops(client), [
        { subscription: 1, topic: "a", from: 5, to: 6, count: 1 },
        { subscription: 1, topic: "a", from: 6, to: 9, count: 3 }
      ])
      client.credit(1, 100)
      const found = yield* client.messages(1, 5)
      assert.deepStrictEqual(texts(found), numbered(5))
      yield* client.publishAndWait("a", ["next"])
      assert.deepStrictEqual(offsets(yield* client.messages(1, 1)), [9])
      assert.strictEqual((yield* metrics).messagesDropped["drop-newest"], 4)
    }).pipe(Effect.provide(hubWith({ clientQueueSize: 5 })))
  )

  it.effect("subscription - disconnect closes its session as a slow consumer, and no other", () =>
    Effect.gen(function* () {
      const client = yield* greeted(2)
      yield* client.subscribe("a", { overflow: "disconnect", creditMessages: 0, subscription: 7 })
      yield* client.subscribe("a", { session: 2, subscription: 8 })
      yield* client.publishAndWait("a", numbered(3), { session: 2 })
      yield* client.publishAndWait("a", numbered(3), { session: 2 })
      const closed = yield* client.next("Closed")
      assert.deepStrictEqual(closed, {
        _tag: "Closed",
        session: 1,
        request: 0,
        reason: "slow-consumer",
        subscription: 7
      })
      yield* client.publishAndWait("a", ["on"], { session: 2 })
      assert.deepStrictEqual(offsets(yield* client.messages(8, 7, 2)), range(0, 7))
      client.publish("a", ["no more"], { session: 1 })
      assert.strictEqual((yield* client.next("Rejected")).code, "unknown-session")
      assert.deepStrictEqual(client.delivered(7), [])
      const { messagesDropped, sessions, subscriptions } = yield* metrics
      assert.deepStrictEqual([messagesDropped.disconnect, messagesDropped.closed], [3, 3])
      assert.deepStrictEqual([sessions, subscriptions], [1, 1])
    }).pipe(Effect.provide(hubWith({ clientQueueSize: 5 })))
  )

  it.effect("subscription - wait keeps all, and holds back the publisher's receipts", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const client = yield* greeted()
      yield* client.subscribe("a", { overflow: "wait", creditMessages: 0 })
      const publisher = yield* greeted()
      for (let frame = 0; frame < 6; frame++) {
        publisher.publish("a", numbered(3, "m", frame * 3), { receipt: true })
        yield* publisher.settled
      }
      // Of six batches one is in the mailbox, one is what the topic waits with, one is in its mailbox.
      assert.deepStrictEqual(
        publisher.takeAll("Receipt").map((receipt) => receipt.lastSequence),
        [1, 2]
      )
      const [topic] = yield* hub.topics("a")
      assert.strictEqual(topic?.queued, 3)
      const { clientQueueCapacity, clientQueueDepth, queueCapacity, queueDepth } = yield* hub.metrics
      assert.deepStrictEqual([clientQueueDepth, queueDepth], [3, 3])
      assert.deepStrictEqual([clientQueueCapacity, queueCapacity], [3 / 5, 3 / 4])
      client.credit(1, unlimitedCredit)
      assert.deepStrictEqual(texts(yield* client.messages(1, 18)), numbered(18))
      const late = []
      for (let left = 4; left > 0; left--) late.push((yield* publisher.next("Receipt")).lastSequence)
      assert.deepStrictEqual(late, [3, 4, 5, 6])
      assert.deepStrictEqual(drops(client), [])
    }).pipe(Effect.provide(hubWith({ clientQueueSize: 5, queueSize: 4 })))
  )

  it.effect("subscription - wait stops the reading of the publisher, so memory is bounded", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.subscribe("a", { overflow: "wait", creditMessages: 0 })
      const publisher = yield* greeted()
      const large = "x".repeat(200_000)
      for (let left = 200; left > 0; left--) publisher.publish("a", [large])
      for (let turn = 0; turn < 300; turn++) yield* Effect.yieldNow
      const waiting = publisher.duplex.pending()
      assert.isAbove(waiting, 0, "the hub reads no more")
      for (let turn = 0; turn < 300; turn++) yield* Effect.yieldNow
      assert.strictEqual(publisher.duplex.pending(), waiting)
      client.credit(1, unlimitedCredit)
      assert.deepStrictEqual(offsets(yield* client.messages(1, 200)), range(0, 200))
      yield* publisher.settled
    }).pipe(Effect.provide(hubWith({ clientQueueSize: 2, queueSize: 2 })))
  )

  it.effect("subscription - wait under a client that waits for itself: its credit is still read", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.subscribe("a", { overflow: "wait", creditMessages: 2 })
      const count = 500
      for (const text of numbered(count)) client.publish("a", [text], { receipt: true })
      const found: Array<Received> = []
      while (found.length < count) {
        const some = yield* client.messages(1, 1)
        found.push(...some)
        client.credit(1, some.length)
      }
      assert.deepStrictEqual(texts(found), numbered(count))
      yield* client.next("Receipt", (receipt) => receipt.lastSequence === count)
    }).pipe(Effect.provide(hubWith({ clientQueueSize: 3, queueSize: 4 })))
  )

  it.effect("subscription - wait holds up nobody any more when it is gone, however it went", () =>
    Effect.gen(function* () {
      const publisher = yield* greeted()
      yield* publisher.subscribe("*", { subscription: 50 })
      const ways: ReadonlyArray<readonly [string, (client: WireClient) => void]> = [
        ["unsubscribed", (client) => void client.unsubscribe(1)],
        ["closed", (client) => void client.close(1)],
        ["cut", (client) => client.duplex.destroy()]
      ]
      for (const [topic, leave] of ways) {
        const client = yield* greeted()
        yield* client.subscribe(topic, { overflow: "wait", creditMessages: 0 })
        let last = 0
        for (const text of numbered(10)) {
          last = publisher.publish(topic, [text], { receipt: true })
          yield* publisher.settled
        }
        assert.isUndefined(publisher.take("Receipt", (receipt) => receipt.lastSequence === last))
        leave(client)
        yield* publisher.next("Receipt", (receipt) => receipt.lastSequence === last)
        assert.deepStrictEqual(texts(yield* publisher.messages(50, 10)), numbered(10))
      }
    }).pipe(Effect.provide(hubWith({ clientQueueSize: 3, queueSize: 4 })))
  )

  it.effect("subscription - one that is full slows no other, except under wait", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      for (const overflow of ["drop-oldest", "drop-newest"] as const)
        yield* client.subscribe("a", { overflow, creditMessages: 0 })
      yield* client.subscribe("a", { subscription: 9, overflow: "wait" })
      yield* publishBatches(
        client,
        "a",
        Array.from({ length: 30 }, () => 2)
      )
      assert.deepStrictEqual(offsets(yield* client.messages(9, 60)), range(0, 60))
    }).pipe(Effect.provide(hubWith({ clientQueueSize: 5 })))
  )

  it.effect("subscription - the mailbox is bounded in bytes too", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const client = yield* greeted()
      yield* client.subscribe("a", { overflow: "drop-oldest", creditMessages: 0 })
      yield* client.subscribe("a", { overflow: "drop-newest", creditMessages: 0 })
      for (const text of numbered(20)) yield* client.publishAndWait("a", [text.padEnd(100)])
      const { clientQueueBytes, clientQueueCapacity } = yield* hub.metrics
      assert.isAtMost(clientQueueBytes, 2000)
      assert.isAtMost(clientQueueCapacity, 1)
      client.credit(1, unlimitedCredit)
      client.credit(2, unlimitedCredit)
      yield* client.settled
      const newest = offsets(client.delivered(1))
      assert.deepStrictEqual(newest, range(20 - newest.length, 20))
      const oldest = offsets(client.delivered(2))
      assert.deepStrictEqual(oldest, range(0, oldest.length))
      assert.isAbove(newest.length, 3)
      assert.isAbove(oldest.length, 3)
      const dropped = drops(client)
      for (const [subscription, kept] of [
        [1, newest],
        [2, oldest]
      ] as const) {
        const counted = dropped.filter((drop) => drop.subscription === subscription)
        assert.strictEqual(
          counted.reduce((sum, { count }) => sum + count, 0),
          20 - kept.length
        )
      }
    }).pipe(Effect.provide(hubWith({ clientQueueBytes: 1000 })))
  )

  it.effect(
    "subscription - a client that does not read is told of all that was dropped, before the rest",
    () =>
      Effect.gen(function* () {
        const stuck = yield* greeted()
        yield* stuck.subscribe("a")
        const publisher = yield* greeted()
        stuck.duplex.pause()
        const large = "x".repeat(300_000)
        for (let left = 20; left > 0; left--) yield* publisher.publishAndWait("a", [large])
        const { messagesDropped } = yield* metrics
        const missing = messagesDropped["drop-oldest"] ?? 0
        assert.isAbove(missing, 5)
        stuck.duplex.resume()
        const found = yield* stuck.messages(1, 20 - missing)
        const dropped = drops(stuck)
        assert.strictEqual(dropped.length, 1)
        const { count, from, to } = dropped[0]!
        assert.deepStrictEqual([count, to - from], [missing, missing])
        assert.deepStrictEqual(offsets(found), [...range(0, from), ...range(to, 20)])
      }).pipe(Effect.provide(hubWith({ clientQueueSize: 3 })))
  )
})

describe("subscription - priority", () => {
  it.effect("subscription - what is more urgent overtakes what waits", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.subscribe("a", { creditMessages: 0 })
      for (const [text, priority] of [
        ["m0", 0],
        ["m1", 0],
        ["n0", 5],
        ["u0", 9],
        ["m2", 0],
        ["u1", 9]
      ] as const)
        yield* client.publishAndWait("a", [text], { priority })
      client.credit(1, 3)
      assert.deepStrictEqual(texts(yield* client.messages(1, 3)), ["u0", "u1", "n0"])
      yield* client.publishAndWait("a", ["u2"], { priority: 9 })
      client.credit(1, 10)
      const rest = yield* client.messages(1, 4)
      assert.deepStrictEqual(texts(rest), ["u2", "m0", "m1", "m2"])
      assert.deepStrictEqual(offsets(rest), [6, 0, 1, 4])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("subscription - drop-oldest takes from the least urgent, and never from the more urgent", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.subscribe("a", { creditMessages: 0 })
      const publish = (text: string, priority: number) => client.publishAndWait("a", [text], { priority })
      yield* publish("u0", 9)
      yield* publish("m0", 0)
      yield* publish("n0", 5)
      yield* publish("u1", 9)
      yield* publish("u2", 9)
      yield* publish("m1", 0)
      yield* client.settled
      assert.deepStrictEqual(
        drops(client).map(({ count, from }) => [from, count]),
        [
          [1, 1],
          [2, 1],
          [5, 1]
        ]
      )
      yield* publish("u3", 9)
      client.credit(1, 10)
      assert.deepStrictEqual(texts(yield* client.messages(1, 3)), ["u1", "u2", "u3"])
    }).pipe(Effect.provide(hubWith({ clientQueueSize: 3 })))
  )

  it.effect("subscription - a priority above 9 breaks the protocol", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      client.publish("a", ["x"], { priority: 10 })
      assert.strictEqual(yield* client.goodbye, "protocol-error")
    }).pipe(Effect.provide(hubWith()))
  )
})

describe("subscription - credit", () => {
  it.effect("subscription - so many messages are delivered as there is credit for", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.subscribe("a", { creditMessages: 2 })
      yield* publishBatches(client, "a", [1, 1, 1, 1, 1, 1])
      yield* client.settled
      assert.deepStrictEqual(offsets(client.delivered(1)), [0, 1])
      client.credit(1, 1)
      yield* client.settled
      assert.deepStrictEqual(offsets(client.delivered(1)), [2])
      client.credit(1, unlimitedCredit)
      assert.deepStrictEqual(offsets(yield* client.messages(1, 3)), [3, 4, 5])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("subscription - a batch may take credit below nothing, and then it is owed", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.subscribe("a", { creditMessages: 2 })
      yield* publishBatches(client, "a", [5, 1, 1])
      yield* client.settled
      assert.deepStrictEqual(offsets(client.delivered(1)), range(0, 5))
      client.credit(1, 3)
      yield* client.settled
      assert.deepStrictEqual(client.delivered(1), [])
      client.credit(1, 1)
      yield* client.settled
      assert.deepStrictEqual(offsets(client.delivered(1)), [5])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("subscription - bytes have credit too, and both are needed", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.subscribe("a", { creditBytes: 1 })
      yield* publishBatches(client, "a", [1, 1, 1])
      yield* client.settled
      assert.deepStrictEqual(offsets(client.delivered(1)), [0])
      client.credit(1, 5, 0)
      yield* client.settled
      assert.deepStrictEqual(client.delivered(1), [])
      client.credit(1, 0, 20)
      yield* client.settled
      assert.deepStrictEqual(client.delivered(1), [])
      client.credit(1, 0, 20)
      yield* client.settled
      assert.deepStrictEqual(offsets(client.delivered(1)), [1])
      client.credit(1, 0, unlimitedCredit)
      assert.deepStrictEqual(offsets(yield* client.messages(1, 1)), [2])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("subscription - without the feature there is no limit", () =>
    Effect.gen(function* () {
      const client = yield* connect
      client.hello({ features: 0 })
      client.open(1)
      yield* client.subscribe("a", { creditMessages: 0, creditBytes: 0 })
      client.publish("a", numbered(5))
      assert.strictEqual((yield* client.messages(1, 5)).length, 5)
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("subscription - credit for what is not there is no error", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      client.credit(9, 1)
      client.credit(9, 1, 1, 9)
      yield* client.settled
      assert.deepStrictEqual(client.inbox, [])
    }).pipe(Effect.provide(hubWith()))
  )
})

describe("subscription - time to live", () => {
  it.effect("subscription - a message whose time is over is not delivered, and is counted", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.subscribe("a", { creditMessages: 0 })
      yield* client.publishAndWait("a", ["short"], { ttl: 100 })
      yield* client.publishAndWait("a", ["long"], { ttl: 1000 })
      yield* client.publishAndWait("a", ["for ever"])
      yield* TestClock.adjust(100)
      client.credit(1, 10)
      assert.deepStrictEqual(texts(yield* client.messages(1, 2)), ["long", "for ever"])
      yield* TestClock.adjust(900)
      yield* client.subscribe("a", { start: { _tag: "Last", count: 10 } })
      assert.deepStrictEqual(texts(yield* client.messages(2, 1)), ["for ever"])
      assert.strictEqual((yield* metrics).messagesExpired, 3)
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("subscription - one that is still alive is delivered", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.subscribe("a", { creditMessages: 0 })
      yield* client.publishAndWait("a", ["short"], { ttl: 100 })
      yield* TestClock.adjust(99)
      client.credit(1, 10)
      assert.deepStrictEqual(texts(yield* client.messages(1, 1)), ["short"])
    }).pipe(Effect.provide(hubWith()))
  )
})

describe("subscription - what it gets", () => {
  it.effect("subscription - two on one topic get everything each", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.subscribe("a.b")
      yield* client.subscribe("a.*")
      yield* publishBatches(client, "a.b", [2, 2])
      assert.deepStrictEqual(offsets(yield* client.messages(1, 4)), range(0, 4))
      assert.deepStrictEqual(offsets(yield* client.messages(2, 4)), range(0, 4))
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("subscription - a pattern gets topics that were there and topics that come", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.publishAndWait("a.one", ["before"])
      yield* client.subscribe("a.*")
      for (const topic of ["a.one", "a.two", "b.one", "a.two.three"])
        yield* client.publishAndWait(topic, [topic])
      assert.deepStrictEqual(texts(yield* client.messages(1, 2)), ["a.one", "a.two"])
      yield* client.settled
      assert.deepStrictEqual(client.delivered(1), [])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("subscription - without echo it gets what others publish, live and from the past", () =>
    Effect.gen(function* () {
      const client = yield* greeted(2)
      yield* client.subscribe("a", { echo: false })
      yield* client.publishAndWait("a", ["mine"])
      yield* client.publishAndWait("a", ["theirs"], { session: 2 })
      assert.deepStrictEqual(texts(yield* client.messages(1, 1)), ["theirs"])
      yield* client.subscribe("a", { echo: false, start: { _tag: "Last", count: 10 } })
      assert.deepStrictEqual(texts(yield* client.messages(2, 1)), ["theirs"])
      yield* client.settled
      assert.deepStrictEqual(client.delivered(2), [])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("subscription - without echo the uuid counts, not the connection", () =>
    Effect.gen(function* () {
      const [before, after] = [yield* greeted(), yield* connect]
      yield* after.begin(0)
      after.open(5, sessionId(1))
      yield* after.subscribe("a", { session: 5, echo: false })
      yield* before.publishAndWait("a", ["mine, from before"])
      yield* after.settled
      assert.deepStrictEqual(after.delivered(1, 5), [])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("subscription - no delivery follows UNSUBSCRIBED", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      const publisher = yield* greeted()
      yield* client.subscribe("a")
      for (let round = 0; round < 20; round++) publisher.publish("a", ["x"])
      const request = client.unsubscribe(1)
      for (let round = 0; round < 20; round++) publisher.publish("a", ["x"])
      yield* client.next("Unsubscribed", (frame) => frame.request === request)
      client.delivered(1)
      yield* publisher.settled
      yield* client.settled
      assert.deepStrictEqual(client.inbox, [])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("subscription - the message arrives as it was published", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.subscribe("a")
      const headers = { traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "": "é" }
      const message = { payload: Uint8Array.of(0, 255, 1), id: "id", key: "key", contentType: "a/b", headers }
      yield* TestClock.adjust(4321)
      const receipt = yield* client.publishAndWait("a", [message])
      const [found] = yield* client.messages(1, 1)
      const { text: _, ...rest } = found!
      assert.deepStrictEqual(
        { ...rest, headers: { ...rest.headers } },
        { ...message, ...receipt.position, topic: "a", timestamp: 4321, attempt: 0 }
      )
    }).pipe(Effect.provide(hubWith()))
  )
})
