/** What an identity's limits say holds by every door, and all doors together. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { TestClock } from "effect/testing"
import { anonymous } from "../../../src/services/auth/Identity.ts"
import { addressOf, limitKeyOf, makePublishRate } from "../../../src/services/PublishRate.ts"
import { WebServer } from "../../../src/transports/WebServer.ts"
import type { WireClient } from "../../actors/WireClient.ts"
import { ask, json, openStream } from "../http/WebHub.ts"
import { connectJson, openJson } from "../websocket/JsonPeer.ts"
import {
  admitted,
  bearer,
  binaryClient,
  type Door,
  greet,
  keyFor,
  secureHub,
  tcpClient
} from "./SecureHub.ts"

const rights = { publish: [">"], subscribe: [">"] }
const doors: ReadonlyArray<Door> = [tcpClient, binaryClient]

const jsonPeer = (key: string) =>
  Effect.flatMap(WebServer, ({ port }) => connectJson(`ws://127.0.0.1:${port}/ws?token=${key}`))

const post = (key: string, payload: unknown, path = "/api/v1/messages") =>
  ask(path, {
    headers: { ...bearer(key), ...json },
    body: JSON.stringify(path.endsWith("bulk") ? { messages: payload } : { topic: "a", payload })
  })

const rejected = (client: WireClient, messages: ReadonlyArray<string>) => {
  client.publish("a", messages)
  return Effect.map(client.next("Rejected"), ({ code }) => code)
}

describe("limits of an identity", () => {
  it.live("limits - messages a minute are counted over all doors, and each says that they are over", () => {
    const [slow, other] = [
      keyFor("slow", { ...rights, limits: { messagesPerMinute: 6 } }),
      keyFor("other", rights)
    ]
    return Effect.gen(function* () {
      const tcp = yield* admitted(tcpClient, slow.key)
      const binary = yield* admitted(binaryClient, slow.key)
      const peer = yield* jsonPeer(slow.key)
      yield* tcp.publishAndWait("a", ["1", "2"])
      yield* binary.publishAndWait("a", ["3"])
      assert.strictEqual((yield* post(slow.key, 4)).status, 202)
      assert.strictEqual(
        (yield* post(slow.key, [{ topic: "a", payload: 5 }], "/api/v1/messages/bulk")).json.accepted,
        1
      )
      peer.send({ type: "publish", topic: "a", message: { id: "6", payload: 6 } })
      yield* peer.nextOf("ack")
      const answer = yield* post(slow.key, 7)
      assert.deepInclude(answer.json, { status: 429, code: "RATE_LIMITED" })
      assert.isAbove(Number(answer.headers["retry-after"]), 0)
      const many = yield* post(slow.key, [{ topic: "a", payload: 7 }], "/api/v1/messages/bulk")
      assert.deepInclude(many.json, { status: 429, code: "RATE_LIMITED" })
      peer.send({ type: "publish", topic: "a", message: { id: "7", payload: 7 } })
      assert.deepInclude((yield* peer.nextOf("error")).error, { code: "RATE_LIMITED" })
      for (const client of [tcp, binary]) assert.strictEqual(yield* rejected(client, ["7"]), "rate-limited")
      // Reading is not limited, and nobody else's share is touched.
      const headers = bearer(slow.key)
      assert.lengthOf((yield* ask("/api/v1/topics/a/messages", { headers })).json.messages, 6)
      assert.strictEqual((yield* post(other.key, 1)).status, 202)
    }).pipe(Effect.scoped, Effect.provide(secureHub({ authKeys: [slow.entry, other.entry] })))
  })

  it.live("limits - where nobody is asked who they are, an address has one share for all its clients", () =>
    Effect.gen(function* () {
      const [first, second] = [yield* admitted(tcpClient, ""), yield* admitted(binaryClient, "")]
      yield* first.publishAndWait("a", ["1", "2"])
      yield* second.publishAndWait("a", ["3"])
      assert.strictEqual(yield* rejected(second, ["4"]), "rate-limited")
      assert.strictEqual(
        (yield* ask("/api/v1/messages", { headers: json, body: '{"topic":"a","payload":4}' })).status,
        429
      )
    }).pipe(Effect.scoped, Effect.provide(secureHub({}, { rateLimitPerClient: 3 })))
  )

  it.live("limits - the size of a message, by every door", () => {
    const small = keyFor("small", { ...rights, limits: { messageSize: 100 } })
    return Effect.gen(function* () {
      const [fits, tooLong] = ["x".repeat(98), "x".repeat(99)]
      const peer = yield* jsonPeer(small.key)
      for (const [payload, isTaken] of [
        [fits, true],
        [tooLong, false]
      ] as const) {
        assert.strictEqual((yield* post(small.key, payload)).status, isTaken ? 202 : 413)
        const raw = yield* ask("/api/v1/messages?topic=a", {
          headers: { ...bearer(small.key), "content-type": "text/plain" },
          body: `xx${payload}`
        })
        assert.strictEqual(raw.status, isTaken ? 202 : 413)
        const many = yield* post(small.key, [{ topic: "a", payload }], "/api/v1/messages/bulk")
        assert.strictEqual(many.json.accepted, isTaken ? 1 : 0)
        peer.send({ type: "publish", topic: "a", message: { id: "1", payload }, request_id: 1 })
        if (isTaken) yield* peer.nextOf("ack")
        else assert.deepInclude((yield* peer.nextOf("error")).error, { code: "MESSAGE_TOO_LARGE" })
        for (const door of doors) {
          const client = yield* admitted(door, small.key)
          if (isTaken) yield* client.publishAndWait("a", [`xx${payload}`])
          else assert.strictEqual(yield* rejected(client, [`xx${payload}`]), "message-too-large")
        }
      }
    }).pipe(Effect.scoped, Effect.provide(secureHub({ authKeys: [small.entry] })))
  })

  it.live("limits - connections at once, by whatever they come, and no others are touched", () => {
    const [few, other] = [keyFor("few", { ...rights, limits: { connections: 2 } }), keyFor("other", rights)]
    return Effect.gen(function* () {
      const scope = yield* Scope.make()
      const headers = bearer(few.key)
      yield* Scope.provide(openStream("/api/v1/stream?topics=a", headers), scope)
      yield* jsonPeer(few.key)
      for (const path of [
        "/api/v1/stream?topics=a",
        "/api/v1/poll?topics=a",
        "/api/v1/poll?topics=a&client_id=x"
      ]) {
        const answer = yield* ask(path, { headers })
        assert.deepInclude(answer.json, { status: 503, code: "TOO_MANY_CONNECTIONS" })
        assert.isAbove(Number(answer.headers["retry-after"]), 0)
      }
      const { port } = yield* WebServer
      const refused = yield* openJson(`ws://127.0.0.1:${port}/ws?token=${few.key}`)
      assert.deepStrictEqual(yield* refused.closed, { code: 3005, reason: "too-many-connections" })
      for (const door of doors) {
        const client = yield* door
        assert.strictEqual(yield* greet(client, few.key), "too-many-connections")
      }
      // What is no connection is answered.
      assert.strictEqual((yield* post(few.key, 1)).status, 202)
      yield* jsonPeer(other.key)
      yield* Scope.close(scope, Exit.void)
      const again = Effect.flatMap(tcpClient, (client) => greet(client, few.key))
      yield* Effect.repeat(again, { until: (answer) => answer === "welcome" })
    }).pipe(Effect.scoped, Effect.provide(secureHub({ authKeys: [few.entry, other.entry] })))
  })
})

describe("publish rate", () => {
  it.effect("publish rate - a share comes back as time passes, and is the client's own", () =>
    Effect.gen(function* () {
      const { take } = yield* makePublishRate
      assert.isUndefined(take("a", 60, 60))
      const wait = take("a", 1, 60)
      assert.isAbove(wait ?? 0, 0)
      assert.isAtMost(wait ?? 0, 60_000)
      assert.isUndefined(take("b", 60, 60))
      assert.isUndefined(take("a", 1_000_000, 0))
      yield* TestClock.adjust(wait ?? 0)
      assert.isUndefined(take("a", 1, 60))
    })
  )

  it.effect(
    "publish rate - what cannot be parted is taken whole from a share that is whole, and paid for",
    () =>
      Effect.gen(function* () {
        const { takeWhole } = yield* makePublishRate
        assert.isUndefined(takeWhole("a", 180, 60))
        yield* TestClock.adjust("2 minutes")
        assert.isDefined(takeWhole("a", 1, 60))
        yield* TestClock.adjust("1 minute")
        assert.isUndefined(takeWhole("a", 1, 60))
        assert.isDefined(takeWhole("a", 61, 60))
      })
  )

  it.effect("publish rate - of many messages as many are taken as are left", () =>
    Effect.gen(function* () {
      const { takeSome } = yield* makePublishRate
      assert.deepStrictEqual(takeSome("a", 40, 60), { taken: 40, wait: undefined })
      assert.deepStrictEqual(takeSome("a", 40, 60), { taken: 20, wait: 60_000 })
      assert.deepStrictEqual(takeSome("a", 1, 60), { taken: 0, wait: 60_000 })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(takeSome("a", 61, 60), { taken: 60, wait: 60_000 })
    })
  )

  it.effect("publish rate - however many others come, whoever goes on asking has no share anew", () =>
    Effect.gen(function* () {
      const { take } = yield* makePublishRate
      take("quiet", 60, 60)
      take("busy", 60, 60)
      for (let n = 0; n < 300_000; n++) {
        take(`other ${n}`, 1, 60)
        if (n % 25_000 === 0) assert.isDefined(take("busy", 1, 60))
      }
      assert.isDefined(take("busy", 1, 60))
      assert.isDefined(take("other 299999", 60, 60))
      // There is no room for all of them: the first to go is who did not ask meanwhile.
      assert.isUndefined(take("quiet", 60, 60))
    })
  )

  it("publish rate - is an identity's, or an address's, of which an IPv6 network is one", () => {
    const key = (address: string | undefined) => limitKeyOf(anonymous, address)
    assert.strictEqual(key("127.0.0.1"), key("::ffff:127.0.0.1"))
    assert.strictEqual(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"))
    assert.notStrictEqual(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"))
    assert.strictEqual(addressOf("::1:50312"), "::1")
    const alice = { ...anonymous, kind: "jwt", id: "127.0.0.1" } as const
    assert.notStrictEqual(limitKeyOf(alice, "127.0.0.1"), key("127.0.0.1"))
  })
})
