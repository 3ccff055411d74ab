/**
 * Settings from environment variables. Each setting has a name there, some have an alias too, and whatever else begins
 * with `POLESTAR_` is warned about. Pure: the variables are handed in.
 */
import type { Given, Variables } from "../protocol/SettingsDecode.ts"
import { conflict, didYouMean, type SettingsProblem, showText } from "../protocol/SettingsError.ts"
import { type SettingKey, settingRows } from "./SettingsTable.ts"

/** `queueSize` is `POLESTAR_QUEUE_SIZE` in the environment. */
export const environmentName = (key: string): string =>
  `POLESTAR_${key.replace(/([a-z0-9])([A-Z])/g, "$1_$2").toUpperCase()}`

/** Every name that a setting has in the environment: its own, then an alias if it has one. */
export const environmentNames = (key: SettingKey): ReadonlyArray<string> =>
  key === "ip" ? [environmentName(key), "POLESTAR_HOST"] : [environmentName(key)]

/** The variable that names the settings file. */
export const CONFIG_VARIABLE = "POLESTAR_CONFIG"

/**
 * What the environment gives. A variable that is set but empty was not given. A `POLESTAR_…` variable that is no
 * setting is only a warning, since it may be meant for another version or program.
 */
export const readEnvironment = (env: Variables) => {
  const known = [CONFIG_VARIABLE]
  const given = new Map<SettingKey, Given>()
  const problems: Array<SettingsProblem> = []
  for (const [key] of settingRows) {
    for (const name of environmentNames(key)) {
      known.push(name)
      const value = env[name]
      if (value === undefined || value === "") continue
      const before = given.get(key)
      if (before === undefined) given.set(key, { key, value, origin: name })
      else if (before.value !== value) {
        const origin = `${before.origin}, ${name}`
        problems.push(conflict(key, origin, "both are set and differ; allowed: one of them"))
      }
    }
  }
  const warnings = Object.keys(env)
    .filter((name) => name.startsWith("POLESTAR_") && !known.includes(name))
    .map((name) => `${showText(name)} in the environment is not a setting${didYouMean(name, known)}`)
  return { given: [...given.values()], problems, warnings }
}
