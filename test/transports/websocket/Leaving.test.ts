/** What a client with a `client_id` left unacknowledged: when it comes again, with which `attempt`, and what counts as a failure. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schedule, Scope } from "effect"
import { Hub } from "../../../src/actors/Hub.ts"
import { connectJson, type JsonPeer } from "./JsonPeer.ts"
import { WebSocketHub, webSocketHub } from "./WebSocketHub.ts"

const connect = Effect.flatMap(WebSocketHub, ({ url }) => connectJson(url))

const subscribe = { type: "subscribe", topics: ["jobs"], client_id: "one" }

const deadLetters = Effect.flatMap(Hub, (hub) => Effect.map(hub.metrics, ({ group }) => group.deadLettered))

const publishJob = Effect.gen(function* () {
  const peer = yield* connect
  peer.send(subscribe)
  yield* peer.nextOf("ack")
  peer.send({ type: "unsubscribe", topics: ["jobs"] })
  yield* peer.nextOf("ack")
  peer.send({ type: "publish", topic: "jobs", message: { id: "m", payload: 1 } })
  yield* peer.nextOf("ack")
})

/** Connects, is given the message, and leaves without acknowledging it. Answers its `attempt`. */
const visit = (leave: (peer: JsonPeer) => Effect.Effect<unknown, unknown>) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const peer = yield* Scope.provide(connect, scope)
    peer.send(subscribe)
    const { attempt } = yield* peer.nextOf("message")
    yield* leave(peer)
    yield* Scope.close(scope, Exit.void)
    return attempt
  })

const close = (code?: number) => (peer: JsonPeer) =>
  Effect.andThen(
    Effect.sync(() => peer.socket.close(code)),
    peer.closed
  )

const breaks = (peer: JsonPeer) => Effect.sync(() => peer.socket.terminate())

/** Breaks the protocol, so that the hub ends it. */
const misbehave = (peer: JsonPeer) =>
  Effect.andThen(
    Effect.sync(() => peer.sendRaw(new Uint8Array([1]))),
    peer.closed
  )

/** The same by what is larger than any message may be. */
const overflow = (peer: JsonPeer) =>
  Effect.andThen(
    Effect.sync(() => peer.sendRaw(" ".repeat(200_000))),
    Effect.map(peer.closed, ({ code }) => assert.strictEqual(code, 1009))
  )

/** No other wait than that after a failure to acknowledge in time can make them pass. */
const settings = { maxMessageSize: 1000, groupAckWait: 60_000, groupBackoff: 60_000, maxRetries: 1 }

describe("leaving", () => {
  for (const [name, leave] of [
    ["closes without a code, 1005", close()],
    ["closes with 1000", close(1000)],
    ["closes with 1001, as a page does that is left", close(1001)],
    [
      "unsubscribes",
      (peer: JsonPeer) =>
        Effect.andThen(
          Effect.sync(() => peer.send({ type: "unsubscribe", topics: ["jobs"] })),
          peer.nextOf("ack")
        )
    ]
  ] as const) {
    it.live(`leaving - whoever ${name} leaves in order: the same comes at once, however often`, () =>
      Effect.gen(function* () {
        yield* publishJob
        for (let n = 0; n < 4; n++) assert.isUndefined(yield* visit(leave))
        assert.strictEqual(yield* deadLetters, 0)
      }).pipe(Effect.scoped, Effect.provide(webSocketHub(settings)))
    )
  }

  for (const [name, leave] of [
    ["a connection that broke", breaks],
    ["one that the hub had to end, 3500,", misbehave],
    ["one with too large a message, 1009,", overflow]
  ] as const) {
    it.live(
      `leaving - ${name} is a failure: it comes at once as the next attempt, and dies of the last`,
      () =>
        Effect.gen(function* () {
          yield* publishJob
          assert.isUndefined(yield* visit(leave))
          // Leaving in order changes nothing about what failed before.
          assert.strictEqual(yield* visit(close()), 2)
          assert.strictEqual(yield* visit(leave), 2)
          yield* Effect.repeat(deadLetters, {
            until: (count) => count === 1,
            schedule: Schedule.spaced("5 millis")
          })
        }).pipe(Effect.scoped, Effect.provide(webSocketHub(settings)))
    )
  }

  it.live("leaving - what is not acknowledged in time failed, though the connection stands", () =>
    Effect.gen(function* () {
      yield* publishJob
      const peer = yield* connect
      peer.send(subscribe)
      assert.isUndefined((yield* peer.nextOf("message")).attempt)
      assert.strictEqual((yield* peer.nextOf("message")).attempt, 2)
      yield* Effect.repeat(deadLetters, {
        until: (count) => count === 1,
        schedule: Schedule.spaced("5 millis")
      })
    }).pipe(Effect.scoped, Effect.provide(webSocketHub({ ...settings, groupAckWait: 50, groupBackoff: 1 })))
  )
})
