/**
 * What can be wrong with settings, of the hub and of its clients alike, and how it is said: one line a problem,
 * naming the key, where it came from, what was found and what is allowed. A found value is cut at 80 characters,
 * and what could break a line or a terminal is escaped.
 */
import { Schema } from "effect"

/** Why settings were refused. */
export const SettingsReason = Schema.Literals([
  "unknown-key",
  "bad-value",
  "missing-variable",
  "unreadable-file",
  "bad-syntax",
  "conflict"
])
export type SettingsReason = typeof SettingsReason.Type

/** One thing that is wrong. `key` is absent where a whole file is meant; `message` is one line and names both. */
export const SettingsProblem = Schema.Struct({
  reason: SettingsReason,
  key: Schema.optionalKey(Schema.String),
  message: Schema.String
})
export type SettingsProblem = typeof SettingsProblem.Type

/** Settings were refused: every problem at once, at least one. `reason` is that of the first. */
export class SettingsError extends Schema.TaggedError<SettingsError>()("SettingsError", {
  reason: SettingsReason,
  problems: Schema.NonEmptyArray(SettingsProblem),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  /** One line for each problem. */
  override get message(): string {
    return this.problems.map((problem) => problem.message).join("\n")
  }
}

/** The error of all these problems, or of settings that cannot be decoded for a reason nobody named. */
export const settingsError = (problems: ReadonlyArray<SettingsProblem>, cause?: unknown): SettingsError => {
  const [first = conflict("settings", "all", "cannot be decoded together"), ...rest] = problems
  return new SettingsError({
    reason: first.reason,
    problems: [first, ...rest],
    ...(cause === undefined ? {} : { cause })
  })
}

/** No more than this many characters of a value, a key or a parser's complaint are ever shown. */
export const SHOWN_LENGTH = 80

const cut = (text: string): string =>
  text.length > SHOWN_LENGTH ? `${text.slice(0, SHOWN_LENGTH - 1)}…` : text

const escapeUnprintable = (text: string): string =>
  text.replace(
    /[\p{Cc}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`
  )

/** Text that others wrote, such as a key or a parser's complaint: one line, cut and escaped. */
export const showText = (text: string): string => escapeUnprintable(cut(text))

/** A value that was found: strings in quotes, structures by their kind alone. */
export const showFound = (value: unknown): string => {
  if (value === undefined) return "nothing"
  if (typeof value === "string") return escapeUnprintable(JSON.stringify(cut(value)))
  if (Array.isArray(value)) return "a list"
  if (typeof value === "object" && value !== null) return "an object"
  if (typeof value === "function" || typeof value === "symbol") return `a ${typeof value}`
  return showText(String(value))
}

const problem = (reason: SettingsReason, key: string, origin: string, text: string): SettingsProblem => ({
  reason,
  key: showText(key),
  message: `${showText(key)} (${showText(origin)}): ${text}`
})

/** A value that its setting does not allow; `allowed` says what it does. */
export const badValue = (key: string, origin: string, found: unknown, allowed: string): SettingsProblem =>
  problem("bad-value", key, origin, `found ${showFound(found)}; allowed: ${allowed}`)

/** A value that its setting does not allow, and that nobody is to see. */
export const badSecret = (key: string, origin: string, allowed: string): SettingsProblem =>
  problem("bad-value", key, origin, `what was found is not shown; allowed: ${allowed}`)

/** A key that no setting has, with the nearest of `known` if one is near. */
export const unknownKey = (key: string, origin: string, known: ReadonlyArray<string>): SettingsProblem =>
  problem("unknown-key", key, origin, `unknown setting${didYouMean(key, known)}`)

/** A value that names a variable which is not set. */
export const missingVariable = (key: string, origin: string, variable: string): SettingsProblem =>
  problem(
    "missing-variable",
    key,
    origin,
    `found \${${showText(variable)}}, which is not set; allowed: a variable that is set, or \${${showText(variable)}:-default}`
  )

/** A value whose `${…}` cannot be read; `found` is `undefined` if nobody is to see it. */
export const badExpansion = (key: string, origin: string, found: string | undefined): SettingsProblem =>
  problem(
    "bad-syntax",
    key,
    origin,
    `found ${found === undefined ? "what is not shown" : showFound(found)}; allowed: \${NAME} or \${NAME:-default}, not nested`
  )

/** Settings that are each allowed, but not together. */
export const conflict = (key: string, origin: string, text: string): SettingsProblem =>
  problem("conflict", key, origin, text)

/** `; did you mean "x"?` for the nearest of `known`, or nothing if none is near. */
export const didYouMean = (given: string, known: ReadonlyArray<string>): string => {
  const nearest = suggest(given, known)
  return nearest === undefined ? "" : `; did you mean "${nearest}"?`
}

const suggest = (given: string, known: ReadonlyArray<string>): string | undefined => {
  // So long a key is near none; comparing it would only take time.
  if (given.length > SHOWN_LENGTH) return undefined
  const wanted = plain(given)
  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(wanted.length / 3)) + 1
  for (const candidate of known) {
    const distance = editDistance(wanted, plain(candidate))
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** Case and separators are the likeliest slips (`queue_size`, `QueueSize`), so they count for nothing. */
const plain = (key: string): string => key.toLowerCase().replace(/[-_. ]/g, "")

/** Levenshtein's distance, by rows. */
const editDistance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
