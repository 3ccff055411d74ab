/** What all listeners do alike: the TLS of the settings, waiting until they listen, and saying who may hear them. */
import type { Server } from "node:net"
import type { TlsOptions } from "node:tls"
import { Effect, FileSystem, Option, Predicate } from "effect"
import { Auth } from "../services/Auth.ts"
import { Settings } from "../services/Settings.ts"
import { addressText } from "./AddressText.ts"
import { type PemFile, pemProblem } from "./Pem.ts"
import { TcpServerError } from "./TcpServerError.ts"

/** Connections the operating system may hold before they are accepted. */
const backlog = 4096

/** What the listeners' TLS is made of; nothing where it is off. */
export const tlsOptions = Effect.gen(function* () {
  const { dialTimeout, tlsCa, tlsCert, tlsKey, tlsRequestClientCertificate } = yield* Settings
  if (tlsCert === undefined || tlsKey === undefined) return Option.none<TlsOptions>()
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
  return Option.some<TlsOptions>({
    ...ca,
    cert,
    key,
    minVersion: "TLSv1.3",
    handshakeTimeout: dialTimeout,
    requestCert: tlsRequestClientCertificate,
    rejectUnauthorized: tlsRequestClientCertificate
  })
})

/** Of the port, if it is taken or not for this user; else of the address. */
const listenError = (cause: Error, setting: string, host: string, port: number): TcpServerError => {
  const code = Predicate.hasProperty(cause, "code") ? cause.code : undefined
  const isTaken = code === "EADDRINUSE"
  const name = isTaken || code === "EACCES" ? setting : "ip"
  const why = isTaken ? "the port is in use" : cause.message
  return new TcpServerError({
    reason: "listen",
    detail: `${name} (${addressText(host, port)}): ${why}`,
    cause
  })
}

/** Waits until the server listens. `setting` is the one that the port comes from, for the error. */
export const listening = (
  server: Server,
  setting: "port" | "httpPort" | "wsPort",
  host: string,
  port: number
): Effect.Effect<void, TcpServerError> =>
  Effect.callback((resume) => {
    const failed = (cause: Error) => resume(Effect.fail(listenError(cause, setting, host, port)))
    server.once("error", failed)
    server.listen({ host, port, backlog }, () => {
      server.off("error", failed)
      server.on("error", () => {})
      resume(Effect.void)
    })
  })

/** Whether only this machine reaches the address. */
export const isLoopback = (host: string): boolean => /^(::ffff:)?127\.|^::1$/.test(host)

/**
 * Warns, loudly, of a listener beyond this machine where whoever reaches it is let in, and where tokens can be read on
 * their way. `what` follows the address.
 */
export const warnIfExposed = Effect.fnUntraced(function* (
  { address, port }: { readonly address: string; readonly port: number },
  isSecure: boolean,
  what = ""
) {
  if (isLoopback(address)) return
  const { isOn } = yield* Auth
  const { tlsRequestClientCertificate } = yield* Settings
  const where = `LISTENING ON ${addressText(address, port)}${what}, BEYOND THIS MACHINE`
  if (isOn && !isSecure) {
    yield* Effect.logWarning(
      `${where}, WITHOUT TLS: tokens and messages can be read on their way; give tlsCert and tlsKey`
    )
  } else if (!isOn && !tlsRequestClientCertificate) {
    yield* Effect.logWarning(`${where}, WITHOUT AUTHENTICATION: whoever reaches it can publish and subscribe`)
  }
})
