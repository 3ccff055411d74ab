/**
 * A message as JSON has it: a payload of any JSON, kept as the bytes it came as, and what goes with it. The same fields
 * stand in an HTTP body and in the `message` of a WebSocket client's `publish`.
 */

import { encodeText } from "../Bytes.ts"
import { jsonContentType, type Message, octetsContentType } from "../Message.ts"
import { maxPriority } from "../Publish.ts"
import { readBase64 } from "./Base64.ts"
import { contentKindOf } from "./ContentKind.ts"
import { type JsonFields, readText } from "./JsonFields.ts"
import type { JsonLimits } from "./JsonLimits.ts"
import { maxTime, parseTime } from "./StartText.ts"

export const messageNames = [
  "id",
  "key",
  "headers",
  "payload",
  "content_type",
  "encoding",
  "ttl",
  "priority",
  "deliver_at",
  "timestamp"
]

const maxShortBytes = 255
const maxHeaderBytes = 65_535
const maxHeaders = 255
/** Milliseconds, as a frame has them: 49 days. */
const maxTtl = 4_294_967_295

/** A message to publish. */
export interface OutgoingMessage {
  readonly message: Message
  /** Milliseconds; 0 for ever. */
  readonly ttl: number
  readonly priority: number
  /** Milliseconds since 1970; 0 for at once. */
  readonly deliverAt: number
  /** What the publisher says about the time. The hub goes by its own clock. */
  readonly timestamp: string | undefined
}

/** What an ack names, each once: `message_id`, `message_ids` or both. */
export const readMessageIds = (fields: JsonFields, limits: JsonLimits): ReadonlyArray<string> => {
  const one = fields.text("message_id")
  const several = fields.texts("message_ids", limits.maxMessageIds)
  return one === undefined || several.includes(one) ? several : [one, ...several]
}

/** Reads the fields of a message; `undefined` if `fields.fault` is set. */
export const readMessage = (fields: JsonFields, limits: JsonLimits): OutgoingMessage | undefined => {
  const message: Message = {
    id: shortText(fields, "id"),
    key: shortText(fields, "key"),
    headers: readHeaders(fields),
    payload: empty
  }
  const contentType = shortText(fields, "content_type")
  const ttl = fields.number("ttl", 0, maxTtl / 1000) ?? 0
  const priority = fields.integer("priority", 0, maxPriority) ?? 0
  const deliverAt = readTime(fields, "deliver_at") ?? 0
  const timestamp = fields.isText("timestamp") ? fields.text("timestamp") : undefined
  const content = readPayload(fields, contentType)
  if (content === undefined || fields.fault !== undefined) return undefined
  if (content.payload.length > limits.maxPayload) {
    return fields.fail("MESSAGE_TOO_LARGE", `the payload is larger than ${limits.maxPayload} bytes`)
  }
  return {
    message: { ...message, ...content },
    ttl: Math.min(maxTtl, Math.ceil(ttl * 1000)),
    priority,
    deliverAt,
    timestamp
  }
}

const empty = new Uint8Array(0)

const utf8Bytes = (text: string): number => (text.length * 3 <= maxShortBytes ? 0 : encodeText(text).length)

const shortText = (fields: JsonFields, name: string): string | undefined => {
  const text = fields.text(name)
  if (text === undefined || utf8Bytes(text) <= maxShortBytes) return text
  return fields.fail("BAD_REQUEST", `\`${name}\` is longer than ${maxShortBytes} bytes`)
}

const readHeaders = (fields: JsonFields): Readonly<Record<string, string>> | undefined => {
  const headers = fields.textMap("headers", maxHeaders)
  if (headers === undefined) return undefined
  for (const name of Object.keys(headers)) {
    if (utf8Bytes(name) > maxShortBytes || utf8Bytes(headers[name]!) > maxHeaderBytes) {
      return fields.fail("BAD_REQUEST", "a header is too long")
    }
  }
  return headers
}

/** Milliseconds since 1970, given as a number or as text. */
export const readTime = (fields: JsonFields, name: string): number | undefined => {
  if (!fields.isText(name)) return fields.integer(name, 0, maxTime)
  const text = fields.text(name)
  if (text === undefined) return undefined
  return (
    parseTime(text) ??
    fields.fail("BAD_REQUEST", `\`${name}\` must be a time of RFC 3339, or milliseconds since 1970`)
  )
}

interface Content {
  readonly payload: Uint8Array
  readonly contentType: string | undefined
}

/**
 * JSON is taken as it stands. Of another content type, a payload must be a string: the text itself if the type is text,
 * or base64 if `encoding` says so.
 */
const readPayload = (fields: JsonFields, contentType: string | undefined): Content | undefined => {
  const { bytes } = fields
  const start = fields.startOf("payload")
  const end = fields.endOf("payload")
  if (start < 0) return fields.fail("MISSING_MESSAGE", "there is no `payload`")
  const encoding = fields.text("encoding")
  if (encoding === "base64") {
    // Without its quotes; base64 has nothing that JSON escapes but the slash, which nobody need.
    const payload = fields.isText("payload")
      ? (readBase64(bytes, start + 1, end - 1) ?? readEscaped(bytes, start, end))
      : undefined
    return payload === undefined
      ? fields.fail("BAD_REQUEST", "the `payload` must be a string of base64")
      : { payload, contentType: contentType ?? octetsContentType }
  }
  if (encoding !== undefined) return fields.fail("BAD_REQUEST", "the only `encoding` is base64")
  const kind = contentKindOf(contentType ?? jsonContentType)
  if (kind === "json") {
    return { payload: bytes.subarray(start, end), contentType: contentType ?? jsonContentType }
  }
  if (!fields.isText("payload") || kind !== "text") {
    return fields.fail(
      "BAD_REQUEST",
      "a `payload` of this `content_type` must be a string of base64, with `encoding`"
    )
  }
  const text = fields.text("payload") ?? ""
  return { payload: encodeText(text), contentType }
}

const readEscaped = (bytes: Uint8Array, start: number, end: number): Uint8Array | undefined => {
  const text = encodeText(readText(bytes, start, end))
  return readBase64(text, 0, text.length)
}
