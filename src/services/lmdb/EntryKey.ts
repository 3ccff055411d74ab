/**
 * The key of a batch in the log on disk: its place, so that keys stand in order, and then all that is known of it, so
 * that a log can be walked without its values. Two checksums, of the key and of the value, tell what was damaged.
 *
 *     u32 topic | u48 offset  (both big endian)
 *     | u48 timestamp | u48 expires | u48 bytes ever appended before | u32 bytes | u32 count | u16 skip | u8 priority
 *     | u8 records | u32 incarnation | u32 first sequence | u32 last sequence | u32 CRC of the value
 *     | u8 length and publisher | u32 CRC of all before
 *
 * A publisher of length 0 is followed by the 16 bytes of a uuid; any other by its text, of at most 254 bytes.
 */
import { crc32 } from "node:zlib"
import { Batch, type BatchOwner } from "../../protocol/Batch.ts"
import { decodeText, encodeText, readU16, readU32, writeU16, writeU32 } from "../../protocol/Bytes.ts"

/** Topic and offset. */
export const placeBytes = 10
const timestampAt = 10
const expiresAt = 16
const beforeAt = 22
const sizeAt = 28
const countAt = 32
const skipAt = 36
const priorityAt = 38
const recordsAt = 39
const incarnationAt = 40
const firstSequenceAt = 44
const lastSequenceAt = 48
const valueCrcAt = 52
const publisherAt = 56
const uuidBytes = 16
/** The length that stands for a publisher without a name, since 0 stands for a uuid. */
const emptyText = 255
const high = 4_294_967_296
/** Times and offsets are below this; what is not fits in none. */
export const maxU48 = 281_474_976_710_655

export const writeU48 = (bytes: Uint8Array, at: number, value: number): void => {
  const upper = Math.floor(value / high)
  writeU32(bytes, at, value - upper * high)
  writeU16(bytes, at + 4, upper)
}

export const readU48 = (bytes: Uint8Array, at: number): number =>
  readU32(bytes, at) + readU16(bytes, at + 4) * high

export const writeBigU32 = (bytes: Uint8Array, at: number, value: number): void => {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}

export const readBigU32 = (bytes: Uint8Array, at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0

export const writeBigU48 = (bytes: Uint8Array, at: number, value: number): void => {
  const upper = Math.floor(value / high)
  bytes[at] = upper >>> 8
  bytes[at + 1] = upper
  writeBigU32(bytes, at + 2, value - upper * high)
}

export const readBigU48 = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! * 256 + bytes[at + 1]!) * high + readBigU32(bytes, at + 2)

/** Where a topic's entries from `offset` on begin. */
export const placeKey = (topic: number, offset: number): Uint8Array => {
  const key = new Uint8Array(placeBytes)
  writeBigU32(key, 0, topic)
  writeBigU48(key, 4, Math.min(offset, maxU48))
  return key
}

export const topicOf = (key: Uint8Array): number => readBigU32(key, 0)
export const offsetOf = (key: Uint8Array): number => readBigU48(key, 4)
export const timestampOf = (key: Uint8Array): number => readU48(key, timestampAt)
export const beforeOf = (key: Uint8Array): number => readU48(key, beforeAt)
export const sizeOf = (key: Uint8Array): number => readU32(key, sizeAt)
export const countOf = (key: Uint8Array): number => readU32(key, countAt)
export const skipOf = (key: Uint8Array): number => readU16(key, skipAt)

/** A uuid's text is made of these; anything else is kept as text. */
const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** Publishers as bytes: those seen last are at hand, since a busy one comes again and again. */
export class PublisherBytes {
  private lastId = ""
  private lastBytes: Uint8Array = new Uint8Array([0, ...new Uint8Array(uuidBytes)])
  private readonly known = new Map<string, Uint8Array>()

  of(id: string): Uint8Array {
    if (id === this.lastId) return this.lastBytes
    let bytes = this.known.get(id)
    if (bytes === undefined) {
      if (this.known.size >= 1024) this.known.clear()
      bytes = publisherBytes(id)
      this.known.set(id, bytes)
    }
    this.lastId = id
    this.lastBytes = bytes
    return bytes
  }
}

