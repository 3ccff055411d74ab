/** What the time of polls and bodies is, over real sockets, by a clock that the test sets. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Hub } from "../../../src/actors/Hub.ts"
import { ask, postJson, publish, rawSocket, webHub } from "./WebHub.ts"
import { socketsDo, timely, until } from "./WebTime.ts"

/** Waits until a poll waits. */
const waiting = Effect.gen(function* () {
  const hub = yield* Hub
  const count = Effect.map(hub.metrics, ({ groups, subscriptions }) => subscriptions + groups)
  yield* until(Effect.map(count, (each) => each > 0))
  yield* socketsDo
})

describe("http poll time", () => {
  it.effect.each([
    ["without a client_id", ""],
    ["with a client_id", "&client_id=c"]
  ] as const)("http poll time - a poll %s waits as long as it asked to, and no longer", ([, more]) =>
    Effect.gen(function* () {
      const poll = yield* Effect.forkScoped(ask(`/api/v1/poll?topics=a&timeout=40${more}`), {
        startImmediately: true
      })
      yield* waiting
      yield* TestClock.adjust("39 seconds")
      yield* socketsDo
      assert.isUndefined(poll.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      const { json, status } = yield* Fiber.join(poll)
      assert.strictEqual(status, 200)
      assert.deepStrictEqual(json.messages, [])
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.effect(
    "http poll time - whoever was answered waits no more, and the next poll has a time of its own",
    () =>
      Effect.gen(function* () {
        const first = yield* Effect.forkScoped(ask("/api/v1/poll?topics=a&timeout=40"), {
          startImmediately: true
        })
        yield* waiting
        yield* TestClock.adjust("30 seconds")
        yield* publish("a", 1)
        assert.lengthOf((yield* Fiber.join(first)).json.messages, 1)
        const second = yield* Effect.forkScoped(ask("/api/v1/poll?topics=a&timeout=40"), {
          startImmediately: true
        })
        yield* waiting
        yield* TestClock.adjust("30 seconds")
        yield* socketsDo
        assert.isUndefined(second.pollUnsafe())
        yield* TestClock.adjust("11 seconds")
        assert.deepStrictEqual((yield* Fiber.join(second)).json.messages, [])
      }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.effect("http poll time - a client that is not heard of is let go of, and not one that polls", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const poll = (timeout: number) => ask(`/api/v1/poll?topics=a&client_id=c&timeout=${timeout}`)
      yield* timely(poll(0))
      const polling = yield* Effect.forkScoped(poll(60), { startImmediately: true })
      yield* socketsDo
      yield* TestClock.adjust("59 seconds")
      yield* socketsDo
      assert.isAbove((yield* hub.metrics).sessions, 0)
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(polling)
      yield* TestClock.adjust("30 seconds")
      assert.isAbove((yield* hub.metrics).sessions, 0)
      yield* TestClock.adjust("40 seconds")
      yield* until(Effect.map(hub.metrics, ({ sessions }) => sessions === 0))
    }).pipe(Effect.scoped, Effect.provide(webHub({ httpIdleTimeout: 60_000, groupAckWait: 1000 })))
  )

  it.effect("http poll time - an acknowledgement after the client was let go of still counts", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const poll = timely(ask("/api/v1/poll?topics=a.*&client_id=c&timeout=0"))
      yield* poll
      yield* publish("a.b", 1)
      const given = yield* poll
      assert.lengthOf(given.json.messages, 1)
      yield* TestClock.adjust("10 seconds")
      // What publishes for all requests stays.
      yield* until(Effect.map(hub.metrics, ({ sessions }) => sessions === 1))
      const [message] = given.json.messages
      const acked = yield* postJson("/api/v1/ack", { client_id: "c", message_id: message?.message_id })
      assert.deepInclude(acked.json, { acknowledged: 1 })
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual((yield* poll).json.messages, [])
    }).pipe(Effect.provide(webHub({ groupAckWait: 1000, httpIdleTimeout: 1000 })))
  )

  it.effect("http poll time - a body is waited for as long as it makes progress", () =>
    Effect.gen(function* () {
      const raw = yield* rawSocket
      raw.write(
        "POST /api/v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 150000\r\n\r\n"
      )
      raw.write(" ".repeat(70_000))
      yield* socketsDo
      yield* TestClock.adjust("20 seconds")
      raw.write(" ".repeat(70_000))
      yield* until(Effect.sync(() => raw.socket.bytesWritten > 140_000))
      yield* socketsDo
      yield* TestClock.adjust("20 seconds")
      yield* socketsDo
      assert.strictEqual(raw.text, "")
      yield* TestClock.adjust("11 seconds")
      yield* raw.says(/^HTTP\/1\.1 408 /)
      yield* TestClock.adjust("1 second")
      yield* raw.closed
    }).pipe(Effect.scoped, Effect.provide(webHub({ httpReadTimeout: 30_000 })))
  )
})
