/**
 * The hub's settings: from all their sources (`SettingsSources.ts`), decoded and checked as a whole. It promises that
 * a hub starts with settings that are all within bounds and fit together, or does not start and says everything that is
 * wrong at once. It logs nothing: how to log is itself a setting, so warnings are part of the value.
 */
import { Context, Effect, type FileSystem, Layer } from "effect"
import { decodeSettings, givenIn } from "../protocol/SettingsDecode.ts"
import {
  conflict,
  type SettingsError,
  type SettingsProblem,
  settingsError
} from "../protocol/SettingsError.ts"
import { type Gathered, gatherSettings, type SettingsSources } from "./SettingsSources.ts"
import { type SettingKey, SettingsSchema, type SettingsValues, settingsTable } from "./SettingsTable.ts"

export type { SettingsSources } from "./SettingsSources.ts"

/** Settings as a program gives them: numbers or text such as "10m" and "64 MiB". What is `undefined` was not given. */
export type SettingsInput = {
  readonly [K in SettingKey]?: (typeof SettingsSchema)["Encoded"][K] | undefined
}

export class Settings extends Context.Service<
  Settings,
  SettingsValues & {
    /** What was given and changes nothing, and variables that look like settings and are none: one line each. */
    readonly warnings: ReadonlyArray<string>
    /** What an operator may want to know, and need not mend: one line each. */
    readonly notices: ReadonlyArray<string>
  }
>()("polestar/services/Settings") {
  /** Reads flags, environment and files. Fails with every problem that it finds. */
  static readonly layer = (
    sources: SettingsSources = {}
  ): Layer.Layer<Settings, SettingsError, FileSystem.FileSystem> =>
    Layer.effect(Settings, Effect.flatMap(gatherSettings(sources), resolve))

  /** For embedding and tests: these settings and otherwise defaults, checked the same; nothing is read. */
  static readonly layerWith = (input: SettingsInput): Layer.Layer<Settings, SettingsError> =>
    Layer.effect(
      Settings,
      Effect.suspend(() =>
        resolve({ sources: [givenIn(input, "given")], problems: [], warnings: [], notices: [] })
      )
    )

  /** All settings at their defaults; nothing is read. */
  static readonly layerDefaults: Layer.Layer<Settings> = Layer.orDie(Settings.layerWith({}))
}

const resolve = Effect.fnUntraced(function* ({
  cause,
  notices,
  problems: earlier,
  sources,
  warnings
}: Gathered) {
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
  return Settings.of({
    ...values,
    warnings: [...warnings, ...decoded.warnings, ...findUnused(values)],
    notices
  })
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
