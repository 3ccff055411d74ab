import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Hub } from "../../src/actors/Hub.ts"
import { encodeText } from "../../src/protocol/Bytes.ts"
import type { ErrorCode } from "../../src/protocol/ErrorCode.ts"
import { unlimitedCredit } from "../../src/protocol/Op.ts"
import { chance, concat } from "../protocol/Chance.ts"
import { failingLog, noFaults } from "./FailingLog.ts"
import { hubWith } from "./TestHub.ts"
import { greeted, messagesOf, numbered, type Received, sessionId, type WireClient } from "./WireClient.ts"

const texts = (messages: ReadonlyArray<Received>) => messages.map((message) => message.text)
const offsets = (messages: ReadonlyArray<Received>) => messages.map((message) => message.offset)
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index)
const metrics = Effect.flatMap(Hub, (hub) => hub.metrics)
const stored = (client: WireClient) =>
  Effect.gen(function* () {
    const { subscription } = yield* client.subscribe("a", { start: { _tag: "Last", count: 1000 } })
    yield* client.settled
    const found = texts(client.delivered(subscription))
    yield* client.settled
    return found
  })

describe("topic - order", () => {
  it.effect("topic - there is one order for all, and each publisher's is kept", () =>
    Effect.gen(function* () {
      const random = chance(9)
      const publishers = yield* Effect.replicateEffect(greeted(), 5)
      const subscribers = yield* Effect.replicateEffect(greeted(), 3)
      for (const subscriber of subscribers) yield* subscriber.subscribe("a")
      const sent = publishers.map(() => 0)
      for (let round = 0; round < 300; round++) {
        const index = random.below(publishers.length)
        const count = 1 + random.below(4)
        publishers[index]!.publish("a", numbered(count, `${index}:`, sent[index]))
        sent[index]! += count
        if (random.below(3) === 0) yield* Effect.yieldNow
      }
      const total = sent.reduce((sum, count) => sum + count, 0)
      const orders: Array<ReadonlyArray<string>> = []
      for (const subscriber of subscribers) {
        const found = yield* subscriber.messages(1, total)
        assert.deepStrictEqual(offsets(found), range(0, total))
        orders.push(texts(found))
      }
      assert.deepStrictEqual(orders[1], orders[0])
      assert.deepStrictEqual(orders[2], orders[0])
      for (const [index, count] of sent.entries())
        assert.deepStrictEqual(
          orders[0]!.filter((text) => text.startsWith(`${index}:`)),
          numbered(count, `${index}:`)
        )
    }).pipe(Effect.provide(hubWith()))
  )
})

