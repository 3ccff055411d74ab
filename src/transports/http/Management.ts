/** Topics as the API shows and makes them, and what the hub says of itself. */
import { Effect } from "effect"
import type { HttpServerResponse } from "effect/http"
import type { TopicInfo } from "../../actors/HubView.ts"
import { encodeText } from "../../protocol/Bytes.ts"
import { JsonFields } from "../../protocol/json/JsonFields.ts"
import { JsonScan } from "../../protocol/json/JsonScan.ts"
import { problemOf } from "../../protocol/json/Problem.ts"
import { timeText } from "../../protocol/json/StartText.ts"
import { checkTopicName, isForPublishers } from "../../protocol/TopicName.ts"
import { type Identity, mayRemoveTopic, maySee } from "../../services/auth/Identity.ts"
import { jsonResponse, problemResponse, type Refusal, refusal, refusalOfError } from "./Refusal.ts"
import type { Web } from "./Web.ts"

type WebService = Web["Service"]
type Answer = Effect.Effect<HttpServerResponse.HttpServerResponse, Refusal>

/** Topics of one answer. */
const maxTopics = 10_000
const nameOnly = new Set(["name"])

/** The `name` in a body of `POST /topics`. */
export const readTopicName = (body: Uint8Array): string | Refusal => {
  const fields = JsonFields.read(body, 0, body.length, nameOnly, new JsonScan())
  if (!(fields instanceof JsonFields)) return refusal(fields.code, fields.message)
  const name = fields.text("name")
  if (fields.fault !== undefined) return refusal("INVALID_TOPIC", fields.fault.message)
  if (name === undefined)
    return refusal("INVALID_TOPIC", 'the `name` of the topic is needed: {"name":"news"}')
  const error = checkTopicName(name)
  return error === undefined ? name : refusal("INVALID_TOPIC", error.message)
}

export const createTopic = ({ hub }: WebService, name: string): Answer =>
  Effect.gen(function* () {
    if (!isForPublishers(name))
      return yield* Effect.fail(refusalOfError("reserved-topic", "names that begin with $ are the hub's own"))
    // A topic that is on disk alone exists too.
    const known = yield* hub.topics(name)
    const isNew =
      known.length === 0 && (yield* Effect.mapError(hub.createTopic(name), (code) => refusalOfError(code)))
    if (!isNew) return yield* Effect.fail(refusal("TOPIC_EXISTS"))
    return jsonResponse({ message: `Topic '${name}' created`, topic: name }, 201)
  })

export const removeTopic = ({ publisher }: WebService, identity: Identity, name: string): Answer =>
  Effect.suspend(() => {
    const error = checkTopicName(name)
    if (error !== undefined) return Effect.fail(refusal("INVALID_TOPIC", error.message))
    // The publisher asks for all, and is not asked who they are.
    if (!mayRemoveTopic(identity, name))
      return Effect.fail(refusal("FORBIDDEN", "this identity may not remove that topic").about(name))
    return Effect.as(
      publisher.request("topic.remove", encodeText(JSON.stringify({ name }))),
      jsonResponse({ message: `Topic '${name}' deleted`, topic: name })
    )
  })

export interface TopicPage {
  readonly after: string | undefined
  readonly limit: number | undefined
}

/** The topics that the identity may publish or subscribe, in order of name, and the name after which there are more. */
const pageOf = (
  { hub }: WebService,
  identity: Identity,
  { after, limit = maxTopics }: TopicPage
): Effect.Effect<{ readonly page: ReadonlyArray<TopicInfo>; readonly more: { readonly next?: string } }> => {
  const most = Math.min(limit, maxTopics)
  const sees = (name: string) => maySee(identity, name)
  return Effect.map(hub.topics(">", { after, limit: most + 1, sees }), (topics) => {
    const page = topics.slice(0, most)
    const last = page.at(-1)
    return { page, more: page.length < topics.length && last !== undefined ? { next: last.name } : {} }
  })
}

export const listTopics = (web: WebService, identity: Identity, wanted: TopicPage): Answer =>
  Effect.map(pageOf(web, identity, wanted), ({ more, page }) =>
    jsonResponse({
      topics: page.map(({ dropped, name, published, subscribers }) => ({
        name,
        subscribers,
        messages: published,
        dropped
      })),
      ...more
    })
  )

/** Of the topics that the identity may know, each, and of the hub as a whole how much. */
export const stats = (web: WebService, identity: Identity, wanted: TopicPage): Answer =>
  Effect.gen(function* () {
    const { hub, now, state } = web
    const { more, page } = yield* pageOf(web, identity, wanted)
    const topics = yield* hub.topicCount
    const metrics = yield* hub.metrics
    const time = yield* now
    return jsonResponse({
      topics: page.map((topic) => ({
        name: topic.name,
        subscribers: topic.subscribers,
        messages: topic.published,
        delivered: topic.delivered,
        dropped: topic.dropped,
        ring_buffer_size: topic.messages,
        queue_depth: topic.queued,
        last_publish: topic.lastPublished === 0 ? null : timeText(topic.lastPublished)
      })),
      ...more,
      total_topics: topics,
      total_subscribers: metrics.subscriptions,
      total_messages: metrics.messagesReceived,
      total_delivered: metrics.messagesDelivered,
      total_dropped: Object.values(metrics.messagesDropped).reduce((sum, count) => sum + count, 0),
      connections: metrics.connections,
      connections_by_type: metrics.connectionsByTransport,
      refused: metrics.refusals,
      groups: metrics.groups,
      queue_depth: metrics.queueDepth,
      client_queue_depth: metrics.clientQueueDepth,
      received_per_second: metrics.receivedPerSecond,
      delivered_per_second: metrics.deliveredPerSecond,
      uptime_seconds: uptime(state.startedAt, time),
      timestamp: timeText(time)
    })
  })

const uptime = (startedAt: number, now: number): number => Math.floor(Math.max(0, now - startedAt) / 1000)

export const health = ({
  hub,
  now,
  state
}: WebService): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  Effect.gen(function* () {
    const { subscriptions, topics } = yield* hub.counts
    const time = yield* now
    return jsonResponse({
      status: "healthy",
      uptime_seconds: uptime(state.startedAt, time),
      topics_count: topics,
      total_subscribers: subscriptions,
      timestamp: timeText(time)
    })
  })

export const ready = ({ state }: WebService): HttpServerResponse.HttpServerResponse => {
  const missing = [...(state.isDraining ? ["draining"] : []), ...(state.hasFailed ? ["hub failed"] : [])]
  if (missing.length === 0) return jsonResponse({ status: "ready" })
  const problem = problemOf(
    state.isDraining ? "SHUTTING_DOWN" : "INTERNAL",
    `not ready: ${missing.join(", ")}`
  )
  return problemResponse({ ...problem, status: 503, title: "Service Unavailable" })
}
