/**
 * What a WebSocket client says: one text frame, one JSON object, in either dialect (`PROTOCOLS.md`).
 *
 * Decoding answers a request or a fault, with the client's request id if it could be read; it never throws, and what it
 * keeps is bounded by `JsonLimits`. Fields that are not known are ignored. A payload is a view of the frame's bytes.
 */
import { encodeText } from "../Bytes.ts"
import { checkPattern } from "../Pattern.ts"
import { type Overflow, Overflows, type Start } from "../Position.ts"
import { checkTopicName } from "../TopicName.ts"
import { JsonFields } from "./JsonFields.ts"
import { defaultJsonLimits, type JsonLimits } from "./JsonLimits.ts"
import { JsonScan } from "./JsonScan.ts"
import { messageNames, type OutgoingMessage, readMessage, readMessageIds, readTime } from "./MessageFields.ts"
import type { JsonFault } from "./Problem.ts"
import { parseStart } from "./StartText.ts"

/** Named by what a delivery's `type` is: `event` for who subscribes with `topic`, `message` for `topics`. */
export type Dialect = "event" | "message"

/** Given back as it came: a number stays a number. */
export type RequestId = string | number

/** What is wrong with one topic of several. */
export interface TopicFault extends JsonFault {
  readonly topic: string
}

interface Topics {
  readonly dialect: Dialect
  /** Valid patterns, none twice. */
  readonly topics: ReadonlyArray<string>
  /** Those of several that are no patterns; there is at least one of either. */
  readonly refused: ReadonlyArray<TopicFault>
}

export interface Subscribe extends Topics {
  readonly _tag: "Subscribe"
  readonly requestId: RequestId | undefined
  readonly clientId: string | undefined
  /** From `last_n` or `from`; absent is now. */
  readonly start: Start | undefined
  readonly overflow: Overflow | undefined
  /** Whether the client gets what it publishes itself; absent is so. */
  readonly echo: boolean | undefined
}

export interface Unsubscribe extends Topics {
  readonly _tag: "Unsubscribe"
  readonly requestId: RequestId | undefined
}

export interface Publish extends OutgoingMessage {
  readonly _tag: "Publish"
  readonly requestId: RequestId | undefined
  readonly topic: string
}

export interface Ack {
  readonly _tag: "Ack"
  readonly requestId: RequestId | undefined
  /** At least one; not checked yet: see `parseMessageId`. */
  readonly messageIds: ReadonlyArray<string>
}

export interface Ping {
  readonly _tag: "Ping"
  readonly requestId: RequestId | undefined
}

export interface Fault extends JsonFault {
  readonly _tag: "Fault"
  readonly requestId: RequestId | undefined
  /** The one that the request was about; not checked. */
  readonly topic: string | undefined
}

export type ClientRequest = Subscribe | Unsubscribe | Publish | Ack | Ping

const maxRequestId = 255
/** The largest that a frame of the binary protocol can ask for. */
const maxLast = 4_294_967_295

const names = new Set([
  "type",
  "request_id",
  "topic",
  "topics",
  "client_id",
  "last_n",
  "from",
  "overflow",
  "echo",
  "message",
  "message_id",
  "message_ids"
])
const messageNameSet = new Set(messageNames)
const positionNames = new Set(["epoch", "offset"])

/** Reads one text frame. Give bytes where there are bytes: they are not decoded to text and encoded again. */
export const decodeClientJson = (
  text: string | Uint8Array,
  limits: JsonLimits = defaultJsonLimits
): ClientRequest | Fault => {
  // Before it is encoded: a UTF-16 unit is at least a byte of UTF-8.
  if (text.length > limits.maxBytes) return tooLarge(limits)
  const bytes = typeof text === "string" ? encodeText(text) : text
  if (bytes.length > limits.maxBytes) return tooLarge(limits)
  const fields = JsonFields.read(bytes, 0, bytes.length, names, new JsonScan(limits.maxDepth))
  if (!(fields instanceof JsonFields)) return { _tag: "Fault", ...fields, ...unread }
  const requestId = readRequestId(fields)
  const request = readRequest(fields, requestId, limits)
  if (request !== undefined && fields.fault === undefined) return request
  const fault = fields.fault ?? { code: "BAD_REQUEST", message: "it is not a request" }
  const topic = fields.isText("topic") && !fields.has("topics") ? fields.text("topic") : undefined
  return { _tag: "Fault", ...fault, requestId, topic }
}

const unread = { requestId: undefined, topic: undefined } as const

const tooLarge = (limits: JsonLimits): Fault => ({
  _tag: "Fault",
  code: "MESSAGE_TOO_LARGE",
  message: `it is larger than ${limits.maxBytes} bytes`,
  ...unread
})

const readRequestId = (fields: JsonFields): RequestId | undefined => {
  const limit = Number.MAX_SAFE_INTEGER
  const id = fields.isText("request_id")
    ? fields.text("request_id")
    : fields.integer("request_id", -limit, limit)
  if (typeof id !== "string" || id.length <= maxRequestId) return id
  return fields.fail("BAD_REQUEST", `\`request_id\` is longer than ${maxRequestId} characters`)
}