describe("topic - receipts", () => {
  it.effect("topic - one receipt stands for the frames of a topic that came together", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      const frames = [
        client.publishFrame("a", numbered(2), { receipt: true }),
        client.publishFrame("b", numbered(1), { receipt: true }),
        client.publishFrame("a", numbered(3), { receipt: true }),
        client.publishFrame("a", numbered(1), { receipt: false })
      ]
      client.raw(concat(frames.map((frame) => frame.bytes)))
      yield* client.settled
      const receipts = client.takeAll("Receipt")
      const covered = receipts.flatMap(({ count, firstSequence, lastSequence }) => [
        [firstSequence, lastSequence, count]
      ])
      assert.sameDeepMembers(covered, [
        [1, 3, 5],
        [2, 2, 1]
      ])
      assert.isTrue(receipts.every((receipt) => receipt.position.offset === 0 && !receipt.duplicate))
      assert.isTrue(receipts.every((receipt) => receipt.durability === "accepted"))
      const after = yield* client.publishAndWait("a", ["x"])
      assert.strictEqual(after.position.offset, 6)
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("topic - frames of two sessions that came together keep their publishers apart", () =>
    Effect.gen(function* () {
      const client = yield* greeted(2)
      yield* client.subscribe("a", { echo: false })
      const frames = [1, 2, 1, 2].map((session, index) =>
        client.publishFrame("a", [`${session}:${index}`], { session, receipt: true })
      )
      client.raw(concat(frames.map((frame) => frame.bytes)))
      for (const session of [1, 2])
        yield* client.next("Receipt", (receipt) => receipt.session === session && receipt.lastSequence === 2)
      yield* client.settled
      assert.deepStrictEqual(texts(client.delivered(1)), ["2:1", "2:3"])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("topic - no receipt comes that was not wanted", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      client.publish("a", ["x"])
      yield* client.settled
      assert.deepStrictEqual(client.inbox, [])
      assert.strictEqual((yield* metrics).messagesReceived, 1)
    }).pipe(Effect.provide(hubWith()))
  )

  const refused: ReadonlyArray<readonly [string, ErrorCode, (client: WireClient) => void]> = [
    ["a reserved topic", "reserved-topic", (client) => void client.publish("$hub.a", ["x"])],
    ["a channel of no uuid", "reserved-topic", (client) => void client.publish("$channel.a", ["x"])],
    ["a pattern", "invalid-topic", (client) => void client.publish("a.*", ["x"])],
    ["no topic", "invalid-topic", (client) => void client.publish("", ["x"])],
    [
      "a topic that is not UTF-8",
      "invalid-topic",
      (client) => {
        const { bytes } = client.publishFrame("abc", ["x"])
        bytes[18] = 0xff
        client.raw(bytes)
      }
    ],
    [
      "a session that is not open",
      "unknown-session",
      (client) => void client.publish("a", ["x"], { session: 9 })
    ],
    ["a message too large", "message-too-large", (client) => void client.publish("a", ["x".repeat(1001)])],
    [
      "fewer records than it says",
      "malformed-batch",
      (client) => {
        const { bytes } = client.publishFrame("a", ["x"])
        bytes[14] = 2
        client.raw(bytes)
      }
    ],
    [
      "a record with fields that are none",
      "malformed-batch",
      (client) => {
        const { bytes } = client.publishFrame("a", [{ payload: encodeText("x"), id: "i" }])
        bytes[bytes.length - 3] = 200
        client.raw(bytes)
      }
    ]
  ]
  for (const [what, code, publish] of refused) {
    it.effect(`topic - ${what} is rejected as ${code}, without a trace and alone`, () =>
      Effect.gen(function* () {
        const client = yield* greeted()
        publish(client)
        const rejected = yield* client.next("Rejected")
        assert.deepStrictEqual([rejected.code, rejected.firstSequence, rejected.lastSequence], [code, 1, 1])
        assert.isAbove(rejected.message.length, 0)
        const { messagesReceived, topics } = yield* metrics
        assert.deepStrictEqual([messagesReceived, topics], [0, 0])
        assert.strictEqual((yield* client.publishAndWait("a", ["fine"])).position.offset, 0)
        yield* client.publishAndWait("a", ["x".repeat(1000)])
      }).pipe(Effect.provide(hubWith({ maxMessageSize: 1000 })))
    )
  }

  it.effect("topic - messages to be held get a receipt without a place, and their place at their time", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.subscribe("a")
      const held = yield* client.publishAndWait("a", numbered(2), { deliverAt: 1000 })
      assert.deepInclude(held, { position: { epoch: 0, offset: 0 }, count: 2, durability: "accepted" })
      assert.strictEqual((yield* client.publishAndWait("a", ["first"])).position.offset, 0)
      yield* TestClock.adjust(999)
      yield* client.settled
      assert.deepStrictEqual(texts(client.delivered(1)), ["first"])
      yield* TestClock.adjust(1)
      const found = yield* client.messages(1, 2)
      assert.deepStrictEqual([texts(found), offsets(found)], [numbered(2), [1, 2]])
      assert.isTrue(found.every(({ timestamp }) => timestamp === 1000))
    }).pipe(Effect.provide(hubWith()))
  )

  for (const isKept of [true, false]) {
    const fate = isKept ? "a duplicate if that is kept" : "stored if that is refused"
    it.effect(`topic - what is sent again while the first is on its way is ${fate}`, () => {
      const faults = noFaults()
      return Effect.gen(function* () {
        const [client, again] = [yield* greeted(), yield* greeted()]
        yield* client.publishAndWait("a", ["before"])
        faults.holdsBack.add("a")
        client.publish("a", ["x"], { receipt: true })
        yield* client.settled
        again.publish("a", ["x"], { sequence: 2, receipt: true, resent: true })
        yield* again.settled
        assert.deepStrictEqual(again.takeAll("Receipt"), [])
        faults.holdsBack.clear()
        if (isKept) faults.release("a")
        else faults.refuse("a", 1, "full")
        yield* again.settled
        const receipt = yield* again.next("Receipt")
        assert.deepStrictEqual([receipt.duplicate, receipt.position.offset], [isKept, 1])
        assert.deepStrictEqual(yield* stored(again), ["before", "x"])
      }).pipe(Effect.provide(hubWith({}, failingLog(faults))))
    })
  }

  it.effect("topic - a channel may be published to and subscribed by its full name only", () =>
    Effect.gen(function* () {
      const client = yield* greeted(2)
      const channel = `$channel.${sessionId(7)}`
      yield* client.subscribe(channel, { echo: false })
      yield* client.subscribe(">", { session: 2 })
      yield* client.subscribe("*.*", { session: 2 })
      yield* client.publishAndWait(channel, ["mine"])
      yield* client.publishAndWait(channel, ["theirs"], { session: 2 })
      assert.deepStrictEqual(texts(yield* client.messages(1, 1)), ["theirs"])
      for (const pattern of ["$channel.*", "$channel.>", "$>", "$hub"]) {
        client.askToSubscribe(pattern)
        const { code } = yield* client.next("Failure")
        assert.isTrue(code === "reserved-topic" || code === "invalid-pattern", `${pattern}: ${code}`)
      }
      yield* client.settled
      assert.deepStrictEqual(client.inbox, [])
    }).pipe(Effect.provide(hubWith()))
  )
})

