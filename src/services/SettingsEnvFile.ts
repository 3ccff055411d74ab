/**
 * A file of variables, as `.env` is: `NAME=value` in lines, with quotes and comments. It is read by the rules of Node's
 * `parseEnv`, which passes over what it does not understand; here that is a problem, since a line that was meant to
 * turn authentication on must not be lost. No text of the file is ever quoted: it is where secrets are kept.
 */
import { parseEnv } from "node:util"
import { Effect, FileSystem } from "effect"
import type { Variables } from "../protocol/SettingsDecode.ts"
import { type SettingsProblem, showText } from "../protocol/SettingsError.ts"
import { readSettingsText } from "./SettingsFile.ts"

export interface EnvFileContent {
  readonly variables: Variables
  readonly problems: ReadonlyArray<SettingsProblem>
  /** Why the file could not be read. */
  readonly cause?: unknown
}

const allowed = "a file of NAME=value lines"

/** Reads and parses the file. Never fails: problems are in the answer. */
export const readEnvFile = Effect.fnUntraced(function* (path: string) {
  const { cause, content, problems } = yield* readSettingsText(path, allowed)
  if (content !== undefined) return parseEnvFile(path, content)
  return { variables: {}, problems, cause } satisfies EnvFileContent
})

/** Whether there is such a file. A folder of that name, as virtual environments have, is none. */
export const isEnvFile = (path: string): Effect.Effect<boolean, never, FileSystem.FileSystem> =>
  Effect.map(typeOf(path), (type) => type === "File" || type === "hidden")

/** What is there; one that may not be looked at is there too, and reading it says so. */
const typeOf = Effect.fnUntraced(function* (path: string) {
  const files = yield* FileSystem.FileSystem
  return yield* Effect.match(files.stat(path), {
    onFailure: ({ reason }) => (reason._tag === "NotFound" ? "nothing" : "hidden"),
    onSuccess: ({ type }) => type
  })
})

/**
 * One line, or with quotes several: nothing, a comment, or a variable. An unquoted value ends at `#`. No two parts that
 * take white space meet, so that a long line takes no more than its length.
 */
const statement =
  /[ \t]*(?:(?:export[ \t]+)?[A-Za-z_][\w.-]*[ \t]*=[ \t]*(?:(?:"[^"]*"|'[^']*'|`[^`]*`)[ \t]*|[^"'`\s#][^\n#]*)?)?(?:#[^\n]*)?(?:\n|$)/y

/** Parses the text of a file of variables. Pure. */
export const parseEnvFile = (path: string, content: string): EnvFileContent => {
  const text = content.replace(/^\uFEFF/, "").replaceAll("\r\n", "\n")
  const pattern = new RegExp(statement)
  for (let at = 0; at < text.length; at = pattern.lastIndex) {
    pattern.lastIndex = at
    if (pattern.test(text)) continue
    const line = text.slice(0, at).split("\n").length
    const message = `${showText(path)}: line ${line} cannot be read; allowed: NAME=value, a comment, or nothing`
    return { variables: {}, problems: [{ reason: "bad-syntax", message }] }
  }
  return { variables: parseEnv(text), problems: [] }
}
