/** Folders of logs on disk, for tests: each is gone when its scope ends. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer, type Scope } from "effect"
import type { Batch } from "../../../src/protocol/Batch.ts"
import { MessageLog, type MessageLogError, type TopicLog } from "../../../src/services/MessageLog.ts"
import { type LmdbOptions, layer } from "../../../src/services/MessageLogLmdb.ts"
import type { StateStore } from "../../../src/services/StateStore.ts"
import { ownerOf, type RecordingOwner } from "../../contracts/TextBatches.ts"

export const makeFolder = (): string => mkdtempSync(join(tmpdir(), "polestar-log-"))

export const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(makeFolder),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

export const optionsOf = (path: string, options: Partial<LmdbOptions> = {}): LmdbOptions => ({
  path,
  maxBytes: 1_000_000_000,
  maxHeldBytes: 100_000_000,
  topic: { messages: 1_000_000, bytes: 1_000_000_000, age: 86_400_000 },
  deadLetterAge: 86_400_000 * 7,
  isCompacted: (topic) => topic.startsWith("compacted"),
  isReceiptEarly: () => false,
  ...options
})

/** A log in a folder of its own. */
export const temporary = (
  options: Partial<LmdbOptions> = {}
): Layer.Layer<MessageLog | StateStore, MessageLogError> =>
  Layer.unwrap(Effect.map(folder, (path) => layer(optionsOf(path, options))))

/** One life of a hub on the folder. */
export const life = <A, E>(
  path: string,
  program: Effect.Effect<A, E, MessageLog | StateStore | Scope.Scope>,
  options: Partial<LmdbOptions> = {}
): Effect.Effect<A, E | MessageLogError> =>
  Effect.scoped(Effect.provide(program, Layer.fresh(layer(optionsOf(path, options)))))

export interface Opened {
  readonly log: TopicLog
  readonly owner: RecordingOwner
}

export const opened = (topic: string): Effect.Effect<Opened, MessageLogError, MessageLog> =>
  Effect.gen(function* () {
    const owner = ownerOf(topic)
    const open = (yield* MessageLog).open(topic, owner)
    return { log: Effect.isEffect(open) ? yield* open : open, owner }
  })

/** Appends, and waits until the batch is kept. */
export const append = ({ log, owner }: Opened, batch: Batch): Effect.Effect<Batch, MessageLogError> =>
  Effect.suspend(() => (log.append(batch) ? Effect.succeed(batch) : owner.outcome(batch)))

export const hold = (
  { log, owner }: Opened,
  batch: Batch,
  at: number
): Effect.Effect<Batch, MessageLogError> =>
  Effect.suspend(() => (log.hold(batch, at) ? Effect.succeed(batch) : owner.outcome(batch)))
