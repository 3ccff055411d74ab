import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Schedule, Scope } from "effect"
import { TestClock } from "effect/testing"
import { PublishFlags } from "../../../src/protocol/Publish.ts"
import { connect, message, reasonOf, resultOf, start, valueOf } from "../ClientFixture.ts"
import { FakeHub, settle } from "../FakeHub.ts"

const payloadsOf = (hub: FakeHub) => hub.last.of("Publish").map(({ payloads }) => payloads)

describe("publisher", () => {
  it.effect("publisher - what is published in one turn is one frame for each topic, in order", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect()
      for (const [topic, text] of [
        ["a", "1"],
        ["b", "2"],
        ["a", "3"]
      ] as const) {
        yield* Effect.forkScoped(session.publish(topic, message(text)), { startImmediately: true })
      }
      yield* settle
      const frames = hub.last.of("Publish")
      assert.deepStrictEqual(
        frames.map(({ sequence, topic, payloads, flags }) => ({ sequence, topic, payloads, flags })),
        [
          { sequence: 1, topic: "a", payloads: ["1", "3"], flags: PublishFlags.receipt },
          { sequence: 2, topic: "b", payloads: ["2"], flags: PublishFlags.receipt }
        ]
      )
    })
  )

  it.effect("publisher - different options of one topic make frames of their own, in order", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect()
      for (const [text, priority] of [
        ["1", 0],
        ["2", 5],
        ["3", 5],
        ["4", 0]
      ] as const) {
        const publish = session.publish("a", message(text), { priority, ttl: Duration.seconds(3) })
        yield* Effect.forkScoped(publish, { startImmediately: true })
      }
      yield* settle
      assert.deepStrictEqual(
        hub.last.of("Publish").map(({ payloads, priority, ttl }) => [payloads, priority, ttl]),
        [
          [["1"], 0, 3000],
          [["2", "3"], 5, 3000],
          [["4"], 0, 3000]
        ]
      )
    })
  )

  it.effect("publisher - a message with an id is alone in its frame, and all are sent together", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect()
      const named = (text: string) => ({ ...message(text), id: text })
      const messages = [message("1"), named("2"), named("3"), message("4"), message("5"), named("6")]
      const all = yield* start(session.publishAll("a", messages))
      assert.deepStrictEqual(payloadsOf(hub), [["1"], ["2"], ["3"], ["4", "5"], ["6"]])
      hub.last.receipt({ firstSequence: 1, lastSequence: 2, position: { epoch: 1, offset: 40 }, count: 2 })
      hub.last.receipt({ firstSequence: 3, position: { epoch: 1, offset: 7 }, duplicate: true })
      hub.last.receipt({ firstSequence: 4, lastSequence: 5, position: { epoch: 1, offset: 42 }, count: 3 })
      yield* settle
      assert.deepStrictEqual(
        valueOf(all).map(({ duplicate, position }) => [position.offset, duplicate]),
        [
          [40, false],
          [41, false],
          [7, true],
          [42, false],
          [43, false],
          [44, false]
        ]
      )
    })
  )

  it.effect("publisher - the last message of a call with an id closes its frame too", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect()
      yield* Effect.forkScoped(session.publish("a", { ...message("1"), id: "1" }), { startImmediately: true })
      yield* Effect.forkScoped(session.publish("a", message("2")), { startImmediately: true })
      yield* Effect.forkScoped(session.publish("b", message("3")), { startImmediately: true })
      yield* settle
      assert.deepStrictEqual(payloadsOf(hub), [["1"], ["3"], ["2"]])
    })
  )

  it.effect("publisher - what the hub holds has no position yet", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect()
      const held = yield* start(session.publishAll("a", [message("1"), message("2")], { deliverAt: 90_000 }))
      assert.strictEqual(hub.last.of("Publish")[0]?.deliverAt, 90_000)
      hub.last.receipt({
        firstSequence: 1,
        position: { epoch: 0, offset: 0 },
        count: 2,
        durability: "stored"
      })
      yield* settle
      const receipt = { topic: "a", position: { epoch: 0, offset: 0 }, durability: "stored" } as const
      assert.deepStrictEqual(valueOf(held), [
        { ...receipt, duplicate: false, held: true },
        { ...receipt, duplicate: false, held: true }
      ])
    })
  )

  it.effect("publisher - one receipt stands for all frames of its topic in a range", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect()
      const first = yield* start(session.publishAll("a", [message("1"), message("2")]))
      const other = yield* start(session.publish("b", message("x")))
      const second = yield* start(session.publish("a", message("3")))
      hub.last.receipt({ firstSequence: 1, lastSequence: 3, position: { epoch: 9, offset: 40 }, count: 3 })
      yield* settle
      const receipt = { topic: "a", durability: "accepted", duplicate: false, held: false } as const
      assert.deepStrictEqual(valueOf(first), [
        { ...receipt, position: { epoch: 9, offset: 40 } },
        { ...receipt, position: { epoch: 9, offset: 41 } }
      ])
      assert.deepStrictEqual(valueOf(second), { ...receipt, position: { epoch: 9, offset: 42 } })
      assert.isUndefined(resultOf(other))
      hub.last.receipt({ firstSequence: 2, durability: "stored", duplicate: true })
      yield* settle
      assert.deepInclude(valueOf(other), { durability: "stored", duplicate: true })
    })
  )

  it.effect("publisher - many messages are cut into frames of 64 KiB at most, a large one goes alone", () =>
    Effect.gen(function* () {
      const { hub, session, client } = yield* connect()
      const messages = [
        ...Array.from({ length: 200 }, (_, i) => `${i}`.padEnd(1000, ".")),
        "x".repeat(100_000)
      ]
      const all = yield* start(session.publishAll("a", messages.map(message)))
      const frames = hub.last.of("Publish")
      assert.deepStrictEqual(
        frames.flatMap(({ payloads }) => payloads),
        messages
      )
      assert.lengthOf(frames, 5)
      for (const frame of frames.slice(0, -1)) assert.isAtMost(frame.bytes, 65_536 + 4)
      assert.deepInclude(yield* client.metrics, { inFlight: 201, queuedMessages: 0, queuedBytes: 0 })
      hub.last.receipt({ firstSequence: 1, lastSequence: 5, position: { epoch: 1, offset: 7 }, count: 201 })
      yield* settle
      assert.deepStrictEqual(
        valueOf(all).map(({ position }) => position.offset),
        messages.map((_, i) => 7 + i)
      )
      assert.deepInclude(yield* client.metrics, { inFlight: 0, published: 201 })
    })
  )

  it.effect("publisher - what the wire or the hub cannot take is refused, alone", () =>
    Effect.gen(function* () {
      const { hub, session, client } = yield* connect()
      const large = yield* start(session.publish("a", message("x".repeat(262_145))))
      assert.strictEqual(reasonOf(large)?._tag, "MessageInvalid")
      const id = yield* start(session.publish("a", { ...message("y"), id: "i".repeat(300) }))
      assert.strictEqual(reasonOf(id)?._tag, "MessageInvalid")
      const priority = yield* start(session.publish("a", message("y"), { priority: 10 }))
      assert.strictEqual(reasonOf(priority)?._tag, "MessageInvalid")
      const topic = yield* start(session.publish("a..b", message("y")))
      assert.deepInclude(reasonOf(topic), { _tag: "Rejected", code: "invalid-topic" })
      const good = yield* start(session.publish("a", message("z")))
      assert.deepStrictEqual(payloadsOf(hub), [["z"]])
      assert.strictEqual(hub.last.of("Publish")[0]?.sequence, 1)
      assert.isUndefined(resultOf(good))
      assert.deepInclude(yield* client.metrics, { queuedMessages: 0, queuedBytes: 0, inFlight: 1 })
    })
  )

  it.effect("publisher - no more than a window is in flight; the rest gathers", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect({ queueSize: 5000 })
      for (let i = 0; i < 300; i++) {
        yield* Effect.forkScoped(session.publish(`t${i}`, message("x")), { startImmediately: true })
      }
      yield* settle
      assert.lengthOf(hub.last.of("Publish"), 256)
      for (let i = 0; i < 3; i++) {
        yield* Effect.forkScoped(session.publish("t299", message(`${i}`)), { startImmediately: true })
      }
      for (let sequence = 1; sequence <= 256; sequence++) hub.last.receipt({ firstSequence: sequence })
      yield* settle
      assert.lengthOf(hub.last.of("Publish"), 300)
      assert.deepStrictEqual(hub.last.of("Publish").at(-1)?.payloads, ["x", "0", "1", "2"])
    })
  )

  it.effect("publisher - waits for room, or fails, when the queue is full", () =>
    Effect.gen(function* () {
      for (const whenFull of ["wait", "fail"] as const) {
        const { hub, session, client } = yield* connect({ queueSize: 2, whenFull })
        hub.isUp = false
        hub.last.cut()
        yield* settle
        yield* start(session.publish("a", message("1")))
        yield* start(session.publish("a", message("2")))
        const third = yield* start(session.publish("a", message("3")))
        assert.deepInclude(yield* client.metrics, { queuedMessages: 2, queueShare: 1 })
        assert.strictEqual(reasonOf(third)?._tag, whenFull === "fail" ? "QueueFull" : undefined)
        hub.isUp = true
        yield* TestClock.adjust("1 second")
        yield* settle
        assert.deepStrictEqual(payloadsOf(hub).flat(), whenFull === "fail" ? ["1", "2"] : ["1", "2", "3"])
      }
    })
  )

  it.effect("publisher - a call larger than the queue is taken when nothing else waits", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect({ queueSize: 2 })
      yield* start(session.publishAll("a", ["1", "2", "3"].map(message)))
      assert.deepStrictEqual(payloadsOf(hub), [["1", "2", "3"]])
    })
  )

  it.effect("publisher - what is interrupted before it is in a frame is not sent", () =>
    Effect.gen(function* () {
      const { hub, session, client } = yield* connect({ queueSize: 3 })
      hub.isUp = false
      hub.last.cut()
      yield* settle
      const queued = yield* start(session.publish("a", message("1")))
      yield* start(session.publishAll("a", [message("2"), message("3")]))
      const blocked = yield* start(session.publish("b", message("4")))
      yield* start(session.publish("b", message("5")))
      yield* Fiber.interrupt(queued)
      yield* Fiber.interrupt(blocked)
      assert.deepInclude(yield* client.metrics, { queuedMessages: 3 })
      hub.isUp = true
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual(payloadsOf(hub), [["2", "3"], ["5"]])
    })
  )

  it.effect(
    "publisher - a passing refusal is sent again after a pause, before what was published later",
    () =>
      Effect.gen(function* () {
        const { hub, session, client } = yield* connect()
        const first = yield* start(session.publish("a", message("1")))
        const second = yield* start(session.publish("a", message("2")))
        const refuse = (firstSequence: number, lastSequence: number) =>
          hub.last.send({
            _tag: "Rejected",
            session: 1,
            firstSequence,
            lastSequence,
            code: "queue-full",
            message: ""
          })
        refuse(1, 2)
        yield* settle
        yield* start(session.publish("a", message("3")))
        yield* start(session.publish("b", message("other")))
        assert.deepStrictEqual(payloadsOf(hub).slice(2), [["other"]])
        yield* TestClock.adjust("79 millis")
        assert.lengthOf(hub.last.of("Publish"), 3)
        yield* TestClock.adjust("41 millis")
        yield* settle
        assert.deepStrictEqual(
          hub.last
            .of("Publish")
            .slice(3)
            .map(({ sequence, payloads, flags }) => [sequence, payloads, flags]),
          [
            [4, ["1"], PublishFlags.receipt],
            [5, ["2"], PublishFlags.receipt],
            [6, ["3"], PublishFlags.receipt]
          ]
        )
        hub.last.receipt({ firstSequence: 4 })
        yield* settle
        assert.isDefined(resultOf(first))
        assert.isUndefined(resultOf(second))
        // Three more tries, then it is over.
        for (const sequence of [5, 7, 8]) {
          refuse(sequence, sequence)
          yield* settle
          yield* TestClock.adjust("500 millis")
          yield* settle
        }
        assert.deepInclude(reasonOf(second), { _tag: "Rejected", code: "queue-full" })
        assert.deepInclude(yield* client.metrics, { rejected: 1, retried: 4 })
      })
  )

  it.effect("publisher - what waited for room in flight when its topic was refused waits for the pause", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect()
      const topics = ["a", ...Array.from({ length: 255 }, (_, i) => `t${i}`), "a"]
      for (const [i, topic] of topics.entries()) {
        yield* Effect.forkScoped(session.publish(topic, message(`${i}`)), { startImmediately: true })
        if (i === 255) yield* settle
      }
      yield* settle
      assert.lengthOf(hub.last.of("Publish"), 256)
      const refused = {
        session: 1,
        firstSequence: 1,
        lastSequence: 1,
        code: "topic-failed",
        message: ""
      } as const
      hub.last.send({ _tag: "Rejected", ...refused })
      yield* settle
      assert.lengthOf(hub.last.of("Publish"), 256)
      hub.last.receipt({ firstSequence: 2 })
      yield* TestClock.adjust("120 millis")
      yield* settle
      assert.deepStrictEqual(payloadsOf(hub).slice(256), [["0"], ["256"]])
    })
  )

  it.effect(
    "publisher - what was refused waits for room in flight, and keeps its order when refused again",
    () =>
      Effect.gen(function* () {
        const { hub, session } = yield* connect({ queueBytes: 100_000_000 })
        const publish = (topic: string, count: number) =>
          start(
            session.publishAll(
              topic,
              Array.from({ length: count }, (_, i) => message(`${topic}${i}`.padEnd(60_000, ".")))
            )
          )
        const refuse = (firstSequence: number, lastSequence: number) =>
          hub.last.send({
            _tag: "Rejected",
            session: 1,
            firstSequence,
            lastSequence,
            code: "queue-full",
            message: ""
          })
        const sentOf = (topic: string) => hub.last.of("Publish").filter((frame) => frame.topic === topic)
        yield* publish("a", 4)
        refuse(1, 4)
        yield* settle
        yield* publish("b", 80)
        yield* TestClock.adjust("120 millis")
        yield* settle
        assert.lengthOf(sentOf("a"), 4)
        const [first, ...others] = sentOf("b")
        hub.last.receipt({ firstSequence: first?.sequence ?? 0 })
        yield* settle
        assert.lengthOf(sentOf("a"), 5)
        refuse(sentOf("a")[4]?.sequence ?? 0, sentOf("a")[4]?.sequence ?? 0)
        for (const { sequence } of others) hub.last.receipt({ firstSequence: sequence })
        yield* settle
        yield* TestClock.adjust("300 millis")
        yield* settle
        assert.deepStrictEqual(
          sentOf("a")
            .slice(4)
            .map(({ payloads }) => payloads[0]?.slice(0, 2)),
          ["a0", "a0", "a1", "a2", "a3"]
        )
      })
  )

  it.effect("publisher - a lasting refusal fails at once", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect()
      const publish = yield* start(session.publish("a", message("1")))
      hub.last.send({
        _tag: "Rejected",
        session: 1,
        firstSequence: 1,
        lastSequence: 1,
        code: "forbidden",
        message: "no"
      })
      yield* settle
      assert.deepInclude(reasonOf(publish), { _tag: "Rejected", code: "forbidden", message: "no" })
    })
  )

  it.effect("publisher - waits for a hub that holds it back and is heard, and sends nothing twice", () =>
    Effect.gen(function* () {
      const hub = new FakeHub()
      hub.onFrame = (connection, frame) => {
        if (frame._tag === "Ping") connection.send({ _tag: "Pong", token: frame.token })
      }
      const { session, client } = yield* connect({ maxRetries: 0 }, hub)
      const publish = yield* start(session.publish("a", message("1")))
      for (let second = 0; second < 60; second++) {
        yield* TestClock.adjust("1 second")
        yield* settle
      }
      assert.isUndefined(resultOf(publish))
      hub.last.receipt({ firstSequence: 1, position: { epoch: 1, offset: 10 } })
      yield* settle
      assert.strictEqual(valueOf(publish).position.offset, 10)
      assert.lengthOf(hub.last.of("Publish"), 1)
      assert.lengthOf(hub.connections, 1)
      assert.deepInclude(yield* client.metrics, { retried: 0, rejected: 0, reconnects: 0 })
    })
  )

  it.effect("publisher - asks a hub that owes an answer and is silent, and takes it for lost", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect({ maxRetries: 1, reconnect: Schedule.spaced("100 millis") })
      const step = (millis: number) => Effect.andThen(TestClock.adjust(millis), settle)
      // It owed nothing before.
      yield* step(10_000)
      assert.lengthOf(hub.last.of("Ping"), 0)
      const publish = yield* start(session.publishAll("a", [message("1"), message("2")]))
      yield* step(999)
      assert.lengthOf(hub.last.of("Ping"), 0)
      yield* step(1)
      assert.lengthOf(hub.last.of("Ping"), 1)
      yield* step(999)
      assert.lengthOf(hub.last.of("Publish"), 1)
      assert.isFalse(hub.last.isClosed)
      yield* step(1)
      assert.isTrue(hub.last.isClosed)
      yield* step(100)
      assert.lengthOf(hub.connections, 2)
      assert.deepStrictEqual(
        hub.last.of("Publish").map(({ sequence, flags }) => [sequence, flags & PublishFlags.resent]),
        [[1, PublishFlags.resent]]
      )
      assert.isUndefined(resultOf(publish))
      yield* step(1000)
      assert.isUndefined(resultOf(publish))
      yield* step(1000)
      assert.deepInclude(reasonOf(publish), { _tag: "Timeout", operation: "publish" })
    })
  )

  it.effect("publisher - anything that the hub sends ends its silence", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect({ maxRetries: 0 })
      const publish = yield* start(session.publish("a", message("1")))
      for (let i = 0; i < 5; i++) {
        yield* TestClock.adjust("1900 millis")
        yield* settle
        hub.last.send({ _tag: "Ping", token: i })
        yield* settle
      }
      assert.isUndefined(resultOf(publish))
      assert.lengthOf(hub.connections, 1)
      yield* TestClock.adjust("2 seconds")
      yield* settle
      assert.deepInclude(reasonOf(publish), { _tag: "Timeout", operation: "publish" })
    })
  )

  it.effect("publisher - a peer that takes nothing is not asked, nor given up for that", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect({ queueBytes: 100_000_000, maxRetries: 0 })
      hub.last.duplex.pause()
      const payloads = Array.from({ length: 20 }, (_, i) => `${i}`.padEnd(200_000, "."))
      const publish = yield* start(session.publishAll("a", payloads.map(message)))
      const halfSeconds = (count: number) =>
        Effect.repeat(Effect.andThen(TestClock.adjust("500 millis"), settle), { times: count - 1 })
      yield* halfSeconds(20)
      assert.isUndefined(resultOf(publish))
      assert.isFalse(hub.last.isClosed)
      hub.last.duplex.resume()
      yield* settle
      // From now on it can be asked.
      yield* halfSeconds(3)
      assert.isFalse(hub.last.isClosed)
      yield* halfSeconds(1)
      assert.isTrue(hub.last.isClosed)
      assert.deepInclude(reasonOf(publish), { _tag: "Timeout", operation: "publish" })
    })
  )

  it.effect(
    "publisher - the sessions of a connection have no more in flight together than one may have",
    () =>
      Effect.gen(function* () {
        const { hub, client } = yield* connect({ queueBytes: 100_000_000 })
        const sessions = yield* Effect.forEach([1, 2, 3], () => client.openSession())
        const each = 100
        const text = "x".repeat(60_000)
        const calls: Array<Fiber.Fiber<unknown, unknown>> = []
        for (const session of sessions) {
          for (let i = 0; i < each; i++) {
            const publish = session.publish("a", message(text))
            calls.push(yield* Effect.forkScoped(publish, { startImmediately: true }))
          }
        }
        yield* settle
        const sizeOf = (frames: ReadonlyArray<{ readonly bytes: number }>) =>
          frames.reduce((sum, { bytes }) => sum + bytes, 0)
        const limit = 4_194_304
        const first = hub.last.of("Publish")
        assert.isAtLeast(sizeOf(first), limit - 65_536)
        assert.isAtMost(sizeOf(first), limit + 65_536 * 2)
        let answered = 0
        while (answered < 3 * each) {
          const frames = hub.last.of("Publish")
          assert.isAbove(frames.length, answered)
          assert.isAtMost(sizeOf(frames.slice(answered)), limit + 65_536 * 2)
          const { sequence, session } = frames[answered++]!
          hub.last.receipt({ session, firstSequence: sequence })
          yield* settle
          if (answered === 60) {
            // None of them waits for the others to be done.
            assert.strictEqual(new Set(hub.last.of("Publish").map((frame) => frame.session)).size, 3)
          }
        }
        for (const call of calls) valueOf(call)
        assert.lengthOf(hub.last.of("Publish"), 3 * each)
      })
  )

  it.effect("publisher - a session that leaves while it waits for room does not hold up the others", () =>
    Effect.gen(function* () {
      const { hub, session, client } = yield* connect({ queueBytes: 100_000_000 })
      const scope = yield* Scope.make()
      const leaving = yield* Scope.provide(client.openSession(), scope)
      const staying = yield* client.openSession()
      yield* start(
        session.publishAll(
          "a",
          Array.from({ length: 80 }, () => message("x".repeat(60_000)))
        )
      )
      const sent = hub.last.of("Publish").length
      yield* start(leaving.publish("b", message("1")))
      yield* start(staying.publish("c", message("2")))
      assert.lengthOf(hub.last.of("Publish"), sent)
      const closing = yield* start(Scope.close(scope, Exit.void))
      for (let i = 0; i < 4; i++) {
        yield* TestClock.adjust("500 millis")
        hub.last.send({ _tag: "Ping", token: i })
        yield* settle
      }
      assert.isDefined(resultOf(closing))
      for (let sequence = 1; sequence <= 30; sequence++) hub.last.receipt({ firstSequence: sequence })
      yield* settle
      assert.deepStrictEqual(
        hub.last.of("Publish").flatMap(({ topic }) => (topic === "a" ? [] : [topic])),
        ["c"]
      )
    })
  )

  it.effect(
    "publisher - what was in flight is sent again on the next connection, under the same sequences",
    () =>
      Effect.gen(function* () {
        const { hub, session } = yield* connect()
        const first = yield* start(session.publish("a", message("1")))
        yield* start(session.publish("b", message("2")))
        hub.last.cut()
        yield* settle
        yield* start(session.publish("a", message("3")))
        yield* TestClock.adjust("1 second")
        yield* settle
        assert.lengthOf(hub.connections, 2)
        const open = hub.last.of("Open")[0]
        assert.strictEqual(open?.id, "0f0e0d0c-0b0a-4908-8706-050403020100")
        assert.strictEqual(open?.incarnation, hub.connections[0]?.of("Open")[0]?.incarnation)
        assert.deepStrictEqual(
          hub.last
            .of("Publish")
            .map(({ session, sequence, payloads, flags }) => [
              session === open?.session,
              sequence,
              payloads,
              flags & PublishFlags.resent
            ]),
          [
            [true, 1, ["1"], PublishFlags.resent],
            [true, 2, ["2"], PublishFlags.resent],
            [true, 3, ["3"], 0]
          ]
        )
        const position = { epoch: 1, offset: 30 }
        hub.last.receipt({ session: open?.session ?? 0, firstSequence: 1, position, duplicate: true })
        yield* settle
        assert.deepStrictEqual(valueOf(first), {
          topic: "a",
          position,
          durability: "accepted",
          duplicate: true,
          held: false
        })
      })
  )

  it.effect("publisher - who uses an id again is told apart by the incarnation", () =>
    Effect.gen(function* () {
      const { hub, client, session } = yield* connect()
      yield* client.openSession({ id: session.id })
      const opens = hub.last.of("Open")
      assert.deepStrictEqual(
        opens.map(({ id }) => id),
        [session.id, session.id]
      )
      assert.notStrictEqual(opens[0]?.incarnation, opens[1]?.incarnation)
    })
  )

  it.effect("publisher - a connection that is lost again and again uses up the tries", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect({ maxRetries: 2 })
      const publish = yield* start(session.publish("a", message("1")))
      for (let i = 0; i < 3; i++) {
        assert.isUndefined(resultOf(publish))
        hub.last.cut()
        yield* settle
        yield* TestClock.adjust("1 second")
        yield* settle
      }
      assert.deepInclude(reasonOf(publish), { _tag: "ConnectionLost", closeReason: "connection-lost" })
      assert.lengthOf(hub.last.of("Publish"), 0)
    })
  )

  it.effect("publisher - keeps to the rate limit", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect({ rateLimit: { limit: 2, window: Duration.seconds(1) } })
      for (let i = 0; i < 4; i++) {
        yield* Effect.forkScoped(session.publish("a", message(`${i}`)), { startImmediately: true })
      }
      yield* settle
      assert.deepStrictEqual(payloadsOf(hub).flat(), ["0", "1"])
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual(payloadsOf(hub).flat(), ["0", "1", "2", "3"])
    })
  )

  it.effect("publisher - when the scope closes, what waits is sent before GOODBYE", () =>
    Effect.gen(function* () {
      const hub = new FakeHub()
      hub.onFrame = (connection, frame) => {
        if (frame._tag === "Publish") {
          connection.receipt({ session: frame.session, firstSequence: frame.sequence })
        }
      }
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { session } = yield* connect({}, hub)
          yield* Effect.forkDetach(session.publish("a", message("1")), { startImmediately: true })
        })
      )
      yield* settle
      const kinds = hub.last.seen.map(({ _tag }) => _tag)
      assert.deepStrictEqual(kinds, ["Hello", "Open", "Publish", "Close", "Goodbye"])
      assert.strictEqual(hub.last.of("Goodbye")[0]?.reason, "normal")
    })
  )

  it.effect("publisher - when the scope closes, the hub's silence is borne for the write timeout", () =>
    Effect.gen(function* () {
      const hub = new FakeHub()
      const closing = yield* start(
        Effect.scoped(
          Effect.gen(function* () {
            const { session } = yield* connect({}, hub)
            const publish = yield* Effect.forkDetach(session.publish("a", message("1")), {
              startImmediately: true
            })
            return { publish, session }
          })
        )
      )
      assert.isUndefined(resultOf(closing))
      yield* TestClock.adjust("2 seconds")
      yield* settle
      const { publish, session } = valueOf(closing)
      assert.strictEqual(reasonOf(publish)?._tag, "Closed")
      const late = yield* start(session.publish("a", message("2")))
      assert.strictEqual(reasonOf(late)?._tag, "Closed")
    })
  )
})
