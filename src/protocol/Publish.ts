/**
 * The PUBLISH frame: a batch of messages of one topic from one session.
 *
 *     u32 length | u8 op | u8 flags | u32 session | u32 sequence | u16 count | u8 priority
 *     | u8 length and topic | [u32 ttl, ms] | [u64 deliver at, ms] | records
 *
 * The hub delivers these frames as they came, so the same bytes are read by publishers' hubs and subscribers.
 * `readPublish` fills a header that the caller keeps, since it runs once a frame on the hottest path.
 */
import { type ByteWriter, encodeText, readU16, readU32, readU64, writeU16, writeU32 } from "./Bytes.ts"
import { decodeRecord, encodeRecord, type Message, type MessageError } from "./Message.ts"
import { Op } from "./Op.ts"

export const PublishFlags = { receipt: 1, ttl: 2, deliverAt: 4, resent: 8 } as const
const knownFlags = 15

const sessionAt = 6
const sequenceAt = 10
const countAt = 14
const priorityAt = 16
const topicLengthAt = 17
const topicAt = 18

export const maxRecordsPerFrame = 65_535
export const maxPriority = 9

/** What precedes the records; offsets are into the buffer that was read. */
export class PublishHeader {
  flags = 0
  session = 0
  sequence = 0
  count = 0
  priority = 0
  /** Milliseconds to live; 0 is for ever. */
  ttl = 0
  /** Milliseconds since 1970 before which the messages are held; 0 is at once. */
  deliverAt = 0
  topicStart = 0
  topicEnd = 0
  records = 0
}

/** Reads the header of the frame `bytes[start, end)`. Answers `false` if it is not one. */
export const readPublish = (
  bytes: Uint8Array,
  start: number,
  end: number,
  header: PublishHeader
): boolean => {
  if (end - start < topicAt) return false
  const flags = bytes[start + 5]!
  header.flags = flags
  header.session = readU32(bytes, start + sessionAt)
  header.sequence = readU32(bytes, start + sequenceAt)
  header.count = readU16(bytes, start + countAt)
  header.priority = bytes[start + priorityAt]!
  header.topicStart = start + topicAt
  let at = start + topicAt + bytes[start + topicLengthAt]!
  header.topicEnd = at
  header.ttl = 0
  header.deliverAt = 0
  if ((flags & (PublishFlags.ttl | PublishFlags.deliverAt)) !== 0) {
    if ((flags & PublishFlags.ttl) !== 0) {
      if (at + 4 > end) return false
      header.ttl = readU32(bytes, at)
      at += 4
    }
    if ((flags & PublishFlags.deliverAt) !== 0) {
      if (at + 8 > end) return false
      header.deliverAt = readU64(bytes, at)
      at += 8
    }
  }
  header.records = at
  return at <= end && header.count > 0 && header.priority <= maxPriority && (flags & ~knownFlags) === 0
}

export interface PublishOptions {
  readonly session: number
  readonly sequence: number
  /** UTF-8, at most 255 bytes. */
  readonly topic: Uint8Array
  readonly priority?: number | undefined
  readonly ttl?: number | undefined
  readonly deliverAt?: number | undefined
  readonly receipt?: boolean | undefined
  readonly resent?: boolean | undefined
}

/** Begins a frame; append records to the same writer, then call `endPublish` with what this answered. */
export const beginPublish = (writer: ByteWriter, options: PublishOptions): number => {
  const start = writer.at
  const ttl = options.ttl ?? 0
  const deliverAt = options.deliverAt ?? 0
  writer.u32(0)
  writer.u8(Op.Publish)
  writer.u8(
    (options.receipt === true ? PublishFlags.receipt : 0) |
      (ttl > 0 ? PublishFlags.ttl : 0) |
      (deliverAt > 0 ? PublishFlags.deliverAt : 0) |
      (options.resent === true ? PublishFlags.resent : 0)
  )
  writer.u32(options.session)
  writer.u32(options.sequence)
  writer.u16(0)
  writer.u8(options.priority ?? 0)
  writer.u8(options.topic.length)
  writer.raw(options.topic)
  if (ttl > 0) writer.u32(ttl)
  if (deliverAt > 0) writer.u64(deliverAt)
  return start
}

/** Completes the frame that began at `start` with the number of records it holds, 1 to 65,535. */
export const endPublish = (writer: ByteWriter, start: number, count: number): void => {
  writeU32(writer.bytes, start, writer.at - start - 4)
  writeU16(writer.bytes, start + countAt, count)
}

/** Gives a frame that was already built another session and sequence, and marks it as sent again. */
export const readdressPublish = (frame: Uint8Array, session: number, sequence: number): void => {
  writeU32(frame, sessionAt, session)
  writeU32(frame, sequenceAt, sequence)
  frame[5] = frame[5]! | PublishFlags.resent
}

/**
 * Calls `f` for the messages of a run of PUBLISH frames that fills `bytes[start, end)`, leaving out the first
 * `skip` and stopping after `count`; `index` counts from 0 at the first one that is not left out. Answers
 * `false` if the bytes are not such a run, after calling `f` for what could be read.
 */
export const forEachMessage = (
  bytes: Uint8Array,
  start: number,
  end: number,
  skip: number,
  count: number,
  f: (message: Message, index: number) => void
): boolean => {
  const header = new PublishHeader()
  let at = start
  let index = -skip
  while (at < end && index < count) {
    if (end - at < topicAt || bytes[at + 4] !== Op.Publish) return false
    const frameEnd = at + 4 + readU32(bytes, at)
    if (frameEnd > end || !readPublish(bytes, at, frameEnd, header)) return false
    if (index + header.count <= 0) {
      index += header.count
      at = frameEnd
      continue
    }
    at = header.records
    for (let left = header.count; left > 0 && index < count; left--) {
      if (at + 5 > frameEnd) return false
      const next = at + 4 + readU32(bytes, at)
      if (next > frameEnd || next < at + 5) return false
      if (index >= 0) {
        const message = decodeRecord(bytes, at, next)
        if (message === undefined) return false
        f(message, index)
      }
      index++
      at = next
    }
    at = frameEnd
  }
  return index >= count
}

/** The topic of the first frame of a run; `undefined` if there is none. */
export const topicBytesOf = (bytes: Uint8Array, start: number, end: number): Uint8Array | undefined => {
  if (end - start < topicAt) return undefined
  const to = start + topicAt + bytes[start + topicLengthAt]!
  return to <= end ? bytes.subarray(start + topicAt, to) : undefined
}

/** One whole frame, for callers that have the messages at hand. Nothing is written if a message is refused. */
export const encodePublish = (
  writer: ByteWriter,
  options: Omit<PublishOptions, "topic"> & { readonly topic: string },
  messages: ReadonlyArray<Message>
): MessageError | undefined => {
  const start = beginPublish(writer, { ...options, topic: encodeText(options.topic) })
  for (const message of messages) {
    const error = encodeRecord(writer, message)
    if (error !== undefined) {
      writer.at = start
      return error
    }
  }
  endPublish(writer, start, messages.length)
  return undefined
}
