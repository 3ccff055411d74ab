import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Layer, Scope } from "effect"
import { Hub } from "../../../src/actors/Hub.ts"
import { problemOf } from "../../../src/protocol/json/Problem.ts"
import { PatternSet } from "../../../src/protocol/PatternSet.ts"
import { AuthError } from "../../../src/services/auth/AuthError.ts"
import { anonymous } from "../../../src/services/auth/Identity.ts"
import { connectJson, openJson } from "./JsonPeer.ts"
import { WebSocketHub, webSocketHub } from "./WebSocketHub.ts"

const connect = Effect.flatMap(WebSocketHub, ({ url }) => connectJson(url))

const nested = (depth: number): string => `${"[".repeat(depth)}${"]".repeat(depth)}`

const message = { id: "m", payload: 1 }

/** What is sent, and the code that answers it. Each is answered with its request id where that could be read. */
const refused: ReadonlyArray<readonly [name: string, text: string, code: string, hasId?: boolean]> = [
  ["text that is no JSON", "{", "INVALID_JSON", false],
  ["an array", "[]", "INVALID_JSON", false],
  ["JSON nested a thousand deep", `{"type":"ping","x":${nested(1000)}}`, "INVALID_JSON", false],
  ["a type that there is not", '{"type":"dance","request_id":"r"}', "UNKNOWN_TYPE"],
  ["no type", '{"request_id":"r"}', "UNKNOWN_TYPE"],
  ["subscribing to nothing", '{"type":"subscribe","request_id":"r"}', "MISSING_TOPIC"],
  [
    "subscribing to what is no pattern",
    '{"type":"subscribe","topic":"a..b","request_id":"r"}',
    "INVALID_TOPIC"
  ],
  ["subscribing to the hub's own", '{"type":"subscribe","topic":"$sys.x","request_id":"r"}', "FORBIDDEN"],
  ["unsubscribing what is not", '{"type":"unsubscribe","topic":"nope","request_id":"r"}', "NOT_SUBSCRIBED"],
  ["publishing without a message", '{"type":"publish","topic":"a","request_id":"r"}', "MISSING_MESSAGE"],
  [
    "publishing without an id",
    '{"type":"publish","topic":"a","message":{"payload":1},"request_id":"r"}',
    "MISSING_MESSAGE_ID"
  ],
  ["acknowledging nothing", '{"type":"ack","request_id":"r"}', "MISSING_MESSAGE_ID"],
  ["acknowledging what is no id", '{"type":"ack","message_id":"?","request_id":"r"}', "BAD_REQUEST"],
  [
    "publishing what is too large",
    JSON.stringify({
      type: "publish",
      topic: "a",
      message: { id: "m", payload: "x".repeat(2000) },
      request_id: "r"
    }),
    "MESSAGE_TOO_LARGE"
  ],
  [
    "a position of a pattern with wildcards",
    '{"type":"subscribe","topic":"a.*","from":"1-1","request_id":"r"}',
    "BAD_REQUEST"
  ]
]

layer(webSocketHub({ maxMessageSize: 1000 }), { excludeTestServices: true })("websocket errors", (it) => {
  for (const [name, text, code, hasId = true] of refused) {
    it.effect(`errors - ${name} is ${code}`, () =>
      Effect.gen(function* () {
        const peer = yield* connect
        peer.sendRaw(text)
        const said = yield* peer.next
        assert.strictEqual(said.type, "error")
        assert.strictEqual((said.error as { code: string }).code, code)
        assert.isString((said.error as { message: string }).message)
        assert.strictEqual(said.request_id, hasId ? "r" : undefined)
        // The connection goes on.
        peer.send({ type: "ping" })
        assert.strictEqual((yield* peer.next).type, "pong")
      })
    )
  }

  it.effect("errors - a text larger than any message closes with the code of RFC 6455", () =>
    Effect.gen(function* () {
      const peer = yield* connect
      peer.sendRaw(" ".repeat(1_000_000))
      assert.strictEqual((yield* peer.closed).code, 1009)
    })
  )

  it.effect("errors - binary after text breaks the protocol", () =>
    Effect.gen(function* () {
      const peer = yield* connect
      peer.send({ type: "ping" })
      yield* peer.nextOf("pong")
      peer.sendRaw(new Uint8Array([1, 2, 3]))
      assert.deepStrictEqual(yield* peer.closed, { code: 3500, reason: "protocol-error" })
    })
  )

  it.effect("errors - text on a connection of the binary protocol breaks it", () =>
    Effect.gen(function* () {
      const { url } = yield* WebSocketHub
      const peer = yield* openJson(url, ["polestar.v1"])
      peer.sendRaw("{}")
      assert.strictEqual((yield* peer.closed).code, 3500)
    })
  )
})

