/** A port for WebSocket alone (`wsPort`): the same endpoint as on the port of HTTP, and nothing else. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { encodeFrame, magic } from "../../src/protocol/Frame.ts"
import { WebServer } from "../../src/transports/WebServer.ts"
import { ask, json, publish, rawSocket, webHub } from "./http/WebHub.ts"
import { connectJson, openJson } from "./websocket/JsonPeer.ts"

const urls = Effect.map(WebServer, ({ port, wsPort }) => ({
  http: `ws://127.0.0.1:${port}/ws`,
  ws: `ws://127.0.0.1:${wsPort}/ws`
}))

/** Asks the port of WebSocket as if it were that of HTTP. */
const onWsPort = <A, E, R>(effect: Effect.Effect<A, E, R | WebServer>) =>
  Effect.flatMap(WebServer, (server) =>
    Effect.provideService(effect, WebServer, { ...server, port: server.wsPort })
  )

describe("ws port", () => {
  it.live("ws port - both dialects and the binary protocol, one hub with the port of HTTP", () =>
    Effect.gen(function* () {
      const { http, ws } = yield* urls
      assert.notStrictEqual(http, ws)
      const alone = yield* connectJson(ws)
      const beside = yield* connectJson(http)
      alone.send({ type: "subscribe", topic: "news" })
      alone.send({ type: "subscribe", topics: ["news"], client_id: "one" })
      yield* alone.nextOf("ack")
      yield* alone.nextOf("ack")
      yield* publish("news", "by HTTP")
      beside.send({ type: "publish", topic: "news", message: { id: "m", payload: "from beside" } })
      const types: Array<unknown> = []
      while (types.length < 4) types.push((yield* alone.next).type)
      assert.sameMembers(types, ["event", "message", "event", "message"])
      const binary = yield* openJson(ws, ["polestar.v1"])
      binary.sendRaw(
        encodeFrame({
          _tag: "Hello",
          magic,
          minVersion: 1,
          maxVersion: 1,
          features: 0,
          name: "test",
          token: ""
        })
      )
      assert.strictEqual((yield* binary.next).type, "binary")
    }).pipe(Effect.scoped, Effect.provide(webHub({ wsPort: 0 })))
  )

  it.live("ws port - whatever is asked of it by HTTP is answered by a problem", () =>
    Effect.gen(function* () {
      for (const [path, asking] of [
        ["/health", {}],
        ["/api/v1/messages", { headers: json, body: '{"topic":"a","payload":1}' }],
        ["/topics/a", { method: "DELETE" }]
      ] as const) {
        const answer = yield* onWsPort(ask(path, asking))
        assert.strictEqual(answer.status, 404)
        assert.strictEqual(answer.headers["content-type"], "application/problem+json")
        assert.deepInclude(answer.json, { status: 404, code: "NOT_FOUND" })
      }
      assert.deepStrictEqual((yield* ask("/topics")).json.topics, [])
    }).pipe(Effect.provide(webHub({ wsPort: 0 })))
  )

  it.live("ws port - asks for origin and path as the port of HTTP does", () =>
    Effect.gen(function* () {
      const upgrade = (path: string, origin: string) =>
        `GET ${path} HTTP/1.1\r\nHost: localhost\r\nOrigin: ${origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
      for (const [path, origin, expected] of [
        ["/ws", "https://evil.example", /^HTTP\/1\.1 403 [\s\S]*ORIGIN_NOT_ALLOWED/],
        ["/", "http://localhost", /^HTTP\/1\.1 404 [\s\S]*NOT_FOUND/],
        ["/ws?token=x", "http://localhost", /^HTTP\/1\.1 101 /]
      ] as const) {
        const raw = yield* onWsPort(rawSocket)
        raw.write(upgrade(path, origin))
        yield* raw.says(expected)
      }
    }).pipe(Effect.scoped, Effect.provide(webHub({ wsPort: 0 })))
  )

  it.live("ws port - may be there without a port of HTTP", () =>
    Effect.gen(function* () {
      const { port } = yield* WebServer
      assert.isUndefined(port)
      const peer = yield* connectJson((yield* urls).ws)
      peer.send({ type: "ping", request_id: 1 })
      assert.deepInclude(yield* peer.next, { type: "pong", request_id: 1 })
    }).pipe(Effect.scoped, Effect.provide(webHub({ httpPort: undefined, wsPort: 0 })))
  )
})
