/**
 * The log: what keeps the messages of topics and gives them their offsets.
 *
 * There is one order in a topic and it is the log's: a batch has no place until `append` gave it one, and it is
 * delivered only then. Engines stand beside this file (`MessageLogMemory.ts`); each passes the suite in
 * `test/contracts/MessageLogContract.ts`.
 */
import { Context, type Effect, Schema } from "effect"
import type { Batch } from "../protocol/Batch.ts"
import type { Durability } from "../protocol/Position.ts"

export class MessageLogError extends Schema.TaggedError<MessageLogError>()("MessageLogError", {
  reason: Schema.Literals(["full", "closed", "io"]),
  topic: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {}

/** One topic's log. Its methods are called by one actor at a time. */
export interface TopicLog {
  /** Changes when the log is made anew, so that offsets of one log are never taken for those of another. */
  readonly epoch: number
  /** What an append's receipt is worth. */
  readonly durability: Durability
  /** The offset that the next message will get. Offsets begin at 0 and leave no gap. */
  readonly nextOffset: number
  /** The oldest offset that can still be read; `nextOffset` if there is none. */
  readonly firstOffset: number
  /** The timestamp of the newest message that can no longer be read; 0 if all can be. */
  readonly lostUntil: number
  readonly messages: number
  readonly bytes: number
  /**
   * Sets the batch's epoch and offset and keeps it. Answers `undefined` when that is done, or what must be
   * waited for. All of the batch is appended or nothing.
   */
  readonly append: (batch: Batch) => Effect.Effect<void, MessageLogError> | undefined
  /**
   * Messages from `offset` on, in order, the first batch cut so that it begins there: at least one batch if
   * there is any, and about `maxBytes` at most. An offset before `firstOffset` reads from `firstOffset`.
   */
  readonly read: (offset: number, maxBytes: number) => Effect.Effect<ReadonlyArray<Batch>, MessageLogError>
  /** The first offset with a timestamp of `time` (ms) or later; `nextOffset` if there is none. */
  readonly offsetAt: (time: number) => Effect.Effect<number, MessageLogError>
  /** Forgets what is older than the retention. Called every few seconds, so also the time to tidy up. */
  readonly expire: (now: number) => void
  /** Lets go of a topic that is idle; opening it again goes on where it was if anything of it was kept. */
  readonly close: () => void
}

export class MessageLog extends Context.Service<
  MessageLog,
  {
    /** Opens the log of a topic, which is made if it is new. A topic is opened once at a time. */
    readonly open: (topic: string) => TopicLog | Effect.Effect<TopicLog, MessageLogError>
    /** Bytes kept for all topics together. */
    readonly bytes: () => number
  }
>()("polestar/services/MessageLog") {}
