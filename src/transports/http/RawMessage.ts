/**
 * A message whose payload is the body itself: its content type is the body's, and what else it has stands in the query,
 * under the names that it has in JSON. Headers are `header.<name>=<value>`. Pure.
 */

import type { BodyFault, TopicMessage } from "../../protocol/json/MessageJson.ts"
import type { JsonCode } from "../../protocol/json/Problem.ts"
import { parseTime } from "../../protocol/json/StartText.ts"
import { maxPriority } from "../../protocol/Publish.ts"
import { checkTopicName } from "../../protocol/TopicName.ts"

export const headerPrefix = "header."
/** What else may stand in the query. */
export const queryNames: ReadonlySet<string> = new Set([
  "topic",
  "id",
  "key",
  "ttl",
  "priority",
  "deliver_at"
])
const maxTtlSeconds = 4_294_967
const maxShort = 255
const maxHeaders = 255

const fault = (code: JsonCode, message: string): BodyFault => ({ _tag: "Fault", code, message })

export const readRawMessage = (
  body: Uint8Array,
  contentType: string,
  query: URLSearchParams
): TopicMessage | BodyFault => {
  const topic = query.get("topic") ?? ""
  if (topic === "") {
    return fault(
      "MISSING_TOPIC",
      "a body of this content type is the payload itself: give `topic` in the query, or send application/json"
    )
  }
  const error = checkTopicName(topic)
  if (error !== undefined) return fault("INVALID_TOPIC", error.message)
  const ttl = numberOf(query.get("ttl"), maxTtlSeconds)
  if (ttl === undefined) return fault("BAD_REQUEST", `\`ttl\` must be a number from 0 to ${maxTtlSeconds}`)
  const priority = numberOf(query.get("priority"), maxPriority)
  if (priority === undefined || !Number.isInteger(priority)) {
    return fault("BAD_REQUEST", `\`priority\` must be a whole number from 0 to ${maxPriority}`)
  }
  const deliverAt = query.has("deliver_at") ? parseTime(query.get("deliver_at") ?? "") : 0
  if (deliverAt === undefined) {
    return fault("BAD_REQUEST", "`deliver_at` must be a time of RFC 3339, or milliseconds since 1970")
  }
  const id = query.get("id") || undefined
  const key = query.get("key") || undefined
  const headers = headersOf(query)
  if (Object.keys(headers).length > maxHeaders)
    return fault("BAD_REQUEST", `a message has ${maxHeaders} headers at most`)
  const texts = [id, key, contentType, ...Object.keys(headers)]
  if (texts.some((text) => text !== undefined && Buffer.byteLength(text) > maxShort)) {
    return fault(
      "BAD_REQUEST",
      `\`id\`, \`key\`, the content type and names of headers have ${maxShort} bytes at most`
    )
  }
  return {
    _tag: "TopicMessage",
    topic,
    ttl: Math.ceil(ttl * 1000),
    priority,
    deliverAt,
    timestamp: undefined,
    message: { payload: body, contentType, id, key, ...(Object.keys(headers).length > 0 ? { headers } : {}) }
  }
}

const numberOf = (text: string | null, maximum: number): number | undefined => {
  if (text === null || text === "") return 0
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
  return value >= 0 && value <= maximum ? value : undefined
}

const headersOf = (query: URLSearchParams): Record<string, string> => {
  const headers: Record<string, string> = Object.create(null)
  for (const [name, value] of query) {
    if (name.startsWith(headerPrefix)) headers[name.slice(headerPrefix.length)] = value
  }
  return headers
}
