/** `Polestar` over TCP, plain or TLS 1.3. For Node alone. */
import * as Net from "node:net"
import * as Tls from "node:tls"
import { Effect, Layer, Predicate, type Scope } from "effect"
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
  return Polestar.layer({ ...rest, dial: dialTcp({ host, port, tls }) }).pipe(
    Layer.catch((error) => Layer.effect(Polestar, Effect.fail(withHint(error, tls))))
  )
}

/**
 * A hub that ends the first connection without a word most often has TLS and the client has not, or wants a
 * certificate of it: in TLS 1.3 a client learns of that only after it is connected.
 */
const withHint = (error: PolestarError, tls: TcpOptions["tls"]): PolestarError => {
  if (error.reason._tag !== "ConnectFailed") return error
  const { cause } = error.reason
  if (!(cause instanceof PolestarError) || cause.reason._tag !== "ConnectionLost") return error
  if (cause.reason.closeReason !== "connection-lost") return error
  const hasCertificate = tls !== undefined && tls !== true && tls.cert !== undefined
  const hint =
    tls === undefined
      ? "does the hub speak TLS?"
      : hasCertificate
        ? "does the hub trust this client's certificate?"
        : "does the hub want a client certificate?"
  return explained(`the hub closed the connection at once; ${hint}`, cause)
}

const explained = (message: string, cause: unknown): PolestarError =>
  new PolestarError({ reason: new ConnectFailed({ cause: new Error(message, { cause }) }) })

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

/** What Node and OpenSSL call what has gone wrong with TLS, and how that is said to a person. */
const tlsFailure = (code: string): string | undefined => {
  if (code === "ERR_SSL_WRONG_VERSION_NUMBER" || code === "ERR_SSL_PACKET_LENGTH_TOO_LONG") {
    return "the answer is not TLS; does the hub speak TLS?"
  }
  if (/^ERR_SSL_(TLSV1_ALERT_PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL)$/.test(code)) {
    return "the hub does not speak TLS 1.3"
  }
  if (/^ERR_SSL_.*CERTIFICATE_REQUIRED$/.test(code)) return "the hub wants a client certificate"
  if (/^ERR_SSL_.*ALERT_.*(CERTIFICATE|UNKNOWN_CA)/.test(code))
    return "the hub refuses the client's certificate"
  if (/^(UNABLE_TO_|SELF_SIGNED_CERT|DEPTH_ZERO_SELF_SIGNED)/.test(code)) {
    return "nobody who is trusted vouches for the hub's certificate; is its authority given?"
  }
  if (code === "CERT_HAS_EXPIRED") return "the hub's certificate has expired"
  if (code === "CERT_NOT_YET_VALID") return "the hub's certificate is not valid yet"
  return undefined
}

const distrusted = /^(UNABLE_TO_|SELF_SIGNED_CERT|DEPTH_ZERO_SELF_SIGNED|CERT_|ERR_TLS_CERT_ALTNAME_INVALID$)/

/** Why a connection was not made because of the hub's certificate, if so. */
export const distrustOf = ({ reason }: PolestarError): string | undefined => {
  if (reason._tag !== "ConnectFailed" || !(reason.cause instanceof Error)) return undefined
  const { cause } = reason
  return distrusted.test(codeOf(cause)) || distrusted.test(codeOf(cause.cause)) ? cause.message : undefined
}

const codeOf = (error: unknown): string =>
  Predicate.hasProperty(error, "code") && Predicate.isString(error.code) ? error.code : ""

/** A name with several addresses fails with an error that says nothing, around one for each of them. */
const connectFailed = (error: unknown): PolestarError => {
  const cause: unknown = error instanceof AggregateError ? (error.errors[0] ?? error) : error
  const text = tlsFailure(codeOf(cause))
  return text === undefined
    ? new PolestarError({ reason: new ConnectFailed({ cause }) })
    : explained(text, cause)
}
