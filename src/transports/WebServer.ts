/**
 * The listeners of HTTP and WebSocket, plain or TLS 1.3: one for both, and, if asked for, one for WebSocket alone.
 *
 * When its scope closes it first says so: `/ready` answers 503, polls are answered, streams end with their reason, and
 * nothing new is taken. Then it has the hub drain, while it still answers; then it closes.
 */
import * as Http from "node:http"
import * as Https from "node:https"
import type { Duplex } from "node:stream"
import type { TlsOptions } from "node:tls"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Context, Effect, type FileSystem, Layer, Option, Schedule, Scope } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { Hub } from "../actors/Hub.ts"
import { defaultJsonLimits } from "../protocol/json/JsonLimits.ts"
import { problemOf } from "../protocol/json/Problem.ts"
import { isAllowedOrigin, type OriginRules } from "../protocol/Origins.ts"
import { Auth } from "../services/Auth.ts"
import { Settings } from "../services/Settings.ts"
import { authenticate, limitKeyOf } from "./http/Caller.ts"
import { directPublish } from "./http/DirectPublish.ts"
import * as Handlers from "./http/Handlers.ts"
import { HttpPublisher } from "./http/HttpPublisher.ts"
import { PollClients } from "./http/PollClients.ts"
import { PolledTexts } from "./http/PolledTexts.ts"
import { makePublishRate } from "./http/PublishRate.ts"
import { refuseSocket } from "./http/RefuseSocket.ts"
import { Web, WebState } from "./http/Web.ts"
import { type WebAppOptions, webApp } from "./http/WebApp.ts"
import { isLoopback, listening, tlsOptions } from "./Listening.ts"
import { addressText } from "./TcpServer.ts"
import { TcpServerError } from "./TcpServerError.ts"
import { makeWebSockets, type WebSockets } from "./websocket/WebSocketServer.ts"

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

/** Bytes of a request's head. */
const maxHeaderSize = 16_384
/** What a body's JSON has around its payload. */
const envelope = 65_536
const sweepInterval = "5 seconds"

const make = Effect.gen(function* () {
  const { httpPort, ip, wsPort } = yield* Settings
  if (httpPort === undefined && wsPort === undefined) {
    return WebServer.of({ host: ip, port: undefined, wsPort: undefined, isSecure: false })
  }
  const auth = yield* Auth
  const secure = yield* tlsOptions
  // Made before the closing is registered, so that what it holds, requests that are being answered too, ends after it.
  const inner = yield* Scope.fork(yield* Effect.scope)
  const web = yield* Effect.provideService(makeWeb, Scope.Scope, inner)
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const open = new OpenRequests()
  const servers: Array<Http.Server> = []
  const sockets = yield* Effect.provideService(
    makeWebSockets({
      deflate: web.settings.wsDeflate,
      authenticate: (request) => authenticate(auth, request),
      admission: (request, identity) => (messages) => {
        const limit = identity.limits.messagesPerMinute ?? web.settings.rateLimitPerClient
        return Effect.mapError(
          web.rate.take(limitKeyOf(identity, request), messages, limit),
          ({ problem }) => problem
        )
      }
    }),
    Scope.Scope,
    inner
  )
  const listen = Effect.fnUntraced(function* (port: number, handle: Handle) {
    const server = createServer(secure, web.settings)
    servers.push(server)
    yield* listening(server, ip, port).pipe(Effect.mapError((error) => withPort(error, ip, port)))
    const address = server.address()
    const bound = address !== null && typeof address === "object" ? address : { address: ip, port }
    const origins: OriginRules = {
      allowed: web.settings.allowedOrigins,
      isLoopback: isLoopback(bound.address)
    }
    server.on("upgrade", upgradeTo(sockets, web.state, origins))
    server.on("request", yield* Effect.provideService(handle(origins), Scope.Scope, inner))
    if (!auth.isOn) yield* warnIfOpen(bound.address, bound.port, web.settings)
    return bound
  })
  yield* Effect.addFinalizer(() => closing(web, servers, open))
  run(
    Effect.catch(web.hub.failure, () =>
      Effect.sync(() => {
        web.state.hasFailed = true
      })
    )
  )
  const http =
    httpPort === undefined
      ? undefined
      : yield* listen(httpPort, (origins) => apiHandler({ auth, web, origins }, open))
  const ws = wsPort === undefined ? undefined : yield* listen(wsPort, () => Effect.succeed(notHere))
  return WebServer.of({
    host: http?.address ?? ws?.address ?? ip,
    port: http?.port,
    wsPort: ws?.port,
    isSecure: Option.isSome(secure)
  })
})

const makeWeb = Effect.gen(function* () {
  const hub = yield* Hub
  const settings = yield* Settings
  const scope = yield* Effect.scope
  const now = Effect.clockWith((clock) => Effect.sync(() => clock.currentTimeMillisUnsafe()))
  const state = new WebState(yield* now)
  const texts = new PolledTexts()
  const clients = new PollClients({ hub, settings, texts, state, scope })
  yield* Effect.forkScoped(Effect.repeat(clients.sweep, Schedule.spaced(sweepInterval)))
  return Web.of({
    hub,
    settings,
    state,
    texts,
    clients,
    now,
    publisher: new HttpPublisher(hub, settings, scope),
    rate: yield* makePublishRate,
    limitsOf: ({ limits }) => {
      const maxPayload = Math.min(settings.maxMessageSize, limits.messageSize ?? settings.maxMessageSize)
      return { ...defaultJsonLimits, maxPayload, maxBytes: maxPayload + envelope }
    }
  })
})

