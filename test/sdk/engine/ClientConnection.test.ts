import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Redacted, Schedule, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { CloseReason } from "../../../src/protocol/CloseReason.ts"
import { encodeFrame, type Frame } from "../../../src/protocol/Frame.ts"
import { Op } from "../../../src/protocol/Op.ts"
import type { ConnectionState } from "../../../src/sdk/Client.ts"
import { makeClient } from "../../../src/sdk/MakeClient.ts"
import { connect, message, reasonOf, resultOf, start, valueOf } from "../ClientFixture.ts"
import { encodeDelivery, FakeHub, settle } from "../FakeHub.ts"

const goodbye = (hub: FakeHub, reason: CloseReason) =>
  Effect.andThen(
    Effect.sync(() => {
      hub.last.send({ _tag: "Goodbye", reason, message: "because" })
      hub.last.duplex.end()
    }),
    settle
  )

const tagsOf = (states: ReadonlyArray<ConnectionState>) => states.map(({ _tag }) => _tag)

describe("connection - hello", () => {
  it.effect("connection - says who it is and what it knows", () =>
    Effect.gen(function* () {
      const hub = new FakeHub()
      yield* makeClient({ dial: hub.dial, name: "me", token: Redacted.make("secret") })
      assert.deepInclude(hub.last.of("Hello")[0], { name: "me", token: "secret", features: 3, minVersion: 1 })
    })
  )

  it.effect("connection - fails if nobody is there, and does not go on trying", () =>
    Effect.gen(function* () {
      const hub = new FakeHub()
      hub.isUp = false
      const made = yield* start(makeClient({ dial: hub.dial }))
      assert.strictEqual(reasonOf(made)?._tag, "ConnectFailed")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(hub.dials, 1)
    })
  )

  it.effect("connection - fails if the stream does not open, or the hub does not answer, in time", () =>
    Effect.gen(function* () {
      const hub = new FakeHub()
      const never = yield* start(makeClient({ dial: Effect.never }))
      hub.welcome = undefined
      const silent = yield* start(makeClient({ dial: hub.dial }))
      yield* TestClock.adjust("999 millis")
      yield* settle
      assert.isUndefined(resultOf(never))
      assert.isUndefined(resultOf(silent))
      yield* TestClock.adjust("1 millis")
      yield* settle
      assert.strictEqual(reasonOf(never)?._tag, "ConnectFailed")
      assert.strictEqual(reasonOf(silent)?._tag, "ConnectFailed")
      assert.strictEqual(hub.last.of("Goodbye")[0]?.reason, "hello-timeout")
      assert.isTrue(hub.last.isClosed)
    })
  )

  it.effect("connection - a hub that refuses for good is told apart from one that cannot be reached", () =>
    Effect.gen(function* () {
      const hub = new FakeHub()
      hub.welcome = undefined
      const refused = yield* start(makeClient({ dial: hub.dial }))
      yield* goodbye(hub, "unauthorized")
      assert.deepInclude(reasonOf(refused), { _tag: "Disconnected", closeReason: "unauthorized" })
      const full = yield* start(makeClient({ dial: hub.dial }))
      yield* goodbye(hub, "too-many-connections")
      assert.strictEqual(reasonOf(full)?._tag, "ConnectFailed")
    })
  )
})

describe("connection - pings", () => {
  it.effect("connection - answers a ping", () =>
    Effect.gen(function* () {
      const { hub } = yield* connect()
      hub.last.send({ _tag: "Ping", token: 42 })
      yield* settle
      assert.strictEqual(hub.last.of("Pong")[0]?.token, 42)
    })
  )

  it.effect("connection - asks a silent hub, and gives it up after two intervals", () =>
    Effect.gen(function* () {
      const { hub, client } = yield* connect()
      const step = (millis: number) => Effect.andThen(TestClock.adjust(millis), settle)
      yield* step(14_999)
      assert.lengthOf(hub.last.of("Ping"), 0)
      yield* step(1)
      assert.lengthOf(hub.last.of("Ping"), 1)
      hub.last.send({ _tag: "Pong", token: 0 })
      yield* settle
      yield* step(29_999)
      assert.strictEqual((yield* client.state)._tag, "Connected")
      assert.lengthOf(hub.last.of("Ping"), 2)
      yield* step(1)
      assert.deepNestedInclude(yield* client.state, {
        _tag: "Reconnecting",
        "cause.reason.closeReason": "ping-timeout"
      })
      assert.isTrue(hub.last.isClosed)
      yield* step(1000)
      assert.strictEqual((yield* client.state)._tag, "Connected")
    })
  )
})

