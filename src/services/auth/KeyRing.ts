/**
 * The API keys that the hub accepts: those of its settings and those of a file, which is read again when it changes.
 *
 * A change holds within a second for whoever shows a key then. A file that has gone or can no longer be read changes
 * nothing: the keys that were last read stay, and the log says so once, since a half-written file is to lock nobody
 * out. Removing an entry is what takes a key back.
 */
import { Clock, Effect, FileSystem, Option } from "effect"
import { badSecret, type SettingsProblem, settingsError, unknownKey } from "../../protocol/SettingsError.ts"
import { readSettingsFile } from "../SettingsFile.ts"
import type { StoredKey } from "./ApiKey.ts"
import { readKeyEntries } from "./KeyEntries.ts"

export type Keys = ReadonlyMap<string, StoredKey>

export interface KeyRing {
  /** The keys that hold now, by id. */
  readonly keys: Effect.Effect<Keys>
}

/** Milliseconds for which a file is not looked at again. */
const lookInterval = 1000

/** Milliseconds within which a file may change twice and have the same time. */
const sameTime = 2000

/** Reads both, and fails with everything that is wrong in them. */
export const makeKeyRing = Effect.fnUntraced(function* (options: {
  readonly entries: unknown
  readonly file: string | undefined
}) {
  const own = readKeyEntries(options.entries ?? [], "authKeys")
  if (options.file === undefined) {
    if (own.problems.length > 0) return yield* settingsError(own.problems)
    return { keys: Effect.succeed(own.keys) } satisfies KeyRing
  }
  const files = yield* FileSystem.FileSystem
  const path = options.file
  const context = Effect.provideService(FileSystem.FileSystem, files)
  const first = yield* readKeysFile(path, own.keys)
  const problems = [...own.problems, ...first.problems]
  if (problems.length > 0) return yield* settingsError(problems, first.cause)

  let keys: Keys = first.keys
  let stamp = ""
  let logged = ""
  let lookedAt = yield* Clock.currentTimeMillis

  const look = Effect.fnUntraced(function* (now: number) {
    const found = yield* stampOf(files, path, now)
    if (found === stamp) return
    // Before reading, so that whoever comes meanwhile does not read it too.
    stamp = found
    const again = yield* context(readKeysFile(path, own.keys))
    const complaint = again.problems.map(({ message }) => message).join("; ")
    if (complaint === "") keys = again.keys
    else if (complaint !== logged) yield* Effect.logError(`the keys read before stay in force: ${complaint}`)
    logged = complaint
  })

  return {
    keys: Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      if (now - lookedAt >= lookInterval) {
        lookedAt = now
        // Who asked may go away meanwhile; the change is not to be missed by all others then.
        yield* Effect.uninterruptible(look(now))
      }
      return keys
    })
  } satisfies KeyRing
})

interface KeysFileContent {
  readonly keys: Keys
  readonly problems: ReadonlyArray<SettingsProblem>
  readonly cause?: unknown
}

/** The keys of a file together with those of the settings, which it may not name again. */
const readKeysFile = Effect.fnUntraced(function* (path: string, own: Keys) {
  const file = yield* readSettingsFile(path)
  const problems = [...file.problems]
  const keys = new Map(own)
  for (const { key, origin, value } of file.given) {
    if (key !== "authKeys") {
      problems.push(unknownKey(key, origin, ["authKeys"]))
      continue
    }
    const read = readKeyEntries(value, origin)
    problems.push(...read.problems)
    for (const [id, stored] of read.keys) {
      if (keys.has(id)) problems.push(badSecret("authKeys", origin, "ids that the settings do not have too"))
      else keys.set(id, stored)
    }
  }
  return { keys, problems, cause: file.cause } satisfies KeysFileContent
})

/** A text that differs once the file has changed, and always while it is too young to tell. */
const stampOf = (files: FileSystem.FileSystem, path: string, now: number): Effect.Effect<string> =>
  files.stat(path).pipe(
    Effect.map(({ ino, mtime, size }) => {
      const time = Option.match(mtime, { onNone: () => 0, onSome: (date) => date.getTime() })
      const inode = Option.getOrElse(ino, () => 0)
      return now - time < sameTime ? `${inode} ${size} at ${now}` : `${inode} ${size} ${time}`
    }),
    Effect.orElseSucceed(() => "gone")
  )
