/**
 * A topic's log on disk. Its batches get their places when a write set is formed, and can be read once that is
 * flushed; a set that failed gives the places back. Messages are bounded exactly, bytes and age by whole batches.
 */
import { Effect } from "effect"
import type { Batch } from "../../protocol/Batch.ts"
import { encodeText } from "../../protocol/Bytes.ts"
import { type LogOwner, Lost, MessageLogError, type TopicLimits, type TopicLog } from "../MessageLog.ts"
import { entryAtOrBefore, offsetAtTime } from "./Entries.ts"
import { entryKey, timestampOf } from "./EntryKey.ts"
import { HeldOnDisk } from "./HeldMessages.ts"
import { encodeTopic } from "./Records.ts"
import { Retention } from "./Retention.ts"
import type { Shared } from "./Shared.ts"
import { Append, Trim } from "./TopicChanges.ts"
import { bytesOf, messagesOf, type Numbers, recordOf } from "./TopicPlace.ts"
import { readEntries } from "./TopicReader.ts"
import type { Change, Participant, Reason, WriteSet } from "./Writer.ts"

/** What one topic may have queued before its publishers wait. */
const maxQueuedBytes = 8_388_608
/** When so much is queued, what comes keeps no more alive than its own bytes. */
const keepFrom = 524_288

export class LmdbTopicLog implements TopicLog, Participant {
  readonly durability = "stored"
  readonly epoch: number
  readonly isReceiptEarly: boolean
  readonly isCompacted: boolean
  readonly owner: LogOwner
  readonly name: Uint8Array
  /** As of the last set that was kept. */
  numbers: Numbers
  /** While a set is formed, and until it ended. */
  draft: Numbers | undefined
  /** Of what is queued or under way. */
  queuedBytes = 0
  /** Changes that are queued or under way. */
  pending = 0
  isOpen = true
  /** Takes nothing more. */
  isRemoving = false
  private isRemovedInDraft = false
  private isRewritten = false
  private readonly retention: Retention
  private needsRecord = false
  private isDamageTold = false
  private readonly limits: TopicLimits
  readonly shared: Shared

  constructor(shared: Shared, owner: LogOwner, epoch: number, numbers: Numbers) {
    this.shared = shared
    this.owner = owner
    this.name = encodeText(owner.name)
    this.epoch = epoch
    this.numbers = numbers
    this.isReceiptEarly = shared.options.isReceiptEarly(owner.name)
    this.isCompacted = shared.options.isCompacted(owner.name)
    this.limits = shared.limitsOf(owner.name)
    this.retention = new Retention(shared.environment.messages, this.limits)
    if (!this.retention.isWithin(numbers)) this.add(new Trim(this))
    const excess = this.messages - this.limits.messages
    if (excess > 0 && !this.isSparse) this.cut(numbers.firstOffset + excess)
  }

  /** Where the first batch was cut is not written down, since it follows from the limit. */
  private cut(offset: number): void {
    this.numbers.firstOffset = offset
    const key = entryAtOrBefore(this.shared.environment.messages, this.numbers.id, offset - 1)
    if (key !== undefined) this.numbers.lostUntil = Math.max(this.numbers.lostUntil, timestampOf(key))
  }

  get nextOffset(): number {
    return this.numbers.nextOffset
  }

  get firstOffset(): number {
    return this.numbers.firstOffset
  }

  get lostUntil(): number {
    return this.numbers.lostUntil
  }

  get lastTimestamp(): number {
    return this.numbers.lastTimestamp
  }

  get bytes(): number {
    return bytesOf(this.numbers)
  }

  get messages(): number {
    return messagesOf(this.numbers)
  }

  /** Whether compaction took something, so that offsets may be missing. */
  get isSparse(): boolean {
    return this.isCompacted || this.numbers.savedMessages > 0
  }

  get room(): Effect.Effect<void> | undefined {
    return this.queuedBytes > maxQueuedBytes || this.shared.writer.isPressed ? this.pressed : undefined
  }

  private readonly pressed: Effect.Effect<void> = Effect.suspend(() =>
    this.room === undefined ? Effect.void : Effect.andThen(this.shared.writer.settled, this.pressed)
  )

  append(batch: Batch): boolean {
    this.take(batch, new Append(this, batch))
    return false
  }

  hold(batch: Batch, at: number): boolean {
    this.take(batch, this.shared.held.hold(this, batch, at))
    return false
  }

  private take(batch: Batch, change: Change): void {
    if (this.isOpen && !this.isRemoving) {
      // It may lie in a buffer that is much larger, of which little may wait.
      if (this.shared.writer.queuedBytes > keepFrom) batch.keep()
      this.add(change)
    } else setImmediate(() => this.owner.refused(batch, this.error("closed")))
  }

  add(change: Change): void {
    this.pending++
    this.queuedBytes += change.size
    this.shared.writer.add(change)
  }

  /** A change of this log was told. */
  ended(change: Change): void {
    this.pending--
    this.queuedBytes -= change.size
    if (!this.isOpen && this.pending === 0) this.shared.released(this)
  }

  error(reason: MessageLogError["reason"], cause?: unknown): MessageLogError {
    const topic = this.owner.name
    return new MessageLogError(cause === undefined ? { reason, topic } : { reason, topic, cause })
  }

