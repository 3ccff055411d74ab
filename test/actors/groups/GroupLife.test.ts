import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import type { ErrorCode } from "../../../src/protocol/ErrorCode.ts"
import { hubWith } from "../TestHub.ts"
import { numbered } from "../WireClient.ts"
import { attempts, type GroupClient, type JoinOptions, member, texts } from "./GroupClient.ts"

/** Messages m0 to m5 at the times 0, 1000 …; answers the epoch. */
const history = Effect.fnUntraced(function* (client: GroupClient, topic: string) {
  let epoch = 0
  for (const text of numbered(6)) {
    epoch = (yield* client.wire.publishAndWait(topic, [text])).position.epoch
    yield* TestClock.adjust(1000)
  }
  return epoch
})

describe("group - where it starts", () => {
  it.effect("group - now, at the first message, at a time, at a position", () =>
    Effect.gen(function* () {
      const client = yield* member()
      const epoch = yield* history(client, "a")
      const starts: ReadonlyArray<readonly [JoinOptions["start"] & object, number]> = [
        [{ _tag: "Now" }, 6],
        [{ _tag: "First" }, 0],
        [{ _tag: "Time", time: 1500 }, 2],
        [{ _tag: "Time", time: 1_000_000 }, 6],
        [{ _tag: "Position", position: { epoch, offset: 4 } }, 4],
        [{ _tag: "Position", position: { epoch: epoch + 1, offset: 4 } }, 0],
        [{ _tag: "Position", position: { epoch, offset: 99 } }, 0]
      ]
      for (const [index, [start, from]] of starts.entries()) {
        const subscription = index + 1
        yield* client.join(`g${index}`, "a", { subscription, start })
        assert.deepStrictEqual(
          texts(yield* client.received(subscription)),
          numbered(6 - from, "m", from),
          start._tag
        )
      }
      yield* client.wire.publishAndWait("a", ["new"])
      for (const subscription of starts.keys())
        assert.deepStrictEqual(texts(yield* client.received(subscription + 1)), ["new"])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - the start counts only when the group is made", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* history(client, "a")
      yield* client.join("g", "a", { start: { _tag: "Now" } })
      client.wire.unsubscribe(1)
      assert.isFalse((yield* client.join("g", "a", { start: { _tag: "First" } })).created)
      assert.deepStrictEqual(texts(yield* client.received()), [])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - a topic that is made later is had from its beginning, whatever the start", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.wire.publishAndWait("a.old", ["old"])
      yield* client.join("g", "a.>", { start: { _tag: "Now" } })
      yield* client.wire.publishAndWait("a.new", ["x"])
      yield* client.wire.publishAndWait("a.new.too", ["y"])
      yield* client.wire.publishAndWait("b", ["z"])
      yield* client.wire.publishAndWait("a.old", ["w"])
      assert.deepStrictEqual(texts(yield* client.received()), ["x", "y", "w"])
      assert.deepInclude(yield* client.info("g"), { topics: 3, lag: 3 })
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - a topic made while the group has no members is not missed", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a.*", { start: { _tag: "Now" } })
      client.wire.unsubscribe(1)
      yield* client.wire.publishAndWait("a.x", numbered(3))
      yield* client.join("g", "a.*")
      assert.deepStrictEqual(texts(yield* client.received()), numbered(3))
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - a topic that was let go of while idle goes on where it was", () =>
    Effect.gen(function* () {
      const client = yield* member()
      client.wire.answersPings = true
      yield* client.join("g", "a")
      yield* client.wire.publishAndWait("a", ["x"])
      yield* client.ack("g", yield* client.received())
      for (let second = 0; second < 120; second += 5) {
        yield* TestClock.adjust(5000)
        yield* client.wire.settled
      }
      assert.deepStrictEqual(yield* client.ask("topics"), [])
      yield* client.wire.publishAndWait("a", ["y"])
      assert.deepStrictEqual(attempts(yield* client.received()), ["y#1"])
      assert.deepStrictEqual(client.wire.takeAll("Gap"), [])
    }).pipe(
      Effect.provide(hubWith({ topicIdleTimeout: 30_000, hotTierRetention: 1000, deduplicationWindow: 1000 }))
    )
  )
})

describe("group - what is refused", () => {
  const refusals: ReadonlyArray<readonly [string, ErrorCode, string, string, JoinOptions]> = [
    ["no name", "bad-request", "", "a", {}],
    ["a name with a dot", "bad-request", "g.h", "a", {}],
    ["a name with a slash", "bad-request", "g/h", "a", {}],
    ["a name with a space", "bad-request", "g h", "a", {}],
    ["a name with a dollar", "bad-request", "$g", "a", {}],
    ["a name with a star", "bad-request", "g*", "a", {}],
    ["a name of 65 bytes", "bad-request", "é".repeat(33), "a", {}],
    ["a bad pattern", "invalid-pattern", "g", "a..b", {}],
    ["a reserved pattern", "reserved-topic", "g", "$hub.a", {}],
    ["a start with the last", "bad-request", "g", "a", { start: { _tag: "Last", count: 1 } }],
    ["a resuming start", "bad-request", "g", "a", { start: { _tag: "Resume", since: 0, topics: [] } }],
    [
      "a position of a pattern",
      "bad-request",
      "g",
      "a.*",
      { start: { _tag: "Position", position: { epoch: 1, offset: 1 } } }
    ],
    ["an unknown session", "unknown-session", "g", "a", { session: 7 }],
    ["no acknowledgement wait", "bad-request", "g", "a", { ackWait: 0 }],
    ["nothing in flight", "bad-request", "g", "a", { maxInFlight: 0 }]
  ]
  for (const [what, code, name, pattern, options] of refusals) {
    it.effect(`group - ${what} is refused as ${code}`, () =>
      Effect.gen(function* () {
        const client = yield* member()
        assert.strictEqual(yield* client.joinFailure(name, pattern, options), code)
        assert.deepStrictEqual(yield* client.ask("groups"), [])
        assert.isTrue((yield* client.join("g", "a")).created)
      }).pipe(Effect.provide(hubWith()))
    )
  }

  it.effect("group - another pattern or order than the group's is a mismatch", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a")
      const other = yield* member()
      assert.strictEqual(yield* other.joinFailure("g", "b"), "group-mismatch")
      assert.strictEqual(yield* other.joinFailure("g", "a", { order: "key" }), "group-mismatch")
      yield* other.join("g", "a")
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - more groups than there may be", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a")
      assert.strictEqual(yield* client.joinFailure("h", "a", { subscription: 2 }), "limit-reached")
      assert.strictEqual(
        yield* client.askInVain("group.create", { name: "h", pattern: "a" }),
        "limit-reached"
      )
      yield* client.ask("group.remove", { name: "g" })
      assert.isTrue((yield* client.join("h", "a", { subscription: 2 })).created)
    }).pipe(Effect.provide(hubWith({ maxGroups: 1 })))
  )

  it.effect("group - requests that make no sense", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a.*")
      const vain: ReadonlyArray<readonly [string, unknown, string]> = [
        ["group", { name: "no" }, "unknown-group"],
        ["group.pause", { name: "no" }, "unknown-group"],
        ["group.remove", { name: "no" }, "unknown-group"],
        ["group", {}, "bad-request"],
        ["group.reset", { name: "g", to: { offset: 1 } }, "bad-request"],
        ["group.reset", { name: "g", to: "then" }, "bad-request"],
        ["group.reset", { name: "g", to: "now", topic: "b" }, "topic-not-found"],
        ["group.create", { name: "h.i", pattern: "a" }, "bad-request"],
        ["group.create", { name: "h", pattern: "a..b" }, "invalid-pattern"],
        ["group.create", { name: "h", pattern: "$hub" }, "reserved-topic"],
        ["group.create", { name: "h", pattern: "a", ackWait: 0 }, "bad-request"],
        ["group.create", { name: "h", pattern: "a.*", start: { offset: 3 } }, "bad-request"],
        ["group.create", { name: "g", pattern: "b" }, "group-mismatch"]
      ]
      for (const [method, body, code] of vain)
        assert.strictEqual(yield* client.askInVain(method, body), code, `${method} ${JSON.stringify(body)}`)
    }).pipe(Effect.provide(hubWith()))
  )
})

