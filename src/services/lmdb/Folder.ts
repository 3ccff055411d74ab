/** Opening a folder: who may, what it was left like, and letting go of it in order. */
import { mkdirSync, truncateSync } from "node:fs"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import { MessageLogError } from "../MessageLog.ts"
import { ChangeSet, Environment, type Failure } from "./Environment.ts"
import { lockFolder } from "./FolderLock.ts"
import { checkPages, dataFile } from "./PageCheck.ts"
import { decodeFolder, type FolderRecord } from "./Records.ts"
import type { LmdbOptions } from "./Shared.ts"
import { folderKey, Writer } from "./Writer.ts"

const formatKey = new TextEncoder().encode("format")
const cleanKey = new TextEncoder().encode("clean")
const format = 1
const empty: FolderRecord = { bytes: 0, heldBytes: 0, heldSequence: 0, lastTopic: 0, lastEpoch: 0 }

export interface Folder {
  readonly environment: Environment
  readonly writer: Writer
}

const failed = (reason: MessageLogError["reason"], cause: unknown): MessageLogError =>
  new MessageLogError({ reason, topic: "", cause })

const commit = (environment: Environment, set: ChangeSet): Effect.Effect<void, MessageLogError> =>
  Effect.callback((resume) => {
    environment.commit(set, (failure: Failure | undefined) =>
      resume(
        failure === undefined
          ? Effect.void
          : Effect.fail(failed(failure.isFull ? "full" : "io", failure.cause))
      )
    )
  })

/** What the last hub left. */
const readFolder = (environment: Environment): FolderRecord => {
  const bytes = environment.hub.get(folderKey)
  if (bytes === undefined) return empty
  const record = decodeFolder(bytes)
  if (record === undefined) throw new Error("the record of the folder is damaged")
  return record
}

const openEnvironment = (path: string): Effect.Effect<Environment, MessageLogError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({ try: () => new Environment(path), catch: (cause) => failed("io", cause) }),
    (environment) => Effect.promise(() => environment.close())
  )

/** What would end the process when it is used is refused here. A file that lost only what was free gets its length back. */
const checkFile = (path: string): void => {
  const state = checkPages(path)
  if (state === undefined) return
  const { bytes, damage, expectedBytes } = state
  if (damage !== undefined)
    throw new Error(`the log in ${path} is damaged: ${damage} (${bytes} bytes of ${expectedBytes})`)
  if (bytes < expectedBytes) truncateSync(join(path, dataFile), expectedBytes)
}

export const openFolder = Effect.fnUntraced(function* (options: LmdbOptions) {
  const { path } = options
  yield* Effect.try({
    try: () => mkdirSync(path, { recursive: true, mode: 0o700 }),
    catch: (cause) => failed("io", cause)
  })
  yield* lockFolder(path)
  yield* Effect.try({ try: () => checkFile(path), catch: (cause) => failed("damaged", cause) })
  const environment = yield* openEnvironment(path)
  const folder = yield* Effect.try({
    try: () => readFolder(environment),
    catch: (cause) => failed("damaged", cause)
  })
  const isNew = environment.hub.get(formatKey) === undefined
  const wasClosed = environment.hub.get(cleanKey) !== undefined
  const begin = new ChangeSet()
  if (isNew) begin.put(environment.hub, formatKey, new Uint8Array([format]))
  begin.isRelief = true
  begin.remove(environment.hub, cleanKey)
  // What is stored is served also where nothing can be written.
  yield* commit(environment, begin).pipe(
    Effect.catchIf(
      ({ reason }) => reason === "full" && !isNew,
      () => Effect.logWarning(`the disk of ${path} is full: what is stored is served, and nothing is taken`)
    )
  )
  const writer = new Writer(environment, folder, {
    turn: options.turn ?? ((work) => work()),
    fault: options.fault
  })
  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      writer.close()
      yield* writer.idle
      const end = new ChangeSet()
      end.isRelief = true
      end.put(environment.hub, cleanKey, new Uint8Array([1]))
      yield* commit(environment, end)
    }).pipe(Effect.catchCause((cause) => Effect.logWarning("the log was not closed in order", cause)))
  )
  if (!isNew) yield* tellFound(environment, folder, wasClosed)
  const opened: Folder = { environment, writer }
  return opened
})

const tellFound = (
  environment: Environment,
  folder: FolderRecord,
  wasClosed: boolean
): Effect.Effect<void> => {
  const topics = environment.topics.getKeysCount()
  const found = `${topics} topics, ${folder.bytes} bytes`
  return wasClosed
    ? Effect.logInfo(`the log in ${environment.path} was closed in order: ${found}`)
    : Effect.logWarning(`the log in ${environment.path} was not closed in order; it has ${found}`)
}
