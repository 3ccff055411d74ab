/**
 * Reads a settings file: JSON (`.json`, `.jsonc`; comments allowed, as the reference's own example has them) or else
 * YAML. It promises that a file which cannot be read or parsed is answered as a problem naming the file and the line,
 * and that no more than `FILE_LIMIT` bytes of it are read.
 */
import { Effect, FileSystem, Predicate, Result } from "effect"
import { LineCounter, parseDocument } from "yaml"
import { type Given, givenIn } from "../protocol/SettingsDecode.ts"
import { type SettingsProblem, showText } from "../protocol/SettingsError.ts"

export interface SettingsFileContent {
  readonly given: ReadonlyArray<Given>
  readonly problems: ReadonlyArray<SettingsProblem>
  /** Why the file could not be read. */
  readonly cause?: unknown
}

/** A settings file is at most so many bytes: what is larger is no settings file. */
export const FILE_LIMIT = 1_048_576

/** Reads and parses the file; `${…}` is still as it was written. Never fails: problems are in the answer. */
export const readSettingsFile = Effect.fnUntraced(function* (path: string) {
  const { cause, content, problems } = yield* readSettingsText(path, "a JSON or YAML file")
  if (content !== undefined) return parseSettingsFile(path, content)
  return { given: [], problems, cause } satisfies SettingsFileContent
})

/** The text of a file, or why it has none; `allowed` says what the file should have been. */
export const readSettingsText = Effect.fnUntraced(
  function* (path: string, allowed: string) {
    const files = yield* FileSystem.FileSystem
    const { size } = yield* files.stat(path)
    if (size > FILE_LIMIT) return unreadable(path, `it is larger than ${FILE_LIMIT} bytes`, allowed)
    return { content: yield* files.readFileString(path), problems: [], cause: undefined } satisfies FileText
  },
  (effect, path, allowed) =>
    Effect.catch(effect, (cause) =>
      Effect.succeed({ ...unreadable(path, cause.reason._tag, allowed), cause } satisfies FileText)
    )
)

export interface FileText {
  /** Absent where it cannot be read. */
  readonly content: string | undefined
  readonly problems: ReadonlyArray<SettingsProblem>
  readonly cause: unknown
}

/** Parses the text of a settings file; its name decides between JSON and YAML. Pure. */
export const parseSettingsFile = (path: string, content: string): SettingsFileContent => {
  const isJson = /\.jsonc?$/i.test(path)
  const source = content.replace(/^\uFEFF/, "")
  const lineCounter = new LineCounter()
  // JSON is read as YAML's JSON schema too: unlike JSON.parse, it finds a key that is there twice, and says the line.
  const document = parseDocument(isJson ? blankComments(source) : source, {
    lineCounter,
    prettyErrors: false,
    schema: isJson ? "json" : "core"
  })
  // A warning is about a tag that nobody resolves: the value would not be what its author meant.
  const complaints = [...document.errors, ...document.warnings]
  if (complaints.length > 0) {
    return badSyntax(
      path,
      complaints.map((error) => {
        const { line, col } = lineCounter.linePos(error.pos[0])
        return `line ${line}, column ${col}: ${error.message}`
      })
    )
  }
  // Following the aliases of a document may still fail, where they would grow without end.
  const followed = Result.try((): unknown => document.toJS())
  if (Result.isFailure(followed)) return badSyntax(path, ["its aliases cannot be followed"])
  const root = followed.success
  // A YAML file whose every line is a comment is a file that gives nothing; a JSON file must hold its object.
  if (root === null && !isJson) return { given: [], problems: [] }
  if (!Predicate.isObject(root)) {
    return badSyntax(path, ["line 1, column 1: the file must hold one object of settings"])
  }
  return { given: givenIn(root, path), problems: [] }
}

/** Comments become spaces, so that lines and columns stay where they were; text in quotes is left alone. */
const blankComments = (json: string): string =>
  json.replace(/"(?:\\.|[^"\\])*"|\/\/[^\n]*|\/\*[\s\S]*?\*\//g, (part) =>
    part.startsWith('"') ? part : part.replace(/[^\n]/g, " ")
  )

/** The answer where a file cannot be read, and what it should have been. */
export const unreadable = (path: string, why: string, allowed: string): FileText => ({
  content: undefined,
  problems: [
    {
      reason: "unreadable-file",
      message: `${showText(path)}: cannot be read (${showText(why)}); allowed: ${allowed}`
    }
  ],
  cause: undefined
})

const badSyntax = (path: string, complaints: ReadonlyArray<string>): SettingsFileContent => ({
  given: [],
  problems: complaints.map((complaint) => ({
    reason: "bad-syntax",
    message: `${showText(path)}: ${showText(complaint)}`
  }))
})
