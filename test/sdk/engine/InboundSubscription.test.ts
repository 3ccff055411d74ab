import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { Start } from "../../../src/protocol/Position.ts"
import { forEachMessage } from "../../../src/protocol/Publish.ts"
import type { Inbound, SubscribeOptions } from "../../../src/sdk/Client.ts"
import { connect, message, reasonOf, resultOf, start, valueOf } from "../ClientFixture.ts"
import { type FakeHub, settle, textOf } from "../FakeHub.ts"

const options: SubscribeOptions = {
  pattern: "a.*",
  start: { _tag: "Now" },
  overflow: "drop-oldest",
  echo: true
}

/** What arrived, short: `topic@offset:payload` for messages. */
const describeOne = (item: Inbound): ReadonlyArray<string> => {
  switch (item._tag) {
    case "Messages": {
      const { batch, topic } = item
      const texts: Array<string> = []
      const isWhole = forEachMessage(batch.bytes, batch.start, batch.end, batch.skip, batch.count, (m, i) =>
        texts.push(`${topic}@${batch.offset + i}:${textOf(m.payload)}`)
      )
      assert.isTrue(isWhole)
      return texts
    }
    case "Dropped":
      return [`dropped ${item.count} of ${item.topic} ${item.from.offset}-${item.to.offset}`]
    case "Gap":
      return [`gap ${item.topic} ${item.from.epoch}:${item.from.offset}-${item.to.epoch}:${item.to.offset}`]
    case "Recovered":
      return [`recovered ${item.messages}`]
  }
}

const describeAll = (items: ReadonlyArray<Inbound>): ReadonlyArray<string> => items.flatMap(describeOne)

const reconnect = Effect.gen(function* () {
  yield* settle
  yield* TestClock.adjust("10 seconds")
  yield* settle
})

const sessionOf = (hub: FakeHub): number => hub.last.of("Open")[0]?.session ?? 0

const startOf = (hub: FakeHub): Start | undefined => hub.last.of("Subscribe").at(-1)?.start

