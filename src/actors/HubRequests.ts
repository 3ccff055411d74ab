/** The methods of REQUEST: what a client may ask the hub about itself, in JSON, as far as its identity may know. */
import { Effect, Schema } from "effect"
import { decodeText, encodeText } from "../protocol/Bytes.ts"
import type { ErrorCode } from "../protocol/ErrorCode.ts"
import { checkPattern } from "../protocol/Pattern.ts"
import { isForSubscribers, maxNameBytes } from "../protocol/TopicName.ts"
import { maySee } from "../services/auth/Identity.ts"
import type { HubMetrics } from "../services/HubMetrics.ts"
import { answerGroupRequest, type GroupAnswers } from "./groups/GroupRequests.ts"
import { pageOf } from "./HubPages.ts"
import type { TopicInfo, TopicPage } from "./HubView.ts"
import type { Peer } from "./Refusals.ts"

export interface HubAnswers extends GroupAnswers {
  readonly metrics: Effect.Effect<HubMetrics>
  readonly topics: (pattern: string, page: TopicPage) => Effect.Effect<ReadonlyArray<TopicInfo>>
}

/** More topics than fit into any answer of the largest default. */
const topicsAtOnce = 10_000

/** After which name topics are wanted: any text that is no longer than a name, since a log may not take a longer one. */
export const AfterTopic = Schema.String.check(
  Schema.makeFilter((text) => encodeText(text).length <= maxNameBytes, {
    description: `at most ${maxNameBytes} bytes of UTF-8`
  })
)

const TopicsRequest = Schema.fromJsonString(
  Schema.Struct({ pattern: Schema.optionalKey(Schema.String), after: Schema.optionalKey(AfterTopic) })
)
const decodeTopicsRequest = Schema.decodeUnknownEffect(TopicsRequest)

const encode = (value: unknown): Uint8Array => encodeText(JSON.stringify(value))

export const answerRequest =
  (hub: HubAnswers) =>
  (method: string, body: Uint8Array, peer: Peer): Effect.Effect<Uint8Array, ErrorCode> => {
    switch (method) {
      case "topics":
        return decodeTopicsRequest(decodeText(body)).pipe(
          Effect.mapError((): ErrorCode => "bad-request"),
          Effect.flatMap(({ after, pattern = ">" }) => {
            if (checkPattern(pattern) !== undefined) return Effect.fail<ErrorCode>("invalid-pattern")
            // Who knows a channel's name may use it, so nobody is told the names.
            if (!isForSubscribers(pattern)) return Effect.fail<ErrorCode>("reserved-topic")
            const page = { after, limit: topicsAtOnce, sees: (name: string) => maySee(peer.identity, name) }
            return Effect.map(hub.topics(pattern, page), (topics) =>
              pageOf(topics, ({ name }) => name, undefined, hub.maxAnswer)
            )
          }),
          Effect.withSpan("Hub.topics")
        )
      case "stats":
        return Effect.withSpan(Effect.map(hub.metrics, encode), "Hub.metrics")
      default:
        return answerGroupRequest(hub, method, body, peer) ?? Effect.fail("unknown-method")
    }
  }
