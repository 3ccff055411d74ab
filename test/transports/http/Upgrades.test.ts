/** What changes the protocol of a connection on which answers are still owed. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
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