describe("connection - reconnecting", () => {
  it.effect("connection - dials again by the schedule, and tells its state", () =>
    Effect.gen(function* () {
      const hub = new FakeHub()
      const reconnect = Schedule.exponential("100 millis")
      const { client } = yield* connect({ reconnect }, hub)
      const states: Array<ConnectionState> = []
      yield* start(Stream.runForEach(client.states, (state) => Effect.sync(() => states.push(state))))
      yield* TestClock.adjust("5 seconds")
      hub.isUp = false
      yield* goodbye(hub, "shutting-down")
      assert.strictEqual(hub.dials, 1)
      for (const [millis, dials] of [
        [99, 1],
        [1, 2],
        [199, 2],
        [1, 3],
        [399, 3]
      ] as const) {
        yield* TestClock.adjust(millis)
        yield* settle
        assert.strictEqual(hub.dials, dials)
      }
      hub.isUp = true
      yield* TestClock.adjust(1)
      yield* settle
      assert.deepStrictEqual(tagsOf(states), [
        "Connected",
        "Reconnecting",
        "Reconnecting",
        "Reconnecting",
        "Connected"
      ])
      assert.deepStrictEqual(
        states.flatMap((state) => (state._tag === "Reconnecting" ? [state.attempt] : [])),
        [1, 2, 3]
      )
      assert.deepInclude(states.at(-1), { hub: "fake", since: 5700 })
      // It did not hold for a second, so the row of failures goes on.
      yield* goodbye(hub, "shutting-down")
      yield* TestClock.adjust(799)
      yield* settle
      assert.strictEqual(hub.dials, 4)
      yield* TestClock.adjust(1)
      yield* settle
      assert.strictEqual(hub.dials, 5)
      // This one does.
      yield* TestClock.adjust("1 second")
      yield* goodbye(hub, "shutting-down")
      yield* TestClock.adjust(100)
      yield* settle
      assert.strictEqual(hub.dials, 6)
      assert.deepInclude(yield* client.metrics, { reconnects: 3 })
    })
  )

  it.effect("connection - a reason for good fails everything and closes the client", () =>
    Effect.gen(function* () {
      const { hub, session, client } = yield* connect()
      const inbox = yield* session.subscribe({
        pattern: "a",
        start: { _tag: "Now" },
        overflow: "wait",
        echo: true
      })
      const taking = yield* start(inbox.take)
      const publish = yield* start(session.publish("a", message("1")))
      const asking = yield* start(client.request("topics", {}))
      yield* goodbye(hub, "unauthorized")
      for (const fiber of [taking, publish, asking]) {
        assert.deepInclude(reasonOf(fiber), {
          _tag: "Disconnected",
          closeReason: "unauthorized",
          message: "because"
        })
      }
      assert.deepStrictEqual(yield* client.state, { _tag: "Closed", reason: "unauthorized" })
      const late = yield* start(client.openSession())
      assert.strictEqual(reasonOf(late)?._tag, "Disconnected")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(hub.dials, 1)
    })
  )

  it.effect("connection - the end of the schedule closes the client", () =>
    Effect.gen(function* () {
      const { hub, session, client } = yield* connect({
        reconnect: Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 2 }))
      })
      hub.isUp = false
      hub.last.cut()
      yield* settle
      const publish = yield* start(session.publish("a", message("1")))
      yield* TestClock.adjust("10 seconds")
      yield* settle
      assert.strictEqual(hub.dials, 3)
      assert.deepStrictEqual(yield* client.state, { _tag: "Closed", reason: "connection-lost" })
      assert.deepInclude(reasonOf(publish), { _tag: "Disconnected", closeReason: "connection-lost" })
    })
  )

  it.effect("connection - a session that is opened meanwhile waits for the next connection", () =>
    Effect.gen(function* () {
      const { hub, client } = yield* connect()
      hub.last.cut()
      yield* settle
      const opening = yield* start(client.openSession({ name: "later" }))
      assert.isUndefined(resultOf(opening))
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.isDefined(valueOf(opening))
      assert.deepStrictEqual(
        hub.last.of("Open").map(({ name }) => name),
        ["polestar", "later"]
      )
    })
  )

  it.effect("connection - a session that the hub refuses fails, one that it does not answer too", () =>
    Effect.gen(function* () {
      const { hub, client } = yield* connect()
      hub.ignored.add("Open")
      const refused = yield* start(client.openSession())
      const { request, session } = hub.last.of("Open")[1]!
      hub.last.send({ _tag: "Failure", session, request, code: "limit-reached", message: "" })
      yield* settle
      assert.deepInclude(reasonOf(refused), { _tag: "Rejected", code: "limit-reached" })
      const silent = yield* start(client.openSession())
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(reasonOf(silent)?._tag, "Timeout")
      const invalid = yield* start(client.openSession({ id: "me" }))
      assert.strictEqual(reasonOf(invalid)?._tag, "MessageInvalid")
    })
  )
})

