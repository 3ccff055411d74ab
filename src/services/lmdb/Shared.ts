/** What the topics of a folder have in common. */
import type { TopicLimits } from "../MessageLog.ts"
import type { Compaction } from "./Compaction.ts"
import type { PublisherBytes } from "./EntryKey.ts"
import type { Environment, Failure } from "./Environment.ts"
import type { HeldMessages } from "./HeldMessages.ts"
import type { LmdbTopicLog } from "./LmdbTopicLog.ts"
import type { Removal } from "./Removal.ts"
import type { Writer } from "./Writer.ts"

export interface LmdbOptions {
  /** The folder; made if it is not there. */
  readonly path: string
  /** Bytes that all topics keep together; what is more is refused until retention frees some. */
  readonly maxBytes: number
  /** Bytes that wait for their time; what is more is refused. */
  readonly maxHeldBytes: number
  readonly topic: TopicLimits
  /** Milliseconds for which messages of `$dead.` topics are kept. */
  readonly deadLetterAge: number
  /** Whether a topic keeps the last message of each key instead of messages of the last while. */
  readonly isCompacted: (topic: string) => boolean
  readonly isReceiptEarly: (topic: string) => boolean
  /** Keys that compaction remembers at a time, 262,144 if this is absent; of more it needs several runs. */
  readonly compactionKeys?: number | undefined
  /** Calls `work`, which tells all that a write set has come to; it is simply called if this is absent. */
  readonly turn?: ((work: () => void) => void) | undefined
  /** For tests: why the next write set fails, instead of being written. */
  readonly fault?: (() => Failure | undefined) | undefined
}

export interface Shared {
  readonly options: LmdbOptions
  readonly environment: Environment
  readonly writer: Writer
  readonly held: HeldMessages
  readonly publishers: PublisherBytes
  readonly removal: Removal
  readonly compaction: Compaction
  readonly limitsOf: (topic: string) => TopicLimits
  /** A log that was closed has nothing queued any more. */
  readonly released: (log: LmdbTopicLog) => void
}