describe("topic - frames that are sent again", () => {
  it.effect("topic - what it has already is not stored twice, and the receipt says so", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.subscribe("a")
      for (const text of numbered(3)) yield* client.publishAndWait("a", [text, text])
      for (const sequence of [1, 2, 3]) {
        const receipt = yield* client.publishAndWait("a", ["again", "again"], { sequence, resent: true })
        assert.isTrue(receipt.duplicate)
        assert.strictEqual(receipt.position.offset, 5)
      }
      const fresh = yield* client.publishAndWait("a", ["new"], { sequence: 4, resent: true })
      assert.deepStrictEqual([fresh.duplicate, fresh.position.offset], [false, 6])
      assert.deepStrictEqual(texts(yield* client.messages(1, 7)), ["m0", "m0", "m1", "m1", "m2", "m2", "new"])
      assert.strictEqual((yield* metrics).messagesDuplicate, 6)
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("topic - also over another connection of the same uuid, and of no other", () =>
    Effect.gen(function* () {
      const before = yield* greeted()
      yield* before.publishAndWait("a", ["first"])
      before.duplex.destroy()
      const after = yield* greeted()
      const again = yield* after.publishAndWait("a", ["first"], { sequence: 1, resent: true })
      assert.isTrue(again.duplicate)
      const elsewhere = yield* after.publishAndWait("b", ["first"], { sequence: 1, resent: true })
      assert.isFalse(elsewhere.duplicate)
      after.open(2, sessionId(99))
      const other = yield* after.publishAndWait("a", ["first"], { session: 2, sequence: 1, resent: true })
      assert.isFalse(other.duplicate)
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("topic - it remembers for the window, and then no more", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      client.answersPings = true
      yield* client.publishAndWait("a", ["x"])
      yield* TestClock.adjust(10_000)
      const within = yield* client.publishAndWait("a", ["x"], { sequence: 1, resent: true })
      assert.isTrue(within.duplicate)
      yield* TestClock.adjust(1)
      const after = yield* client.publishAndWait("a", ["x"], { sequence: 1, resent: true })
      assert.isFalse(after.duplicate)
    }).pipe(Effect.provide(hubWith({ deduplicationWindow: 10_000 })))
  )

  for (const earlier of [true, false]) {
    it.effect(
      `topic - what it refused is stored when it comes again${earlier ? "" : ", also if it was the first"}`,
      () => {
        const faults = noFaults()
        return Effect.gen(function* () {
          const client = yield* greeted()
          if (earlier) yield* client.publishAndWait("a", ["earlier"])
          faults.failures.set("a", 1)
          const options = { receipt: true }
          const frames = ["m0", "m1", "m2"].map((text) => client.publishFrame("a", [text], options))
          client.raw(concat(frames.map((frame) => frame.bytes)))
          const { firstSequence, lastSequence } = yield* client.next("Rejected")
          assert.strictEqual(lastSequence - firstSequence, 2)
          yield* TestClock.adjust(100)
          const { lastSequence: newest } = yield* client.publishAndWait("a", ["m3"])
          for (let sequence = firstSequence; sequence <= newest; sequence++) {
            const text = `m${sequence - firstSequence}`
            const receipt = yield* client.publishAndWait("a", [text], { sequence, resent: true })
            assert.strictEqual(receipt.duplicate, sequence === newest, text)
          }
          for (let sequence = firstSequence; sequence <= newest; sequence++)
            assert.isTrue((yield* client.publishAndWait("a", ["x"], { sequence, resent: true })).duplicate)
          const expected = [...(earlier ? ["earlier"] : []), "m3", "m0", "m1", "m2"]
          assert.deepStrictEqual(yield* stored(client), expected)
        }).pipe(Effect.provide(hubWith({}, failingLog(faults))))
      }
    )
  }
})

describe("topic - failures", () => {
  for (const how of ["failures", "throws"] as const) {
    it.effect(`topic - a batch that makes it fail (${how}) is rejected, and the next one works`, () => {
      const faults = noFaults()
      return Effect.gen(function* () {
        const client = yield* greeted()
        yield* client.subscribe("a")
        yield* client.publishAndWait("a", ["before"])
        faults[how].set("a", 1)
        const sequence = client.publish("a", ["lost"], { receipt: true })
        const rejected = yield* client.next("Rejected")
        assert.deepStrictEqual([rejected.code, rejected.lastSequence], ["topic-failed", sequence])
        const next = client.publish("a", ["after"], { receipt: true })
        yield* client.publishAndWait("b", ["another topic does not rest"])
        yield* client.settled
        assert.isUndefined(client.take("Receipt"))
        yield* TestClock.adjust(100)
        const receipt = yield* client.next("Receipt")
        assert.deepStrictEqual([receipt.lastSequence, receipt.position.offset], [next, 1])
        assert.deepStrictEqual(texts(yield* client.messages(1, 2)), ["before", "after"])
        const { actorFailures, messagesRejected } = yield* metrics
        assert.deepStrictEqual([actorFailures, messagesRejected], [1, 1])
      }).pipe(Effect.provide(hubWith({}, failingLog(faults))))
    })
  }

  it.effect(
    "topic - it rests longer with each failure up to a limit, and shortly again after a quiet time",
    () => {
      const faults = noFaults()
      return Effect.gen(function* () {
        const client = yield* greeted()
        client.answersPings = true
        const restsFor = Effect.fnUntraced(function* (rest: number) {
          faults.failures.set("a", 1)
          client.publish("a", ["lost"])
          yield* client.next("Rejected")
          client.publish("a", ["x"], { receipt: true })
          yield* client.settled
          yield* TestClock.adjust(rest - 1)
          yield* client.settled
          assert.isUndefined(client.take("Receipt"), `after ${rest - 1} ms`)
          yield* TestClock.adjust(1)
          yield* client.next("Receipt")
        })
        for (const rest of [100, 200, 400, 500, 500]) yield* restsFor(rest)
        yield* TestClock.adjust(10_000)
        yield* restsFor(100)
      }).pipe(Effect.provide(hubWith({ restartBackoffMax: 500, restartLimit: 100 }, failingLog(faults))))
    }
  )

  it.effect("topic - one that fails too often within the window takes the hub with it", () => {
    const faults = noFaults()
    return Effect.gen(function* () {
      const hub = yield* Hub
      const failure = yield* Effect.forkChild(Effect.flip(hub.failure), { startImmediately: true })
      const client = yield* greeted()
      faults.failures.set("a", 3)
      for (let left = 3; left > 0; left--) {
        assert.isUndefined(failure.pollUnsafe())
        client.publish("a", ["x"])
        yield* client.next("Rejected")
        yield* TestClock.adjust(1000)
      }
      const error = yield* Fiber.join(failure)
      assert.strictEqual(error.actor, "topic a")
      assert.strictEqual(error.reason, "actor-failed")
      assert.match(error.message, /topic a failed too often/)
    }).pipe(Effect.provide(hubWith({ restartLimit: 2 }, failingLog(faults))))
  })

  it.effect("topic - failures that lie apart, or are of several topics, do not add up", () => {
    const faults = noFaults()
    return Effect.gen(function* () {
      const hub = yield* Hub
      const failure = yield* Effect.forkChild(Effect.flip(hub.failure), { startImmediately: true })
      const client = yield* greeted()
      client.answersPings = true
      for (let round = 0; round < 6; round++) {
        for (const topic of ["a", "b", "c"]) {
          faults.failures.set(topic, 1)
          client.publish(topic, ["x"])
          yield* client.next("Rejected")
        }
        yield* TestClock.adjust(10_000)
        yield* client.settled
      }
      assert.isUndefined(failure.pollUnsafe())
      assert.strictEqual((yield* hub.metrics).actorFailures, 18)
    }).pipe(Effect.provide(hubWith({ restartLimit: 1 }, failingLog(faults))))
  })
})

describe("topic - passivation", () => {
  const settings = { topicIdleTimeout: 60_000, hotTierRetention: 5000, deduplicationWindow: 5000 }

  it.effect("topic - one that is idle and holds nothing is let go, and made again when it is used", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const client = yield* greeted()
      client.answersPings = true
      yield* client.subscribe("a")
      yield* client.subscribe("*")
      const first = yield* client.publishAndWait("a", ["x"])
      yield* TestClock.adjust(50_000)
      assert.strictEqual((yield* hub.metrics).topics, 1)
      yield* TestClock.adjust(20_000)
      const { topics, topicsPassivated } = yield* hub.metrics
      assert.deepStrictEqual([topics, topicsPassivated], [0, 1])
      assert.deepStrictEqual(yield* hub.topics(">"), [])
      const second = yield* client.publishAndWait("a", ["y"])
      assert.deepStrictEqual(second.position, { ...first.position, offset: 1 })
      for (const subscription of [1, 2])
        assert.deepStrictEqual(texts(yield* client.messages(subscription, 2)), ["x", "y"])
      yield* client.subscribe("a", {
        start: { _tag: "Position", position: { ...first.position, offset: 1 } }
      })
      // It goes on where it was, so who missed nothing is told of no gap.
      assert.deepStrictEqual(texts(yield* client.messages(3, 1)), ["y"])
      assert.strictEqual((yield* hub.metrics).gaps, 0)
    }).pipe(Effect.provide(hubWith(settings)))
  )

  it.effect("topic - one that holds messages, or is at work, stays", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const client = yield* greeted()
      client.answersPings = true
      yield* client.publishAndWait("kept", ["x"])
      yield* client.subscribe("waiting", { overflow: "wait", creditMessages: 0 })
      for (const text of numbered(3)) client.publish("waiting", messagesOf([text]))
      for (let round = 0; round < 10; round++) {
        yield* TestClock.adjust(10_000)
        yield* client.settled
      }
      const names = (yield* hub.topics(">")).map((topic) => topic.name)
      assert.deepStrictEqual(names, ["kept", "waiting"])
      client.credit(1, unlimitedCredit)
      assert.deepStrictEqual(texts(yield* client.messages(1, 3)), numbered(3))
    }).pipe(Effect.provide(hubWith({ ...settings, hotTierRetention: 600_000, clientQueueSize: 1 })))
  )

  it.effect("topic - thousands that come and go leave those that stay where they are", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const client = yield* greeted()
      client.answersPings = true
      yield* client.subscribe("stay.*")
      for (let round = 0; round < 3; round++) {
        for (let index = 0; index < 1000; index++) client.publish(`go.${round}.${index}`, ["x"])
        for (let index = 0; index < 100; index++) client.publish(`stay.${index}`, [`${round}`])
        yield* client.settled
        for (let step = 0; step < 4; step++) {
          yield* TestClock.adjust(20_000)
          for (let index = 0; index < 100; index++) client.publish(`stay.${index}`, ["keeps"])
          yield* client.settled
        }
        assert.strictEqual((yield* hub.metrics).topics, 100)
      }
      assert.strictEqual((yield* client.messages(1, 1500)).length, 1500)
      assert.strictEqual((yield* hub.metrics).topicsPassivated, 3000)
    }).pipe(Effect.provide(hubWith({ ...settings, clientQueueSize: 10_000 })))
  )
})
