import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { hubWith } from "../TestHub.ts"
import { numbered } from "../WireClient.ts"
import { attempts, member, texts } from "./GroupClient.ts"

describe("group - sharing", () => {
  it.effect("group - a message goes to one member, and members take turns", () =>
    Effect.gen(function* () {
      const [one, other, publisher] = [yield* member(), yield* member(), yield* member()]
      assert.isTrue((yield* one.join("g", "a")).created)
      assert.isFalse((yield* other.join("g", "a")).created)
      for (const text of numbered(10)) yield* publisher.wire.publishAndWait("a", [text])
      const [first, second] = [yield* one.received(), yield* other.received()]
      assert.deepStrictEqual([first.length, second.length], [5, 5])
      assert.sameMembers([...texts(first), ...texts(second)], [...numbered(10)])
      assert.isTrue([...first, ...second].every(({ attempt }) => attempt === 1))
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - a backlog of one batch is shared", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* member(), yield* member()]
      yield* one.join("g", "a", { creditMessages: 0 })
      yield* other.join("g", "a", { creditMessages: 0 })
      yield* one.wire.publishAndWait("a", numbered(100))
      other.wire.credit(1, 60)
      one.wire.credit(1, 60)
      const [first, second] = [yield* one.received(), yield* other.received()]
      assert.sameMembers([...texts(first), ...texts(second)], [...numbered(100)])
      assert.isAtMost(first.length, 60)
      assert.isAtMost(second.length, 60)
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - credit is a limit in messages and in bytes", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a", { creditMessages: 3 })
      yield* client.wire.publishAndWait("a", numbered(10))
      assert.deepStrictEqual(texts(yield* client.received()), numbered(3))
      client.wire.credit(1, 2)
      assert.deepStrictEqual(texts(yield* client.received()), ["m3", "m4"])
      yield* client.join("h", "a", { subscription: 2, creditBytes: 1 })
      assert.isAbove((yield* client.received(2)).length, 0)
      yield* client.wire.publishAndWait("a", ["late"])
      assert.deepStrictEqual(texts(yield* client.received(2)), [])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - no more than maxInFlight are with all members together", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* member(), yield* member()]
      yield* one.join("g", "a", { maxInFlight: 5 })
      yield* other.join("g", "a")
      yield* one.wire.publishAndWait("a", numbered(12))
      const first = [...(yield* one.received()), ...(yield* other.received())]
      assert.strictEqual(first.length, 5)
      assert.deepInclude(yield* one.info("g"), { inFlight: 5, lag: 12, maxInFlight: 5, members: 2 })
      yield* one.ack("g", first.slice(0, 2))
      assert.strictEqual([...(yield* one.received()), ...(yield* other.received())].length, 2)
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - two groups each get everything, and live subscribers too", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a", { subscription: 1 })
      yield* client.join("h", "a", { subscription: 2 })
      yield* client.wire.subscribe("a", { subscription: 3 })
      yield* client.wire.publishAndWait("a", numbered(4))
      for (const subscription of [1, 2, 3])
        assert.deepStrictEqual(texts(yield* client.received(subscription)), numbered(4))
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - a message of a higher priority overtakes those that wait", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a", { creditMessages: 0 })
      yield* client.wire.publishAndWait("a", ["low", "low too"], { priority: 1 })
      yield* client.wire.publishAndWait("a", ["high"], { priority: 9 })
      yield* client.wire.publishAndWait("a", ["middle"], { priority: 5 })
      // The first look at the log brings all of them.
      client.wire.credit(1, 1)
      const [first] = yield* client.received()
      client.wire.credit(1, 3)
      const rest = yield* client.received()
      assert.deepStrictEqual([first?.text, ...texts(rest)], ["high", "middle", "low", "low too"])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - of many topics each has its turn", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a.*", { creditMessages: 0 })
      for (const topic of ["a.x", "a.y", "a.z"])
        for (const text of numbered(20, topic)) yield* client.wire.publishAndWait(topic, [text])
      client.wire.credit(1, 9)
      const topics = (yield* client.received()).map(({ topic }) => topic)
      assert.strictEqual(topics.length, 9)
      assert.strictEqual(new Set(topics).size, 3)
    }).pipe(Effect.provide(hubWith()))
  )
})

