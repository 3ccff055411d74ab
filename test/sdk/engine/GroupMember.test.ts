import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { notGiven } from "../../../src/protocol/Op.ts"
import type { Inbound, JoinOptions } from "../../../src/sdk/Client.ts"
import { connect, reasonOf, resultOf, start, valueOf } from "../ClientFixture.ts"
import { type FakeHub, settle } from "../FakeHub.ts"

const options: JoinOptions = {
  group: "g",
  pattern: "a.*",
  start: { _tag: "Now" },
  order: "any",
  leastPrefetch: 2,
  ackWait: undefined,
  maxDeliveries: undefined,
  maxInFlight: undefined,
  backoff: undefined,
  maxBackoff: undefined
}

const joined = Effect.fnUntraced(function* (given: Partial<JoinOptions> = {}) {
  const fixture = yield* connect()
  const member = yield* fixture.session.join({ ...options, ...given })
  return { ...fixture, member }
})

/** `topic@from-to#attempt` of what arrived. */
const describeAll = (items: ReadonlyArray<Inbound>): ReadonlyArray<string> =>
  items.map((item) => {
    if (item._tag !== "Messages") return item._tag
    const { attempt, count, offset } = item.batch
    return `${item.topic}@${offset}-${offset + count}#${attempt}`
  })

const payloads = (count: number) => Array.from({ length: count }, () => "x")

/** What the hub was told is done, a text for each frame. */
const acks = (hub: FakeHub) =>
  hub.last
    .of("Ack")
    .map(({ epoch, ranges, topic }) => `${topic}/${epoch} ${ranges.map(({ from, to }) => `${from}-${to}`)}`)

const reconnect = Effect.gen(function* () {
  yield* settle
  yield* TestClock.adjust("10 seconds")
  yield* settle
})

const at = (epoch: number, offset: number) => ({ epoch, offset })
const one = (offset: number) => [{ from: offset, to: offset + 1 }]

