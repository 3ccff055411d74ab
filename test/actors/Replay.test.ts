import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { Hub } from "../../src/actors/Hub.ts"
import { unlimitedCredit } from "../../src/protocol/Op.ts"
import type { Position } from "../../src/protocol/Position.ts"
import { chance } from "../protocol/Chance.ts"
import { hubWith } from "./TestHub.ts"
import { greeted, numbered, type Received, type WireClient } from "./WireClient.ts"

const texts = (messages: ReadonlyArray<Received>) => messages.map((message) => message.text)
const offsets = (messages: ReadonlyArray<Received>) => messages.map((message) => message.offset)
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index)
const last = (count: number) => ({ start: { _tag: "Last", count } }) as const
const at = (position: Position) => ({ start: { _tag: "Position", position } }) as const
const since = (time: number) => ({ start: { _tag: "Time", time } }) as const
const resume = (since: number, topics: Readonly<Record<string, Position>>) =>
  ({
    start: {
      _tag: "Resume",
      since,
      topics: Object.entries(topics).map(([topic, position]) => ({ topic, ...position }))
    }
  }) as const

/** Publishes each text in a batch of its own; answers the epoch. */
const publishAll = Effect.fnUntraced(function* (
  client: WireClient,
  topic: string,
  all: ReadonlyArray<string>
) {
  let epoch = 0
  for (const text of all) epoch = (yield* client.publishAndWait(topic, [text])).position.epoch
  return epoch
})

const nothingMore = Effect.fnUntraced(function* (client: WireClient, subscription: number) {
  yield* client.settled
  assert.deepStrictEqual(texts(client.delivered(subscription)), [])
})

describe("replay - the last of each topic", () => {
  it.effect("replay - the last N come, then what is published", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.publishAndWait("a", numbered(3))
      yield* client.publishAndWait("a", numbered(4, "m", 3))
      for (const [count, from] of [
        [0, 7],
        [1, 6],
        [5, 2],
        [7, 0],
        [100, 0]
      ] as const) {
        const { position, subscription } = yield* client.subscribe("a", last(count))
        assert.strictEqual(position?.offset, 7)
        assert.deepStrictEqual(offsets(yield* client.messages(subscription, 7 - from)), range(from, 7))
        yield* nothingMore(client, subscription)
      }
      yield* client.publishAndWait("a", ["new"])
      for (let subscription = 1; subscription <= 5; subscription++)
        assert.deepStrictEqual(texts(yield* client.messages(subscription, 1)), ["new"])
      assert.isUndefined(client.take("Recovered"))
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("replay - of a pattern, of each topic", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      for (const topic of ["a.x", "a.y", "b.x"]) yield* client.publishAndWait(topic, numbered(5, `${topic}:`))
      yield* client.subscribe("a.*", last(2))
      const found = texts(yield* client.messages(1, 4))
      assert.sameMembers([...found], ["a.x:3", "a.x:4", "a.y:3", "a.y:4"])
      yield* nothingMore(client, 1)
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("replay - the last N are those before the subscription, however long its replay takes", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      for (const topic of ["a.x", "a.y"]) yield* publishAll(client, topic, numbered(4, `${topic}:`))
      yield* client.subscribe("a.*", { ...last(1), overflow: "wait", creditMessages: 0 })
      yield* client.settled
      const publisher = yield* greeted()
      for (const topic of ["a.x", "a.y"]) publisher.publish(topic, numbered(3, `${topic}:`, 4))
      yield* publisher.settled
      client.credit(1, unlimitedCredit)
      const found = texts(yield* client.messages(1, 8))
      for (const topic of ["a.x", "a.y"])
        assert.deepStrictEqual(
          found.filter((text) => text.startsWith(topic)),
          numbered(4, `${topic}:`, 3)
        )
    }).pipe(Effect.provide(hubWith({ clientQueueSize: 1 })))
  )
})

