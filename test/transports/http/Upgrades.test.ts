/** What changes the protocol of a connection on which answers are still owed. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { WebServer } from "../../../src/transports/WebServer.ts"
import { rawSocket, webHub } from "./WebHub.ts"

const head = "Host: localhost\r\n"
const poll = `GET /api/v1/poll?topics=q&timeout=30 HTTP/1.1\r\n${head}\r\n`
const webSocket =
  "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

describe("http upgrades", () => {
  it.live.each([
    ["a WebSocket", `GET /ws HTTP/1.1\r\n${head}${webSocket}\r\n`],
    ["an upgrade that is refused", `GET /nope HTTP/1.1\r\n${head}${webSocket}\r\n`],
    ["a tunnel", `CONNECT example.com:443 HTTP/1.1\r\n${head}\r\n`]
  ])("http upgrades - %s never stands in for the answer to a poll before it", ([, request]) =>
    Effect.gen(function* () {
      const raw = yield* rawSocket
      raw.write(poll + request)
      yield* raw.closed
      assert.strictEqual(raw.text, "")
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.live("http upgrades - with the hub's own address in front, as requests, on both ports", () =>
    Effect.gen(function* () {
      const server = yield* WebServer
      for (const port of [server.port, server.wsPort]) {
        const raw = yield* Effect.provideService(rawSocket, WebServer, { ...server, port })
        raw.write(`GET http://localhost/ws HTTP/1.1\r\n${head}${webSocket}\r\n`)
        yield* raw.says(/101 Switching Protocols/)
        const plain = yield* Effect.provideService(rawSocket, WebServer, { ...server, port })
        plain.write(`GET http://localhost/ws HTTP/1.1\r\n${head}\r\n`)
        yield* plain.says(/UPGRADE_REQUIRED/)
      }
    }).pipe(Effect.scoped, Effect.provide(webHub({ wsPort: 0 })))
  )

  it.live.each([
    ["curl's", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"],
    ["any other", "Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n"]
  ])("http upgrades - %s offer to speak something else is ignored, and the request answered", ([, offer]) =>
    Effect.gen(function* () {
      const raw = yield* rawSocket
      raw.write(`GET /health HTTP/1.1\r\n${head}${offer}\r\n`)
      yield* raw.says(/^HTTP\/1\.1 200 [\s\S]*"healthy"/)
      const body = JSON.stringify({ topic: "a", payload: 1 })
      const length = `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n`
      raw.write(`POST /api/v1/messages HTTP/1.1\r\n${head}${offer}${length}\r\n${body}`)
      yield* raw.says(/HTTP\/1\.1 202 [\s\S]*"epoch"/)
      raw.write(`GET /ws HTTP/1.1\r\n${head}${offer}\r\n`)
      yield* raw.says(/UPGRADE_REQUIRED/)
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.live.each([
    ["an upgrade", "GET /ws", webSocket],
    ["a request", "GET /health", ""],
    ["a publish", "POST /api/v1/messages?topic=a", "Content-Length: 0\r\n"]
  ])("http upgrades - %s with two Hosts is refused", ([, what, more]) =>
    Effect.gen(function* () {
      const raw = yield* rawSocket
      raw.write(`${what} HTTP/1.1\r\n${head}Host: evil.example\r\n${more}\r\n`)
      yield* raw.says(/^HTTP\/1\.1 400 [\s\S]*BAD_REQUEST/)
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.live("http upgrades - a connection whose answers were read may become a WebSocket", () =>
    Effect.gen(function* () {
      const raw = yield* rawSocket
      raw.write(`GET /health HTTP/1.1\r\n${head}\r\n`)
      yield* raw.says(/"healthy"/)
      raw.write(`GET /ws HTTP/1.1\r\n${head}${webSocket}\r\n`)
      yield* raw.says(/101 Switching Protocols/)
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )
})