describe("group - acknowledging", () => {
  it.effect("group - one, several, or all up to a position", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a", { ackWait: 1000, backoff: 1 })
      yield* client.wire.publishAndWait("a", numbered(10))
      const all = yield* client.received()
      yield* client.ack("g", [all[7]!])
      yield* client.ack("g", [all[5]!, all[9]!])
      yield* client.acked(client.sendAckOf("g", all[0]!, [{ from: 0, to: 4 }]))
      assert.deepInclude(yield* client.info("g"), { lag: 3, inFlight: 3, acknowledged: 7 })
      yield* TestClock.adjust(1000)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(attempts(yield* client.received()), ["m4#2", "m6#2", "m8#2"])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - what is not pending is passed over", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a")
      yield* client.wire.publishAndWait("a", numbered(2))
      const all = yield* client.received()
      yield* client.ack("g", all)
      yield* client.ack("g", all)
      const { epoch, topic } = all[0]!
      yield* client.acked(client.sendAckOf("g", { epoch: epoch + 1, topic }, [{ from: 0, to: 9 }]))
      yield* client.acked(client.sendAckOf("g", { epoch, topic: "other" }, [{ from: 0, to: 9 }]))
      yield* client.acked(client.sendAckOf("g", { epoch, topic }, [{ from: 5, to: 2 }]))
      yield* client.acked(client.sendAckOf("g", { epoch, topic }, []))
      assert.deepInclude(yield* client.info("g"), { acknowledged: 2, lag: 0 })
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - what is not published yet cannot be acknowledged", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a")
      yield* client.wire.publishAndWait("a", ["x"])
      const [x] = yield* client.received()
      yield* client.acked(client.sendAckOf("g", x!, [{ from: 0, to: Number.MAX_SAFE_INTEGER }]))
      yield* client.wire.publishAndWait("a", ["y"])
      assert.deepStrictEqual(texts(yield* client.received()), ["y"])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - only who has joined may, and with so many ranges at most", () =>
    Effect.gen(function* () {
      const [client, other] = [yield* member(), yield* member()]
      yield* client.join("g", "a")
      yield* client.wire.publishAndWait("a", ["x"])
      const all = yield* client.received()
      assert.strictEqual(yield* other.failure(other.sendAck("g", all)), "unknown-group")
      assert.strictEqual(yield* other.failure(other.sendRefusal("g", all)), "unknown-group")
      assert.strictEqual(yield* client.failure(client.sendAck("g", all, 7)), "unknown-session")
      const ranges = Array.from({ length: 4097 }, () => ({ from: 0, to: 1 }))
      assert.strictEqual(yield* client.failure(client.sendAckOf("g", all[0]!, ranges)), "limit-reached")
      assert.deepInclude(yield* client.info("g"), { acknowledged: 0, inFlight: 1 })
      yield* client.acked(client.sendAckOf("g", all[0]!, ranges.slice(1)))
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - one member may acknowledge what another has, and refuse only its own", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* member(), yield* member()]
      yield* one.join("g", "a")
      yield* one.wire.publishAndWait("a", numbered(2))
      const all = yield* one.received()
      yield* other.join("g", "a")
      yield* other.refuse("g", all, { fate: "back" })
      assert.deepStrictEqual(texts(yield* other.received()), [])
      yield* other.ack("g", all)
      assert.deepInclude(yield* one.info("g"), { lag: 0, inFlight: 0 })
    }).pipe(Effect.provide(hubWith()))
  )
})

