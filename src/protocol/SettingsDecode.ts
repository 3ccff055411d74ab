/**
 * Turns what was given for a table of settings into its values: expands `${VAR}`, finds unknown keys and bad values
 * in every source, fills in defaults and decodes all of it with one schema. It answers every problem at once and
 * never throws. Pure.
 */
import { Result, Schema, Struct } from "effect"
import type { AnySetting } from "./SettingKinds.ts"
import {
  badExpansion,
  badSecret,
  badValue,
  missingVariable,
  type SettingsProblem,
  unknownKey
} from "./SettingsError.ts"

export type SettingsTable = Readonly<Record<string, AnySetting>>

/** Names of variables and their values, such as the environment. */
export type Variables = Readonly<Record<string, string | undefined>>

/** A value that was given for a key, and where: the path of a file, the name of a variable, `flag`. */
export interface Given {
  readonly key: string
  readonly value: unknown
  readonly origin: string
}

export interface Decoded<A> {
  /** Bad values are passed over, so that the rest can be checked; absent where a required value is missing. */
  readonly values: A | undefined
  readonly problems: ReadonlyArray<SettingsProblem>
  /** One line for each given key that changes nothing. */
  readonly warnings: ReadonlyArray<string>
}

interface SchemaOf extends Struct.Lambda {
  <S extends Schema.Top>(setting: { readonly schema: S }): S
  readonly "~lambda.out": this["~lambda.in"] extends { readonly schema: infer S } ? S : never
}

/** `Schema.Struct(Struct.map(table, schemaOf))` is the one schema that decodes a whole table. */
export const schemaOf = Struct.lambda<SchemaOf>((setting) => setting.schema)

/** The members of an object as they were given; members that are `undefined` were not given. */
export const givenIn = (object: object, origin: string): ReadonlyArray<Given> =>
  Object.entries(object).flatMap(([key, value]) => (value === undefined ? [] : [{ key, value, origin }]))

/**
 * Decodes a table with `schema`, made from the same table. A value of an earlier source wins over a later one's, yet
 * each is checked. `earlier` are problems already found in the sources; `owner` says where a missing required value was
 * looked for.
 */
export const decodeSettings = <S extends Schema.ConstraintDecoder<unknown>>(options: {
  readonly table: SettingsTable
  readonly schema: S
  readonly sources: ReadonlyArray<ReadonlyArray<Given>>
  readonly earlier: ReadonlyArray<SettingsProblem>
  readonly owner: string
}): Decoded<S["Type"]> => {
  const { table } = options
  const problems = [...options.earlier]
  const accepted = new Map<string, Given>()
  const bad = new Set(problems.map((earlier) => earlier.key))
  for (const given of options.sources.flat()) {
    const found = problemOf(table, given)
    if (found !== undefined) {
      problems.push(found)
      bad.add(given.key)
    } else if (!accepted.has(given.key)) accepted.set(given.key, given)
  }
  const raw: Record<string, unknown> = {}
  let complete = true
  for (const [key, setting] of Object.entries(table)) {
    const value = accepted.has(key) ? accepted.get(key)?.value : setting.default
    raw[key] = value
    if (value === undefined && !isAllowed(setting, undefined)) {
      complete = false
      if (!bad.has(key)) problems.push(badValue(key, options.owner, undefined, setting.allowed))
    }
  }
  return {
    values: complete ? Result.getOrUndefined(Schema.decodeUnknownResult(options.schema)(raw)) : undefined,
    problems,
    warnings: [...accepted.values()].flatMap(({ key, origin }) => {
      const noEffect = table[key]?.noEffect
      return noEffect === undefined ? [] : [`${key} (${origin}) ${noEffect}`]
    })
  }
}

const isAllowed = (setting: AnySetting, value: unknown): boolean =>
  Result.isSuccess(Schema.decodeUnknownResult(setting.schema)(value))

const problemOf = (table: SettingsTable, given: Given): SettingsProblem | undefined => {
  const { key, origin, value } = given
  const setting = Object.hasOwn(table, key) ? table[key] : undefined
  if (setting === undefined) return unknownKey(key, origin, Object.keys(table))
  if (isAllowed(setting, value)) return undefined
  if (setting.isSecret === true) return badSecret(key, origin, setting.allowed)
  return badValue(key, origin, value, setting.allowed)
}

/**
 * Replaces `${NAME}` and `${NAME:-default}` in text values, lists of texts included. A default also stands for a
 * variable that is set but empty, as in a shell. What cannot be replaced is left out and answered as a problem, which
 * does not quote it if `table` says that it is a secret.
 */
export const expandVariables = (
  given: ReadonlyArray<Given>,
  variables: Variables,
  table: SettingsTable = {}
): { readonly given: ReadonlyArray<Given>; readonly problems: ReadonlyArray<SettingsProblem> } => {
  const expanded: Array<Given> = []
  const problems: Array<SettingsProblem> = []
  for (const one of given) {
    const { key, origin, value } = one
    const found: Array<SettingsProblem> = []
    const isSecret = Object.hasOwn(table, key) && table[key]?.isSecret === true
    const text = (part: unknown): unknown =>
      typeof part === "string" ? expandText(part, variables, { key, origin, isSecret }, found) : part
    const result = Array.isArray(value) ? value.map(text) : text(value)
    if (found.length === 0) expanded.push({ key, origin, value: result })
    problems.push(...found)
  }
  return { given: expanded, problems }
}

const expandText = (
  text: string,
  variables: Variables,
  { isSecret, key, origin }: { readonly isSecret: boolean; readonly key: string; readonly origin: string },
  problems: Array<SettingsProblem>
): string =>
  text.replace(/\$\{([^}]*)(\}?)/g, (_, inner: string, end: string) => {
    const match = /^([A-Za-z_][A-Za-z0-9_]*)(?::-([^{]*))?$/.exec(inner)
    const name = match?.[1]
    if (name === undefined || end === "") {
      problems.push(badExpansion(key, origin, isSecret ? undefined : text))
      return ""
    }
    const value = Object.hasOwn(variables, name) ? variables[name] : undefined
    const fallback = match?.[2]
    if (fallback !== undefined) return value || fallback
    if (value === undefined) problems.push(missingVariable(key, origin, name))
    return value ?? ""
  })