const readRequest = (
  fields: JsonFields,
  requestId: RequestId | undefined,
  limits: JsonLimits
): ClientRequest | undefined => {
  const type = fields.isText("type") ? fields.text("type") : undefined
  switch (type) {
    case "subscribe":
      return readSubscribe(fields, requestId, limits)
    case "unsubscribe": {
      const topics = readTopics(fields, limits)
      return topics && { _tag: "Unsubscribe", requestId, ...topics }
    }
    case "publish":
      return readPublish(fields, requestId, limits)
    case "ack": {
      const messageIds = readMessageIds(fields, limits)
      if (messageIds.length > 0) return { _tag: "Ack", requestId, messageIds }
      return fields.fail("MISSING_MESSAGE_ID", "an ack needs a `message_id` or `message_ids`")
    }
    case "ping":
      return { _tag: "Ping", requestId }
    default:
      return fields.fail("UNKNOWN_TYPE", "`type` must be subscribe, unsubscribe, publish, ack or ping")
  }
}

/** The dialect is that of the field that names the topics. One that is wrong does not keep the others from being done. */
const readTopics = (fields: JsonFields, limits: JsonLimits): Topics | undefined => {
  const list = fields.texts("topics", limits.maxTopics)
  const one = fields.text("topic")
  if (one !== undefined && list.length > 0)
    return fields.fail("BAD_REQUEST", "`topic` and `topics` exclude each other")
  if (one !== undefined) {
    const error = checkPattern(one)
    if (error !== undefined) return fields.fail("INVALID_TOPIC", error.message)
    return { dialect: "event", topics: [one], refused: [] }
  }
  if (list.length === 0) return fields.fail("MISSING_TOPIC", "a `topic` or `topics` is needed")
  const topics: Array<string> = []
  const refused: Array<TopicFault> = []
  for (const topic of list) {
    const error = checkPattern(topic)
    if (error === undefined) topics.push(topic)
    else refused.push({ topic, code: "INVALID_TOPIC", message: error.message })
  }
  return { dialect: "message", topics, refused }
}

const readSubscribe = (
  fields: JsonFields,
  requestId: RequestId | undefined,
  limits: JsonLimits
): Subscribe | undefined => {
  const topics = readTopics(fields, limits)
  const clientId = fields.clientId()
  const start = readStart(fields)
  const overflow = readOverflow(fields)
  const echo = fields.boolean("echo")
  const isGroup = topics?.dialect === "message" && clientId !== undefined
  if (isGroup && start?._tag === "Last") return notWithClientId(fields, "last_n", "use `from`")
  if (isGroup && overflow !== undefined)
    return notWithClientId(fields, "overflow", "nothing is dropped of what is kept for it")
  if (isGroup && echo === false)
    return notWithClientId(fields, "echo: false", "it gets all that is kept for it, its own too")
  return topics && { _tag: "Subscribe", requestId, ...topics, clientId, start, overflow, echo }
}

/** What a live subscription may ask for and a group cannot do. */
const notWithClientId = (fields: JsonFields, field: string, why: string): undefined =>
  fields.fail("BAD_REQUEST", `\`${field}\` and \`client_id\` exclude each other: ${why}`)

const readStart = (fields: JsonFields): Start | undefined => {
  const count = fields.integer("last_n", 0, maxLast) ?? 0
  if (!fields.has("from")) return count === 0 ? undefined : { _tag: "Last", count }
  if (count > 0) return fields.fail("BAD_REQUEST", "`last_n` and `from` exclude each other")
  if (fields.isObject("from")) {
    const position = fields.object("from", positionNames)
    const epoch = position?.integer("epoch", 0, Number.MAX_SAFE_INTEGER)
    const offset = position?.integer("offset", 0, Number.MAX_SAFE_INTEGER)
    if (epoch !== undefined && offset !== undefined) return { _tag: "Position", position: { epoch, offset } }
    return fields.fail("BAD_REQUEST", "a position has an `epoch` and an `offset`")
  }
  if (!fields.isText("from")) {
    const time = readTime(fields, "from")
    return time === undefined ? undefined : { _tag: "Time", time }
  }
  const text = fields.text("from")
  if (text === undefined) return undefined
  return parseStart(text) ?? fields.fail("BAD_REQUEST", "`from` must be now, first, a position or a time")
}

/** Also as the settings of inmem-pubsub write it: `DROP_OLDEST`. */
const readOverflow = (fields: JsonFields): Overflow | undefined => {
  const text = fields.text("overflow")
  if (text === undefined) return undefined
  const wanted = text.toLowerCase().replaceAll("_", "-")
  const overflow = Overflows.find((name) => name === wanted)
  return overflow ?? fields.fail("BAD_REQUEST", `\`overflow\` must be one of ${Overflows.join(", ")}`)
}

const readPublish = (
  fields: JsonFields,
  requestId: RequestId | undefined,
  limits: JsonLimits
): Publish | undefined => {
  const topic = fields.text("topic")
  if (topic === undefined) return fields.fail("MISSING_TOPIC", "a `topic` is needed")
  const error = checkTopicName(topic)
  if (error !== undefined) return fields.fail("INVALID_TOPIC", error.message)
  if (!fields.isObject("message")) return fields.fail("MISSING_MESSAGE", "a `message` object is needed")
  const inner = fields.object("message", messageNameSet)
  if (inner === undefined) return undefined
  if (!inner.has("id")) return fields.fail("MISSING_MESSAGE_ID", "the message needs an `id`")
  const outgoing = readMessage(inner, limits)
  if (outgoing === undefined) {
    fields.fault ??= inner.fault
    return undefined
  }
  if (outgoing.message.id === undefined) return fields.fail("MISSING_MESSAGE_ID", "the message needs an `id`")
  return { _tag: "Publish", requestId, topic, ...outgoing }
}