describe("group - what is asked of it", () => {
  it.effect("group - one that is made by a request is there without members", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.wire.publishAndWait("a", ["before"])
      const made = yield* client.ask("group.create", { name: "g", pattern: "a", ackWait: 5000, order: "key" })
      assert.deepStrictEqual(made, {
        name: "g",
        pattern: "a",
        paused: false,
        members: 0,
        topics: 1,
        lag: 0,
        inFlight: 0,
        waiting: 0,
        parked: 0,
        acknowledged: 0,
        redelivered: 0,
        deadLettered: 0,
        lost: 0,
        order: "key",
        ackWait: 5000,
        maxDeliveries: 4,
        maxInFlight: 10_000,
        backoff: 1000,
        maxBackoff: 60_000
      })
      yield* client.wire.publishAndWait("a", ["after"])
      const joined = yield* client.join("g", "a", { order: "key" })
      assert.deepInclude(joined, { created: false, ackWait: 5000 })
      assert.deepStrictEqual(texts(yield* client.received()), ["after"])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - options that a later member gives hold from then on, the others stay", () =>
    Effect.gen(function* () {
      const client = yield* member(2)
      yield* client.join("g", "a", { backoff: 5, maxDeliveries: 7 })
      yield* client.join("g", "a", { session: 2, ackWait: 99, maxDeliveries: 0 })
      assert.deepInclude(yield* client.info("g"), { backoff: 5, ackWait: 99, maxDeliveries: 0 })
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - how far it is, in all and in each topic", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a.*", { creditMessages: 4 })
      const { position } = yield* client.wire.publishAndWait("a.x", numbered(6))
      yield* client.wire.publishAndWait("a.y", numbered(2))
      const found = yield* client.received()
      yield* client.ack("g", found.slice(0, 1))
      yield* client.refuse("g", found.slice(1, 2))
      yield* client.refuse("g", found.slice(2, 3), { fate: "park" })
      const info = yield* client.info("g")
      assert.deepInclude(info, { lag: 7, inFlight: 1, waiting: 1, parked: 1, topics: 2, acknowledged: 1 })
      const { epoch } = position
      const { lanes } = info
      assert.isTrue(Array.isArray(lanes) && lanes.length === 2)
      assert.deepInclude(Array.isArray(lanes) ? lanes[0] : undefined, {
        topic: "a.x",
        epoch,
        floor: 1,
        end: 6,
        lag: 5,
        inFlight: 1,
        waiting: 1,
        parked: 1
      })
      const list = yield* client.ask("groups")
      const { lanes: _, ...rest } = info
      assert.deepStrictEqual(list, [rest])
      assert.deepStrictEqual(yield* client.ask("groups", { after: "g" }), [])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - while it is paused nothing is delivered, and nothing is lost", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a")
      yield* client.wire.publishAndWait("a", ["x"])
      const before = yield* client.received()
      yield* client.ask("group.pause", { name: "g" })
      yield* client.wire.publishAndWait("a", ["y"])
      yield* client.refuse("g", before, { delay: 0 })
      assert.deepStrictEqual(texts(yield* client.received()), [])
      assert.deepInclude(yield* client.info("g"), { paused: true, lag: 2 })
      yield* client.ask("group.resume", { name: "g" })
      assert.deepStrictEqual(attempts(yield* client.received()), ["x#2", "y#1"])
      assert.deepInclude(yield* client.info("g"), { paused: false })
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - reset to the first, to now, to a time, to a position", () =>
    Effect.gen(function* () {
      const client = yield* member()
      const epoch = yield* history(client, "a")
      yield* client.join("g", "a")
      yield* client.ack("g", (yield* client.received()).slice(0, 3))
      const resets: ReadonlyArray<readonly [unknown, number]> = [
        ["first", 0],
        [{ time: 3000 }, 3],
        [{ offset: 5 }, 5],
        [{ epoch, offset: 4 }, 4],
        ["now", 6]
      ]
      for (const [to, from] of resets) {
        const info = yield* client.ask("group.reset", { name: "g", to })
        assert.include(JSON.stringify(info), `"lag":${6 - from}`)
        assert.deepStrictEqual(
          attempts(yield* client.received()),
          numbered(6 - from, "m", from).map((text) => `${text}#1`)
        )
      }
      yield* client.wire.publishAndWait("a", ["new"])
      assert.deepStrictEqual(texts(yield* client.received()), ["new"])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - reset of one topic leaves the others alone", () =>
    Effect.gen(function* () {
      const client = yield* member()
      yield* client.join("g", "a.*")
      for (const topic of ["a.x", "a.y"]) yield* client.wire.publishAndWait(topic, numbered(2, topic))
      yield* client.received()
      yield* client.ask("group.reset", { name: "g", to: { offset: 1 }, topic: "a.y" })
      assert.deepStrictEqual(attempts(yield* client.received()), ["a.y1#1"])
      assert.deepInclude(yield* client.info("g"), { inFlight: 3, lag: 3 })
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("group - one that is removed tells its members, and a new one of its name is new", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* member(), yield* member()]
      yield* one.join("g", "a", { subscription: 3 })
      yield* one.wire.publishAndWait("a", numbered(2))
      const found = yield* one.received(3)
      yield* other.ask("group.remove", { name: "g" })
      const left = yield* one.wire.next("Left")
      assert.deepInclude(left, { session: 1, subscription: 3, reason: "group-removed" })
      assert.strictEqual(yield* one.failure(one.sendAck("g", found)), "unknown-group")
      assert.deepStrictEqual(yield* one.ask("groups"), [])
      assert.isTrue((yield* one.join("g", ">", { subscription: 3 })).created)
      assert.deepStrictEqual(attempts(yield* one.received(3)), ["m0#1", "m1#1"])
    }).pipe(Effect.provide(hubWith()))
  )
})