describe("connection - requests", () => {
  it.effect("connection - asks in JSON, again if the connection was lost", () =>
    Effect.gen(function* () {
      const { hub, client } = yield* connect()
      const asking = yield* start(client.request("topics", { pattern: "a.>" }))
      hub.last.cut()
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* settle
      const { body, method, request } = hub.last.of("Request")[0]!
      assert.deepStrictEqual([method, new TextDecoder().decode(body)], ["topics", '{"pattern":"a.>"}'])
      hub.last.send({ _tag: "Response", request, body: new TextEncoder().encode("[1]") })
      yield* settle
      assert.deepStrictEqual(valueOf(asking), [1])
    })
  )

  it.effect("connection - tells a request's failure, silence, and an answer that is no JSON", () =>
    Effect.gen(function* () {
      const { hub, client } = yield* connect()
      const [failed, silent, garbled] = [
        yield* start(client.request("a", {})),
        yield* start(client.request("b", {})),
        yield* start(client.request("c", {}))
      ]
      const [a, , c] = hub.last.of("Request")
      hub.last.send(
        { _tag: "Failure", session: 0, request: a!.request, code: "unknown-method", message: "" },
        { _tag: "Response", request: c!.request, body: new TextEncoder().encode("{") }
      )
      yield* settle
      assert.deepInclude(reasonOf(failed), { _tag: "Rejected", code: "unknown-method" })
      assert.strictEqual(reasonOf(garbled)?._tag, "DecodeFailed")
      yield* TestClock.adjust("2 seconds")
      assert.deepInclude(reasonOf(silent), { _tag: "Timeout", operation: "b" })
    })
  )
})

