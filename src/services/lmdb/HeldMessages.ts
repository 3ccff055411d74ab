/**
 * Batches of all topics that wait for their time, on disk: by time, then in the order in which they came. One that was
 * taken is not given again, and stays on the disk until the write set that appends it to its topic.
 *
 * Key: u48 due | u48 number (both big endian) | u8 length and topic | an entry's key, of no topic and offset
 */
import type { Batch, BatchOwner } from "../../protocol/Batch.ts"
import { decodeText, encodeText } from "../../protocol/Bytes.ts"
import type { Held } from "../MessageLog.ts"
import {
  batchOf,
  entryKey,
  isKeyWhole,
  isValueWhole,
  maxU48,
  type PublisherBytes,
  readBigU48,
  writeBigU48
} from "./EntryKey.ts"
import type { Environment } from "./Environment.ts"
import type { LmdbTopicLog } from "./LmdbTopicLog.ts"
import type { Change, Draft, Reason, Writer, WriteSet } from "./Writer.ts"

const topicAt = 12
/** What one that waits takes besides its bytes, so that many small ones are bounded too. */
const overhead = 512
/** Entries that are looked at for a topic's in one go. */
const sliceKeys = 1024

export class HeldOnDisk implements Held {
  readonly topic: string
  readonly at: number
  readonly key: Uint8Array
  readonly value: Uint8Array
  private readonly entry: Uint8Array
  private readonly messages: HeldMessages
  private isForgotten = false

  constructor(messages: HeldMessages, key: Uint8Array, entry: Uint8Array, value: Uint8Array) {
    this.messages = messages
    this.key = key
    this.value = value
    this.entry = entry
    this.at = readBigU48(key, 0)
    this.topic = topicOfHeld(key)
  }

  get size(): number {
    return this.value.length + overhead
  }

  isOf(messages: HeldMessages): boolean {
    return this.messages === messages
  }

  batch(owner: BatchOwner): Batch {
    const batch = batchOf(this.entry, this.value, owner, 0)
    batch.timestamp = 0
    batch.held = this
    return batch
  }

  forget(): void {
    if (this.isForgotten) return
    this.isForgotten = true
    this.messages.forget(this)
  }
}

const topicOfHeld = (key: Uint8Array): string =>
  decodeText(key.subarray(topicAt + 1, topicAt + 1 + key[topicAt]!)) ?? ""

const numberOf = (key: Uint8Array): number => readBigU48(key, 6)

/** Milliseconds before what could not be forgotten is tried again. */
const retryAfter = 1000

export class HeldMessages {
  private readonly environment: Environment
  private readonly publishers: PublisherBytes
  private readonly maxBytes: number
  private readonly writer: Writer
  /** Numbers of those that were taken and are still on the disk. */
  private readonly taken = new Set<number>()
  /** When the first that was not taken is due; `undefined` if that has to be looked up. */
  private first: number | undefined
  /** Damaged ones that were met. */
  damaged = 0

  constructor(environment: Environment, writer: Writer, publishers: PublisherBytes, maxBytes: number) {
    this.environment = environment
    this.publishers = publishers
    this.maxBytes = maxBytes
    this.writer = writer
  }

  nextDue(): number {
    this.first ??= this.lookUp()
    return this.first
  }

  private lookUp(): number {
    try {
      for (const key of this.environment.held.getKeys())
        if (!this.taken.has(numberOf(key))) return readBigU48(key, 0)
    } catch {
      // Taking them says what is wrong.
      return 0
    }
    return Number.POSITIVE_INFINITY
  }

  /** Those that are due, about `maxBytes` of them; what is damaged is left out and forgotten. */
  take(now: number, maxBytes: number): ReadonlyArray<Held> {
    const found: Array<HeldOnDisk> = []
    if (this.nextDue() > now) return found
    const end = new Uint8Array(topicAt)
    writeBigU48(end, 0, Math.min(now + 1, maxU48))
    let size = 0
    for (const { key, value } of this.environment.held.getRange({ end, start: new Uint8Array([0]) })) {
      if (this.taken.has(numberOf(key))) continue
      if (found.length > 0 && size >= maxBytes) break
      this.taken.add(numberOf(key))
      const entry = key.subarray(topicAt + 1 + key[topicAt]!)
      const bytes = new Uint8Array(value.buffer, value.byteOffset, value.length)
      const held = new HeldOnDisk(this, key, entry, bytes)
      if (isKeyWhole(entry) && isValueWhole(entry, value)) {
        found.push(held)
        size += held.size
      } else {
        this.damaged++
        held.forget()
      }
    }
    this.first = undefined
    return found
  }

