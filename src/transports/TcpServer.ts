/**
 * The TCP listener, plain or TLS 1.3: it accepts sockets and has the hub serve them. It stops accepting when its
 * scope closes, which is before the hub drains.
 */
import type { Server, Socket } from "node:net"
import * as Net from "node:net"
import * as Tls from "node:tls"
import { Context, Effect, FileSystem, Layer, Option, Schema } from "effect"
import { Hub } from "../actors/Hub.ts"
import { Settings } from "../services/Settings.ts"
import { socketDuplex } from "./SocketDuplex.ts"

export class TcpServerError extends Schema.TaggedError<TcpServerError>()("TcpServerError", {
  reason: Schema.Literals(["listen", "certificate"]),
  cause: Schema.Defect()
}) {
  override get message(): string {
    const what = this.reason === "listen" ? "cannot listen" : "cannot use the certificate"
    return `${what}: ${this.cause instanceof Error ? this.cause.message : String(this.cause)}`
  }
}

export class TcpServer extends Context.Service<
  TcpServer,
  {
    /** Where it listens. */
    readonly host: string
    readonly port: number
    readonly isSecure: boolean
  }
>()("polestar/transports/TcpServer") {
  /** Listens where the settings say. */
  static readonly layer: Layer.Layer<TcpServer, TcpServerError, Hub | Settings | FileSystem.FileSystem> =
    Layer.effect(
      TcpServer,
      Effect.suspend(() => make)
    )
}

/** Connections the operating system may hold before they are accepted. */
const backlog = 4096

const tlsOptions = Effect.gen(function* () {
  const { dialTimeout, tlsCa, tlsCert, tlsKey, tlsRequestClientCertificate } = yield* Settings
  if (tlsCert === undefined || tlsKey === undefined) return Option.none<Tls.TlsOptions>()
  const files = yield* FileSystem.FileSystem
  const read = (path: string) =>
    Effect.mapError(
      files.readFileString(path),
      (cause) => new TcpServerError({ reason: "certificate", cause })
    )
  const cert = yield* read(tlsCert)
  const key = yield* read(tlsKey)
  const ca = tlsCa === undefined ? {} : { ca: yield* read(tlsCa) }
  return Option.some<Tls.TlsOptions>({
    ...ca,
    cert,
    key,
    minVersion: "TLSv1.3",
    handshakeTimeout: dialTimeout,
    requestCert: tlsRequestClientCertificate,
    rejectUnauthorized: tlsRequestClientCertificate
  })
})

const createServer = (secure: Option.Option<Tls.TlsOptions>, accept: (socket: Socket) => void) =>
  Effect.try({
    try: (): Server => {
      if (Option.isNone(secure)) return Net.createServer({ noDelay: true }, accept)
      const server = Tls.createServer({ ...secure.value, noDelay: true }, accept)
      server.on("tlsClientError", (_error, socket) => {
        socket.destroy()
      })
      return server
    },
    catch: (cause) => new TcpServerError({ reason: "certificate", cause })
  })

const listening = (server: Server, host: string, port: number): Effect.Effect<void, TcpServerError> =>
  Effect.callback((resume) => {
    const failed = (cause: Error) => resume(Effect.fail(new TcpServerError({ reason: "listen", cause })))
    server.once("error", failed)
    server.listen({ host, port, backlog }, () => {
      server.off("error", failed)
      server.on("error", () => {})
      resume(Effect.void)
    })
  })

const make = Effect.gen(function* () {
  const hub = yield* Hub
  const { ip, port } = yield* Settings
  const secure = yield* tlsOptions
  // Connections outlive the listener: the hub ends them when it drains, after this scope is closed.
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const server = yield* createServer(secure, (socket) => {
    // A socket that broke before it is served must not end the process.
    socket.on("error", () => {})
    run(hub.serve(socketDuplex(socket)))
  })
  yield* listening(server, ip, port)
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      server.close()
    })
  )
  const address = server.address()
  const bound = address !== null && typeof address === "object" ? address : { address: ip, port }
  return TcpServer.of({ host: bound.address, port: bound.port, isSecure: Option.isSome(secure) })
})
