/**
 * The hub's settings: flags before the environment before a file before defaults, decoded and checked as a whole. It
 * promises that a hub starts with settings that are all within bounds and fit together, or does not start and says
 * everything that is wrong at once. It logs nothing: how to log is itself a setting, so warnings are part of the value.
 */
import { Context, Effect, type FileSystem, Layer } from "effect"
import {
  decodeSettings,
  expandVariables,
  type Given,
  givenIn,
  type Variables
} from "../protocol/SettingsDecode.ts"
import {
  conflict,
  type SettingsError,
  type SettingsProblem,
  settingsError
} from "../protocol/SettingsError.ts"
import { CONFIG_VARIABLE, readEnvironment } from "./SettingsEnvironment.ts"
import { readSettingsFile, type SettingsFileContent } from "./SettingsFile.ts"
import { type SettingKey, SettingsSchema, type SettingsValues, settingsTable } from "./SettingsTable.ts"
import { defaultHttpPort } from "./WebSettings.ts"

/** Where settings are read from. */
export interface SettingsSources {
  /** Path of a JSON or YAML file; otherwise the one that `POLESTAR_CONFIG` names, if any. */
  readonly file?: string | undefined
  /** Text by key, as in `{ queueSize: "5000" }`. What is `undefined` was not given. */
  readonly flags?: Variables | undefined
  /** The environment; `process.env` unless given. A variable that is set but empty was not given. */
  readonly env?: Variables | undefined
}

/** Settings as a program gives them: numbers or text such as "10m" and "64 MiB". What is `undefined` was not given. */
export type SettingsInput = {
  readonly [K in SettingKey]?: (typeof SettingsSchema)["Encoded"][K] | undefined
}

export class Settings extends Context.Service<
  Settings,
  SettingsValues & {
    /** What was given and changes nothing, and variables that look like settings and are none: one line each. */
    readonly warnings: ReadonlyArray<string>
  }
>()("polestar/services/Settings") {
  /** Reads flags, environment and file. Fails with every problem that it finds. */
  static readonly layer = (
    sources: SettingsSources = {}
  ): Layer.Layer<Settings, SettingsError, FileSystem.FileSystem> =>
    Layer.effect(Settings, loadSettings(sources))

  /** For embedding and tests: these settings and otherwise defaults, checked the same; nothing is read. */
  static readonly layerWith = (input: SettingsInput): Layer.Layer<Settings, SettingsError> =>
    Layer.effect(
      Settings,
      Effect.suspend(() => resolve([givenIn(input, "given")], [], []))
    )

  /** All settings at their defaults; nothing is read. */
  static readonly layerDefaults: Layer.Layer<Settings> = Layer.orDie(Settings.layerWith({}))
}

/** Of a hub that is run, and not embedded. */
const defaultDataDir = "./data"

const loadSettings = Effect.fnUntraced(function* (sources: SettingsSources) {
  const env = sources.env ?? process.env
  const path = sources.file ?? (env[CONFIG_VARIABLE] || undefined)
  const nothing: SettingsFileContent = { given: [], problems: [] }
  const file = path === undefined ? nothing : yield* readSettingsFile(path)
  const expanded = expandVariables(file.given, env, settingsTable)
  const environment = readEnvironment(env)
  const settings = yield* resolve(
    [givenIn(sources.flags ?? {}, "flag"), environment.given, expanded.given],
    [...file.problems, ...environment.problems, ...expanded.problems],
    environment.warnings,
    file.cause
  )
  return Settings.of({
    ...settings,
    dataDir: settings.dataDir ?? defaultDataDir,
    httpPort: settings.httpPort ?? defaultHttpPort
  })
})

