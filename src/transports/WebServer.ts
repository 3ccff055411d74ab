/**
 * The listeners of HTTP and WebSocket, plain or TLS 1.3: one for both, and, if asked for, one for WebSocket alone.
 *
 * When its scope closes it first says so: `/ready` answers 503, polls are answered, streams end with their reason, and
 * nothing new is taken. Then it has the hub drain, while it still answers; then it closes.
 */
import type { Server } from "node:http"
import { Context, Effect, type FileSystem, Layer, Option, Scope } from "effect"
import type { Hub } from "../actors/Hub.ts"
import type { Hosts, OriginRules } from "../protocol/Origins.ts"
import type { Auth } from "../services/Auth.ts"
import { Settings } from "../services/Settings.ts"
import { apiHandler, notHere, type RequestHandler } from "./http/ApiHandler.ts"
import { authenticate, Caller } from "./http/Caller.ts"
import { makeWeb } from "./http/MakeWeb.ts"
import { makeNodeServer } from "./http/NodeServer.ts"
import { OpenRequests } from "./http/OpenRequests.ts"
import { originForm } from "./http/Paths.ts"
import { publishLimitOf } from "./http/PublishLimit.ts"
import { refuseSocket } from "./http/RefuseSocket.ts"
import { upgradeTo } from "./http/Upgrades.ts"
import type { Web } from "./http/Web.ts"
import { isLoopback, listening, tlsOptions, warnIfExposed } from "./Listening.ts"
import type { TcpServerError } from "./TcpServerError.ts"
import { makeWebSockets } from "./websocket/WebSocketServer.ts"

export class WebServer extends Context.Service<
  WebServer,
  {
    /** Where it listens; the ports are absent where it does not. */
    readonly host: string
    readonly port: number | undefined
    /** Of WebSocket alone. */
    readonly wsPort: number | undefined
    readonly isSecure: boolean
  }
>()("polestar/transports/WebServer") {
  /** Listens where the settings say, if they say so. */
  static readonly layer: Layer.Layer<
    WebServer,
    TcpServerError,
    Auth | Hub | Settings | FileSystem.FileSystem
  > = Layer.effect(
    WebServer,
    Effect.suspend(() => make)
  )
}

const make = Effect.gen(function* () {
  const { httpPort, ip, wsPort } = yield* Settings
  if (httpPort === undefined && wsPort === undefined) {
    return WebServer.of({ host: ip, port: undefined, wsPort: undefined, isSecure: false })
  }
  const secure = yield* tlsOptions
  // Made before the closing is registered, so that what it holds, requests that are being answered too, ends after it.
  const inner = yield* Scope.fork(yield* Effect.scope)
  const web = yield* Scope.provide(makeWeb, inner)
  const sockets = yield* Scope.provide(webSockets(web), inner)
  const servers: Array<Server> = []
  const open = new OpenRequests()
  yield* Effect.addFinalizer(() => closing(web, servers, open))
  const listen = Effect.fnUntraced(function* (setting: "httpPort" | "wsPort", port: number, handle: Handle) {
    const server = makeNodeServer(secure, web, open)
    servers.push(server)
    yield* listening(server, setting, ip, port)
    const address = server.address()
    const bound = address !== null && typeof address === "object" ? address : { address: ip, port }
    const origins: OriginRules = {
      allowed: web.settings.allowedOrigins,
      hosts: hostsOf(bound.address, web.auth.isOn || Option.isSome(secure))
    }
    const upgrade = upgradeTo(sockets.upgrade, web, origins, open)
    server.on("upgrade", (request, socket, head) => {
      request.url = originForm(request.url)
      upgrade(request, socket, head)
    })
    const answer = yield* Scope.provide(handle(origins), inner)
    server.on("request", (request, response) => {
      request.url = originForm(request.url)
      if (open.add(request, response)) answer(request, response)
    })
    yield* warnIfExposed(bound, Option.isSome(secure), " (HTTP)")
    return bound
  })
  const http =
    httpPort === undefined
      ? undefined
      : yield* listen("httpPort", httpPort, (origins) => apiHandler({ web, origins }))
  const ws =
    wsPort === undefined ? undefined : yield* listen("wsPort", wsPort, () => Effect.succeed(notHere(web)))
  return WebServer.of({
    host: http?.address ?? ws?.address ?? ip,
    port: http?.port,
    wsPort: ws?.port,
    isSecure: Option.isSome(secure)
  })
})

/** A page has no token, and no certificate for a name of its own: one that points that name here gets no further. */
const hostsOf = (address: string, isGuarded: boolean): Hosts =>
  isLoopback(address) ? "machine" : isGuarded ? "any" : "network"

/** Makes the handler of a listener's requests. */
type Handle = (origins: OriginRules) => Effect.Effect<RequestHandler, never, Scope.Scope>

/** WebSockets ask who comes, and how much they may publish, as requests do. */
const webSockets = (web: Web["Service"]) =>
  makeWebSockets({
    authenticate: (request) => authenticate(web.auth, request),
    refuse: (request, socket, problem, why) =>
      refuseSocket(socket, new Caller(web, request).refused(problem, { why })),
    admission: (request, identity) => {
      // The connection outlives the request, which is not to be kept for it.
      const limit = publishLimitOf(web, identity, new Caller(web, request, identity).limitKey)
      if (limit === undefined) return undefined
      return (messages) => Effect.mapError(limit.take(messages), ({ problem }) => problem)
    }
  })

/** Ends in order: nothing new, who waits is answered, the hub drains, what was answered goes out. */
const closing = (
  { hub, settings, state }: Web["Service"],
  servers: ReadonlyArray<Server>,
  open: OpenRequests
) =>
  Effect.gen(function* () {
    yield* Effect.sync(() => state.drain())
    yield* hub.drain
    yield* Effect.sync(() => {
      for (const server of servers) {
        server.close()
        server.closeIdleConnections()
      }
    })
    yield* Effect.timeoutOption(open.empty, settings.writeTimeout)
    yield* Effect.sync(() => {
      for (const server of servers) server.closeAllConnections()
    })
  })