const publisherBytes = (id: string): Uint8Array => {
  if (uuidPattern.test(id)) {
    const bytes = new Uint8Array(1 + uuidBytes)
    const digits = id.replaceAll("-", "")
    for (let index = 0; index < uuidBytes; index++)
      bytes[1 + index] = Number.parseInt(digits.slice(index * 2, index * 2 + 2), 16)
    return bytes
  }
  const text = encodeText(id).subarray(0, emptyText - 1)
  const bytes = new Uint8Array(1 + Math.max(text.length, uuidBytes))
  bytes[0] = text.length === 0 ? emptyText : text.length
  bytes.set(text, 1)
  return bytes
}

const hexPairs = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"))

const publisherText = (key: Uint8Array): string => {
  const length = key[publisherAt]!
  if (length === emptyText) return ""
  if (length > 0) return decodeText(key.subarray(publisherAt + 1, publisherAt + 1 + length)) ?? ""
  let text = ""
  for (let index = 0; index < uuidBytes; index++) {
    if (index === 4 || index === 6 || index === 8 || index === 10) text += "-"
    text += hexPairs[key[publisherAt + 1 + index]!]
  }
  return text
}

/** What differs when a batch is written again, in part. */
export interface EntryPart {
  readonly offset: number
  readonly count: number
  readonly skip: number
  readonly before: number
}

const finish = (key: Uint8Array, value: Uint8Array): void => {
  writeU32(key, sizeAt, value.length)
  writeU32(key, valueCrcAt, crc32(value))
  const end = key.length - 4
  writeU32(key, end, crc32(key.subarray(0, end)))
}

/** The key of a batch that has its offset, with `value` for its frames. */
export const entryKey = (
  topic: number,
  batch: Batch,
  before: number,
  publisher: Uint8Array,
  value: Uint8Array
): Uint8Array => {
  const key = new Uint8Array(publisherAt + publisher.length + 4)
  writeBigU32(key, 0, topic)
  writeBigU48(key, 4, batch.offset)
  writeU48(key, timestampAt, batch.timestamp)
  writeU48(key, expiresAt, Math.min(batch.expires, maxU48))
  writeU48(key, beforeAt, before)
  writeU32(key, countAt, batch.count)
  writeU16(key, skipAt, batch.skip)
  key[priorityAt] = batch.priority
  key[recordsAt] = batch.records
  writeU32(key, incarnationAt, batch.incarnation)
  writeU32(key, firstSequenceAt, batch.firstSequence)
  writeU32(key, lastSequenceAt, batch.lastSequence)
  key.set(publisher, publisherAt)
  finish(key, value)
  return key
}

/** The key of a part of the entry that `key` is of, with `value` for its frames. */
export const partKey = (key: Uint8Array, part: EntryPart, value: Uint8Array): Uint8Array => {
  const copy = new Uint8Array(key)
  writeBigU48(copy, 4, part.offset)
  writeU48(copy, beforeAt, part.before)
  writeU32(copy, countAt, part.count)
  writeU16(copy, skipAt, part.skip)
  finish(copy, value)
  return copy
}

/** Whether the key is as it was written. */
export const isKeyWhole = (key: Uint8Array): boolean => {
  const end = key.length - 4
  if (end < publisherAt + 1 + uuidBytes) return false
  return readU32(key, end) === crc32(key.subarray(0, end))
}

/** Whether the value is as it was written, by its key, which must be whole. */
export const isValueWhole = (key: Uint8Array, value: Uint8Array): boolean =>
  value.length === sizeOf(key) && readU32(key, valueCrcAt) === crc32(value)

/** The batch as it was appended, in the epoch of its topic. */
export const batchOf = (key: Uint8Array, value: Uint8Array, owner: BatchOwner, epoch: number): Batch => {
  const batch = new Batch(
    owner,
    value,
    0,
    value.length,
    readU32(key, countAt),
    key[priorityAt]!,
    publisherText(key)
  )
  batch.skip = readU16(key, skipAt)
  batch.epoch = epoch
  batch.offset = readBigU48(key, 4)
  batch.timestamp = readU48(key, timestampAt)
  batch.expires = readU48(key, expiresAt)
  batch.records = key[recordsAt]!
  batch.incarnation = readU32(key, incarnationAt)
  batch.firstSequence = readU32(key, firstSequenceAt)
  batch.lastSequence = readU32(key, lastSequenceAt)
  return batch
}