describe("subscription", () => {
  it.effect("subscription - takes all that has arrived, in order", () =>
    Effect.gen(function* () {
      const { hub, session, client } = yield* connect()
      const inbox = yield* session.subscribe(options)
      assert.deepInclude(hub.last.of("Subscribe")[0], { pattern: "a.*", creditMessages: 1000, echo: true })
      const taking = yield* start(inbox.take)
      assert.isUndefined(resultOf(taking))
      hub.last.deliver(
        { topic: "a.x", offset: 0, payloads: ["1", "2"] },
        { topic: "a.y", offset: 9, payloads: ["3"] }
      )
      yield* settle
      assert.deepStrictEqual(describeAll(valueOf(taking)), ["a.x@0:1", "a.x@1:2", "a.y@9:3"])
      hub.last.deliver({ topic: "a.x", offset: 2, payloads: ["4"] })
      yield* settle
      assert.deepStrictEqual(describeAll(yield* inbox.take), ["a.x@2:4"])
      assert.deepInclude(yield* client.metrics, { received: 4 })
    })
  )

  it.effect("subscription - grants credit again when half of it has been taken", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect()
      const inbox = yield* session.subscribe({ ...options, queueSize: 10, queueBytes: 100_000 })
      const payloads = (n: number) => Array.from({ length: n }, () => "x")
      hub.last.deliver({ topic: "a.x", offset: 0, payloads: payloads(4) })
      yield* settle
      yield* inbox.take
      yield* settle
      assert.lengthOf(hub.last.of("Credit"), 0)
      hub.last.deliver({ topic: "a.x", offset: 4, payloads: payloads(8) })
      yield* settle
      assert.lengthOf(hub.last.of("Credit"), 0)
      yield* inbox.take
      yield* settle
      // Two more came than there was credit for: they are part of what is granted.
      assert.deepStrictEqual(
        hub.last.of("Credit").map(({ messages, subscription }) => ({ messages, subscription })),
        [{ messages: 12, subscription: 1 }]
      )
    })
  )

  it.effect("subscription - credit in bytes is counted as the hub counts it", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect()
      const inbox = yield* session.subscribe({ ...options, queueBytes: 1000 })
      const text = "x".repeat(600)
      hub.last.deliver({ topic: "a.x", offset: 0, payloads: [text] })
      yield* settle
      yield* inbox.take
      yield* settle
      // The PUBLISH frame: 18 bytes, the topic, the record's 5 and the payload.
      assert.deepInclude(hub.last.of("Credit")[0], { messages: 1, bytes: 18 + 3 + 5 + 600 })
    })
  )

  it.effect("subscription - tells what was dropped, put together until it is read", () =>
    Effect.gen(function* () {
      const { hub, session, client } = yield* connect()
      const inbox = yield* session.subscribe(options)
      const drop = (from: number, to: number, count: number) =>
        hub.last.send({
          _tag: "Dropped",
          session: 1,
          subscription: 1,
          topic: "a.x",
          from: { epoch: 1, offset: from },
          to: { epoch: 1, offset: to },
          count
        })
      drop(0, 5, 5)
      hub.last.deliver({ topic: "a.x", offset: 5, payloads: ["1"] })
      drop(6, 8, 1)
      yield* settle
      assert.deepStrictEqual(describeAll(yield* inbox.take), ["dropped 6 of a.x 0-8", "a.x@5:1"])
      drop(8, 9, 1)
      yield* settle
      assert.deepStrictEqual(describeAll(yield* inbox.take), ["dropped 1 of a.x 8-9"])
      assert.deepInclude(yield* client.metrics, { dropped: 7, received: 1 })
    })
  )

  it.effect("subscription - resumes after a reconnection and leaves out what comes again", () =>
    Effect.gen(function* () {
      const { hub, session, client } = yield* connect()
      const inbox = yield* session.subscribe(options)
      hub.last.deliver(
        { topic: "a.x", offset: 3, payloads: ["3", "4"] },
        { topic: "a.y", epoch: 7, offset: 0, payloads: ["0"] }
      )
      yield* settle
      hub.time = 9999
      hub.last.cut()
      yield* reconnect
      const subscribe = hub.last.of("Subscribe")[0]
      assert.deepStrictEqual(subscribe?.start, {
        _tag: "Resume",
        since: 5000,
        topics: [
          { topic: "a.x", epoch: 1, offset: 5 },
          { topic: "a.y", epoch: 7, offset: 1 }
        ]
      })
      // Three messages are still unread, so there is that much less room.
      assert.strictEqual(subscribe?.creditMessages, 997)
      const on = subscribe?.session ?? 0
      hub.last.deliver(
        { session: on, topic: "a.x", offset: 3, payloads: ["3", "4"] },
        { session: on, topic: "a.x", offset: 4, payloads: ["4", "5"] },
        { session: on, topic: "a.y", epoch: 7, offset: 1, payloads: ["1"] }
      )
      hub.last.send({ _tag: "Recovered", session: on, subscription: 1, messages: 5 })
      yield* settle
      assert.deepStrictEqual(describeAll(yield* inbox.take), [
        "a.x@3:3",
        "a.x@4:4",
        "a.y@0:0",
        "a.x@5:5",
        "a.y@1:1",
        "recovered 5"
      ])
      assert.deepInclude(yield* client.metrics, { reconnects: 1, received: 5 })
    })
  )

  it.effect("subscription - goes on after a gap, and in the epoch that the gap names", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect()
      const inbox = yield* session.subscribe(options)
      hub.last.deliver({ topic: "a.x", offset: 3, payloads: ["3"] })
      yield* settle
      hub.last.send({
        _tag: "Gap",
        session: 1,
        subscription: 1,
        topic: "a.x",
        from: { epoch: 1, offset: 4 },
        to: { epoch: 2, offset: 0 }
      })
      hub.last.deliver({ topic: "a.x", epoch: 2, offset: 0, payloads: ["new"] })
      yield* settle
      assert.deepStrictEqual(describeAll(yield* inbox.take), ["a.x@3:3", "gap a.x 1:4-2:0", "a.x@0:new"])
      hub.last.cut()
      yield* reconnect
      assert.deepNestedInclude(startOf(hub), { topics: [{ topic: "a.x", epoch: 2, offset: 1 }] })
    })
  )

  it.effect("subscription - a topic by its name resumes from where it began, though nothing came", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect()
      hub.position = { epoch: 3, offset: 12 }
      yield* session.subscribe({ ...options, pattern: "a.x" })
      hub.last.cut()
      yield* reconnect
      assert.deepStrictEqual(startOf(hub), {
        _tag: "Resume",
        since: 5000,
        topics: [{ topic: "a.x", epoch: 3, offset: 12 }]
      })
    })
  )

  for (const from of [
    { _tag: "Last", count: 5 },
    { _tag: "Time", time: 1234 },
    { _tag: "Position", position: { epoch: 1, offset: 4 } }
  ] as const) {
    it.effect(`subscription - from ${from._tag} it starts there again until all of it has come`, () =>
      Effect.gen(function* () {
        const { hub, session } = yield* connect()
        hub.position = { epoch: 1, offset: 12 }
        const inbox = yield* session.subscribe({ ...options, start: from })
        hub.last.cut()
        yield* reconnect
        assert.deepStrictEqual(startOf(hub), from)
        hub.last.deliver({ session: sessionOf(hub), topic: "a.x", offset: 6, payloads: ["6", "7"] })
        yield* settle
        // Of `a.y` nothing has come, so there is nowhere to resume it from.
        hub.last.cut()
        yield* reconnect
        assert.deepStrictEqual(startOf(hub), from)
        const on = sessionOf(hub)
        hub.last.deliver(
          { session: on, topic: "a.x", offset: 6, payloads: ["6", "7", "8"] },
          { session: on, topic: "a.y", offset: 3, payloads: ["3"] }
        )
        hub.last.send({ _tag: "CaughtUp", session: on, subscription: 1, messages: 4 })
        yield* settle
        assert.deepStrictEqual(describeAll(yield* inbox.take), ["a.x@6:6", "a.x@7:7", "a.x@8:8", "a.y@3:3"])
        hub.last.cut()
        yield* reconnect
        assert.deepStrictEqual(startOf(hub), {
          _tag: "Resume",
          since: from._tag === "Time" ? 1234 : 5000,
          topics: [
            { topic: "a.x", epoch: 1, offset: 9 },
            { topic: "a.y", epoch: 1, offset: 4 }
          ]
        })
      })
    )
  }

  it.effect("subscription - tells what the last messages of a cut replay have left behind", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect()
      const inbox = yield* session.subscribe({ ...options, start: { _tag: "Last", count: 5 } })
      hub.last.deliver(
        { topic: "a.x", offset: 6, payloads: ["6", "7"] },
        { topic: "a.y", offset: 0, payloads: ["0"] },
        { topic: "a.z", offset: 0, payloads: ["0"] }
      )
      yield* settle
      hub.last.cut()
      yield* reconnect
      const on = sessionOf(hub)
      hub.last.deliver(
        { session: on, topic: "a.x", offset: 20, payloads: ["20"] },
        { session: on, topic: "a.x", offset: 25, payloads: ["25"] },
        { session: on, topic: "a.y", offset: 0, payloads: ["0", "1"] },
        { session: on, topic: "a.z", epoch: 2, offset: 0, payloads: ["new"] }
      )
      yield* settle
      assert.deepStrictEqual(describeAll(yield* inbox.take), [
        "a.x@6:6",
        "a.x@7:7",
        "a.y@0:0",
        "a.z@0:0",
        "gap a.x 1:8-1:20",
        "a.x@20:20",
        "a.x@25:25",
        "a.y@1:1",
        "gap a.z 1:1-2:0",
        "a.z@0:new"
      ])
    })
  )

  it.effect("subscription - does not tell a gap of what had come before", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect()
      const position = { epoch: 1, offset: 0 }
      const inbox = yield* session.subscribe({
        ...options,
        pattern: "a.x",
        start: { _tag: "Position", position }
      })
      hub.last.deliver({ topic: "a.x", offset: 0, payloads: ["0", "1", "2"] })
      yield* settle
      hub.last.cut()
      yield* reconnect
      const gap = { session: sessionOf(hub), subscription: 1, topic: "a.x" }
      hub.last.send({ _tag: "Gap", ...gap, from: position, to: { epoch: 1, offset: 2 } })
      hub.last.send({ _tag: "Gap", ...gap, from: position, to: { epoch: 1, offset: 5 } })
      yield* settle
      assert.deepStrictEqual(describeAll(yield* inbox.take), [
        "a.x@0:0",
        "a.x@1:1",
        "a.x@2:2",
        "gap a.x 1:0-1:5"
      ])
    })
  )

  it.effect("subscription - one that the hub had not confirmed is made again as it was", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect()
      hub.ignored.add("Subscribe")
      const subscribing = yield* start(session.subscribe(options))
      hub.last.cut()
      hub.ignored.clear()
      yield* reconnect
      assert.deepStrictEqual(startOf(hub), { _tag: "Now" })
      assert.isDefined(valueOf(subscribing))
    })
  )

  it.effect("subscription - fails if the hub refuses it, or does not answer", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect()
      const bad = yield* start(session.subscribe({ ...options, pattern: "a..b" }))
      assert.deepInclude(reasonOf(bad), { _tag: "Rejected", code: "invalid-pattern" })
      hub.ignored.add("Subscribe")
      const refused = yield* start(session.subscribe(options))
      const { request } = hub.last.of("Subscribe")[0]!
      hub.last.send({ _tag: "Failure", session: 1, request, code: "limit-reached", message: "enough" })
      yield* settle
      const { pattern } = options
      assert.deepInclude(reasonOf(refused), { _tag: "Rejected", message: "enough", about: pattern })
      const silent = yield* start(session.subscribe(options))
      yield* TestClock.adjust("2 seconds")
      assert.deepInclude(reasonOf(silent), { _tag: "Timeout", operation: "subscribe" })
    })
  )

  it.effect("subscription - closing its scope unsubscribes and ends it; what still comes is ignored", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect()
      const scope = yield* Scope.make()
      const inbox = yield* Scope.provide(session.subscribe(options), scope)
      const taking = yield* start(Effect.exit(inbox.take))
      yield* Scope.close(scope, Exit.void)
      yield* settle
      assert.lengthOf(hub.last.of("Unsubscribe"), 1)
      assert.deepStrictEqual(valueOf(taking), Exit.fail(Cause.Done()))
      hub.last.deliver({ topic: "a.x", offset: 0, payloads: ["late"] })
      yield* settle
      assert.lengthOf(hub.last.of("Goodbye"), 0)
      assert.lengthOf(hub.connections, 1)
    })
  )

  it.effect("subscription - a slow one fails, and the session opens again for the others", () =>
    Effect.gen(function* () {
      const { hub, session } = yield* connect()
      const slow = yield* session.subscribe({ ...options, overflow: "disconnect" })
      const other = yield* session.subscribe({ ...options, pattern: "b" })
      const publish = yield* start(session.publish("c", message("1")))
      hub.last.deliver({ subscription: 2, topic: "b", offset: 4, payloads: ["b4"] })
      hub.last.send({ _tag: "Closed", session: 1, request: 0, reason: "slow-consumer", subscription: 1 })
      yield* settle
      const failed = yield* start(slow.take)
      assert.deepInclude(reasonOf(failed), { _tag: "Disconnected", closeReason: "slow-consumer" })
      const open = hub.last.of("Open").at(-1)
      assert.notStrictEqual(open?.session, 1)
      assert.deepStrictEqual(
        hub.last
          .of("Subscribe")
          .slice(2)
          .map(({ pattern, session, start }) => [pattern, session, start._tag]),
        [["b", open?.session, "Resume"]]
      )
      assert.deepStrictEqual(
        hub.last.of("Publish").map(({ sequence, session }) => [sequence, session]),
        [
          [1, 1],
          [1, open?.session]
        ]
      )
      hub.last.receipt({ session: open?.session ?? 0, firstSequence: 1 })
      yield* settle
      assert.isDefined(valueOf(publish))
      assert.deepStrictEqual(describeAll(yield* other.take), ["b@4:b4"])
    })
  )
})
