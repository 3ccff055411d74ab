/**
 * What a topic knows of what was published to it lately, so that nothing is stored twice: the sequences of its
 * publishers, for frames that are sent again, and the ids of messages. Each is made when it is first needed.
 */
import { Effect } from "effect"
import type { Batch } from "../protocol/Batch.ts"
import { RecordFlags } from "../protocol/Message.ts"
import { Lost, type TopicLog } from "../services/MessageLog.ts"
import type { IdMemory } from "./IdMemory.ts"
import { MessageIds, type Part } from "./MessageIds.ts"
import { Producers } from "./Producers.ts"
import { splitKnown } from "./SplitKnown.ts"

/** Messages that are looked at when a log is opened, at most: the newest. */
const maxRestored = 262_144
const readBytes = 1_048_576

const hasIds = (batch: Batch): boolean => (batch.records & RecordFlags.id) !== 0

export class Deduplication {
  private readonly window: number
  private readonly memory: IdMemory | undefined
  private producers: Producers | undefined
  private ids: MessageIds | undefined

  /** `window` is for how many milliseconds what was published is remembered; `memory` bounds the ids of all topics. */
  constructor(window: number, memory?: IdMemory) {
    this.window = window
    this.memory = memory
  }

  get isEmpty(): boolean {
    return (this.producers?.isEmpty ?? true) && (this.ids?.isEmpty ?? true)
  }

  /** If the batch, which is one frame that was sent again, is here already, the offset of its publisher's newest message. */
  findResent(batch: Batch): number | undefined {
    return this.producers?.find(batch)
  }

  /** Whether the batch comes on a connection that its publisher has given up, and is sent again on another. */
  isLate(batch: Batch): boolean {
    return this.producers?.isLate(batch) === true
  }

  /** Whether a message of the batch has an id that is known, or that stands in it twice. */
  knowsAny(batch: Batch): boolean {
    return hasIds(batch) && this.knownIds.knowsAny(batch)
  }

  /** Whether a batch that was held, and now is due, was published again and is in the log already. */
  isPlaced(batch: Batch): boolean {
    return hasIds(batch) && this.knownIds.arePlaced(batch)
  }

  /** The parts of a batch of which some messages are known. */
  split(batch: Batch): ReadonlyArray<Part> {
    return splitKnown(batch, this.knownIds)
  }

  /** The offset of the message of a known id; `undefined` if it has none yet. */
  offsetOf(id: string, now: number): number | undefined {
    const offset = this.ids?.find(id, now)
    return offset === -1 ? undefined : offset
  }

  /** The batch is on its way to the log. */
  begin(batch: Batch): void {
    if (hasIds(batch)) this.knownIds.add(batch)
  }

  /** The log keeps the batch. */
  stored(batch: Batch): void {
    // Only what wants a receipt is ever sent again.
    if (batch.wantsReceipt) this.knownProducers.remember(batch)
    if (hasIds(batch)) this.knownIds.place(batch)
  }

  /** The log keeps the batch until its time. */
  held(batch: Batch): void {
    if (batch.wantsReceipt) this.knownProducers.remember(batch)
  }

  /** The batch left no trace. */
  refused(batch: Batch): void {
    this.knownProducers.refuse(batch)
    this.ids?.remove(batch)
  }

  expire(now: number): void {
    this.producers?.expire(now)
    this.ids?.expire(now)
  }

  /**
   * Remembers what was published before the log was opened, from the log itself, so that what is sent again after a restart
   * of the hub is not stored twice either; `undefined` if there is nothing. If the log cannot be read, what is sent
   * again may be stored twice; a line says so.
   */
  restore(log: TopicLog, now: number): Effect.Effect<void> | undefined {
    const since = now - this.window
    if (log.lastTimestamp < since || log.nextOffset === log.firstOffset) return undefined
    return this.read(log, since)
  }

  private readonly read = Effect.fn("Topic.restore")(
    { self: this },
    function* (this: Deduplication, log: TopicLog, since: number) {
      let offset = Math.max(yield* log.offsetAt(since), log.nextOffset - maxRestored)
      while (offset < log.nextOffset) {
        const read = yield* log.read(offset, readBytes)
        if (read.length === 0) return
        for (const batch of read) {
          offset = batch.offset + batch.count
          if (batch instanceof Lost) continue
          this.knownProducers.restore(batch, `${batch.publisherId}/${batch.incarnation}`)
          if (hasIds(batch)) this.knownIds.place(batch)
        }
        yield* Effect.yieldNow
      }
    },
    Effect.catchCause((cause) => Effect.logWarning("what was published lately could not be read", cause))
  )

  private get knownProducers(): Producers {
    this.producers ??= new Producers(this.window)
    return this.producers
  }

  private get knownIds(): MessageIds {
    this.ids ??= new MessageIds(this.window, this.memory)
    return this.ids
  }
}
