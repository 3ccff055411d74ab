/**
 * Which hub a command talks to: flags before the environment before a settings file before defaults. `--host` and
 * `--port` mean the same everywhere: for `hub`, where it listens.
 */
import { Config, Effect, FileSystem, Layer, Option, Redacted, Schedule, Schema } from "effect"
import { Flag, GlobalFlag } from "effect/cli"
import { publisherTable } from "../sdk/ClientSettings.ts"
import { Polestar } from "../sdk/Polestar.ts"
import { defaultHost, defaultPort, layerTcp, type TcpOptions, type TcpTls } from "../sdk/PolestarTcp.ts"
import { reconnectSchedule } from "../sdk/ReconnectSchedule.ts"
import { type PemFile, pemProblem } from "../transports/TcpServer.ts"
import { HubUnavailable, UsageError } from "./ExitCode.ts"
import { present } from "./Flags.ts"

export const Host = GlobalFlag.Setting("host")({
  flag: Flag.String("host").pipe(
    Flag.withMetavar("<address>"),
    Flag.withDescription(`Address of the hub (POLESTAR_HOST; default ${defaultHost})`),
    Flag.optional
  )
})

export const Port = GlobalFlag.Setting("port")({
  flag: Flag.String("port").pipe(
    Flag.withMetavar("<number>"),
    Flag.withDescription(`Port of the hub (POLESTAR_PORT; default ${defaultPort})`),
    Flag.optional
  )
})

const file = (name: string, description: string) =>
  Flag.File(name).pipe(Flag.withMetavar("<file>"), Flag.withDescription(description), Flag.optional)

/** The flags of each command that connects. */
export const targetFlags = {
  tls: present("tls", "Connect by TLS"),
  tlsCa: file("tls-ca", "Certificates that vouch for the hub's (PEM); turns TLS on"),
  tlsCert: file("tls-cert", "This client's certificate (PEM), with --tls-key; turns TLS on"),
  tlsKey: file("tls-key", "Private key of --tls-cert (PEM)"),
  // A token on a command line is seen by everybody on the machine.
  tokenFile: file(
    "token-file",
    "File with an API key or a JWT, read anew before each connection (POLESTAR_TOKEN is the token itself)"
  )
}

export interface TargetFlags {
  readonly tls: boolean
  readonly tlsCa: Option.Option<string>
  readonly tlsCert: Option.Option<string>
  readonly tlsKey: Option.Option<string>
  readonly tokenFile: Option.Option<string>
}

/** A quarter of a minute in all: a script is to be told, not to wait for ever. */
const reconnectBriefly = Schedule.upTo(reconnectSchedule, { times: 8 })

/**
 * A client of that hub. `base` is what a settings file says, and the name of the client. Unless it says otherwise, a
 * connection that is lost and cannot be made again soon ends it.
 */
export const connect = (
  flags: TargetFlags,
  base: TcpOptions
): Layer.Layer<
  Polestar,
  HubUnavailable | UsageError,
  typeof Host.Identifier | typeof Port.Identifier | FileSystem.FileSystem
> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const tls = yield* tlsOf(flags)
      const token = yield* tokenOf(flags.tokenFile)
      const host = (yield* given("--host", yield* Host, "POLESTAR_HOST"))?.value ?? base.host ?? defaultHost
      const port = (yield* portOf(yield* Port)) ?? base.port ?? defaultPort
      const address = `${host.includes(":") ? `[${host}]` : host}:${port}`
      return layerTcp({ reconnect: reconnectBriefly, ...base, ...tls, ...token, host, port }).pipe(
        Layer.catch((cause) => Layer.effect(Polestar, Effect.fail(new HubUnavailable({ address, cause }))))
      )
    })
  )

interface Given {
  readonly value: string
  /** The flag or the variable. */
  readonly name: string
}

/** A variable that is set but empty was not given. */
const given = (name: string, flag: Option.Option<string>, variable: string) =>
  Option.isSome(flag)
    ? Effect.succeed<Given | undefined>({ value: flag.value, name })
    : Effect.map(
        Effect.orDie(Config.String(variable).pipe(Config.withDefault(""))),
        (value): Given | undefined => (value === "" ? undefined : { value, name: variable })
      )

const decodePort = Schema.decodeUnknownOption(publisherTable.port.schema)

const portOf = Effect.fnUntraced(function* (flag: Option.Option<string>) {
  const found = yield* given("--port", flag, "POLESTAR_PORT")
  if (found === undefined) return undefined
  const port = Option.getOrUndefined(decodePort(found.value))
  if (port !== undefined) return port
  const { allowed } = publisherTable.port
  return yield* new UsageError({
    message: `${found.name}: found ${JSON.stringify(found.value)}; allowed: ${allowed}`
  })
})

const tlsOf = Effect.fnUntraced(function* (flags: TargetFlags) {
  const ca = yield* readPem("--tls-ca", flags.tlsCa)
  const cert = yield* readPem("--tls-cert", flags.tlsCert)
  const key = yield* readPem("--tls-key", flags.tlsKey)
  if ((cert === undefined) !== (key === undefined)) {
    return yield* new UsageError({ message: "--tls-cert and --tls-key: give both or neither" })
  }
  const problem = pemProblem({ ca, cert, key })
  if (problem !== undefined) {
    return yield* new UsageError({ message: `cannot use the certificate: ${problem.detail}` })
  }
  const tls: TcpTls = { ca: ca?.pem, cert: cert?.pem, key: key?.pem }
  return flags.tls || ca !== undefined || cert !== undefined ? { tls } : {}
})

const tokenOf = Effect.fnUntraced(function* (path: Option.Option<string>) {
  const variable = Option.getOrUndefined(
    yield* Effect.orDie(Config.option(Config.Redacted("POLESTAR_TOKEN")))
  )
  if (Option.isNone(path))
    return variable === undefined || Redacted.value(variable) === "" ? {} : { token: variable }
  const files = yield* FileSystem.FileSystem
  const read = Effect.map(files.readFileString(path.value), (text) => Redacted.make(text.trim()))
  // Now, so that a wrong name is told as what it is.
  yield* Effect.mapError(
    read,
    ({ reason }) =>
      new UsageError({ message: `--token-file (${path.value}): cannot be read (${reason._tag})` })
  )
  return { token: read }
})

const readPem = Effect.fnUntraced(function* (name: string, path: Option.Option<string>) {
  if (Option.isNone(path)) return undefined
  const files = yield* FileSystem.FileSystem
  const pem = yield* Effect.mapError(
    files.readFileString(path.value),
    ({ reason }) => new UsageError({ message: `${name} (${path.value}): cannot be read (${reason._tag})` })
  )
  return { name, path: path.value, pem } satisfies PemFile
})
