/**
 * Other names of settings, in one place: those of the two references, so that their configurations work as they stand,
 * and a rule by which every setting may be written under a section in a file. Pure.
 */
import { Equal, Predicate } from "effect"
import type { Given } from "../protocol/SettingsDecode.ts"
import { badValue, conflict, type SettingsProblem, showText, unknownKey } from "../protocol/SettingsError.ts"
import { type SettingKey, settingsTable } from "./SettingsTable.ts"

/** Names in a file, each a section and a name: those of pulsar-proxy's YAML. */
export const fileAliases: Readonly<Record<string, SettingKey>> = {
  "server.http_port": "httpPort",
  "server.ws_port": "wsPort",
  "server.read_timeout": "httpReadTimeout",
  "server.write_timeout": "clientWriteTimeout",
  "storage.hot_tier_retention": "hotTierRetention",
  "storage.persistent_tier_retention": "persistentTierRetention",
  "storage.max_messages_per_topic": "maxMessagesPerTopic",
  "limits.max_connections_per_instance": "maxConnections",
  "limits.max_message_size": "maxMessageSize",
  "limits.rate_limit_per_client": "rateLimitPerClient",
  "topics.auto_create": "autoCreateTopics"
}

/** Sections of a file that are known and change nothing: those of pulsar-proxy. Their values are not looked at. */
export const unusedSections: Readonly<
  Record<string, { readonly names: ReadonlyArray<string>; readonly why: string }>
> = {
  valkey: {
    names: ["host", "port", "password", "db", "pool_size"],
    why: "has no effect: the hub keeps its log on its own disk (dataDir)"
  }
}

/** Variables that are as good as a setting's own. */
export const variableAliases: Readonly<Record<string, SettingKey>> = { POLESTAR_HOST: "ip" }

/** Variables of inmem-pubsub. Other programs use such names too, so each holds only where nothing else is given. */
export const plainVariables: Readonly<Record<string, SettingKey>> = {
  HOST: "ip",
  PORT: "httpPort",
  READ_TIMEOUT: "httpReadTimeout",
  WRITE_TIMEOUT: "clientWriteTimeout",
  DEFAULT_PUBLISH_POLICY: "clientOverflow",
  DEFAULT_WS_BUFFER_SIZE: "clientQueueSize",
  DEFAULT_RING_BUFFER_SIZE: "hotTierMessages",
  LOG_LEVEL: "logLevel"
}

/** Of those, the ones that are durations: a bare number, which inmem-pubsub refuses, is not taken for milliseconds. */
const plainDurations = ["httpReadTimeout", "clientWriteTimeout"]

/** What is wrong with what is given under plain names, where the settings themselves would take it. */
export const plainProblems = (plain: ReadonlyArray<Given>): ReadonlyArray<SettingsProblem> =>
  plain
    .filter(({ key, value }) => plainDurations.includes(key) && /^\s*[+-]?\d+\s*$/.test(String(value)))
    .map(({ key, origin, value }) =>
      badValue(key, origin, value, 'a duration with its unit, such as "30s" or "500ms"')
    )

/** What is given under one of the names of a setting. */
export interface Named extends Given {
  readonly name: string
}

/** One value for each key: two names of one key must not contradict each other. `where` follows in the error. */
export const oneForEach = (named: ReadonlyArray<Named>, where = "") => {
  const given = new Map<string, Named>()
  const problems: Array<SettingsProblem> = []
  for (const one of named) {
    const before = given.get(one.key)
    if (before === undefined) given.set(one.key, one)
    else if (!Equal.equals(before.value, one.value)) {
      const names = `${before.name}, ${one.name}`
      problems.push(conflict(one.key, names, `both are set${where} and differ; allowed: one of them`))
    }
  }
  return {
    given: [...given.values()].map(({ key, origin, value }): Given => ({ key, origin, value })),
    problems
  }
}

/**
 * What a file gives, under the settings' own keys. A section is an object, or a prefix with a dot; its names are
 * aliases, or with the section in front the key of a setting: `auth: { jwt_secret: … }` is `authJwtSecret`.
 */
export const resolveFileKeys = (path: string, given: ReadonlyArray<Given>) => {
  const named: Array<Named> = []
  const unknown: Array<SettingsProblem> = []
  const unused = new Set<string>()
  for (const one of given.flatMap(membersOf)) {
    const [section, name] = splitKey(one.key)
    if (name === undefined) {
      named.push({ ...one, name: one.key })
      continue
    }
    const key = keyOf(section, name)
    if (key !== undefined) named.push({ ...one, key, name: one.key, origin: `${one.key} in ${one.origin}` })
    else if (own(unusedSections, section)?.names.includes(name)) unused.add(section)
    else unknown.push(unknownKey(one.key, one.origin, knownNames))
  }
  const resolved = oneForEach(named, ` in ${showText(path)}`)
  return {
    given: resolved.given,
    problems: [...unknown, ...resolved.problems],
    warnings: [...unused].map((section) => `${section} (${path}) ${own(unusedSections, section)?.why}`)
  }
}

const own = <A>(record: Readonly<Record<string, A>>, key: string): A | undefined =>
  Object.hasOwn(record, key) ? record[key] : undefined

const isSettingKey = (key: string): key is SettingKey => Object.hasOwn(settingsTable, key)

const splitKey = (key: string): readonly [section: string, name: string | undefined] => {
  const at = key.indexOf(".")
  return at < 0 ? [key, undefined] : [key.slice(0, at), key.slice(at + 1)]
}

const keyOf = (section: string, name: string): SettingKey | undefined => {
  const alias = own(fileAliases, `${section}.${name}`)
  if (alias !== undefined) return alias
  const key = `${section}_${name}`.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
  return isSettingKey(key) ? key : undefined
}

/** The members of a section, with its name in front. A section whose every line is a comment gives nothing. */
const membersOf = (one: Given): ReadonlyArray<Given> => {
  const { key, origin, value } = one
  if (isSettingKey(key)) return [one]
  if (!Predicate.isObject(value)) return value === null && isSection(key) ? [] : [one]
  const members = Object.entries(value)
  if (members.length === 0 && !isSection(key)) return [one]
  return members.map(([name, member]) => ({ key: `${key}.${name}`, value: member, origin }))
}

const knownNames: ReadonlyArray<string> = [
  ...Object.keys(fileAliases),
  ...Object.entries(unusedSections).flatMap(([section, { names }]) =>
    names.map((name) => `${section}.${name}`)
  ),
  ...Object.keys(settingsTable)
]

const isSection = (name: string): boolean =>
  knownNames.some((known) => known.startsWith(`${name}.`)) ||
  Object.keys(settingsTable).some((key) => key.startsWith(name) && /^[A-Z]/.test(key.slice(name.length)))