  hold(log: LmdbTopicLog, batch: Batch, at: number): Change {
    return new Hold(this, log, batch, at)
  }

  prepare(set: WriteSet, batch: Batch, at: number): Reason | undefined {
    const { folder } = set
    const size = batch.end - batch.start
    if (folder.heldBytes + size + overhead > this.maxBytes) return "full"
    const value = new Uint8Array(batch.bytes.buffer, batch.bytes.byteOffset + batch.start, size)
    const publisher = this.publishers.of(batch.publisherId)
    const entry = entryKey(0, batch, 0, publisher, value)
    const topic = encodeText(batch.topic)
    const key = new Uint8Array(topicAt + 1 + topic.length + entry.length)
    writeBigU48(key, 0, Math.min(Math.max(at, 0), maxU48))
    writeBigU48(key, 6, ++folder.heldSequence)
    key[topicAt] = topic.length
    key.set(topic, topicAt + 1)
    key.set(entry, topicAt + 1 + topic.length)
    folder.heldBytes += size + overhead
    set.put(this.environment.held, key, value)
    return undefined
  }

  held(at: number): void {
    if (this.first !== undefined) this.first = Math.min(this.first, at)
  }

  /** The batch is appended in this set, so it need not wait any more. */
  leave(set: WriteSet, held: HeldOnDisk): void {
    const number = numberOf(held.key)
    if (set.left.has(number) || !this.environment.held.doesExist(held.key)) return
    set.left.add(number)
    set.remove(this.environment.held, held.key, held.size)
    give(set.folder, held.size)
  }

  left(held: HeldOnDisk): void {
    this.taken.delete(numberOf(held.key))
  }

  forget(held: HeldOnDisk): void {
    this.writer.add({
      size: 0,
      isRelief: true,
      prepare: (set) => {
        this.leave(set, held)
        return undefined
      },
      done: () => this.left(held),
      failed: () => undefined
    })
  }

  /** Forgets those of a topic with a number of at most `upTo`, some at a time; then `done` is called. */
  forgetTopic(topic: string, upTo: number, done: () => void, from: Uint8Array = new Uint8Array([0])): void {
    const keys = [...this.environment.held.getKeys({ start: from, limit: sliceKeys })]
    const last = keys.at(-1)
    const next = () => {
      if (keys.length < sliceKeys || last === undefined) done()
      else this.forgetTopic(topic, upTo, done, last)
    }
    const mine = keys.filter((key) => numberOf(key) <= upTo && topicOfHeld(key) === topic)
    if (mine.length === 0) {
      if (keys.length < sliceKeys) done()
      else setImmediate(next)
      return
    }
    this.writer.add({
      size: 0,
      isRelief: true,
      prepare: (set) => {
        for (const key of mine) {
          const value = this.environment.held.getBinary(key)
          if (value === undefined || set.left.has(numberOf(key))) continue
          set.left.add(numberOf(key))
          set.remove(this.environment.held, key, value.length)
          give(set.folder, value.length + overhead)
        }
        return undefined
      },
      done: () => {
        for (const key of mine) this.taken.delete(numberOf(key))
        this.first = undefined
        next()
      },
      failed: (reason) => {
        if (reason !== "closed")
          setTimeout(() => this.forgetTopic(topic, upTo, done, from), retryAfter).unref()
      }
    })
  }
}

const give = (folder: Draft, size: number): void => {
  folder.heldBytes = Math.max(0, folder.heldBytes - size)
}

class Hold implements Change {
  readonly isRelief = false
  readonly size: number
  private readonly messages: HeldMessages
  private readonly log: LmdbTopicLog
  private readonly batch: Batch
  private readonly at: number

  constructor(messages: HeldMessages, log: LmdbTopicLog, batch: Batch, at: number) {
    this.messages = messages
    this.log = log
    this.batch = batch
    this.at = at
    this.size = batch.end - batch.start
  }

  prepare(set: WriteSet): Reason | undefined {
    return this.messages.prepare(set, this.batch, this.at)
  }

  done(): void {
    this.messages.held(this.at)
    this.log.ended(this)
    this.log.owner.held(this.batch)
  }

  failed(reason: Reason, cause: unknown): void {
    this.log.ended(this)
    this.log.owner.refused(this.batch, this.log.error(reason, cause))
  }
}
