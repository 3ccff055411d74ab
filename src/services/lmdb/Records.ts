/**
 * Small records of the log on disk: what is known of a topic besides its entries, and of the folder as a whole. Each
 * is written twice with a checksum each, so that one flipped bit loses nothing.
 */
import { crc32 } from "node:zlib"
import { readU32, readU64, writeU32, writeU64 } from "../../protocol/Bytes.ts"

/** A topic, apart from its entries. */
export interface TopicRecord {
  /** By which its entries name it. */
  readonly id: number
  readonly epoch: number
  readonly firstOffset: number
  readonly lostUntil: number
  /** What these are if no entry says more: an entry is newer than the record. */
  readonly nextOffset: number
  readonly lastTimestamp: number
  /** Bytes ever appended. */
  readonly appended: number
  /** Of those, what retention took. */
  readonly trimmed: number
  /** Messages and bytes that compaction took from what retention left; bytes may be below 0, for it splits batches. */
  readonly savedMessages: number
  readonly savedBytes: number
  /** Bytes appended before what was looked at when it was compacted last. */
  readonly compactedTo: number
}

/** What the folder holds: true of one write set and the next at once. */
export interface FolderRecord {
  /** Of entries, without those that a removal has still to delete. */
  readonly bytes: number
  readonly heldBytes: number
  /** Held batches were numbered so far. */
  readonly heldSequence: number
  readonly lastTopic: number
  readonly lastEpoch: number
}

/** Added to what may be below 0. */
const bias = 2 ** 50

const encode = (values: ReadonlyArray<number>): Uint8Array => {
  const half = values.length * 8 + 4
  const bytes = new Uint8Array(half * 2)
  values.forEach((value, index) => {
    writeU64(bytes, index * 8, value)
  })
  writeU32(bytes, half - 4, crc32(bytes.subarray(0, half - 4)))
  bytes.copyWithin(half, 0, half)
  return bytes
}

const decode = (bytes: Uint8Array, count: number): ReadonlyArray<number> | undefined => {
  const half = count * 8 + 4
  for (let start = 0; start + half <= bytes.length; start += half) {
    const end = start + half - 4
    if (readU32(bytes, end) !== crc32(bytes.subarray(start, end))) continue
    return Array.from({ length: count }, (_, index) => readU64(bytes, start + index * 8))
  }
  return undefined
}

export const encodeTopic = (record: TopicRecord): Uint8Array =>
  encode([
    record.id,
    record.epoch,
    record.firstOffset,
    record.lostUntil,
    record.nextOffset,
    record.lastTimestamp,
    record.appended,
    record.trimmed,
    record.savedMessages,
    record.savedBytes + bias,
    record.compactedTo
  ])

/** `undefined` if both copies are damaged. */
export const decodeTopic = (bytes: Uint8Array): TopicRecord | undefined => {
  const values = decode(bytes, 11)
  if (values === undefined) return undefined
  return {
    id: values[0]!,
    epoch: values[1]!,
    firstOffset: values[2]!,
    lostUntil: values[3]!,
    nextOffset: values[4]!,
    lastTimestamp: values[5]!,
    appended: values[6]!,
    trimmed: values[7]!,
    savedMessages: values[8]!,
    savedBytes: values[9]! - bias,
    compactedTo: values[10]!
  }
}

export const encodeFolder = (record: FolderRecord): Uint8Array =>
  encode([record.bytes, record.heldBytes, record.heldSequence, record.lastTopic, record.lastEpoch])

/** `undefined` if both copies are damaged. */
export const decodeFolder = (bytes: Uint8Array): FolderRecord | undefined => {
  const values = decode(bytes, 5)
  if (values === undefined) return undefined
  return {
    bytes: values[0]!,
    heldBytes: values[1]!,
    heldSequence: values[2]!,
    lastTopic: values[3]!,
    lastEpoch: values[4]!
  }
}
