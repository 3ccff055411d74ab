/**
 * The TCP listener, plain or TLS 1.3: it accepts sockets and has the hub serve them. It stops accepting when its
 * scope closes, which is before the hub drains. It logs the warnings of the settings, and loudly where whoever reaches
 * the machine is let in.
 */
import type { Server, Socket } from "node:net"
import * as Net from "node:net"
import * as Tls from "node:tls"
import { Context, Effect, type FileSystem, Layer, Option } from "effect"
import { Hub } from "../actors/Hub.ts"
import type { Auth } from "../services/Auth.ts"
import { Settings } from "../services/Settings.ts"
import { listening, tlsOptions, warnIfExposed } from "./Listening.ts"
import { socketDuplex } from "./SocketDuplex.ts"
import { TcpServerError } from "./TcpServerError.ts"

export { addressText } from "./AddressText.ts"
export { type PemFile, pemProblem } from "./Pem.ts"
export { TcpServerError } from "./TcpServerError.ts"

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
  static readonly layer: Layer.Layer<
    TcpServer,
    TcpServerError,
    Auth | Hub | Settings | FileSystem.FileSystem
  > = Layer.effect(
    TcpServer,
    Effect.suspend(() => make)
  )
}

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

const make = Effect.gen(function* () {
  const hub = yield* Hub
  const { ip, notices, port, warnings } = yield* Settings
  yield* Effect.forEach(warnings, (warning) => Effect.logWarning(warning), { discard: true })
  yield* Effect.forEach(notices, (notice) => Effect.logInfo(notice), { discard: true })
  const secure = yield* tlsOptions
  const server = yield* createServer(secure, (socket) => {
    // A socket that broke before it is served must not end the process.
    socket.on("error", () => {})
    // It outlives the listener: the hub ends it when it drains, after this scope is closed.
    hub.serve(socketDuplex(socket))
  })
  yield* listening(server, "port", ip, port)
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      server.close()
    })
  )
  const address = server.address()
  const bound = address !== null && typeof address === "object" ? address : { address: ip, port }
  yield* warnIfExposed(bound, Option.isSome(secure))
  return TcpServer.of({ host: bound.address, port: bound.port, isSecure: Option.isSome(secure) })
})
