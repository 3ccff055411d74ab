/**
 * The TCP listener, plain or TLS 1.3: it accepts sockets and has the hub serve them. It stops accepting when its
 * scope closes, which is before the hub drains. It logs the warnings of the settings, and loudly where whoever reaches
 * the machine is let in.
 */
import { createPrivateKey, X509Certificate } from "node:crypto"
import type { Server, Socket } from "node:net"
import * as Net from "node:net"
import * as Tls from "node:tls"
import { Context, Effect, FileSystem, Layer, Option, Schema } from "effect"
import { Hub } from "../actors/Hub.ts"
import { Settings } from "../services/Settings.ts"
import { socketDuplex } from "./SocketDuplex.ts"

export class TcpServerError extends Schema.TaggedError<TcpServerError>()("TcpServerError", {
  reason: Schema.Literals(["listen", "certificate"]),
  /** Which setting, which file, and what is wrong with it. */
  detail: Schema.optionalKey(Schema.String),
  cause: Schema.Defect()
}) {
  override get message(): string {
    const what = this.reason === "listen" ? "cannot listen" : "cannot use the certificate"
    const why = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `${what}: ${this.detail ?? why}`
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

/** What the listeners' TLS is made of; nothing where it is off. */
export const tlsOptions = Effect.gen(function* () {
  const { dialTimeout, tlsCa, tlsCert, tlsKey, tlsRequestClientCertificate } = yield* Settings
  if (tlsCert === undefined || tlsKey === undefined) return Option.none<Tls.TlsOptions>()
  const files = yield* FileSystem.FileSystem
  const read = (name: string, path: string) =>
    Effect.map(
      Effect.mapError(files.readFileString(path), (cause) => {
        const detail = `${name} (${path}): cannot be read (${cause.reason._tag})`
        return new TcpServerError({ reason: "certificate", detail, cause })
      }),
      (pem): PemFile => ({ name, path, pem })
    )
  const certFile = yield* read("tlsCert", tlsCert)
  const keyFile = yield* read("tlsKey", tlsKey)
  const caFile = tlsCa === undefined ? undefined : yield* read("tlsCa", tlsCa)
  const problem = pemProblem({ cert: certFile, key: keyFile, ca: caFile })
  if (problem !== undefined) {
    const { cause, detail } = problem
    return yield* new TcpServerError({ reason: "certificate", detail, cause })
  }
  const [cert, key] = [certFile.pem, keyFile.pem]
  const ca = caFile === undefined ? {} : { ca: caFile.pem }
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

/** The text of a file in PEM; `name` is the setting or the flag that named it. */
export interface PemFile {
  readonly name: string
  readonly path: string
  readonly pem: string
}

interface PemProblem {
  readonly detail: string
  readonly cause: unknown
}

/**
 * What is wrong with the files of TLS, naming the setting and the file, since OpenSSL names neither. What they hold
 * is not shown. Pure.
 */
export const pemProblem = (files: {
  readonly ca?: PemFile | undefined
  readonly cert?: PemFile | undefined
  readonly key?: PemFile | undefined
}): PemProblem | undefined => {
  const { ca, cert, key } = files
  const authority = parsed(ca, "is not a certificate in PEM", (pem) => new X509Certificate(pem))
  const certificate = parsed(cert, "is not a certificate in PEM", (pem) => new X509Certificate(pem))
  const privateKey = parsed(key, "is not a private key in PEM without a passphrase", createPrivateKey)
  const problem = authority.problem ?? certificate.problem ?? privateKey.problem
  if (problem !== undefined || cert === undefined || key === undefined) return problem
  if (certificate.value === undefined || privateKey.value === undefined) return undefined
  if (certificate.value.checkPrivateKey(privateKey.value)) return undefined
  const detail = `${key.name} (${key.path}): is not the key of ${cert.name} (${cert.path})`
  return { detail, cause: new Error(detail) }
}

const parsed = <A>(
  file: PemFile | undefined,
  what: string,
  parse: (pem: string) => A
): { readonly value?: A; readonly problem?: PemProblem } => {
  if (file === undefined) return {}
  try {
    return { value: parse(file.pem) }
  } catch (cause) {
    return { problem: { detail: `${file.name} (${file.path}): ${what}`, cause } }
  }
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

/** Waits until the server listens. */
export const listening = (server: Server, host: string, port: number): Effect.Effect<void, TcpServerError> =>
  Effect.callback((resume) => {
    const failed = (cause: Error) => resume(Effect.fail(new TcpServerError({ reason: "listen", cause })))
    server.once("error", failed)
    server.listen({ host, port, backlog }, () => {
      server.off("error", failed)
      server.on("error", () => {})
      resume(Effect.void)
    })
  })

/** `127.0.0.1:1`, `[::1]:1`. */
export const addressText = (host: string, port: number): string =>
  `${Net.isIPv6(host) ? `[${host}]` : host}:${port}`

/** Whether only this machine reaches the address. */
export const isLoopback = (host: string): boolean => /^(::ffff:)?127\.|^::1$/.test(host)

const make = Effect.gen(function* () {
  const hub = yield* Hub
  const { ip, port, tlsRequestClientCertificate, warnings } = yield* Settings
  yield* Effect.forEach(warnings, (warning) => Effect.logWarning(warning), { discard: true })
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
  if (!isLoopback(bound.address) && !tlsRequestClientCertificate) {
    yield* Effect.logWarning(
      `LISTENING ON ${addressText(bound.address, bound.port)}, BEYOND THIS MACHINE, WITHOUT AUTHENTICATION: ` +
        "whoever reaches it can publish and subscribe"
    )
  }
  return TcpServer.of({ host: bound.address, port: bound.port, isSecure: Option.isSome(secure) })
})