describe("connection - what a hub may not send", () => {
  const valid = encodeDelivery({ topic: "a", offset: 0, payloads: ["1", "2"] })
  const changed = (at: number, ...values: ReadonlyArray<number>) => {
    const bytes = valid.slice()
    bytes.set(values, at)
    return bytes
  }
  const cases: ReadonlyArray<readonly [string, Uint8Array, CloseReason]> = [
    ["an unknown operation", Uint8Array.of(2, 0, 0, 0, 0x7e, 0), "protocol-error"],
    ["a frame cut short", Uint8Array.of(3, 0, 0, 0, Op.Ping, 0, 1), "protocol-error"],
    ["a frame without an operation", Uint8Array.of(0, 0, 0, 0), "protocol-error"],
    ["a frame that is too long", Uint8Array.of(255, 255, 255, 127), "frame-too-large"],
    [
      "a frame that only clients send",
      Uint8Array.of(10, 0, 0, 0, Op.Close, 0, 1, 0, 0, 0, 1, 0, 0, 0),
      "protocol-error"
    ],
    ["more messages than there are", changed(42, 3), "protocol-error"],
    ["a skip beyond the messages", changed(38, 1), "protocol-error"],
    ["an offset that is no number", changed(22, 255, 255, 255, 255, 255, 255, 255, 255), "protocol-error"],
    ["a delivery of something else", changed(50, Op.Ping), "protocol-error"],
    ["a topic that is not UTF-8", changed(64, 0xff), "protocol-error"]
  ]
  for (const [name, bytes, reason] of cases) {
    it.effect(`connection - ${name}`, () =>
      Effect.gen(function* () {
        const { hub, session, client } = yield* connect()
        yield* session.subscribe({ pattern: "a", start: { _tag: "Now" }, overflow: "wait", echo: true })
        const first = hub.last
        first.duplex.write([bytes])
        yield* settle
        assert.strictEqual(first.of("Goodbye")[0]?.reason, reason)
        assert.isTrue(first.isClosed)
        yield* TestClock.adjust("1 second")
        yield* settle
        assert.strictEqual((yield* client.state)._tag, "Connected")
        assert.lengthOf(hub.connections, 2)
      })
    )
  }

  it.effect.prop(
    "connection - changed bytes end the connection or nothing; nothing is thrown",
    [Schema.Array(Schema.Tuple([Schema.Int, Schema.Int]))],
    ([changes]) =>
      Effect.gen(function* () {
        const { hub, session, client } = yield* connect()
        yield* session.subscribe({ pattern: "a", start: { _tag: "Now" }, overflow: "wait", echo: true })
        yield* start(session.publishAll("a", [message("1"), message("2")]))
        const position = { epoch: 1, offset: 3 }
        const frames: ReadonlyArray<Frame> = [
          {
            _tag: "Rejected",
            session: 1,
            firstSequence: 1,
            lastSequence: 1,
            code: "queue-full",
            message: "m"
          },
          { _tag: "Gap", session: 1, subscription: 1, topic: "a", from: position, to: position },
          {
            _tag: "Dropped",
            session: 1,
            subscription: 1,
            topic: "a",
            from: position,
            to: position,
            count: 1
          },
          { _tag: "Closed", session: 1, request: 0, reason: "hub-failed", subscription: 0 }
        ]
        for (const bytes of [valid, ...frames.map(encodeFrame)]) {
          const mutated = bytes.slice()
          // The length stays, so that what is behind it is read.
          for (const [at, value] of changes) mutated[4 + (Math.abs(at) % (bytes.length - 4))] = value
          hub.last.duplex.write([mutated])
        }
        yield* settle
        yield* TestClock.adjust("1 second")
        yield* settle
        assert.oneOf((yield* client.state)._tag, ["Connected", "Reconnecting", "Closed"])
      }),
    { arbitrary: { runs: 200 } }
  )

  it.effect("connection - far more bytes than it has credit for", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect()
      yield* session.subscribe({
        pattern: "a",
        start: { _tag: "Now" },
        overflow: "wait",
        echo: true,
        queueBytes: 1000
      })
      for (let i = 0; i < 40; i++)
        hub.last.deliver({ topic: "a", offset: i, payloads: ["x".repeat(100_000)] })
      yield* settle
      assert.strictEqual(hub.last.of("Goodbye")[0]?.reason, "protocol-error")
    })
  )

  it.effect("connection - what is for nobody is ignored", () =>
    Effect.gen(function* () {
      const { hub, client } = yield* connect()
      hub.last.deliver({ session: 9, topic: "a", offset: 0, payloads: ["1"] })
      hub.last.receipt({ session: 9, firstSequence: 1 })
      hub.last.receipt({ firstSequence: 5, lastSequence: 4_000_000_000 })
      hub.last.send(
        { _tag: "Opened", session: 1, request: 99 },
        { _tag: "Recovered", session: 1, subscription: 4, messages: 0 },
        { _tag: "Closed", session: 9, request: 0, reason: "slow-consumer", subscription: 1 }
      )
      yield* settle
      assert.strictEqual((yield* client.state)._tag, "Connected")
      assert.lengthOf(hub.last.of("Goodbye"), 0)
    })
  )
})

describe("connection - back-pressure", () => {
  it.effect(
    "connection - writes nothing while the peer takes nothing, and all of it in order afterwards",
    () =>
      Effect.gen(function* () {
        const { hub, session } = yield* connect({
          queueBytes: 100_000_000,
          queueSize: 1_000_000,
          maxRetries: 0
        })
        hub.last.duplex.pause()
        const payloads = Array.from({ length: 60 }, (_, i) => `${i}`.padEnd(50_000, "."))
        yield* Effect.forEach(
          payloads,
          (text) =>
            Effect.andThen(
              Effect.forkScoped(session.publish("a", message(text)), { startImmediately: true }),
              settle
            ),
          { discard: true }
        )
        assert.lengthOf(hub.last.of("Publish"), 0)
        // The pair holds a mebibyte, and the write that went over it.
        assert.isBelow(hub.clientEnd?.pending() ?? Number.POSITIVE_INFINITY, 1_300_000)
        hub.last.duplex.resume()
        yield* settle
        assert.deepStrictEqual(
          hub.last.of("Publish").flatMap(({ payloads }) => payloads),
          payloads
        )
      })
  )
})

describe("connection - the end", () => {
  it.effect(
    "connection - closing says GOODBYE, ends the stream of states, and closes the stream of bytes",
    () =>
      Effect.gen(function* () {
        const hub = new FakeHub()
        const { client } = yield* Effect.scoped(connect({}, hub))
        yield* settle
        assert.strictEqual(hub.last.of("Goodbye")[0]?.reason, "normal")
        assert.isTrue(hub.last.isClosed)
        assert.deepStrictEqual(yield* client.state, { _tag: "Closed", reason: "normal" })
        const late = yield* Effect.exit(client.request("a", {}))
        assert.isTrue(Exit.isFailure(late))
      })
  )
})
