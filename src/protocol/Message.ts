/**
 * A message as its bytes: the record.
 *
 *     u32 length of what follows | u8 flags | [id] [key] [content type] [headers] | payload
 *
 * The plain case costs five bytes. Encoding checks the limits; decoding answers `undefined` for what is not a
 * record, and never throws.
 */
import { ByteReader, type ByteWriter, encodeText, readU32, writeU32 } from "./Bytes.ts"

export interface Message {
  readonly payload: Uint8Array
  /** What the payload is; `application/octet-stream` when absent. */
  readonly contentType?: string | undefined
  /** Names the message: a topic does not store two of one id within the hub's window of deduplication. */
  readonly id?: string | undefined
  /** Messages with equal keys belong together (order within a group, compaction). */
  readonly key?: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}

export const RecordFlags = { id: 1, key: 2, headers: 4, json: 8, text: 16, contentType: 32 } as const
/** Content types that take no bytes of their own. */
export const jsonContentType = "application/json"
export const textContentType = "text/plain; charset=utf-8"
export const octetsContentType = "application/octet-stream"

const knownFlags = 63
/** A record has at most one of these. */
const contentFlags = RecordFlags.json | RecordFlags.text | RecordFlags.contentType
/** A key or an id is one byte of length and the text. */
const longestShortText = 255
const longestText = 65_535
/** The length field and the flags. */
export const plainRecordBytes = 5

export type MessageError =
  | "id-too-long"
  | "key-too-long"
  | "header-too-long"
  | "too-many-headers"
  | "content-type-too-long"

const writeShort = (writer: ByteWriter, text: string): boolean => {
  const bytes = encodeText(text)
  if (bytes.length > longestShortText) return false
  writer.u8(bytes.length)
  writer.raw(bytes)
  return true
}

const writeHeaders = (
  writer: ByteWriter,
  headers: Readonly<Record<string, string>>
): MessageError | undefined => {
  const names = Object.keys(headers)
  if (names.length > longestShortText) return "too-many-headers"
  writer.u8(names.length)
  for (const name of names) {
    const value = encodeText(headers[name]!)
    if (value.length > longestText || !writeShort(writer, name)) return "header-too-long"
    writer.u16(value.length)
    writer.raw(value)
  }
  return undefined
}

const contentFlag = (contentType: string | undefined): number =>
  contentType === undefined || contentType === octetsContentType
    ? 0
    : contentType === jsonContentType
      ? RecordFlags.json
      : contentType === textContentType
        ? RecordFlags.text
        : RecordFlags.contentType

/** Appends one record; after an error the writer is as it was before. */
export const encodeRecord = (writer: ByteWriter, message: Message): MessageError | undefined => {
  const start = writer.reserve(plainRecordBytes)
  let flags = contentFlag(message.contentType)
  let error: MessageError | undefined
  if (message.id !== undefined) {
    flags |= RecordFlags.id
    if (!writeShort(writer, message.id)) error = "id-too-long"
  }
  if (message.key !== undefined) {
    flags |= RecordFlags.key
    if (!writeShort(writer, message.key)) error = "key-too-long"
  }
  if ((flags & RecordFlags.contentType) !== 0 && !writeShort(writer, message.contentType ?? "")) {
    error = "content-type-too-long"
  }
  if (message.headers !== undefined) {
    flags |= RecordFlags.headers
    error = writeHeaders(writer, message.headers) ?? error
  }
  if (error !== undefined) {
    writer.at = start
    return error
  }
  writer.raw(message.payload)
  writeU32(writer.bytes, start, writer.at - start - 4)
  writer.bytes[start + 4] = flags
  return undefined
}

const readShort = (reader: ByteReader): string => reader.text(reader.u8())

const readHeaders = (reader: ByteReader): Record<string, string> => {
  const headers: Record<string, string> = Object.create(null)
  for (let left = reader.u8(); left > 0 && !reader.failed; left--) {
    const name = readShort(reader)
    headers[name] = reader.text(reader.u16())
  }
  return headers
}

/** Decodes the record that begins at `start` and ends at `end`. The payload is a view of the same bytes. */
export const decodeRecord = (bytes: Uint8Array, start: number, end: number): Message | undefined => {
  const flags = bytes[start + 4]!
  if ((flags & knownFlags) === 0) return { payload: bytes.subarray(start + plainRecordBytes, end) }
  const reader = new ByteReader(bytes, start + plainRecordBytes, end)
  const id = (flags & RecordFlags.id) !== 0 ? readShort(reader) : undefined
  const key = (flags & RecordFlags.key) !== 0 ? readShort(reader) : undefined
  const contentType =
    (flags & RecordFlags.json) !== 0
      ? jsonContentType
      : (flags & RecordFlags.text) !== 0
        ? textContentType
        : (flags & RecordFlags.contentType) !== 0
          ? readShort(reader)
          : undefined
  const headers = (flags & RecordFlags.headers) !== 0 ? readHeaders(reader) : undefined
  if (reader.failed) return undefined
  return { payload: reader.rest(), id, key, contentType, headers }
}

/**
 * Walks `count` records that must fill `bytes[start, end)` exactly, each with a payload of at most `maxPayload`
 * bytes. Answers all flags in use, or -1 if the bytes are not that, or -2 if a message is too large.
 */
export const checkRecords = (
  bytes: Uint8Array,
  start: number,
  end: number,
  count: number,
  maxPayload: number
): number => {
  let at = start
  let all = 0
  for (let left = count; left > 0; left--) {
    if (end - at < plainRecordBytes) return -1
    const length = readU32(bytes, at)
    const next = at + 4 + length
    if (length < 1 || next > end) return -1
    const flags = bytes[at + 4]!
    if (flags !== 0) {
      const content = flags & contentFlags
      if ((flags & ~knownFlags) !== 0 || (content & (content - 1)) !== 0) return -1
      if (!checkFields(bytes, at, next)) return -1
      all |= flags
    }
    if (length - 1 > maxPayload) {
      const message = decodeRecord(bytes, at, next)
      if (message === undefined || message.payload.length > maxPayload) return -2
    }
    at = next
  }
  return at === end ? all : -1
}

/** Content-type flags alone need no fields. */
const checkFields = (bytes: Uint8Array, start: number, end: number): boolean =>
  (bytes[start + 4]! & ~(RecordFlags.json | RecordFlags.text)) === 0 ||
  decodeRecord(bytes, start, end) !== undefined