describe("group member", () => {
  it.effect("group member - joins with what was given, and leaves with its scope", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect()
      const scope = yield* Scope.make()
      const given = { ...options, order: "key", ackWait: 5000, prefetch: 10, queueBytes: 9000 } as const
      const member = yield* Scope.provide(session.join(given), scope)
      assert.deepInclude(hub.last.of("Join")[0], {
        group: "g",
        pattern: "a.*",
        order: "key",
        creditMessages: 10,
        creditBytes: 9000,
        ackWait: 5000,
        maxDeliveries: notGiven.u16,
        maxInFlight: notGiven.u32
      })
      assert.strictEqual(member.ackWait(), 30_000)
      member.acknowledgeUnsafe("a.x", at(1, 4))
      const closing = yield* start(Scope.close(scope, Exit.void))
      assert.isDefined(resultOf(closing))
      const kinds = hub.last.seen.map(({ _tag }) => _tag)
      // What is done is told before it leaves.
      assert.deepStrictEqual(kinds.slice(-2), ["Ack", "Unsubscribe"])
      const failed = yield* Effect.flip(member.acknowledge("a.x", 1, one(0)))
      assert.strictEqual(failed.reason._tag, "Closed")
    })
  )

  it.effect("group member - leaving waits for the hub, but not for ever", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect()
      hub.ignored.add("Unsubscribe")
      const scope = yield* Scope.make()
      yield* Scope.provide(session.join(options), scope)
      const closing = yield* start(Scope.close(scope, Exit.void))
      assert.isUndefined(resultOf(closing))
      yield* TestClock.adjust("2 seconds")
      yield* settle
      assert.isDefined(resultOf(closing))
    })
  )

  it.effect("group member - acknowledgements of one turn are one frame for each topic and epoch", () =>
    Effect.gen(function* () {
      const { hub, member } = yield* joined()
      for (const offset of [3, 4, 6, 5, 9]) member.acknowledgeUnsafe("a.x", at(1, offset))
      member.acknowledgeUnsafe("a.y", at(1, 3))
      member.acknowledgeUnsafe("a.x", at(2, 7))
      const waiting = yield* start(member.acknowledge("a.x", 1, [{ from: 20, to: 25 }]))
      assert.deepStrictEqual(acks(hub), ["a.x/1 3-7,9-10,20-25", "a.y/1 3-4", "a.x/2 7-8"])
      assert.isUndefined(valueOf(waiting))
      member.acknowledgeUnsafe("a.x", at(1, 30))
      yield* settle
      assert.strictEqual(acks(hub).at(-1), "a.x/1 30-31")
    })
  )

  it.effect("group member - more ranges than fit a frame are several, and answered together", () =>
    Effect.gen(function* () {
      const { hub, member } = yield* joined()
      hub.ignored.add("Ack")
      const ranges = Array.from({ length: 5000 }, (_, i) => ({ from: i * 2, to: i * 2 + 1 }))
      const waiting = yield* start(member.acknowledge("a.x", 1, ranges))
      const frames = hub.last.of("Ack")
      assert.deepStrictEqual(
        frames.map((frame) => frame.ranges.length),
        [4096, 904]
      )
      const [first, second] = frames
      hub.last.send({ _tag: "Acked", session: 1, request: first?.request ?? 0 })
      yield* settle
      assert.isUndefined(resultOf(waiting))
      hub.last.send({ _tag: "Acked", session: 1, request: second?.request ?? 0 })
      yield* settle
      assert.isDefined(resultOf(waiting))
    })
  )

  it.effect("group member - joins again, tells first what is done, and asks for more only then", () =>
    Effect.gen(function* () {
      const { hub, member } = yield* joined({ prefetch: 100 })
      hub.ignored.add("Ack")
      const waiting = yield* start(member.acknowledge("a.x", 1, one(0)))
      hub.last.cut()
      yield* settle
      member.acknowledgeUnsafe("a.x", at(1, 7))
      assert.strictEqual(member.cuts(), 1)
      hub.ignored.clear()
      yield* reconnect
      assert.deepInclude(hub.last.of("Join")[0], { subscription: 1, creditMessages: 0, creditBytes: 0 })
      assert.deepStrictEqual(acks(hub), ["a.x/1 0-1", "a.x/1 7-8"])
      const kinds = hub.last.seen.map(({ _tag }) => _tag).filter((tag) => tag === "Ack" || tag === "Credit")
      assert.deepStrictEqual(kinds, ["Ack", "Ack", "Credit"])
      assert.deepInclude(hub.last.of("Credit")[0], { subscription: 1, messages: 100 })
      assert.isDefined(resultOf(waiting))
      // Once confirmed it is not told again.
      hub.last.cut()
      yield* reconnect
      assert.deepStrictEqual(acks(hub), [])
      assert.deepInclude(hub.last.of("Join")[0], { creditMessages: 100 })
    })
  )

  it.effect("group member - what was not read is let go with its connection", () =>
    Effect.gen(function* () {
      const { hub, member } = yield* joined({ prefetch: 10 })
      hub.last.deliver({ topic: "a.x", offset: 0, payloads: payloads(4), attempt: 1 })
      yield* settle
      assert.deepStrictEqual(member.queued(), [{ topic: "a.x", epoch: 1, from: 0, to: 4 }])
      hub.last.cut()
      yield* reconnect
      assert.deepStrictEqual(member.queued(), [])
      const session = hub.last.of("Open")[0]?.session ?? 0
      hub.last.deliver({ session, topic: "a.x", offset: 0, payloads: payloads(4), attempt: 2 })
      yield* settle
      assert.deepStrictEqual(describeAll(yield* member.take), ["a.x@0-4#2"])
    })
  )

  it.effect("group member - what comes again while its acknowledgement is on the way is left out", () =>
    Effect.gen(function* () {
      const { hub, member } = yield* joined({ prefetch: 10 })
      hub.ignored.add("Ack")
      hub.last.deliver({ topic: "a.x", offset: 0, payloads: payloads(6), attempt: 1 })
      yield* settle
      yield* member.take
      yield* settle
      for (const offset of [1, 2, 4]) member.acknowledgeUnsafe("a.x", at(1, offset))
      yield* settle
      hub.last.deliver({ topic: "a.x", offset: 0, payloads: payloads(6), attempt: 2 })
      hub.last.deliver({ topic: "a.x", epoch: 2, offset: 0, payloads: payloads(3), attempt: 2 })
      yield* settle
      assert.deepStrictEqual(describeAll(yield* member.take), [
        "a.x@0-1#2",
        "a.x@3-4#2",
        "a.x@5-6#2",
        "a.x@0-3#2"
      ])
      hub.last.cut()
    })
  )

  it.effect("group member - a refusal says its fate, and is answered or lost with its connection", () =>
    Effect.gen(function* () {
      const { hub, member } = yield* joined()
      const refusal = { fate: "again", delay: 250, error: "busy" } as const
      const told = yield* start(member.refuse("a.x", 1, one(3), refusal))
      assert.isDefined(resultOf(told))
      member.refuseUnsafe([{ topic: "a.x", epoch: 1, from: 5, to: 6 }], { fate: "dead", error: "bad" })
      yield* settle
      assert.deepStrictEqual(
        hub.last.of("Refuse").map(({ delay, error, fate, ranges }) => ({ delay, error, fate, ranges })),
        [
          { delay: 250, error: "busy", fate: "again", ranges: one(3) },
          { delay: notGiven.u32, error: "bad", fate: "dead", ranges: one(5) }
        ]
      )
      hub.ignored.add("Refuse")
      const lost = yield* start(member.refuse("a.x", 1, one(4), refusal))
      hub.last.cut()
      yield* settle
      assert.strictEqual(reasonOf(lost)?._tag, "ConnectionLost")
      const late = yield* Effect.flip(member.refuse("a.x", 1, one(4), refusal))
      assert.strictEqual(late.reason._tag, "ConnectionLost")
      yield* reconnect
      assert.lengthOf(hub.last.of("Refuse"), 0)
    })
  )

  it.effect(
    "group member - a refused acknowledgement is told again if that may pass, else ends the member",
    () =>
      Effect.gen(function* () {
        const { hub, member } = yield* joined()
        hub.ignored.add("Ack")
        const answer = (code: "storage-full" | "unknown-group") => {
          const request = hub.last.of("Ack").at(-1)?.request ?? 0
          hub.last.send({ _tag: "Failure", session: 1, request, code, message: "" })
        }
        const waiting = yield* start(member.acknowledge("a.x", 1, one(0)))
        answer("storage-full")
        yield* settle
        yield* TestClock.adjust("1 second")
        yield* settle
        assert.deepStrictEqual(acks(hub), ["a.x/1 0-1", "a.x/1 0-1"])
        assert.isUndefined(resultOf(waiting))
        answer("unknown-group")
        yield* settle
        assert.deepInclude(reasonOf(waiting), { _tag: "Rejected", code: "unknown-group" })
        // Somebody was told; of what nobody waits for the reader is.
        const reading = yield* start(member.take)
        assert.isUndefined(resultOf(reading))
        member.acknowledgeUnsafe("a.x", at(1, 9))
        yield* settle
        answer("unknown-group")
        yield* settle
        assert.deepInclude(reasonOf(reading), { _tag: "Rejected", code: "unknown-group" })
      })
  )

  it.effect("group member - a hub that is silent while it owes an answer is given up", () =>
    Effect.gen(function* () {
      const { hub, member } = yield* joined()
      hub.ignored.add("Ack")
      member.acknowledgeUnsafe("a.x", at(1, 0))
      yield* settle
      const { last } = hub
      for (let i = 0; i < 4; i++) {
        yield* TestClock.adjust("500 millis")
        yield* settle
      }
      assert.lengthOf(last.of("Ping"), 1)
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.isTrue(last.isClosed)
      hub.ignored.clear()
      yield* reconnect
      assert.deepStrictEqual(acks(hub), ["a.x/1 0-1"])
    })
  )

  it.effect("group member - a group that is removed, or cannot be joined, is an error to the reader", () =>
    Effect.gen(function* () {
      const { hub, member, session } = yield* joined()
      const reading = yield* start(member.take)
      hub.last.send({ _tag: "Left", session: 1, subscription: 1, reason: "group-removed" })
      yield* settle
      assert.deepInclude(reasonOf(reading), { _tag: "Disconnected", closeReason: "group-removed" })
      hub.ignored.add("Join")
      hub.onFrame = (connection, frame) => {
        if (frame._tag !== "Join") return
        const { request } = frame
        connection.send({ _tag: "Failure", session: 1, request, code: "group-mismatch", message: "order" })
      }
      const refused = yield* Effect.flip(session.join(options))
      assert.deepInclude(refused.reason, { _tag: "Rejected", code: "group-mismatch" })
    })
  )

  it.effect("group member - tells what is lost to the group", () =>
    Effect.gen(function* () {
      const { hub, member } = yield* joined()
      hub.last.send({
        _tag: "Gap",
        session: 1,
        subscription: 1,
        topic: "a.x",
        from: at(1, 0),
        to: at(1, 5)
      })
      yield* settle
      assert.deepStrictEqual(yield* member.take, [
        { _tag: "Gap", topic: "a.x", from: at(1, 0), to: at(1, 5) }
      ])
    })
  )

  it.effect("group member - as many wait as are read in a quarter of a second", () =>
    Effect.gen(function* () {
      const { hub, member } = yield* joined()
      const credit = () => hub.last.of("Join")[0]?.creditMessages
      /** Answers the credit after the reader took so many messages, and came for more after so long. */
      const creditAfter = Effect.fnUntraced(function* (count: number, millis: number) {
        const session = hub.last.of("Open")[0]?.session ?? 0
        hub.last.deliver({ session, topic: "a.x", offset: 0, payloads: payloads(count), attempt: 1 })
        yield* settle
        yield* member.take
        yield* TestClock.adjust(millis)
        const reading = yield* start(member.take)
        yield* Fiber.interrupt(reading)
        hub.last.cut()
        yield* reconnect
        return credit()
      })
      assert.strictEqual(credit(), 32)
      // It grows by and by, up to a limit, and falls at once.
      assert.strictEqual(yield* creditAfter(32, 1), 128)
      assert.strictEqual(yield* creditAfter(128, 0), 512)
      assert.strictEqual(yield* creditAfter(512, 5), 1024)
      assert.strictEqual(yield* creditAfter(1024, 2560), 100)
      assert.strictEqual(yield* creditAfter(10, 60_000), 2)
    })
  )
})
