import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { Hub } from "../../src/actors/Hub.ts"
import type { CloseReason } from "../../src/protocol/CloseReason.ts"
import { encodeFrame, type FrameOf } from "../../src/protocol/Frame.ts"
import { Features } from "../../src/protocol/Op.ts"
import { chance, concat } from "../protocol/Chance.ts"
import { hubWith } from "./TestHub.ts"
import { connect, greeted, numbered, sessionId } from "./WireClient.ts"

const closedConnections = Effect.gen(function* () {
  const hub = yield* Hub
  return (yield* hub.metrics).connectionsClosed
})

describe("connection - hello", () => {
  it.effect("connection - the hub says what it is and what it takes", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const welcome = yield* client.begin()
      const { hub, ...rest } = welcome
      assert.strictEqual(hub, (yield* Hub).id)
      assert.deepStrictEqual(rest, {
        _tag: "Welcome",
        version: 1,
        features: Features.credit | Features.requests,
        maxFrame: 5000 + 131_072,
        maxMessage: 5000,
        pingInterval: 15_000
      })
    }).pipe(Effect.provide(hubWith({ maxMessageSize: 5000 })))
  )

  for (const [named, agreed] of [
    [0, 0],
    [1, 1],
    [2, 2],
    [0xffff_ffff, 3]
  ] as const) {
    it.effect(`connection - of the features ${named} those in force are ${agreed}`, () =>
      Effect.gen(function* () {
        const client = yield* connect
        client.hello({ features: named })
        assert.strictEqual((yield* client.next("Welcome")).features, agreed)
      }).pipe(Effect.provide(hubWith()))
    )
  }

  const bad: ReadonlyArray<readonly [string, Partial<FrameOf<"Hello">>, CloseReason]> = [
    ["a later version", { minVersion: 2, maxVersion: 9 }, "unsupported-version"],
    ["an earlier version", { minVersion: 0, maxVersion: 0 }, "unsupported-version"],
    ["another protocol", { magic: 0x4745_5420 }, "protocol-error"]
  ]
  for (const [what, fields, reason] of bad) {
    it.effect(`connection - ${what} is sent away as ${reason}`, () =>
      Effect.gen(function* () {
        const client = yield* connect
        client.hello(fields)
        assert.strictEqual(yield* client.goodbye, reason)
        assert.deepStrictEqual(yield* closedConnections, { [reason]: 1 })
      }).pipe(Effect.provide(hubWith()))
    )
  }

  it.effect("connection - a range of versions that has this one is welcome", () =>
    Effect.gen(function* () {
      const client = yield* connect
      client.hello({ minVersion: 0, maxVersion: 200 })
      assert.strictEqual((yield* client.next("Welcome")).version, 1)
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("connection - who says nothing is sent away after a second", () =>
    Effect.gen(function* () {
      const client = yield* connect
      yield* TestClock.adjust(999)
      assert.isFalse(client.isClosed)
      assert.deepStrictEqual(client.inbox, [])
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* client.goodbye, "hello-timeout")
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("connection - who said hello is not", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* TestClock.adjust(5000)
      yield* client.settled
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("connection - half a hello is none", () =>
    Effect.gen(function* () {
      const client = yield* connect
      client.raw(Uint8Array.of(22, 0, 0, 0, 1, 0))
      yield* TestClock.adjust(1000)
      assert.strictEqual(yield* client.goodbye, "hello-timeout")
    }).pipe(Effect.provide(hubWith()))
  )
})

describe("connection - what breaks the protocol", () => {
  const random = chance(41)
  const garbage: ReadonlyArray<readonly [string, Uint8Array]> = [
    ["an HTTP request", new TextEncoder().encode("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")],
    ["a TLS hello", Uint8Array.of(22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3)],
    ["a frame of no length", Uint8Array.of(0, 0, 0, 0, 0, 0)],
    ["a frame of an unknown op", Uint8Array.of(2, 0, 0, 0, 99, 0)],
    ["a frame with flags", Uint8Array.of(10, 0, 0, 0, 0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0)],
    ["a frame that is the hub's", encodeFrame({ _tag: "Opened", session: 1, request: 1 })],
    ["a frame cut short", Uint8Array.of(3, 0, 0, 0, 0x20, 0, 1)],
    ["a publish cut short", Uint8Array.of(4, 0, 0, 0, 0x10, 0, 1, 0)],
    ["a deliver", Uint8Array.of(2, 0, 0, 0, 0x11, 0)]
  ]
  for (const [what, bytes] of garbage) {
    it.effect(`connection - ${what} ends it, before and after the hello`, () =>
      Effect.gen(function* () {
        const stranger = yield* connect
        stranger.raw(bytes)
        assert.strictEqual(yield* stranger.goodbye, "protocol-error")
        const client = yield* greeted()
        client.raw(bytes)
        const reason = yield* client.goodbye
        assert.isTrue(reason === "protocol-error" || reason === "frame-too-large")
      }).pipe(Effect.provide(hubWith()))
    )
  }

  it.effect("connection - a second hello ends it, and so does anything before the first", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      client.hello()
      assert.strictEqual(yield* client.goodbye, "protocol-error")
      for (const send of ["open", "publish", "ping"] as const) {
        const other = yield* connect
        if (send === "open") other.open(1)
        else if (send === "publish") other.publish("a", ["x"])
        else other.send({ _tag: "Ping", token: 1 })
        assert.strictEqual(yield* other.goodbye, "protocol-error")
      }
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("connection - garbage by chance ends it or is a frame, and others go on", () =>
    Effect.gen(function* () {
      const other = yield* greeted()
      yield* other.subscribe("a")
      for (let round = 0; round < 100; round++) {
        const client = yield* greeted()
        client.raw(random.bytes(1 + random.below(200)))
        client.duplex.end()
        yield* client.closed
      }
      yield* other.publishAndWait("a", ["still here"])
      assert.strictEqual((yield* other.messages(1, 1))[0]?.text, "still here")
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("connection - what came before the garbage takes effect", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      const { bytes } = client.publishFrame("a", ["x"], { receipt: true })
      client.raw(concat([bytes, Uint8Array.of(0, 0, 0, 0)]))
      assert.strictEqual(yield* client.goodbye, "protocol-error")
      assert.isDefined(client.take("Receipt"))
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("connection - a frame longer than agreed ends it as frame-too-large", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const { maxFrame } = yield* client.begin()
      const announce = (length: number) =>
        client.raw(Uint8Array.of(length, length >>> 8, length >>> 16, length >>> 24))
      announce(maxFrame)
      client.raw(Uint8Array.of(0x0d, 0))
      client.raw(new Uint8Array(maxFrame - 2))
      yield* client.next("Failure")
      announce(maxFrame + 1)
      assert.strictEqual(yield* client.goodbye, "frame-too-large")
    }).pipe(Effect.provide(hubWith({ maxMessageSize: 1000 })))
  )

  it.effect("connection - before the hello only short frames are read", () =>
    Effect.gen(function* () {
      const client = yield* connect
      client.raw(Uint8Array.of(1, 0, 2, 0))
      assert.strictEqual(yield* client.goodbye, "protocol-error")
    }).pipe(Effect.provide(hubWith()))
  )
})

describe("connection - frames", () => {
  it.effect("connection - frames may be cut anywhere and come in any number of chunks", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.subscribe("a")
      const frames = numbered(40).map((text) => client.publishFrame("a", [text]).bytes)
      const bytes = concat(frames)
      const random = chance(5)
      for (let at = 0; at < bytes.length; ) {
        const end = Math.min(bytes.length, at + 1 + random.below(40))
        client.raw(bytes.slice(at, end))
        if (random.below(3) === 0) yield* Effect.yieldNow
        at = end
      }
      const found = yield* client.messages(1, 40)
      assert.deepStrictEqual(
        found.map((message) => message.text),
        numbered(40)
      )
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("connection - thousands of small writes at once are all read", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.subscribe("a")
      for (const text of numbered(5000)) client.publish("a", [text])
      const found = yield* client.messages(1, 4000)
      assert.isFalse(client.isClosed)
      assert.strictEqual(found[0]?.text, "m0")
    }).pipe(Effect.provide(hubWith({ clientQueueSize: 10_000 })))
  )

  it.effect("connection - what was published before a control frame takes effect before it", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      const publish = client.publishFrame("a", numbered(3)).bytes
      const subscribe = encodeFrame({
        _tag: "Subscribe",
        session: 1,
        request: 99,
        subscription: 1,
        pattern: "a",
        overflow: "drop-oldest",
        echo: true,
        creditMessages: 10,
        creditBytes: 10_000,
        start: { _tag: "Now" }
      })
      client.raw(concat([publish, subscribe, client.publishFrame("a", ["after"]).bytes]))
      const subscribed = yield* client.next("Subscribed")
      assert.strictEqual(subscribed.position?.offset, 3)
      const found = yield* client.messages(1, 1)
      assert.deepStrictEqual(
        found.map(({ offset, text }) => [offset, text]),
        [[3, "after"]]
      )
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("connection - GOODBYE from the client is answered and ends it", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      client.send({ _tag: "Goodbye", reason: "normal", message: "" })
      assert.strictEqual(yield* client.goodbye, "normal")
      yield* client.closed
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("connection - one that is cut takes its sessions and subscriptions with it", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const client = yield* greeted(3)
      yield* client.subscribe("a.*")
      const other = yield* greeted()
      const before = yield* hub.metrics
      assert.deepStrictEqual([before.connections, before.sessions, before.subscriptions], [2, 4, 1])
      client.raw(client.publishFrame("a.b", numbered(3)).bytes.slice(0, 20))
      client.duplex.destroy()
      yield* client.closed
      yield* other.settled
      const after = yield* hub.metrics
      assert.deepStrictEqual([after.connections, after.sessions, after.subscriptions], [1, 1, 0])
      assert.strictEqual(after.messagesReceived, 0)
      assert.deepStrictEqual(after.connectionsClosed, { "connection-lost": 1 })
    }).pipe(Effect.provide(hubWith()))
  )
})

describe("connection - pings", () => {
  it.effect("connection - a ping comes every 15 s, and an answer keeps the connection", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      for (let round = 0; round < 10; round++) {
        yield* TestClock.adjust(14_999)
        yield* Effect.yieldNow
        assert.isUndefined(client.take("Ping"))
        yield* TestClock.adjust(1)
        const { token } = yield* client.next("Ping")
        client.send({ _tag: "Pong", token })
        yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
      }
      yield* client.settled
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("connection - anything that comes keeps it, not only a pong", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      for (let round = 0; round < 10; round++) {
        yield* TestClock.adjust(15_000)
        yield* client.publishAndWait("a", ["x"])
      }
      assert.isFalse(client.isClosed)
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("connection - a peer that missed two pings is dead", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* TestClock.adjust(15_000)
      yield* client.next("Ping")
      yield* TestClock.adjust(15_000)
      yield* client.next("Ping")
      yield* TestClock.adjust(14_999)
      assert.isFalse(client.isClosed)
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* client.goodbye, "ping-timeout")
      assert.deepStrictEqual(
        client.inbox.map((frame) => frame._tag),
        ["Closed"]
      )
      assert.deepStrictEqual(yield* closedConnections, { "ping-timeout": 1 })
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("connection - how many pings may be missed, and how often they come, are settings", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      for (let ping = 0; ping < 4; ping++) {
        yield* TestClock.adjust(100)
        yield* client.next("Ping")
      }
      yield* TestClock.adjust(99)
      assert.isFalse(client.isClosed)
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* client.goodbye, "ping-timeout")
    }).pipe(Effect.provide(hubWith({ pingInterval: 100, maxMissedPings: 4 })))
  )

  it.effect("connection - the client's pings are answered with their token", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      client.send({ _tag: "Ping", token: 123_456_789_012 })
      assert.strictEqual((yield* client.next("Pong")).token, 123_456_789_012)
    }).pipe(Effect.provide(hubWith()))
  )
})

describe("connection - a peer that does not read", () => {
  const large = "x".repeat(900_000)

  it.effect("connection - is closed when it took nothing for the write timeout", () =>
    Effect.gen(function* () {
      const stuck = yield* greeted()
      yield* stuck.subscribe("a")
      const publisher = yield* greeted()
      // The hub's first look is over by then.
      yield* publisher.settled
      stuck.duplex.pause()
      for (let left = 4; left > 0; left--) yield* publisher.publishAndWait("a", [large])
      yield* TestClock.adjust(2000)
      yield* publisher.settled
      assert.strictEqual((yield* (yield* Hub).metrics).connections, 2)
      yield* TestClock.adjust(2000)
      yield* publisher.settled
      assert.deepStrictEqual(yield* closedConnections, { "write-timeout": 1 })
      assert.strictEqual((yield* (yield* Hub).metrics).connections, 1)
    }).pipe(Effect.provide(hubWith({ clientWriteTimeout: 2000 })))
  )

  it.effect("connection - is kept as long as it takes something, though as much waits as before", () =>
    Effect.gen(function* () {
      const slow = yield* greeted()
      yield* slow.subscribe("a")
      const publisher = yield* greeted()
      yield* publisher.settled
      for (let round = 0; round < 8; round++) {
        slow.duplex.pause()
        yield* publisher.publishAndWait("a", [large])
        yield* publisher.publishAndWait("a", [large])
        yield* TestClock.adjust(2000)
        assert.isAbove((yield* (yield* Hub).metrics).messagesDelivered, round * 2)
        slow.duplex.resume()
        yield* slow.messages(1, 2)
      }
      assert.isFalse(slow.isClosed)
    }).pipe(Effect.provide(hubWith({ clientWriteTimeout: 2000, maxMissedPings: 20 })))
  )

  it.effect("connection - that asks without end and reads nothing is not read from either", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      client.duplex.pause()
      const count = 40_000
      for (let request = 1; request <= count; request++) {
        client.send({ _tag: "Close", session: 99, request })
        if (request % 500 === 0) for (let turn = 0; turn < 20; turn++) yield* Effect.yieldNow
      }
      for (let turn = 0; turn < 200; turn++) yield* Effect.yieldNow
      assert.isAbove(client.duplex.pending(), 0, "the hub reads no more")
      client.duplex.resume()
      const answered = yield* client.until("all answers", () => {
        const failures = client.inbox.filter(({ _tag }) => _tag === "Failure").length
        return failures === count ? failures : undefined
      })
      assert.strictEqual(answered, count)
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("connection - that asks for much at once is answered in turn, up to a limit", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      for (let request = 1; request <= 100; request++) {
        client.send({ _tag: "Request", method: "stats", request, body: new Uint8Array(0) })
      }
      const answers = yield* client.until("all answers", () => {
        const all = client.inbox.filter(({ _tag }) => _tag === "Response" || _tag === "Failure")
        return all.length === 100 ? all : undefined
      })
      const refused = answers.filter((frame) => frame._tag === "Failure" && frame.code === "limit-reached")
      // 64 may wait; one or two may have been answered while the others came.
      assert.isAtLeast(refused.length, 30)
      assert.isAtMost(refused.length, 36)
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("connection - the uuid of a session is its own on each connection", () =>
    Effect.gen(function* () {
      const [one, two] = [yield* greeted(), yield* greeted()]
      two.open(2, sessionId(1))
      yield* two.next("Opened")
      yield* one.subscribe("a", { echo: false })
      yield* two.publishAndWait("a", ["same uuid"], { session: 2 })
      yield* two.publishAndWait("a", ["same uuid too"])
      two.open(3, sessionId(77))
      yield* two.publishAndWait("a", ["another"], { session: 3 })
      assert.deepStrictEqual(
        (yield* one.messages(1, 1)).map((message) => message.text),
        ["another"]
      )
    }).pipe(Effect.provide(hubWith()))
  )
})
