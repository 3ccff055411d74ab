/** What happens to upgrades that are not decided yet when the listener's scope closes. */
import { connect } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Layer, Scope } from "effect"
import { RawSocket } from "../http/WebHub.ts"
import { WebSocketHub, webSocketHub } from "./WebSocketHub.ts"

describe("websocket, ending", () => {
  it.live("ending - whoever is being asked who it is is told that the hub shuts down", () =>
    Effect.gen(function* () {
      const asked = yield* Deferred.make<void>()
      const scope = yield* Scope.make()
      const authenticate = () => Effect.andThen(Deferred.succeed(asked, undefined), Effect.never)
      const hub = yield* Layer.buildWithScope(Layer.fresh(webSocketHub({}, { authenticate })), scope)
      const raw = new RawSocket(connect(Context.get(hub, WebSocketHub).port, "127.0.0.1"))
      raw.write(
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
      )
      yield* Deferred.await(asked)
      yield* Scope.close(scope, Exit.void)
      yield* raw.closed
      assert.match(raw.text, /^HTTP\/1\.1 503 [\s\S]*SHUTTING_DOWN/)
    })
  )
})
