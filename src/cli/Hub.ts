/** `polestar hub`: runs a hub until a signal ends it or it cannot go on. */
import { Effect, FileSystem, Layer, Option } from "effect"
import { Command, Flag, GlobalFlag } from "effect/cli"
import { Hub } from "../actors/Hub.ts"
import type { AnySetting } from "../protocol/SettingKinds.ts"
import { Settings } from "../services/Settings.ts"
import { ENV_FILE_VARIABLE, environmentName } from "../services/SettingsEnvironment.ts"
import { type SettingKey, settingRows, settingsTable } from "../services/SettingsTable.ts"
import * as Telemetry from "../services/Telemetry.ts"
import * as HubServer from "../transports/HubServer.ts"
import { addressText, TcpServer } from "../transports/TcpServer.ts"
import { WebServer } from "../transports/WebServer.ts"
import { ExitCode, UsageError } from "./ExitCode.ts"
import * as HubLog from "./HubLog.ts"
import { Format } from "./Output.ts"
import { Host, Port } from "./Target.ts"

/** `queueSize` is `--queue-size`. */
const flagName = (key: string): string => key.replace(/([a-z0-9])([A-Z])/g, "$1-$2").toLowerCase()

/** These are flags of every command. */
const globalKeys: ReadonlyArray<SettingKey> = ["port", "logLevel"]

const descriptionOf = (key: SettingKey, setting: AnySetting): string => {
  const value = setting.default === undefined ? "" : `; default ${setting.default}`
  const unit = value === "" || setting.unit === "" ? "" : ` ${setting.unit}`
  const negation = setting.default === true ? `; --no-${flagName(key)}` : ""
  const unused = setting.noEffect === undefined ? "" : ". No effect here"
  return `${setting.description.replace(/\.$/, "")} (${environmentName(key)}${value}${unit}${negation})${unused}`
}

const metavarOf = ({ allowed, unit }: AnySetting): string =>
  unit !== ""
    ? unit
    : allowed.startsWith("one of ")
      ? allowed.slice("one of ".length).replaceAll(", ", "|")
      : "value"

const settingFlag = (key: SettingKey, setting: AnySetting): Flag.Flag<Option.Option<string>> => {
  const description = descriptionOf(key, setting)
  if (typeof setting.default === "boolean") {
    return Flag.Boolean(flagName(key)).pipe(
      Flag.map(String),
      Flag.withDescription(description),
      Flag.optional
    )
  }
  const metavar = `<${metavarOf(setting)}>`
  return Flag.String(flagName(key)).pipe(
    Flag.withMetavar(metavar),
    Flag.withDescription(description),
    Flag.optional
  )
}

const settingFlags: Record<string, Flag.Flag<Option.Option<string>>> = Object.fromEntries(
  settingRows
    // A secret on a command line is seen by everybody on the machine.
    .filter(([key, setting]) => !globalKeys.includes(key) && setting.isSecret !== true)
    .map(([key, setting]) => [key, settingFlag(key, setting)])
)

/** In the working directory. */
const defaultEnvFile = ".env"

const flags = {
  config: Flag.String("config").pipe(
    Flag.withMetavar("<file>"),
    Flag.withDescription(
      "Settings by their names, JSON or YAML; texts may hold variables as a shell has them (POLESTAR_CONFIG)"
    ),
    Flag.optional
  ),
  envFile: Flag.String("dotenv").pipe(
    Flag.withMetavar("<file>"),
    Flag.withDescription(
      `Variables, weaker than those of the environment (${ENV_FILE_VARIABLE}; default ${defaultEnvFile}, if it is there)`
    ),
    Flag.optional
  ),
  settings: settingFlags
}

export const hub = Command.make("hub", flags, ({ config, envFile, settings }) =>
  Effect.gen(function* () {
    const given = yield* givenSettings(settings)
    const live = Layer.provide(
      Settings.layer({
        file: Option.getOrUndefined(config),
        envFile: Option.getOrUndefined(envFile),
        defaultEnvFile,
        flags: given
      }),
      Layer.succeed(FileSystem.FileSystem, yield* FileSystem.FileSystem)
    )
    yield* Effect.provide(
      serve,
      HubServer.layerSettings.pipe(
        Layer.provideMerge(Telemetry.layerHub),
        Layer.provideMerge(HubLog.layer),
        Layer.provideMerge(live)
      )
    )
  }).pipe(stopBySignal)
).pipe(
  Command.withDescription(
    "Run a hub. When it listens it prints one line to standard output, ready tcp=<address> http=<address> pid=<number> hub=<id>, with " +
      "tls= and https= where it listens by TLS, and ws= if WebSocket has a port of its own; with --log-format json the line is an object with the members of " +
      "a line of the log and those of the text. Its log goes to standard error. Every setting is a flag, a variable (also of --dotenv) and a key of --config, in " +
      "that order of precedence; times are in milliseconds or such as 30s, sizes in bytes or such as 64MiB. SIGTERM and SIGINT " +
      "drain it within --drain-timeout and end it with 0; a second signal ends it at once."
  ),
  Command.withShortDescription("Run a hub"),
  Command.withExamples([
    { command: "polestar hub", description: `Listen on 127.0.0.1:${settingsTable.port.default}` },
    { command: "polestar hub --config hub.yaml --log-format json", description: "Settings from a file" }
  ])
)

/** What was given as flags, by the keys of the settings. */
const givenSettings = Effect.fnUntraced(function* (given: Readonly<Record<string, Option.Option<string>>>) {
  const flags = Object.fromEntries(
    Object.entries(given).map(([key, value]) => [key, Option.getOrUndefined(value)])
  )
  const host = Option.getOrUndefined(yield* Host)
  if (host !== undefined && flags.ip !== undefined && flags.ip !== host) {
    return yield* new UsageError({ message: "--ip and --host mean the same here: give one of them" })
  }
  return {
    ...flags,
    ip: flags.ip ?? host,
    port: Option.getOrUndefined(yield* Port),
    logLevel: Option.getOrUndefined(yield* GlobalFlag.LogLevel),
    // The machine's form of results is the machine's form of the log.
    logFormat: flags.logFormat ?? ((yield* Format) === "json" ? "json" : undefined)
  }
})

/** Announces the hub and waits until it cannot go on. */
const serve = Effect.gen(function* () {
  const hub = yield* Hub
  const { host, isSecure, port } = yield* TcpServer
  const web = yield* WebServer
  const webAddress = (at: number | undefined) => (at === undefined ? undefined : addressText(web.host, at))
  yield* HubLog.announce({
    address: addressText(host, port),
    isSecure,
    http: webAddress(web.port),
    ws: webAddress(web.wsPort),
    hub: hub.id
  })
  return yield* hub.failure.pipe(Effect.onInterrupt(() => Effect.logInfo("draining")))
})

/** A signal that comes again within this time is the same one: npm passes on what its terminal already sent. */
const sameSignal = 500

/** The first signal, of which the runtime makes an interruption, is an ordinary end; a second one does not wait. */
const stopBySignal = <A, E, R>(running: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      let first: number | undefined
      const onSignal = () => {
        first ??= performance.now()
        if (performance.now() - first > sameSignal) process.exit(ExitCode.interrupted)
      }
      process.on("SIGINT", onSignal)
      process.on("SIGTERM", onSignal)
      return onSignal
    }),
    () =>
      Effect.onInterrupt(running, () =>
        Effect.sync(() => {
          process.exitCode = ExitCode.ok
        })
      ),
    (onSignal) =>
      Effect.sync(() => {
        process.off("SIGINT", onSignal)
        process.off("SIGTERM", onSignal)
      })
  )