type RequestHandler = (request: Http.IncomingMessage, response: Http.ServerResponse) => void
type Handle = (origins: OriginRules) => Effect.Effect<RequestHandler, never, Scope.Scope>

const apiHandler = (
  options: WebAppOptions,
  open: OpenRequests
): Effect.Effect<RequestHandler, never, Scope.Scope> =>
  Effect.gen(function* () {
    const layers = Handlers.layer.pipe(
      Layer.provide(Layer.succeed(Web, options.web)),
      Layer.provide(HttpServer.layerServices)
    )
    const router = yield* HttpRouter.toHttpEffect(layers)
    const scope = yield* Effect.scope
    const handler = yield* NodeHttpServer.makeHandler(webApp(options)(router), { scope })
    const publishDirectly = directPublish(options, yield* Effect.context<never>())
    return (request, response) => {
      open.add(response)
      if (!publishDirectly(request, response)) handler(request, response)
    }
  })

/** On the port of WebSocket alone. */
const notHere: RequestHandler = (_request, response) => {
  const problem = problemOf("NOT_FOUND", "this port is for WebSocket alone, at /ws")
  response
    .writeHead(problem.status, { "content-type": "application/problem+json" })
    .end(JSON.stringify(problem))
}

const createServer = (secure: Option.Option<TlsOptions>, settings: Settings["Service"]): Http.Server => {
  const { httpIdleTimeout, httpReadTimeout, maxConnections } = settings
  const options = {
    noDelay: true,
    maxHeaderSize,
    headersTimeout: httpReadTimeout,
    keepAliveTimeout: httpIdleTimeout,
    // Bodies have limits of their own, since a poll or a stream of lines may take long.
    requestTimeout: 0,
    connectionsCheckingInterval: Math.min(1000, httpReadTimeout)
  }
  const server = Option.isNone(secure)
    ? Http.createServer(options)
    : Https.createServer({ ...options, ...secure.value })
  // Sockets that have said nothing yet count too. Beyond this the oldest of them must end first.
  server.maxConnections = maxConnections + spareConnections
  server.on("tlsClientError", (_error: Error, socket: Duplex) => {
    socket.destroy()
  })
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => {
    if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy()
    refuseSocket(socket, badRequest(error.code))
  })
  return server
}

/** For those who ask whether the hub is ready, when it has all the clients that it takes. */
const spareConnections = 1000

const badRequest = (code: string | undefined) => {
  if (code === "HPE_HEADER_OVERFLOW")
    return problemOf("BAD_REQUEST", `the head is larger than ${maxHeaderSize} bytes`)
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return problemOf("REQUEST_TIMEOUT")
  return { ...problemOf("BAD_REQUEST", "it is not a request of HTTP/1.1"), status: 400, title: "Bad Request" }
}

const withPort = (error: TcpServerError, ip: string, port: number): TcpServerError =>
  new TcpServerError({ reason: error.reason, detail: detailOf(error, ip, port), cause: error.cause })

const detailOf = (error: TcpServerError, ip: string, port: number): string => {
  const why = error.cause instanceof Error ? error.cause.message : String(error.cause)
  return `${why} (HTTP at ${addressText(ip, port)})`
}

const upgradeTo =
  (sockets: WebSockets, state: WebState, origins: OriginRules) =>
  (request: Http.IncomingMessage, socket: Duplex, head: Buffer): void => {
    socket.on("error", () => {})
    const [path] = (request.url ?? "/").split("?", 1)
    const isHere = path === "/ws" && request.headers.upgrade?.toLowerCase() === "websocket"
    const problem = !isHere
      ? problemOf("NOT_FOUND", "WebSocket is at /ws")
      : !isAllowedOrigin(request.headers, origins)
        ? problemOf("ORIGIN_NOT_ALLOWED")
        : state.isDraining
          ? problemOf("SHUTTING_DOWN")
          : undefined
    if (problem === undefined) sockets.upgrade(request, socket, head)
    else refuseSocket(socket, problem)
  }

const warnIfOpen = (address: string, port: number, { tlsRequestClientCertificate }: Settings["Service"]) =>
  isLoopback(address) || tlsRequestClientCertificate
    ? Effect.void
    : Effect.logWarning(
        `LISTENING ON ${addressText(address, port)} (HTTP), BEYOND THIS MACHINE, WITHOUT AUTHENTICATION: ` +
          "whoever reaches it can publish and subscribe"
      )

/** Requests that are not answered yet. */
class OpenRequests {
  private readonly responses = new Set<Http.ServerResponse>()
  private onEmpty: () => void = () => {}

  add(response: Http.ServerResponse): void {
    this.responses.add(response)
    response.once("close", () => {
      this.responses.delete(response)
      if (this.responses.size === 0) this.onEmpty()
    })
  }

  readonly empty: Effect.Effect<void> = Effect.callback((resume) => {
    if (this.responses.size === 0) return resume(Effect.void)
    this.onEmpty = () => resume(Effect.void)
  })
}

/** Ends in order: nothing new, who waits is answered, the hub drains, what was answered goes out. */
const closing = (
  { hub, settings, state }: Web["Service"],
  servers: ReadonlyArray<Http.Server>,
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
