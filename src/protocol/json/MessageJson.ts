/**
 * The bodies of the HTTP API: what is published and acknowledged, and what is answered. Reading answers a fault as a
 * value, never throws, and is bounded by `JsonLimits`; payloads are views of the body's bytes.
 */
import type { Durability, Position } from "../Position.ts"
import { checkTopicName } from "../TopicName.ts"
import { JsonFields } from "./JsonFields.ts"
import { defaultJsonLimits, type JsonLimits } from "./JsonLimits.ts"
import { JsonScan } from "./JsonScan.ts"
import { JsonWriter } from "./JsonWriter.ts"
import { messageNames, type OutgoingMessage, readMessage, readMessageIds } from "./MessageFields.ts"
import { messageIdOf } from "./MessageId.ts"
import type { JsonCode, JsonFault } from "./Problem.ts"
import { type Texts, textStart } from "./Texts.ts"

/** A message and where it is to go. */
export interface TopicMessage extends OutgoingMessage {
  readonly _tag: "TopicMessage"
  /** Valid; whether clients may publish to it is for the hub to say. */
  readonly topic: string
}

export interface BodyFault extends JsonFault {
  readonly _tag: "Fault"
}

const fault = (code: JsonCode, message: string): BodyFault => ({ _tag: "Fault", code, message })

const publishNames = new Set([...messageNames, "topic"])
const bulkNames = new Set(["messages"])
const ackNames = new Set(["message_id", "message_ids", "client_id"])

/** A body of `POST /api/v1/messages`, or a line of newline-delimited JSON. */
export const decodePublishBody = (
  bytes: Uint8Array,
  limits: JsonLimits = defaultJsonLimits
): TopicMessage | BodyFault => {
  if (bytes.length > limits.maxBytes) return tooLarge(limits.maxBytes)
  return readTopicMessage(bytes, 0, bytes.length, new JsonScan(limits.maxDepth), limits)
}

const tooLarge = (limit: number): BodyFault => fault("MESSAGE_TOO_LARGE", `it is larger than ${limit} bytes`)

const readTopicMessage = (
  bytes: Uint8Array,
  start: number,
  end: number,
  scan: JsonScan,
  limits: JsonLimits
): TopicMessage | BodyFault => {
  const fields = JsonFields.read(bytes, start, end, publishNames, scan)
  if (!(fields instanceof JsonFields)) return { _tag: "Fault", ...fields }
  const topic = fields.text("topic")
  if (topic === undefined) return { _tag: "Fault", ...(fields.fault ?? missingTopic) }
  const error = checkTopicName(topic)
  if (error !== undefined) return fault("INVALID_TOPIC", error.message)
  const outgoing = readMessage(fields, limits)
  if (outgoing === undefined) return { _tag: "Fault", ...(fields.fault ?? missingTopic) }
  return { _tag: "TopicMessage", topic, ...outgoing }
}

const missingTopic: JsonFault = { code: "MISSING_TOPIC", message: "a `topic` is needed" }

/**
 * A body of `POST /api/v1/messages/bulk`: a message or a fault for each, in order; or one fault for the whole body.
 * `maxBytes` is for each message; the body's own limit is for whoever read it.
 */
export const decodeBulkBody = (
  bytes: Uint8Array,
  limits: JsonLimits = defaultJsonLimits
): ReadonlyArray<TopicMessage | BodyFault> | BodyFault => {
  // Two levels more: the object and its list.
  const scan = new JsonScan(limits.maxDepth + 2)
  const fields = JsonFields.read(bytes, 0, bytes.length, bulkNames, scan)
  if (!(fields instanceof JsonFields)) return { _tag: "Fault", ...fields }
  if (!fields.isList("messages")) return fault("MISSING_MESSAGE", "`messages` must be a list")
  const each = new JsonScan(limits.maxDepth)
  const messages: Array<TopicMessage | BodyFault> = []
  let count = 0
  scan.list(bytes, fields.startOf("messages"), fields.endOf("messages"), 1, (start, end) => {
    if (++count > limits.maxBulk) return
    messages.push(
      end - start > limits.maxBytes
        ? tooLarge(limits.maxBytes)
        : readTopicMessage(bytes, start, end, each, limits)
    )
  })
  if (count <= limits.maxBulk) return messages
  return fault("LIMIT_REACHED", `\`messages\` has more than ${limits.maxBulk} items`)
}

export interface AckBody {
  readonly _tag: "AckBody"
  /** At least one; not checked yet: see `parseMessageId`. */
  readonly messageIds: ReadonlyArray<string>
  readonly clientId: string | undefined
}

/** A body of `POST /api/v1/ack`. */
export const decodeAckBody = (
  bytes: Uint8Array,
  limits: JsonLimits = defaultJsonLimits
): AckBody | BodyFault => {
  if (bytes.length > limits.maxBytes) return tooLarge(limits.maxBytes)
  const fields = JsonFields.read(bytes, 0, bytes.length, ackNames, new JsonScan(limits.maxDepth))
  if (!(fields instanceof JsonFields)) return { _tag: "Fault", ...fields }
  const messageIds = readMessageIds(fields, limits)
  const clientId = fields.clientId()
  if (fields.fault !== undefined) return { _tag: "Fault", ...fields.fault }
  if (messageIds.length === 0) return fault("MISSING_MESSAGE_ID", "`message_ids` is needed")
  return { _tag: "AckBody", messageIds, clientId }
}

/** What a publisher gets back. */
export interface Receipt {
  readonly message_id: string
  /** The publisher's own, if it gave one. */
  readonly id?: string
  readonly topic: string
  readonly offset: number
  readonly epoch: number
  readonly durability: Durability
  readonly duplicate: boolean
}

export const receiptOf = (
  topic: string,
  position: Position,
  durability: Durability,
  duplicate: boolean,
  id?: string
): Receipt => ({
  message_id: messageIdOf(topic, position.epoch, position.offset),
  ...(id === undefined ? {} : { id }),
  topic,
  offset: position.offset,
  epoch: position.epoch,
  durability,
  duplicate
})

const comma = 0x2c
const opening = Uint8Array.from('{"messages":[', (letter) => letter.charCodeAt(0))
const closing = Uint8Array.from("]}", (letter) => letter.charCodeAt(0))

/** The body of a poll or a replay: the first `limit` of the texts of `encodePolled`. */
export const messagesBody = (
  parts: ReadonlyArray<Texts>,
  limit: number = Number.POSITIVE_INFINITY
): Uint8Array => {
  const writer = new JsonWriter(parts.reduce((sum, { bytes, ends }) => sum + bytes.length + ends.length, 15))
  writer.raw(opening)
  let left = limit
  for (const texts of parts) {
    for (let i = 0; i < texts.ends.length && left > 0; i++, left--) {
      if (writer.at > opening.length) writer.u8(comma)
      writer.range(texts.bytes, textStart(texts, i), texts.ends[i]!)
    }
  }
  writer.raw(closing)
  return writer.written()
}
