/** No token, key, secret or payload stands in a line of the log or in a span, whatever was asked for and refused. */
import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import { assert, describe, it } from "@effect/vitest"
import { InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Effect, Layer, Redacted } from "effect"
import { Hub } from "../../../src/actors/Hub.ts"
import { WebServer } from "../../../src/transports/WebServer.ts"
import { ask, json, openStream, rawSocket } from "../http/WebHub.ts"
import { connectJson, openJson } from "../websocket/JsonPeer.ts"
import {
  admitted,
  bearer,
  binaryClient,
  type Door,
  greet,
  inSeconds,
  keyFor,
  secureHub,
  tcpClient,
  tokenOf,
  upgrade
} from "./SecureHub.ts"

const doors: ReadonlyArray<Door> = [tcpClient, binaryClient]
const hubSecret = "the-secret-of-the-hub-0123456789abcdef"
const alice = keyFor("alice", {
  publish: ["orders.>"],
  subscribe: ["orders.>"],
  limits: { messagesPerMinute: 30 }
})
const stranger = keyFor("stranger")
const payload = "what-is-said-is-nobodys-business"
const headerValue = "nor-is-what-stands-beside-it"

/** Everything that a client or an attacker may do with these tokens. */
const everything = Effect.fnUntraced(function* (token: string) {
  const { port } = yield* WebServer
  const message = { topic: "orders.a", payload, headers: { note: headerValue } }
  const headers = { ...bearer(token), ...json }
  yield* ask("/topics", { headers })
  yield* ask(`/topics?token=${token}`)
  yield* ask(`/${token}`, { headers })
  yield* ask(`/api/v1/${encodeURIComponent(`?token=${token}`)}`)
  yield* ask("/api/v1/messages", { headers, body: JSON.stringify(message) })
  yield* ask("/api/v1/messages", { headers, body: JSON.stringify({ ...message, topic: "b" }) })
  yield* ask("/api/v1/messages", { headers, body: `{"topic":"orders.a","payload":"${payload}` })
  yield* ask("/api/v1/messages", { headers, body: JSON.stringify({ ...message, ttl: payload }) })
  yield* ask("/api/v1/messages/bulk", {
    headers,
    body: JSON.stringify({ messages: [message, { payload }, message] })
  })
  yield* ask("/api/v1/messages/bulk", {
    headers: { ...headers, "content-type": "application/x-ndjson" },
    body: `${JSON.stringify(message)}\n{"payload":"${payload}"\n`
  })
  yield* ask(`/api/v1/messages?topic=orders.a&header.note=${headerValue}`, {
    headers: { ...bearer(token), "content-type": "text/plain" },
    body: payload
  })
  yield* ask(`/api/v1/poll?topics=orders.a&timeout=x&access_token=${token}`, { headers })
  yield* ask("/api/v1/poll?topics=orders.a&timeout=0&client_id=x&from=first", { headers })
  yield* ask("/api/v1/ack", { headers, body: JSON.stringify({ client_id: "x", message_ids: [payload] }) })
  yield* ask("/api/v1/topics/orders.a/messages", { headers })
  yield* ask("/topics", { headers, body: `{"name":"${payload} ${token}"}` })
  yield* ask("/topics", { headers: { ...headers, origin: "https://evil.example" } })
  yield* ask(`/api/v1/stream?topics=b&token=${token}`)
  yield* ask(`/api/v1/stream?topics=orders.a&token=${token}`, {
    headers: { origin: "https://evil.example" }
  })
  yield* Effect.scoped(openStream(`/api/v1/stream?topics=orders.a&from=first&token=${token}`))
  yield* upgrade(`/ws?token=${token}`, { origin: "https://evil.example" })
  yield* upgrade(`/elsewhere?token=${token}`)
  yield* upgrade("/ws", { "sec-websocket-protocol": token })
  yield* upgrade(`/ws?token=${token}`, { "sec-websocket-key": token })
  yield* broken(`GET /ws?token=${token} HTTP/1.1\r\nHost: localhost\r\nBroken ${token}\r\n\r\n`)
  yield* broken(`${token} ${payload}\r\n\r\n`)
  for (const door of doors) yield* Effect.scoped(Effect.flatMap(door, (to) => greet(to, token)))
  // In the place of the name, too.
  yield* Effect.scoped(
    Effect.gen(function* () {
      const client = yield* tcpClient
      client.raw(new TextEncoder().encode(`${token} ${payload}\n`.repeat(20)))
      yield* client.closed
    })
  )
  const peer = yield* connectJson(`ws://127.0.0.1:${port}/ws?token=${alice.key}`)
  for (const text of [
    JSON.stringify({ type: "subscribe", topic: "orders.a", from: "first" }),
    JSON.stringify({ type: "publish", topic: "orders.a", message: { id: "1", payload } }),
    JSON.stringify({ type: "publish", topic: "b", message: { id: "1", payload } }),
    JSON.stringify({ type: payload, token: alice.key }),
    `{"type":"publish","topic":"orders.a","message":{"payload":"${payload}"`,
    JSON.stringify({ type: "ack", message_id: payload })
  ])
    peer.sendRaw(text)
  peer.send({ type: "ping" })
  yield* peer.nextOf("pong")
  const client = yield* admitted(tcpClient, alice.key)
  client.publish("orders.a", [payload])
  client.publish("b", [payload])
  client.request("topics", JSON.stringify({ pattern: ">", token: alice.key, payload }))
  client.request("group.create", JSON.stringify({ name: "g", pattern: "orders.a", token: alice.key }))
  yield* client.settled
  for (let n = 0; n < 32; n++)
    yield* ask("/api/v1/messages", {
      headers: { ...bearer(alice.key), ...json },
      body: JSON.stringify(message)
    })
  const ended = yield* openJson(`ws://127.0.0.1:${port}/ws?token=${alice.key}`)
  ended.sendRaw(new TextEncoder().encode(`${alice.key} ${payload}`.repeat(9)))
  yield* ended.closed
})

