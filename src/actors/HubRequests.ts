/** The methods of REQUEST: what a client may ask the hub about itself, in JSON. */
import { Effect, Schema } from "effect"
import { decodeText, encodeText } from "../protocol/Bytes.ts"
import type { ErrorCode } from "../protocol/ErrorCode.ts"
import { checkPattern } from "../protocol/Pattern.ts"
import type { HubMetrics } from "../services/HubMetrics.ts"
import type { TopicInfo } from "./HubView.ts"
import { isForClients } from "./Registry.ts"

export interface HubAnswers {
  /** Bytes of JSON that a frame of this hub can hold. */
  readonly maxAnswer: number
  readonly metrics: Effect.Effect<HubMetrics>
  readonly topics: (pattern: string) => Effect.Effect<ReadonlyArray<TopicInfo>>
}

const TopicsRequest = Schema.fromJsonString(
  Schema.Struct({ pattern: Schema.optionalKey(Schema.String), after: Schema.optionalKey(Schema.String) })
)
const decodeTopicsRequest = Schema.decodeUnknownEffect(TopicsRequest)

/** As many topics, in order of name, as fit into one answer: at least one if there is any. */
const pageOf = (
  topics: ReadonlyArray<TopicInfo>,
  after: string | undefined,
  maxBytes: number
): Uint8Array => {
  const items: Array<string> = []
  let bytes = 0
  for (const topic of topics) {
    if (after !== undefined && topic.name <= after) continue
    const item = JSON.stringify(topic)
    // A character of a name takes up to three bytes.
    bytes += item.length + 1 + 2 * topic.name.length
    if (items.length > 0 && bytes > maxBytes) break
    items.push(item)
  }
  return encodeText(`[${items.join(",")}]`)
}

const encode = (value: unknown): Uint8Array => encodeText(JSON.stringify(value))

export const answerRequest =
  (hub: HubAnswers) =>
  (method: string, body: Uint8Array): Effect.Effect<Uint8Array, ErrorCode> => {
    switch (method) {
      case "topics":
        return decodeTopicsRequest(decodeText(body)).pipe(
          Effect.mapError((): ErrorCode => "bad-request"),
          Effect.flatMap(({ after, pattern = ">" }) => {
            if (checkPattern(pattern) !== undefined) return Effect.fail<ErrorCode>("invalid-pattern")
            // Who knows a channel's name may use it, so nobody is told the names.
            if (!isForClients(pattern)) return Effect.fail<ErrorCode>("reserved-topic")
            return Effect.map(hub.topics(pattern), (topics) => pageOf(topics, after, hub.maxAnswer))
          }),
          Effect.withSpan("Hub.topics")
        )
      case "stats":
        return Effect.withSpan(Effect.map(hub.metrics, encode), "Hub.metrics")
      default:
        return Effect.fail("unknown-method")
    }
  }
