/**
 * The API keys that the hub accepts: those of its settings and those of a file, which is read again when it changes.
 *
 * A change holds within a second for whoever shows a key then, and the log says which keys came and went. A file that has
 * gone or can no longer be read changes nothing: the keys that were last read stay, and the log says so once, since a
 * half-written file is to lock nobody out. Removing an entry is what takes a key back.
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
  const problems = [...own.problems, ...first.problems.map(ofFile)]
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
    if (complaint === "") {
      const before = keys
      keys = again.keys
      const changes = changesBetween(before, keys)
      // A young file is read again though nothing in it changed.
      if (logged !== "" || changes !== undefined) {
        const line = { file: path, keys: keys.size, ...changes }
        yield* Effect.annotateLogs(Effect.logInfo("the keys file was read again"), line)
      }
    } else if (complaint !== logged) {
      yield* Effect.logError(`the keys read before stay in force: ${complaint}`)
    }
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

/** The ids of keys that came, that went, and that are another key or may do something else; absent where there are none. */
const changesBetween = (before: Keys, now: Keys) => {
  const ids = [...now.keys()]
  const added = ids.filter((id) => !before.has(id))
  const removed = [...before.keys()].filter((id) => !now.has(id))
  const changed = ids.filter((id) => {
    const old = before.get(id)?.identity.revision
    const revision = now.get(id)?.identity.revision
    return old !== undefined && (old.key !== revision?.key || old.rights !== revision.rights)
  })
  const lists = Object.entries({ added, removed, changed }).filter(([, list]) => list.length > 0)
  return lists.length === 0
    ? undefined
    : Object.fromEntries(lists.map(([name, list]) => [name, shownIds(list)]))
}

/** Ids that one line of the log names. */
const shown = 20

const shownIds = (ids: ReadonlyArray<string>): string => {
  const more = ids.length > shown ? ` and ${ids.length - shown} more` : ""
  return `${ids.slice(0, shown).join(", ")}${more}`
}

/** A problem of the whole file says which setting named it. */
const ofFile = (problem: SettingsProblem): SettingsProblem =>
  problem.key === undefined
    ? { ...problem, key: "authKeysFile", message: `authKeysFile: ${problem.message}` }
    : problem

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
