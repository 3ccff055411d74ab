/**
 * Everything that gives settings to a hub that is run, the strongest first: flags, the environment, a file of variables
 * (`.env`), a settings file, the plain names that other programs use too, and the defaults of such a hub.
 */
import { Effect } from "effect"
import { expandVariables, type Given, givenIn, type Variables } from "../protocol/SettingsDecode.ts"
import type { SettingsProblem } from "../protocol/SettingsError.ts"
import { plainProblems, resolveFileKeys } from "./SettingsAliases.ts"
import { type EnvFileContent, isEnvFile, readEnvFile } from "./SettingsEnvFile.ts"
import { CONFIG_VARIABLE, ENV_FILE_VARIABLE, readEnvironment } from "./SettingsEnvironment.ts"
import { readSettingsFile, type SettingsFileContent } from "./SettingsFile.ts"
import { settingsTable } from "./SettingsTable.ts"
import { defaultHttpPort } from "./WebSettings.ts"

/** Where settings are read from. */
export interface SettingsSources {
  /** Path of a JSON or YAML file; otherwise the one that `POLESTAR_CONFIG` names, if any. */
  readonly file?: string | undefined
  /** Text by key, as in `{ queueSize: "5000" }`. What is `undefined` was not given. */
  readonly flags?: Variables | undefined
  /** The environment; `process.env` unless given. A variable that is set but empty was not given. */
  readonly env?: Variables | undefined
  /** Path of a file of variables, weaker than `env`; otherwise the one that `POLESTAR_ENV_FILE` names, if any. */
  readonly envFile?: string | undefined
  /** Read in its place if no such file is named, and if it is there. */
  readonly defaultEnvFile?: string | undefined
}

/** What the sources give. An earlier one wins over a later one. */
export interface Gathered {
  readonly sources: ReadonlyArray<ReadonlyArray<Given>>
  /** What reading the sources found to be wrong. */
  readonly problems: ReadonlyArray<SettingsProblem>
  readonly warnings: ReadonlyArray<string>
  readonly notices: ReadonlyArray<string>
  readonly cause?: unknown
}

/** Of a hub that is run, and not embedded. */
const runDefaults = givenIn({ dataDir: "./data", httpPort: defaultHttpPort }, "default")

/** Reads all sources. Never fails: problems are in the answer. */
export const gatherSettings = Effect.fnUntraced(function* (sources: SettingsSources) {
  const env = sources.env ?? process.env
  const envPath = yield* envFileOf(sources, env)
  const envFile: EnvFileContent =
    envPath === undefined ? { variables: {}, problems: [] } : yield* readEnvFile(envPath)
  const path = sources.file ?? (env[CONFIG_VARIABLE] || envFile.variables[CONFIG_VARIABLE] || undefined)
  const nothing: SettingsFileContent = { given: [], problems: [] }
  const file = path === undefined ? nothing : yield* readSettingsFile(path)
  // Under their own keys first: the table then says which of them are secrets.
  const resolved = resolveFileKeys(path ?? "", file.given)
  const expanded = expandVariables(resolved.given, { ...envFile.variables, ...env }, settingsTable)
  const variables = [readEnvironment(env), readEnvironment(envFile.variables, envPath ?? "")]
  const strong = [
    givenIn(sources.flags ?? {}, "flag"),
    ...variables.map(({ given }) => given),
    expanded.given
  ]
  const plain = onlyMissing(
    strong.flat(),
    variables.flatMap((one) => one.plain)
  )
  return {
    sources: [...strong, plain, runDefaults],
    problems: [
      ...envFile.problems,
      ...file.problems,
      ...variables.flatMap(({ problems }) => problems),
      ...resolved.problems,
      ...expanded.problems,
      ...plainProblems(plain)
    ],
    warnings: [...variables.flatMap(({ warnings }) => warnings), ...resolved.warnings],
    notices: plain.length === 0 ? [] : [noticeOf(plain)],
    cause: file.cause ?? envFile.cause
  } satisfies Gathered
})

const envFileOf = Effect.fnUntraced(function* ({ defaultEnvFile, envFile }: SettingsSources, env: Variables) {
  const named = envFile ?? (env[ENV_FILE_VARIABLE] || undefined)
  if (named !== undefined || defaultEnvFile === undefined) return named
  return (yield* isEnvFile(defaultEnvFile)) ? defaultEnvFile : undefined
})

/** What nobody stronger gave. The rest is not even checked: it may be meant for another program. */
const onlyMissing = (strong: ReadonlyArray<Given>, weak: ReadonlyArray<Given>): ReadonlyArray<Given> => {
  const keys = new Set(strong.map(({ key }) => key))
  return weak.filter(({ key }) => {
    const isMissing = !keys.has(key)
    keys.add(key)
    return isMissing
  })
}

const noticeOf = (plain: ReadonlyArray<Given>): string =>
  `settings from names that other programs use too: ${plain.map(({ key, origin }) => `${key} (${origin})`).join(", ")}`