describe("replay - from a position or a time", () => {
  it.effect("replay - from a position in the middle of a batch", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      const { position } = yield* client.publishAndWait("a", numbered(10))
      for (const offset of [0, 4, 9]) {
        const { subscription } = yield* client.subscribe("a", at({ ...position, offset }))
        assert.deepStrictEqual(offsets(yield* client.messages(subscription, 10 - offset)), range(offset, 10))
      }
      yield* client.subscribe("a", at({ ...position, offset: 10 }))
      yield* nothingMore(client, 4)
      assert.isUndefined(client.take("Gap"))
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("replay - what the ring let go is a gap, and the rest comes", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      const epoch = yield* publishAll(client, "a", numbered(10))
      yield* client.subscribe("a", at({ epoch, offset: 2 }))
      assert.deepStrictEqual(offsets(yield* client.messages(1, 4)), range(6, 10))
      assert.deepStrictEqual(yield* client.next("Gap"), {
        _tag: "Gap",
        session: 1,
        subscription: 1,
        topic: "a",
        from: { epoch, offset: 2 },
        to: { epoch, offset: 6 }
      })
      assert.strictEqual((yield* (yield* Hub).metrics).gaps, 1)
    }).pipe(Effect.provide(hubWith({ hotTierMessages: 4 })))
  )

  it.effect("replay - a position of another epoch is a gap to what there is", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      const epoch = yield* publishAll(client, "a", numbered(3))
      const stale = { epoch: epoch + 1, offset: 2 }
      yield* client.subscribe("a", at(stale))
      assert.deepStrictEqual(offsets(yield* client.messages(1, 3)), range(0, 3))
      const { from, to } = yield* client.next("Gap")
      assert.deepStrictEqual([from, to], [stale, { epoch, offset: 0 }])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("replay - a position is of one topic", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      client.askToSubscribe("a.*", at({ epoch: 1, offset: 1 }))
      assert.strictEqual((yield* client.next("Failure")).code, "bad-request")
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("replay - from a time", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      for (const text of numbered(5)) {
        yield* TestClock.adjust(100)
        yield* client.publishAndWait("a", [text])
      }
      for (const [time, from] of [
        [0, 0],
        [100, 0],
        [101, 1],
        [300, 2],
        [500, 4]
      ] as const) {
        const { subscription } = yield* client.subscribe("a", since(time))
        assert.deepStrictEqual(offsets(yield* client.messages(subscription, 5 - from)), range(from, 5))
      }
      yield* client.subscribe("a", since(501))
      yield* nothingMore(client, 6)
    }).pipe(Effect.provide(hubWith()))
  )
})

describe("replay - the ring", () => {
  const kept = (client: WireClient) =>
    Effect.gen(function* () {
      const { subscription } = yield* client.subscribe("a", last(1000))
      yield* client.settled
      return texts(client.delivered(subscription))
    })

  it.effect("replay - is bounded in messages", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.publishAndWait("a", numbered(4))
      yield* client.publishAndWait("a", numbered(3, "m", 4))
      assert.deepStrictEqual(yield* kept(client), numbered(5, "m", 2))
    }).pipe(Effect.provide(hubWith({ hotTierMessages: 5 })))
  )

  it.effect("replay - is bounded in bytes", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* publishAll(client, "a", numbered(50))
      const { logBytes } = yield* (yield* Hub).metrics
      assert.isAtMost(logBytes, 300)
      const found = yield* kept(client)
      assert.isAbove(found.length, 5)
      assert.deepStrictEqual(found, numbered(found.length, "m", 50 - found.length))
    }).pipe(Effect.provide(hubWith({ hotTierBytes: 300 })))
  )

  it.effect("replay - is bounded in age, also when nothing is published", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      client.answersPings = true
      yield* client.publishAndWait("a", ["old"])
      yield* TestClock.adjust(10_000)
      yield* client.publishAndWait("a", ["newer"])
      assert.deepStrictEqual(yield* kept(client), ["old", "newer"])
      yield* TestClock.adjust(10_000)
      yield* client.settled
      assert.deepStrictEqual(yield* kept(client), ["newer"])
      yield* TestClock.adjust(10_000)
      yield* client.settled
      assert.deepStrictEqual(yield* kept(client), [])
      assert.strictEqual((yield* (yield* Hub).metrics).logBytes, 0)
    }).pipe(Effect.provide(hubWith({ hotTierRetention: 14_000 })))
  )
})