const inHub = <A, E>(
  hub: Layer.Layer<WebSocketHub | Hub>,
  effect: Effect.Effect<A, E, WebSocketHub | Hub>
): Effect.Effect<A, E> => Effect.provide(effect, hub)

describe("websocket errors", () => {
  it.live("errors - topics are not made by use where that is off: TOPIC_NOT_FOUND", () =>
    inHub(
      Layer.fresh(webSocketHub({ autoCreateTopics: false })),
      Effect.scoped(
        Effect.gen(function* () {
          const peer = yield* connect
          for (const request of [
            { type: "subscribe", topic: "nope" },
            { type: "publish", topic: "nope", message }
          ]) {
            peer.send(request)
            assert.deepInclude((yield* peer.nextOf("error")).error, { code: "TOPIC_NOT_FOUND" })
          }
          yield* (yield* Hub).createTopic("nope")
          peer.send({ type: "subscribe", topic: "nope" })
          assert.strictEqual((yield* peer.next).type, "ack")
        })
      )
    )
  )

  it.live("errors - a client that does not read overflows: BUFFER_OVERFLOW, then the close", () =>
    inHub(
      Layer.fresh(webSocketHub({ clientQueueSize: 10, clientWriteTimeout: 60_000 })),
      Effect.scoped(
        Effect.gen(function* () {
          const slow = yield* connect
          slow.send({ type: "subscribe", topic: "fast", overflow: "disconnect" })
          yield* slow.nextOf("ack")
          slow.socket.pause()
          const other = yield* connect
          const payload = "x".repeat(500_000)
          const { metrics } = yield* Hub
          for (let i = 0; (yield* metrics).messagesDropped.disconnect === 0; i++) {
            other.send({ type: "publish", topic: "fast", message: { id: `m${i}`, payload } })
            yield* other.nextOf("ack")
          }
          slow.socket.resume()
          const error = yield* slow.nextOf("error")
          assert.deepInclude(error.error, { code: "BUFFER_OVERFLOW" })
          assert.deepStrictEqual(yield* slow.closed, { code: 3001, reason: "slow-consumer" })
        })
      )
    )
  )

  it.live("errors - what overflow dropped is told", () =>
    inHub(
      Layer.fresh(webSocketHub({ clientQueueSize: 10, clientWriteTimeout: 60_000 })),
      Effect.scoped(
        Effect.gen(function* () {
          const slow = yield* connect
          slow.send({ type: "subscribe", topic: "fast" })
          yield* slow.nextOf("ack")
          slow.socket.pause()
          const other = yield* connect
          const payload = "x".repeat(500_000)
          for (let i = 0; i < 60; i++) {
            other.send({ type: "publish", topic: "fast", message: { id: `m${i}`, payload } })
            yield* other.nextOf("ack")
          }
          slow.socket.resume()
          let events = 0
          let dropped = 0
          while (events + dropped < 60) {
            const said = yield* slow.next
            if (said.type === "event") events++
            if (said.type === "dropped") {
              assert.strictEqual(said.topic, "fast")
              dropped += Number(said.count)
            }
          }
          assert.strictEqual(events + dropped, 60)
          assert.isAbove(dropped, 0)
        })
      )
    )
  )

  it.live("errors - while the hub drains: SHUTTING_DOWN, then the close; and no connection any more", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const scope = yield* Effect.scope
        const connectHere = Scope.provide(connect, scope)
        const { blocked, peer } = yield* inHub(
          Layer.fresh(webSocketHub({ drainTimeout: 1000, clientWriteTimeout: 60_000 })),
          Effect.gen(function* () {
            const peer = yield* connectHere
            const blocked = yield* connectHere
            blocked.send({ type: "subscribe", topic: "held", overflow: "drop-newest" })
            yield* blocked.nextOf("ack")
            blocked.socket.pause()
            const payload = "x".repeat(1_000_000)
            for (let i = 0; i < 20; i++) {
              peer.send({ type: "publish", topic: "held", message: { id: `m${i}`, payload } })
              yield* peer.nextOf("ack")
            }
            yield* Effect.forkDetach((yield* Hub).drain, { startImmediately: true })
            peer.send({ type: "publish", topic: "a", message })
            assert.deepInclude((yield* peer.nextOf("error")).error, { code: "SHUTTING_DOWN" })
            blocked.socket.resume()
            return { blocked, peer }
          })
        )
        assert.deepStrictEqual(yield* peer.closed, { code: 3000, reason: "shutting-down" })
        assert.deepStrictEqual(yield* blocked.closed, { code: 3000, reason: "shutting-down" })
      })
    )
  )

  it.live("errors - more connections than are allowed: closed with the reason", () =>
    inHub(
      Layer.fresh(webSocketHub({ maxConnections: 1 })),
      Effect.scoped(
        Effect.gen(function* () {
          yield* connect
          const { url } = yield* WebSocketHub
          const second = yield* openJson(url)
          assert.deepStrictEqual(yield* second.closed, { code: 3005, reason: "too-many-connections" })
        })
      )
    )
  )
})

