/**
 * A hub that listens for WebSockets on a free port of this machine, with nothing else on its HTTP server. It is patient
 * with clients that read nothing, since a busy machine keeps them waiting.
 */
import * as Http from "node:http"
import { Context, Effect, Layer } from "effect"
import type { Hub } from "../../../src/actors/Hub.ts"
import { anonymous } from "../../../src/services/auth/Identity.ts"
import type { Settings, SettingsInput } from "../../../src/services/Settings.ts"
import { refuseSocket } from "../../../src/transports/http/RefuseSocket.ts"
import {
  makeWebSockets,
  type WebSocketOptions,
  type WebSockets
} from "../../../src/transports/websocket/WebSocketServer.ts"
import { hubWith } from "../../actors/TestHub.ts"
import { patience } from "../../Patience.ts"

export class WebSocketHub extends Context.Service<
  WebSocketHub,
  { readonly url: string; readonly port: number; readonly sockets: WebSockets }
>()("polestar/test/WebSocketHub") {}

const listener = (options: Partial<WebSocketOptions>, port: number) =>
  Layer.effect(
    WebSocketHub,
    Effect.gen(function* () {
      const sockets = yield* makeWebSockets({
        authenticate: () => Effect.succeed(anonymous),
        refuse: (_request, socket, problem) => refuseSocket(socket, problem),
        admission: () => undefined,
        ...options
      })
      const server = Http.createServer((_request, response) => response.writeHead(426).end())
      server.on("upgrade", sockets.upgrade)
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          server.close()
        })
      )
      yield* Effect.callback<void>((resume) => {
        server.listen(port, "127.0.0.1", () => resume(Effect.void))
      })
      const address = server.address()
      const bound = address !== null && typeof address === "object" ? address.port : 0
      return { url: `ws://127.0.0.1:${bound}/ws`, port: bound, sockets }
    })
  )

export const webSocketHub = (
  settings: SettingsInput = {},
  options: Partial<WebSocketOptions> = {},
  port = 0
): Layer.Layer<WebSocketHub | Hub | Settings> =>
  Layer.provideMerge(listener(options, port), hubWith({ clientWriteTimeout: patience, ...settings }))