describe("replay - resuming", () => {
  it.effect("replay - one that missed nothing is told so, after what it had not received", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      const epoch = yield* publishAll(client, "a", numbered(6))
      yield* client.subscribe("a", resume(0, { a: { epoch, offset: 2 } }))
      const recovered = yield* client.next("Recovered")
      assert.deepStrictEqual(recovered, { _tag: "Recovered", session: 1, subscription: 1, messages: 4 })
      assert.deepStrictEqual(offsets(client.delivered(1)), range(2, 6))
      assert.isUndefined(client.take("Gap"))
      yield* client.publishAndWait("a", ["new"])
      assert.deepStrictEqual(texts(yield* client.messages(1, 1)), ["new"])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("replay - one that had everything recovers with nothing", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      const epoch = yield* publishAll(client, "a", numbered(6))
      yield* client.subscribe("a", resume(0, { a: { epoch, offset: 6 } }))
      assert.strictEqual((yield* client.next("Recovered")).messages, 0)
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("replay - what it published itself is not counted where it has no echo", () =>
    Effect.gen(function* () {
      const client = yield* greeted(2)
      const { position } = yield* client.publishAndWait("a", numbered(3))
      yield* client.publishAndWait("a", numbered(2, "other"), { session: 2 })
      yield* client.subscribe("a", { ...resume(0, { a: position }), echo: false })
      assert.strictEqual((yield* client.next("Recovered")).messages, 2)
      assert.deepStrictEqual(texts(client.delivered(1)), numbered(2, "other"))
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("replay - what was evicted meanwhile is a gap, and then it is not recovered", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      const epoch = yield* publishAll(client, "a", numbered(10))
      yield* client.subscribe("a", resume(0, { a: { epoch, offset: 3 } }))
      const { from, to } = yield* client.next("Gap")
      assert.deepStrictEqual(
        [from, to],
        [
          { epoch, offset: 3 },
          { epoch, offset: 6 }
        ]
      )
      assert.deepStrictEqual(offsets(yield* client.messages(1, 4)), range(6, 10))
      yield* client.settled
      assert.isUndefined(client.take("Recovered"))
    }).pipe(Effect.provide(hubWith({ hotTierMessages: 4 })))
  )

  it.effect("replay - a log that was lost is a gap, also if nothing was published since", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      const lost = { epoch: 12_345, offset: 17 }
      yield* client.subscribe("a", resume(0, { a: lost }))
      const { from, to } = yield* client.next("Gap")
      assert.deepStrictEqual(from, lost)
      assert.notStrictEqual(to.epoch, lost.epoch)
      assert.strictEqual(to.offset, 0)
      yield* client.settled
      assert.isUndefined(client.take("Recovered"))
      yield* client.publishAndWait("a", ["new"])
      assert.deepStrictEqual(texts(yield* client.messages(1, 1)), ["new"])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("replay - topics that it did not know are read from when it was away", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      const epoch = yield* publishAll(client, "a.known", numbered(3, "known"))
      yield* client.publishAndWait("a.new", ["before"])
      yield* TestClock.adjust(100)
      yield* client.publishAndWait("a.new", ["missed"])
      yield* client.publishAndWait("b.new", ["not mine"])
      yield* client.subscribe("a.*", resume(50, { "a.known": { epoch, offset: 1 } }))
      assert.strictEqual((yield* client.next("Recovered")).messages, 3)
      assert.sameMembers([...texts(client.delivered(1))], ["known1", "known2", "missed"])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("replay - positions of topics that it does not subscribe to are left out", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const client = yield* greeted()
      const position = { epoch: 1, offset: 1 }
      const topics = { "b.c": position, "a.*": position, "a..b": position, $hub: position, "": position }
      yield* client.subscribe("a.*", resume(0, topics))
      assert.strictEqual((yield* client.next("Recovered")).messages, 0)
      assert.deepStrictEqual(yield* hub.topics(">"), [])
    }).pipe(Effect.provide(hubWith()))
  )
})

describe("replay - and what is live", () => {
  it.effect("replay - one that stands still holds up nobody", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* publishAll(client, "a", numbered(10))
      yield* client.subscribe("a", { ...last(10), overflow: "wait", creditMessages: 0 })
      yield* client.subscribe("a")
      yield* publishAll(client, "a", numbered(10, "m", 10))
      assert.deepStrictEqual(offsets(yield* client.messages(2, 10)), range(10, 20))
      client.credit(1, unlimitedCredit)
      assert.deepStrictEqual(offsets(yield* client.messages(1, 20)), range(0, 20))
    }).pipe(Effect.provide(hubWith({ clientQueueSize: 2 })))
  )

  it.effect("replay - goes over into what is live with no message lost or doubled", () =>
    Effect.gen(function* () {
      const random = chance(2)
      const publisher = yield* greeted()
      const client = yield* greeted()
      let published = 0
      const publish = (count: number) => {
        publisher.publish("a", numbered(count, "m", published))
        published += count
      }
      publish(50)
      yield* publisher.settled
      const subscriptions = []
      for (let round = 0; round < 200; round++) {
        publish(1 + random.below(5))
        if (round % 20 === 0) {
          const { subscription } = client.askToSubscribe("a", {
            ...last(30),
            overflow: "wait",
            creditMessages: 5
          })
          subscriptions.push(subscription)
        }
        for (const subscription of subscriptions) client.credit(subscription, random.below(8))
        if (random.below(2) === 0) yield* Effect.yieldNow
      }
      for (const subscription of subscriptions) client.credit(subscription, unlimitedCredit)
      yield* publisher.settled
      yield* client.settled
      yield* client.settled
      for (const subscription of subscriptions) {
        const found = client.delivered(subscription)
        const first = found[0]?.offset ?? -1
        assert.deepStrictEqual(offsets(found), range(first, published))
        assert.deepStrictEqual(texts(found), numbered(published - first, "m", first))
      }
    }).pipe(Effect.provide(hubWith({ clientQueueSize: 10 })))
  )

  it.effect("replay - what is evicted while it stands still is a gap, so that nothing is lost silently", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* publishAll(client, "a", numbered(5))
      yield* client.subscribe("a", { ...last(5), creditMessages: 0 })
      yield* client.settled
      yield* publishAll(client, "a", numbered(40, "m", 5))
      client.credit(1, unlimitedCredit)
      yield* client.settled
      const found = offsets(client.delivered(1))
      const gaps = client.takeAll("Gap").flatMap(({ from, to }) => range(from.offset, to.offset))
      assert.isAbove(gaps.length, 0)
      assert.deepStrictEqual(
        [...found, ...gaps].sort((a, b) => a - b),
        range(0, 45)
      )
      assert.deepStrictEqual(
        found,
        [...found].sort((a, b) => a - b)
      )
      assert.isUndefined(client.take("Dropped"))
    }).pipe(Effect.provide(hubWith({ hotTierMessages: 5, clientQueueSize: 1 })))
  )

  it.effect("replay - ends with its subscription", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* publishAll(client, "a", numbered(20))
      yield* client.subscribe("a", { ...last(20), creditMessages: 3 })
      yield* client.messages(1, 3)
      const request = client.unsubscribe(1)
      yield* client.next("Unsubscribed", (frame) => frame.request === request)
      client.credit(1, unlimitedCredit)
      yield* client.publishAndWait("a", ["x"])
      yield* nothingMore(client, 1)
      const { messagesReplayed, subscriptions } = yield* (yield* Hub).metrics
      assert.isBelow(messagesReplayed, 10)
      assert.strictEqual(subscriptions, 0)
    }).pipe(Effect.provide(hubWith({ clientQueueSize: 2 })))
  )
})
