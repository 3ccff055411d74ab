/**
 * Settings from variables: of the environment, or of a file of them. Each setting has a name of its own there, some
 * have aliases too, and whatever else begins with `POLESTAR_` is warned about; if it could have been meant to turn
 * authentication on, it is refused. Pure: the variables are handed in.
 */
import type { Given, Variables } from "../protocol/SettingsDecode.ts"
import { didYouMean, type SettingsProblem, showText, unknownKey } from "../protocol/SettingsError.ts"
import { type Named, oneForEach, plainVariables, variableAliases } from "./SettingsAliases.ts"
import { type SettingKey, settingRows } from "./SettingsTable.ts"

/** `queueSize` is `POLESTAR_QUEUE_SIZE` in the environment. */
export const environmentName = (key: string): string =>
  `POLESTAR_${key.replace(/([a-z0-9])([A-Z])/g, "$1_$2").toUpperCase()}`

/** Every name that is as good as a setting's own in the environment: its own, then its aliases. */
export const environmentNames = (key: SettingKey): ReadonlyArray<string> => [
  environmentName(key),
  ...Object.keys(variableAliases).filter((name) => variableAliases[name] === key)
]

/** What the clients of the command show, who have the same environment. */
const TOKEN_VARIABLE = "POLESTAR_TOKEN"

/** What the variables of authentication begin with. */
const GUARDED = "POLESTAR_AUTH"

/** The variable that names the settings file. */
export const CONFIG_VARIABLE = "POLESTAR_CONFIG"

/** The variable that names the file of variables. */
export const ENV_FILE_VARIABLE = "POLESTAR_ENV_FILE"

/** WebSocket is where it is in the reference, and nowhere else. */
const webSocketPath = "/ws"

export interface Environment {
  readonly given: ReadonlyArray<Given>
  /** What is given under plain names; it is weaker than all else. */
  readonly plain: ReadonlyArray<Given>
  readonly problems: ReadonlyArray<SettingsProblem>
  readonly warnings: ReadonlyArray<string>
}

/**
 * What variables give; `file` is where they stand, if not in the environment. A variable that is set but empty was not
 * given. A `POLESTAR_…` variable that is no setting is only a warning, since it may be meant for another version or
 * program; not so a `POLESTAR_AUTH…` one, since a slip in its name would start a hub that lets everybody in.
 */
export const readEnvironment = (env: Variables, file?: string): Environment => {
  const originOf = (name: string) => (file === undefined ? name : `${name} in ${file}`)
  const namedIn = (key: SettingKey, name: string): ReadonlyArray<Named> => {
    const value = env[name]
    return value === undefined || value === "" ? [] : [{ key, value, name, origin: originOf(name) }]
  }
  const names = settingRows.flatMap(([key]) => environmentNames(key).map((name) => [key, name] as const))
  const { given, problems } = oneForEach(
    names.flatMap(([key, name]) => namedIn(key, name)),
    file === undefined ? "" : ` in ${showText(file)}`
  )
  const known = [...names.map(([, name]) => name), CONFIG_VARIABLE, ENV_FILE_VARIABLE, TOKEN_VARIABLE]
  const place = file === undefined ? "the environment" : showText(file)
  const unknown = Object.keys(env).filter((name) => name.startsWith("POLESTAR_") && !known.includes(name))
  const isGuarding = (name: string) => name.startsWith(GUARDED) && env[name] !== "" && env[name] !== undefined
  const warnings = unknown
    .filter((name) => !isGuarding(name))
    .map((name) => `${showText(name)} in ${place} is not a setting${didYouMean(name, known)}`)
  const refused = unknown.filter(isGuarding).map((name) => unknownKey(name, file ?? place, known))
  if ((env.WS_PATH || webSocketPath) !== webSocketPath) {
    warnings.push(`WS_PATH in ${place} has no effect: WebSocket is at ${webSocketPath}`)
  }
  const plain = Object.entries(plainVariables).flatMap(([name, key]) => namedIn(key, name))
  return { given, plain, problems: [...problems, ...refused], warnings }
}