/** `earlier` and `warnings` are what reading the sources already found; an earlier source wins over a later one. */
const resolve = Effect.fnUntraced(function* (
  sources: ReadonlyArray<ReadonlyArray<Given>>,
  earlier: ReadonlyArray<SettingsProblem>,
  warnings: ReadonlyArray<string>,
  cause?: unknown
) {
  const decoded = decodeSettings({
    table: settingsTable,
    schema: SettingsSchema,
    sources,
    earlier,
    owner: "settings"
  })
  const origins = new Map<string, string>()
  for (const { key, origin } of sources.flat()) if (!origins.has(key)) origins.set(key, origin)
  const values = decoded.values === undefined ? undefined : withReadTimeout(decoded.values, origins)
  const bad = new Set(decoded.problems.map((problem) => problem.key))
  const problems = [...decoded.problems, ...(values === undefined ? [] : findConflicts(values, origins, bad))]
  if (problems.length > 0 || values === undefined) return yield* settingsError(problems, cause)
  return Settings.of({ ...values, warnings: [...warnings, ...decoded.warnings, ...findUnused(values)] })
})

/** Unless it was given, a peer may be silent for as long as it may miss pings. */
const withReadTimeout = (values: SettingsValues, origins: ReadonlyMap<string, string>): SettingsValues =>
  origins.has("readTimeout")
    ? values
    : { ...values, readTimeout: values.pingInterval * values.maxMissedPings }

/** Settings that are each allowed, but not together. What is in `bad` was refused already and refuses no other. */
const findConflicts = (
  values: SettingsValues,
  origins: ReadonlyMap<string, string>,
  bad: ReadonlySet<string | undefined>
): ReadonlyArray<SettingsProblem> => {
  const { tlsCert, tlsKey, tlsCa, tlsRequestClientCertificate } = values
  const { readTimeout, pingInterval, restartBackoff, restartBackoffMax, groupBackoff, groupMaxBackoff } =
    values
  const found: Array<SettingsProblem> = []
  const refuse = (isConflict: boolean, key: SettingKey, other: SettingKey, text: string) => {
    if (!isConflict || bad.has(key) || bad.has(other)) return
    found.push(conflict(key, origins.get(key) ?? "default", text))
  }
  refuse(
    tlsCert !== undefined && tlsKey === undefined,
    "tlsCert",
    "tlsKey",
    "found without tlsKey; allowed: both or neither"
  )
  refuse(
    tlsKey !== undefined && tlsCert === undefined,
    "tlsKey",
    "tlsCert",
    "found without tlsCert; allowed: both or neither"
  )
  refuse(
    tlsRequestClientCertificate && tlsCa === undefined,
    "tlsRequestClientCertificate",
    "tlsCa",
    "found true without tlsCa; allowed: with tlsCa"
  )
  // Without TLS nobody would be asked for a certificate, and nobody would notice.
  refuse(
    tlsRequestClientCertificate && tlsCert === undefined && tlsKey === undefined,
    "tlsRequestClientCertificate",
    "tlsCert",
    "found true without tlsCert; allowed: with tlsCert and tlsKey"
  )
  refuse(
    readTimeout < pingInterval,
    "readTimeout",
    "pingInterval",
    `found ${readTimeout} ms; allowed: at least pingInterval, which is ${pingInterval} ms`
  )
  refuse(
    restartBackoff > restartBackoffMax,
    "restartBackoff",
    "restartBackoffMax",
    `found ${restartBackoff} ms; allowed: at most restartBackoffMax, which is ${restartBackoffMax} ms`
  )
  refuse(
    groupBackoff > groupMaxBackoff,
    "groupBackoff",
    "groupMaxBackoff",
    `found ${groupBackoff} ms; allowed: at most groupMaxBackoff, which is ${groupMaxBackoff} ms`
  )
  return found
}

/** A list of authorities looks like a check of clients, so it is said if it is none. */
const findUnused = (values: SettingsValues): ReadonlyArray<string> =>
  values.tlsCa !== undefined && !values.tlsRequestClientCertificate
    ? ["tlsCa has no effect: tlsRequestClientCertificate is false, so no client's certificate is checked"]
    : []
