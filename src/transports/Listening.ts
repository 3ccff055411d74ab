/** What all listeners do alike: the TLS of the settings, and waiting until they listen. */
import type { Server } from "node:net"
import type { TlsOptions } from "node:tls"
import { Effect, FileSystem, Option } from "effect"
import { Settings } from "../services/Settings.ts"
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

/** Whether only this machine reaches the address. */
export const isLoopback = (host: string): boolean => /^(::ffff:)?127\.|^::1$/.test(host)
