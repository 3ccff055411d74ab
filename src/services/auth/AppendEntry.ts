/**
 * Adds an entry of a key to a file, under its `authKeys` or `auth: { keys }`: a settings file or a keys file, JSON or YAML. The rest of the
 * file stays as it is, comments too, and whoever reads it meanwhile sees the old file or the new one. Two that append
 * at once may lose one of the entries.
 */
import { Data, Effect, FileSystem, Option, Predicate, Result } from "effect"
import { isSeq, parseDocument, stringify } from "yaml"
import { FILE_LIMIT } from "../SettingsFile.ts"
import type { KeyEntry } from "./KeyEntries.ts"

export class AppendError extends Data.TaggedError("AppendError")<{
  readonly message: string
  readonly cause?: unknown
}> {}

/** Makes the file if it is not there, for its owner alone to read. */
export const appendEntry = Effect.fnUntraced(
  function* (path: string, entry: KeyEntry) {
    const files = yield* FileSystem.FileSystem
    // A link stays one: what it leads to is replaced.
    const isThere = yield* files.exists(path)
    const target = isThere ? yield* files.realPath(path) : path
    const info = isThere ? yield* files.stat(target) : undefined
    if (info !== undefined && info.size > FILE_LIMIT) {
      return yield* new AppendError({ message: `${path} is larger than ${FILE_LIMIT} bytes` })
    }
    const content = isThere ? yield* files.readFileString(target) : ""
    const added = Option.fromUndefinedOr(withEntry(path, content, entry))
    if (Option.isNone(added)) {
      return yield* new AppendError({
        message: `${path} cannot be added to: it must be JSON without comments, or YAML, and its authKeys a list`
      })
    }
    const mode = info === undefined ? 0o600 : info.mode & 0o777
    const temporary = `${target}.${process.pid}.tmp`
    yield* files.writeFileString(temporary, added.value, { mode }).pipe(
      // The process's mask takes away from the mode of a new file.
      Effect.andThen(files.chmod(temporary, mode)),
      Effect.andThen(files.rename(temporary, target)),
      Effect.onError(() => Effect.ignore(files.remove(temporary)))
    )
  },
  (effect, path) =>
    Effect.catchTag(effect, "PlatformError", (cause) =>
      Effect.fail(new AppendError({ message: `${path} cannot be written (${cause.reason._tag})`, cause }))
    )
)

/** The content with one entry more, or `undefined` if it cannot be added to. Pure. */
export const withEntry = (path: string, content: string, entry: KeyEntry): string | undefined =>
  /\.jsonc?$/i.test(path) ? withJsonEntry(content, entry) : withYamlEntry(content, entry)

const withJsonEntry = (content: string, entry: KeyEntry): string | undefined => {
  const parsed = Result.try((): unknown => (content.trim() === "" ? {} : JSON.parse(content)))
  if (Result.isFailure(parsed)) return undefined
  const root = parsed.success
  if (!Predicate.isObject(root)) return undefined
  const section = sectionOf(root)
  const keys: unknown = section === undefined ? (root.authKeys ?? []) : section.keys
  if (!Array.isArray(keys)) return undefined
  const added = [...keys, entry]
  const whole =
    section === undefined ? { ...root, authKeys: added } : { ...root, auth: { ...section, keys: added } }
  return `${JSON.stringify(whole, undefined, 2)}\n`
}

/** The section `auth`, if the keys stand there. */
const sectionOf = (root: { readonly [key: string]: unknown }) => {
  const { auth } = root
  return Predicate.isObject(auth) && Predicate.hasProperty(auth, "keys") ? auth : undefined
}

const withYamlEntry = (content: string, entry: KeyEntry): string | undefined => {
  const document = parseDocument(content)
  if (document.errors.length > 0) return undefined
  const root: unknown = Result.getOrUndefined(Result.try((): unknown => document.toJS()))
  if (document.contents === null) {
    // Nothing but comments, which stay.
    const before = content === "" || content.endsWith("\n") ? content : `${content}\n`
    return `${before}${stringify({ authKeys: [entry] }, { lineWidth: 0 })}`
  }
  if (!Predicate.isObject(root)) return undefined
  const path = sectionOf(root) === undefined ? ["authKeys"] : ["auth", "keys"]
  const keys: unknown = document.getIn(path)
  if (keys === undefined || keys === null) document.setIn(path, document.createNode([entry]))
  else if (isSeq(keys)) keys.add(document.createNode(entry))
  else return undefined
  return document.toString({ lineWidth: 0 })
}