describe("websocket identities", () => {
  const limited = {
    ...anonymous,
    kind: "jwt" as const,
    id: "someone",
    publish: patterns("mine.>"),
    subscribe: patterns("news.*"),
    groups: patterns("someone")
  }

  it.live("identities - what an identity may not do is FORBIDDEN, and what it may is done", () =>
    inHub(
      Layer.fresh(webSocketHub({}, { authenticate: () => Effect.succeed(limited) })),
      Effect.scoped(
        Effect.gen(function* () {
          const peer = yield* connect
          for (const request of [
            { type: "publish", topic: "other", message },
            { type: "subscribe", topic: "news.>" },
            { type: "subscribe", topics: ["other"] },
            { type: "subscribe", topics: ["news.*"], client_id: "someone-else" }
          ]) {
            peer.send(request)
            assert.deepInclude((yield* peer.next).error, { code: "FORBIDDEN" })
          }
          peer.send({ type: "subscribe", topics: ["news.*"], client_id: "someone" })
          assert.strictEqual((yield* peer.next).type, "ack")
          peer.send({ type: "publish", topic: "mine.a", message })
          assert.strictEqual((yield* peer.next).type, "ack")
        })
      )
    )
  )

  it.live("identities - a token that is not accepted is answered by 401 and no WebSocket", () =>
    inHub(
      Layer.fresh(
        webSocketHub({}, { authenticate: () => Effect.fail(new AuthError({ reason: "expired" })) })
      ),
      Effect.scoped(
        Effect.gen(function* () {
          const error = yield* Effect.flip(connect)
          assert.match(error.message, /401/)
        })
      )
    )
  )

  it.live("identities - one that expires is told so and its connection is closed", () =>
    inHub(
      Layer.fresh(
        webSocketHub(
          { pingInterval: 200, readTimeout: 60_000 },
          { authenticate: () => Effect.sync(() => ({ ...anonymous, expiresAt: Date.now() + 50 })) }
        )
      ),
      Effect.scoped(
        Effect.gen(function* () {
          const peer = yield* connect
          assert.deepInclude((yield* peer.nextOf("error")).error, { code: "TOKEN_EXPIRED" })
          assert.deepStrictEqual(yield* peer.closed, { code: 3008, reason: "token-expired" })
        })
      )
    )
  )

  it.live("identities - beyond its rate it is RATE_LIMITED, with the time to wait", () =>
    inHub(
      Layer.fresh(
        webSocketHub(
          {},
          {
            admission: () => {
              let left = 1
              return () => (left-- > 0 ? Effect.void : Effect.fail(problemOf("RATE_LIMITED", undefined, 30)))
            }
          }
        )
      ),
      Effect.scoped(
        Effect.gen(function* () {
          const peer = yield* connect
          peer.send({ type: "publish", topic: "a", message, request_id: 1 })
          assert.strictEqual((yield* peer.next).type, "ack")
          peer.send({ type: "publish", topic: "a", message, request_id: 2 })
          const said = yield* peer.next
          assert.strictEqual(said.request_id, 2)
          assert.deepInclude(said.error, { code: "RATE_LIMITED", retry_after: 30 })
        })
      )
    )
  )
})

function patterns(...texts: ReadonlyArray<string>): PatternSet {
  const set = PatternSet.make(texts)
  return set instanceof PatternSet ? set : PatternSet.none
}