  private unreadable(cause: unknown): MessageLogError {
    return this.error(this.shared.environment.isBroken ? "io" : "damaged", cause)
  }

  /** The numbers to move, of the set that is being formed. */
  join(set: WriteSet): Numbers {
    this.draft ??= { ...this.numbers }
    set.participants.add(this)
    if (this.draft.id === 0) {
      this.draft.id = ++set.folder.lastTopic
      set.folder.lastEpoch = Math.max(set.folder.lastEpoch, this.epoch)
      this.needsRecord = true
    }
    return this.draft
  }

  place(set: WriteSet, batch: Batch): Reason | undefined {
    const size = batch.end - batch.start
    const { folder } = set
    if (folder.bytes + size > this.shared.options.maxBytes) return "full"
    const numbers = this.join(set)
    batch.epoch = this.epoch
    batch.offset = numbers.nextOffset
    const value = new Uint8Array(batch.bytes.buffer, batch.bytes.byteOffset + batch.start, size)
    const publisher = this.shared.publishers.of(batch.publisherId)
    const key = entryKey(numbers.id, batch, numbers.appended, publisher, value)
    const held = batch.held
    if (held instanceof HeldOnDisk && held.isOf(this.shared.held)) this.shared.held.leave(set, held)
    set.put(this.shared.environment.messages, key, value)
    this.retention.heads.placed(key)
    numbers.nextOffset += batch.count
    numbers.appended += size
    numbers.lastTimestamp = batch.timestamp
    folder.bytes += size
    return undefined
  }

  /** Trims, and writes the record if more than entries has changed. */
  finish(set: WriteSet): void {
    const numbers = this.draft
    if (numbers === undefined || this.isRemovedInDraft) return
    // What is written anew in this set cannot be found yet.
    if (!this.isRewritten && this.retention.trim(set, numbers, this.isSparse)) this.needsRecord = true
    if (!this.needsRecord) return
    set.put(this.shared.environment.topics, this.name, encodeTopic(recordOf(numbers, this.epoch)))
  }

  committed(): void {
    if (this.draft !== undefined) this.numbers = this.draft
    this.draft = undefined
    this.needsRecord = false
    if (this.isRewritten) this.retention.heads.rolledBack()
    else this.retention.heads.committed()
    this.isRewritten = false
    if (this.retention.isUnfinished && !this.isRemoving) this.add(new Trim(this))
  }

  rolledBack(): void {
    this.draft = undefined
    this.needsRecord = false
    this.isRemovedInDraft = false
    this.isRewritten = false
    this.retention.heads.rolledBack()
  }

  /** The set that is formed removes the topic: answers what it is to be without. */
  leave(set: WriteSet): Numbers {
    this.isRemovedInDraft = true
    return this.join(set)
  }

  /** The set that is formed writes entries of the topic anew. */
  rewrite(set: WriteSet): Numbers {
    this.isRewritten = true
    this.needsRecord = true
    return this.join(set)
  }

  /** The topic is gone from the disk, but for its entries. */
  removed(change: Change): void {
    this.isOpen = false
    this.ended(change)
  }

  relief(): Change | undefined {
    if (!this.isOpen || this.numbers.id === 0) return undefined
    const trim = new Trim(this)
    this.pending++
    return trim
  }

  expire(now: number): void {
    if (!this.isOpen || this.numbers.id === 0) return
    this.retention.oldest = this.isCompacted ? 0 : now - this.limits.age
    // While a set is under way the heads are its.
    if (this.draft === undefined && this.retention.isOverdue(this.numbers)) this.add(new Trim(this))
    if (this.isCompacted) this.shared.compaction.consider(this, now)
  }

  read(offset: number, maxBytes: number): Effect.Effect<ReadonlyArray<Batch | Lost>, MessageLogError> {
    return Effect.suspend(() => {
      if (!this.isOpen) return Effect.fail(this.error("closed"))
      const found: Array<Batch | Lost> = []
      let isDamaged = false
      try {
        isDamaged = readEntries(this.shared.environment.messages, this, offset, maxBytes, found)
      } catch (cause) {
        return Effect.fail(this.unreadable(cause))
      }
      if (!isDamaged || this.isDamageTold) return Effect.succeed(found)
      this.isDamageTold = true
      const lost = found.reduce((sum, each) => sum + (each instanceof Lost ? each.count : 0), 0)
      const line = `${lost} messages of ${this.owner.name} are damaged and cannot be read; of more there is no line`
      return Effect.as(Effect.logWarning(line), found)
    })
  }

  offsetAt(time: number): Effect.Effect<number, MessageLogError> {
    return Effect.suspend(() => {
      if (!this.isOpen) return Effect.fail(this.error("closed"))
      const { firstOffset, id, nextOffset } = this.numbers
      try {
        return Effect.succeed(
          offsetAtTime(this.shared.environment.messages, id, firstOffset, nextOffset, time)
        )
      } catch (cause) {
        return Effect.fail(this.unreadable(cause))
      }
    })
  }

  get remove(): Effect.Effect<void, MessageLogError> {
    return this.shared.removal.remove(this)
  }

  close(): void {
    if (!this.isOpen) return
    this.isOpen = false
    if (this.pending === 0) this.shared.released(this)
  }
}