const broken = (text: string) =>
  Effect.scoped(
    Effect.gen(function* () {
      const raw = yield* rawSocket
      raw.write(text)
      yield* raw.closed
    })
  )

/** None of it may be found; of a key and of a token not even the part that is secret. */
const secretsOf = (tokens: ReadonlyArray<string>): ReadonlyArray<string> => [
  hubSecret,
  payload,
  headerValue,
  String(alice.entry.hash).slice("sha256:".length),
  ...tokens,
  ...tokens.map((token) => token.slice(-20)),
  ...tokens.flatMap((token) => token.split(".").filter((part) => part.length > 20))
]

/** A hub, and the spans that it made, if it is traced. */
const running = (lines: Array<string>, isTraced: boolean) => {
  const exporter = new InMemorySpanExporter()
  const tracing = NodeSdk.layer(() => ({
    resource: { serviceName: "test" },
    spanProcessor: new SimpleSpanProcessor(exporter)
  }))
  const hub = secureHub(
    { authKeys: [alice.entry], authJwtSecret: Redacted.make(hubSecret), authClockTolerance: 0 },
    { httpReadTimeout: 1000 },
    lines
  )
  const spans = () =>
    exporter
      .getFinishedSpans()
      .map(({ attributes, events, name, status }) => JSON.stringify([name, attributes, events, status]))
  return { spans, layer: isTraced ? Layer.provide(hub, tracing) : hub }
}

describe("the log", () => {
  it.live("log - holds no token, key, secret or payload, however much is wrong", () =>
    Effect.gen(function* () {
      const key = new TextEncoder().encode(hubSecret)
      const rights = { publish: ["orders.>"], subscribe: ["orders.>"] }
      const tokens = [
        alice.key,
        stranger.key,
        `ps_${alice.id}_${stranger.key.slice(-43)}`,
        yield* tokenOf(rights, key),
        yield* tokenOf({ ...rights, exp: inSeconds(-9) }, key),
        yield* tokenOf(rights, new TextEncoder().encode("another-secret-0123456789abcdef0")),
        yield* tokenOf({ ...rights, aud: "somebody" }, key)
      ]
      const lines: Array<string> = []
      const spans: Array<string> = []
      // A hub for each, since one writes no more than so many lines in a second.
      for (const token of tokens) {
        for (const isTraced of [false, true]) {
          const hub = running(lines, isTraced)
          yield* Effect.gen(function* () {
            yield* everything(token)
            assert.isAbove(Object.keys((yield* (yield* Hub).metrics).refusals).length, 4)
            spans.push(...hub.spans())
          }).pipe(Effect.scoped, Effect.provide(hub.layer))
        }
      }
      const log = lines.join("\n")
      // Both were listened to.
      assert.include(log, "refused")
      assert.include(log, "connection ended")
      assert.include(spans.join("\n"), "/api/v1/stream")
      assert.notInclude(log, "times more")
      for (const text of [...lines, ...spans])
        for (const secret of secretsOf(tokens)) assert.notInclude(text, secret)
    })
  )
})
