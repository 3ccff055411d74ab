/** `Polestar` over TCP, plain or TLS 1.3. For Node alone. */
import * as Net from "node:net"
import * as Tls from "node:tls"
import { Effect, type Layer, type Scope } from "effect"
import type { Duplex } from "../protocol/Duplex.ts"
import { socketDuplex } from "../transports/SocketDuplex.ts"
import { Polestar, type PolestarOptions } from "./Polestar.ts"
import { ConnectFailed, PolestarError } from "./PolestarError.ts"

/** Certificates and keys are texts in PEM. */
export interface TcpTls {
  /** Whose signature makes the hub's certificate good; otherwise the authorities that Node knows. */
  readonly ca?: string | undefined
  /** This client's certificate and its key, for a hub that asks for one. */
  readonly cert?: string | undefined
  readonly key?: string | undefined
  /** The name that the hub's certificate must have; otherwise `host`. */
  readonly serverName?: string | undefined
}

export interface TcpOptions extends Omit<PolestarOptions, "dial"> {
  /** Default 127.0.0.1. */
  readonly host?: string | undefined
  /** Default 24353. */
  readonly port?: number | undefined
  /** Given, the connection is TLS 1.3; `true` is the same as no options. */
  readonly tls?: true | TcpTls | undefined
}

export const defaultHost = "127.0.0.1"
export const defaultPort = 24_353

/** Connects, and fails with `ConnectFailed` if the first connection cannot be made; then it reconnects by itself. */
export const layerTcp = (options: TcpOptions = {}): Layer.Layer<Polestar, PolestarError> => {
  const { host, port, tls, ...rest } = options
  return Polestar.layer({ ...rest, dial: dialTcp({ host, port, tls }) })
}

/** One connection, destroyed with its scope. How long it may take is for the caller to say. */
export const dialTcp = (
  options: Pick<TcpOptions, "host" | "port" | "tls">
): Effect.Effect<Duplex, PolestarError, Scope.Scope> =>
  Effect.flatMap(
    Effect.acquireRelease(openSocket(options), (socket) =>
      Effect.sync(() => {
        socket.destroy()
      })
    ),
    (socket) => connected(socket, options.tls === undefined ? "connect" : "secureConnect")
  )

const openSocket = ({ host, port, tls }: Pick<TcpOptions, "host" | "port" | "tls">) =>
  Effect.try({
    try: (): Net.Socket => {
      const address = { host: host ?? defaultHost, port: port ?? defaultPort }
      const socket =
        tls === undefined ? Net.connect({ ...address, noDelay: true }) : Tls.connect(tlsOptions(address, tls))
      socket.setNoDelay(true)
      // An error without a listener would end the process; the `close` that follows it is what is heard.
      socket.on("error", () => {})
      return socket
    },
    catch: connectFailed
  })

const tlsOptions = (
  address: { readonly host: string; readonly port: number },
  tls: true | TcpTls
): Tls.ConnectionOptions => {
  const { ca, cert, key, serverName } = tls === true ? {} : tls
  const name = serverName ?? address.host
  return {
    ...address,
    minVersion: "TLSv1.3",
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    // An address is checked against the certificate all the same, but cannot be asked for by name.
    ...(Net.isIP(name) === 0 ? { servername: name } : {})
  }
}

const connected = (
  socket: Net.Socket,
  event: "connect" | "secureConnect"
): Effect.Effect<Duplex, PolestarError> =>
  Effect.callback((resume) => {
    const onConnect = () => {
      socket.off("error", onError)
      resume(Effect.sync(() => socketDuplex(socket)))
    }
    const onError = (cause: Error) => {
      socket.off(event, onConnect)
      resume(Effect.fail(connectFailed(cause)))
    }
    socket.once(event, onConnect)
    socket.once("error", onError)
  })

/** A name with several addresses fails with an error that says nothing, around one for each of them. */
const connectFailed = (cause: unknown): PolestarError =>
  new PolestarError({
    reason: new ConnectFailed({ cause: cause instanceof AggregateError ? (cause.errors[0] ?? cause) : cause })
  })