describe("group - who comes and goes", () => {
  it.effect("group - who leaves gives back at once, and that is no failure", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* member(), yield* member(2)]
      yield* one.join("g", "a")
      yield* one.wire.publishAndWait("a", numbered(3))
      yield* one.received()
      yield* other.join("g", "a", { session: 2 })
      const request = one.wire.unsubscribe(1)
      yield* one.wire.next("Unsubscribed", (frame) => frame.request === request)
      assert.deepStrictEqual(attempts(yield* other.received(1, 2)), ["m0#1", "m1#1", "m2#1"])
      yield* one.join("g", "a")
      other.wire.close(2)
      assert.deepStrictEqual(attempts(yield* one.received()), ["m0#1", "m1#1", "m2#1"])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - a connection that is lost is a failure, and what it had comes at once", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* member(), yield* member()]
      yield* one.join("g", "a", { maxDeliveries: 2 })
      yield* one.wire.publishAndWait("a", numbered(2))
      yield* one.received()
      yield* other.join("g", "a")
      one.wire.duplex.destroy()
      assert.deepStrictEqual(attempts(yield* other.received()), ["m0#2", "m1#2"])
      const third = yield* member()
      other.wire.duplex.destroy()
      yield* third.wire.settled
      assert.deepInclude(yield* third.info("g"), { deadLettered: 2, lag: 0, members: 0 })
      const letters = yield* third.ask("dead.show", { topic: "$dead.g.a" })
      assert.include(JSON.stringify(letters), "connection-lost")
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - nothing is lost while it has no members", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* member(), yield* member()]
      yield* one.join("g", "a")
      one.wire.unsubscribe(1)
      yield* one.wire.publishAndWait("a", numbered(5))
      assert.deepInclude(yield* other.info("g"), { members: 0, lag: 5 })
      yield* other.join("g", "a")
      assert.deepStrictEqual(texts(yield* other.received()), numbered(5))
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - one session may be in several groups, but once in each", () =>
    Effect.gen(function* () {
      const client = yield* member(2)
      yield* client.join("g", "a")
      assert.strictEqual(yield* client.joinFailure("g", "a", { subscription: 2 }), "subscription-exists")
      assert.strictEqual(yield* client.joinFailure("h", "a", { subscription: 1 }), "subscription-exists")
      yield* client.join("g", "a", { session: 2 })
      assert.deepInclude(yield* client.info("g"), { members: 2 })
    }).pipe(Effect.provide(hubWith()))
  )
})

describe("group - order key", () => {
  const of = (key: string, text: string) => ({ key, payload: new TextEncoder().encode(text) })

  it.effect("group - of a key one message is with members at a time, in order", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* member(), yield* member()]
      yield* one.join("g", "a", { order: "key" })
      yield* other.join("g", "a", { order: "key" })
      yield* one.wire.publishAndWait("a", [of("x", "x0"), of("x", "x1"), of("y", "y0"), of("y", "y1")])
      const first = [...(yield* one.received()), ...(yield* other.received())]
      assert.sameMembers([...texts(first)], ["x0", "y0"])
      const x0 = first.find(({ text }) => text === "x0")!
      yield* one.ack("g", [x0])
      assert.deepStrictEqual(texts([...(yield* one.received()), ...(yield* other.received())]), ["x1"])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - a failure holds up its key until it is done with, and no other", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a", { order: "key", backoff: 100, maxDeliveries: 2 })
      yield* client.wire.publishAndWait("a", [of("x", "x0"), of("x", "x1"), of("y", "y0"), of("y", "y1")])
      const [x0, y0] = yield* client.received()
      yield* client.refuse("g", [x0!])
      yield* client.ack("g", [y0!])
      assert.deepStrictEqual(attempts(yield* client.received()), ["y1#1"])
      yield* TestClock.adjust(100)
      const [again] = yield* client.received()
      assert.deepStrictEqual(attempts([again!]), ["x0#2"])
      yield* client.refuse("g", [again!])
      assert.deepStrictEqual(attempts(yield* client.wire.messages(1, 1)), ["x1#1"])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - what is parked holds up nobody, nor does what has no key", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a", { order: "key" })
      const bare = { payload: new TextEncoder().encode("-") }
      yield* client.wire.publishAndWait("a", [of("x", "x0"), bare, bare, of("x", "x1")])
      const first = yield* client.received()
      assert.deepStrictEqual(texts(first), ["x0", "-", "-"])
      yield* client.refuse("g", [first[0]!], { fate: "park" })
      assert.deepStrictEqual(texts(yield* client.received()), ["x1"])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - a key's order holds when its member is lost", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* member(), yield* member()]
      yield* one.join("g", "a", { order: "key" })
      yield* one.wire.publishAndWait("a", [of("x", "x0"), of("x", "x1")])
      yield* one.received()
      yield* other.join("g", "a", { order: "key" })
      one.wire.duplex.destroy()
      const found = yield* other.received()
      assert.deepStrictEqual(attempts(found), ["x0#2"])
      yield* other.ack("g", found)
      assert.deepStrictEqual(attempts(yield* other.received()), ["x1#1"])
    }).pipe(Effect.provide(hubWith()))
  )
})
