/**
 * The log: what keeps the messages of topics and gives them their offsets.
 *
 * There is one order in a topic and it is the log's: a batch has no place until the log gave it one, and it is
 * delivered only when it is kept as safely as the log promises. An engine keeps it at once, or later and then tells
 * the topic; what it has not kept yet cannot be read, and is not counted in `nextOffset`. Engines stand beside this
 * file; each passes the suite in `test/contracts/MessageLogContract.ts`.
 */
import { Context, type Effect, Schema } from "effect"
import type { Batch, BatchOwner, HeldBatch } from "../protocol/Batch.ts"
import type { Durability } from "../protocol/Position.ts"

/**
 * `full`: a size limit or the disk; it may pass. `closed`: the log is. `damaged`: what was read is not what was
 * written. `locked`: another hub has the folder. `io`: any other failure of the disk.
 */
export class MessageLogError extends Schema.TaggedError<MessageLogError>()("MessageLogError", {
  reason: Schema.Literals(["full", "closed", "damaged", "locked", "io"]),
  topic: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    const log = this.topic === "" ? "the log" : `the log of ${this.topic}`
    const { cause } = this
    const why = cause === undefined ? "" : `: ${cause instanceof Error ? cause.message : String(cause)}`
    return `${log} ${reasons[this.reason]}${why}`
  }
}

const reasons = {
  full: "has no room",
  closed: "is closed",
  damaged: "is damaged",
  locked: "is in use",
  io: "cannot be used"
} as const

/** Epochs rise with time: so many of them differ for logs that are made in the same millisecond. */
export const epochsPerMillisecond = 1024

/** What a topic keeps; an engine may keep compacted topics for longer than `age`. */
export interface TopicLimits {
  /** Messages a topic keeps; 0 keeps none. */
  readonly messages: number
  /** Bytes a topic keeps, frames included. */
  readonly bytes: number
  /** Milliseconds for which a message is kept. */
  readonly age: number
}

/** A topic, as its log sees it: told of batches that were not kept at once. */
export interface LogOwner extends BatchOwner {
  /** The batch is kept, and can be read. Told in the order of the offsets, which is that of `append`. */
  readonly stored: (batch: Batch) => void
  /** The batch waits for its time, as safely as the log promises. */
  readonly held: (batch: Batch) => void
  /** The batch left no trace. */
  readonly refused: (batch: Batch, error: MessageLogError) => void
}

/** Messages that should be there and cannot be read: `count` of them from `offset` on. */
export class Lost {
  readonly offset: number
  readonly count: number

  constructor(offset: number, count: number) {
    this.offset = offset
    this.count = count
  }
}

/** One topic's log. Its methods are called by one actor at a time. */
export interface TopicLog {
  /** Changes when the log is made anew, so that offsets of one log are never taken for those of another. */
  readonly epoch: number
  /** What a receipt is worth once the log has kept a batch. */
  readonly durability: Durability
  /** Whether a receipt need not wait until the batch is kept: it is then worth `accepted`. */
  readonly isReceiptEarly: boolean
  /** The offset after the newest message that can be read. Offsets begin at 0. */
  readonly nextOffset: number
  /** The oldest offset that can still be read; `nextOffset` if there is none. Compaction does not move it. */
  readonly firstOffset: number
  /** The timestamp of the newest message that retention took; 0 if it took none. */
  readonly lostUntil: number
  /** The timestamp of the newest message; 0 if there was none. */
  readonly lastTimestamp: number
  readonly messages: number
  readonly bytes: number
  /** What to wait for before more is appended or held, if the engine has enough to do; never fails. */
  readonly room: Effect.Effect<void> | undefined
  /**
   * Takes a batch, all of it or nothing. `true`: it is kept, and its epoch and offset are set. `false`: the owner is
   * told of it later, its epoch and offset being set by then. The batch's bytes must not change until then.
   * A batch that was held (`Batch.held`) leaves there in the same moment in which it is kept here.
   */
  readonly append: (batch: Batch) => boolean
  /** Keeps a batch aside until `at` (ms); answers like `append`. It gets no place before it is appended then. */
  readonly hold: (batch: Batch, at: number) => boolean
  /**
   * What there is from `offset` on, in order, the first batch cut so that it begins there: at least one batch if
   * there is any, and about `maxBytes` at most. An offset before `firstOffset` reads from `firstOffset`. Offsets
   * that are in no batch and not `Lost` were compacted away; the newest message never is. The bytes of a batch that
   * was read do not change.
   */
  readonly read: (
    offset: number,
    maxBytes: number
  ) => Effect.Effect<ReadonlyArray<Batch | Lost>, MessageLogError>
  /** The first offset with a timestamp of `time` (ms) or later; `nextOffset` if there is none. */
  readonly offsetAt: (time: number) => Effect.Effect<number, MessageLogError>
  /** Forgets what is older than the retention. Called every few seconds, so also the time to tidy up. */
  readonly expire: (now: number) => void
  /** Forgets all messages, for good, and closes; the topic's next log has another epoch. */
  readonly remove: Effect.Effect<void, MessageLogError>
  /** Lets go of a topic that is idle; opening it again goes on where it was if anything of it was kept. */
  readonly close: () => void
}

/** A batch that waits for its time. */
export interface Held extends HeldBatch {
  /** The batch, to be appended to its topic's log; its `held` is this. */
  readonly batch: (owner: BatchOwner) => Batch
}

/** What an engine says of a topic whether it is open or not. */
export interface TopicPlace {
  readonly epoch: number
  readonly firstOffset: number
  readonly nextOffset: number
  readonly messages: number
  readonly bytes: number
}

export class MessageLog extends Context.Service<
  MessageLog,
  {
    /** Opens the log of a topic, which is made if it is new. A topic is opened once at a time. */
    readonly open: (topic: string, owner: LogOwner) => TopicLog | Effect.Effect<TopicLog, MessageLogError>
    /** Bytes kept for all topics together. */
    readonly bytes: () => number
    /** Names of the topics that outlive the process, open or not, in the order of their bytes; those after `after`. */
    readonly names: (after?: string) => Iterable<string>
    /** Of a topic that outlives the process; `undefined` of any other. */
    readonly describe: (topic: string) => TopicPlace | undefined
    /**
     * Forgets what is older than the retention in topics that are not open. Called every few seconds; it does a part of
     * them each time.
     */
    readonly tidy: (now: number) => void
    /** When the first held batch is due (ms); `Infinity` if none is held. */
    readonly nextDue: () => number
    /** Takes held batches that are due, by time and then in order, about `maxBytes` of them; they are not given again. */
    readonly due: (now: number, maxBytes: number) => Effect.Effect<ReadonlyArray<Held>, MessageLogError>
  }
>()("polestar/services/MessageLog") {}
