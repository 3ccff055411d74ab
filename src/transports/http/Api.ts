/**
 * The HTTP API, declared: what `/openapi.json` and `/docs` show is made from this, and so are the routing and the asking
 * of who comes. Bodies are declared for the description alone, and read by decoders of our own (`handleRaw`): they stream,
 * are bounded in bytes and in time, keep a payload as the bytes that came, and say by a code what is wrong.
 */
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { AfterTopic } from "../../actors/HubRequests.ts"
import { Authorization, StreamAuthorization } from "./Authorization.ts"
import { linesContentType } from "./BulkLines.ts"
import { described } from "./Description.ts"
import { ackPath, bulkPath, pollPath, publishPath, streamPath } from "./Paths.ts"
import { Problems } from "./Problems.ts"
import * as Schemas from "./Schemas.ts"
import { problems } from "./Schemas.ts"

const { Int, optionalKey, String } = Schema

const about = (summary: string, description: string) => OpenApi.annotations({ summary, description })

const whole = Schema.FiniteFromString.check(Schema.isInt(), Schema.isGreaterThanOrEqualTo(0))
const seconds = Schema.FiniteFromString.check(Schema.isGreaterThanOrEqualTo(0))
const page = { after: optionalKey(AfterTopic), limit: optionalKey(whole) }

const publish = HttpApiEndpoint.post("publish", publishPath, {
  query: {
    topic: optionalKey(String),
    id: optionalKey(String),
    key: optionalKey(String),
    ttl: optionalKey(String),
    priority: optionalKey(String),
    deliver_at: optionalKey(String)
  },
  payload: [
    Schemas.Outgoing,
    Schema.Uint8Array.pipe(HttpApiSchema.asUint8Array({ contentType: "application/octet-stream" }))
  ],
  success: Schemas.Receipt.pipe(HttpApiSchema.status(202)),
  error: problems(400, 403, 404, 408, 413, 422, 429, 503)
}).annotateMerge(
  about(
    "Publish one message",
    "As application/json the body says topic, payload and the rest. A body of any other content type is the payload " +
      "itself, and the rest stands in the query; headers there are header.<name>=<value>."
  )
)

const publishBulk = HttpApiEndpoint.post("publishBulk", bulkPath, {
  payload: [
    Schemas.BulkBody,
    Schema.Uint8Array.pipe(HttpApiSchema.asUint8Array({ contentType: linesContentType }))
  ],
  success: Schemas.BulkAnswer.pipe(HttpApiSchema.status(202)),
  error: problems(400, 403, 408, 413, 415, 422, 429, 503)
}).annotateMerge(
  about(
    "Publish many messages",
    "A receipt or an error for each, in order. As newline-delimited JSON, a message a line, they are published as they " +
      "come, and answered the same way, a line each."
  )
)

const reading = { topics: optionalKey(String), from: optionalKey(String), last: optionalKey(whole) }

const poll = HttpApiEndpoint.get("poll", pollPath, {
  query: {
    ...reading,
    timeout: optionalKey(seconds),
    client_id: optionalKey(String),
    max: optionalKey(whole)
  },
  success: Schemas.Messages,
  error: problems(400, 403, 404, 409, 422, 429, 503)
}).annotateMerge(
  about(
    "Wait for messages",
    "At once when something waits, else when it comes, else empty after `timeout` seconds. With `client_id`, what is " +
      "not acknowledged comes again; it is the identity's own, unless its `consumerGroups` name it. Without, messages " +
      "are those from `from` on: now, unless it says otherwise. Give the `next` of each answer as the next `from`."
  )
)

const ack = HttpApiEndpoint.post("ack", ackPath, {
  payload: Schemas.AckBody,
  success: Schema.Struct({ acknowledged: Int }),
  error: problems(400, 403, 404, 408, 413, 422, 503)
}).annotateMerge(
  about(
    "Acknowledge messages",
    "They do not come again for this `client_id`. Without one, nothing waits for an acknowledgement."
  )
)

const stream = HttpApiEndpoint.get("stream", streamPath, {
  query: { ...reading, overflow: optionalKey(Schemas.Overflow), token: optionalKey(String) },
  success: HttpApiSchema.StreamUint8Array({ contentType: "text/event-stream" }),
  error: problems(400, 403, 404, 422, 429, 503)
})
  .annotateMerge(
    about(
      "Messages as server-sent events",
      "Goes on after `Last-Event-ID`. Beside messages there are the events begin, recovered, gap, dropped and close."
    )
  )
  .middleware(Problems)
  .middleware(StreamAuthorization)

const replay = HttpApiEndpoint.get("replay", "/api/v1/topics/:name/messages", {
  params: { name: String },
  query: { from: optionalKey(String), last: optionalKey(whole), limit: optionalKey(whole) },
  success: Schemas.Messages,
  error: problems(400, 403, 404, 422, 503)
}).annotateMerge(
  about("Replay a topic", "From the first message that is kept, unless `from` or `last` says otherwise.")
)

const messages = HttpApiGroup.make("messages")
  .add(publish, publishBulk, poll, ack, replay)
  .middleware(Problems)
  .middleware(Authorization)
  .add(stream)

const createTopic = HttpApiEndpoint.post("createTopic", "/topics", {
  payload: Schema.Struct({ name: String }),
  success: Schemas.TopicDone.pipe(HttpApiSchema.status(201)),
  error: problems(400, 403, 408, 409, 413, 503)
}).annotateMerge(about("Make a topic", "Topics are also made when first used, unless that is turned off."))

const deleteTopic = HttpApiEndpoint.delete("deleteTopic", "/topics/:name", {
  params: { name: String },
  success: Schemas.TopicDone,
  error: problems(400, 403, 404, 503)
}).annotateMerge(about("Delete a topic and its messages", "What is published to it later begins anew."))

const listTopics = HttpApiEndpoint.get("listTopics", "/topics", {
  query: page,
  success: Schemas.TopicList,
  error: problems(403, 422)
}).annotateMerge(about("List topics", "In order of name; `next` is the `after` of the next page."))

const topics = HttpApiGroup.make("topics")
  .add(createTopic, deleteTopic, listTopics)
  .middleware(Problems)
  .middleware(Authorization)

const text = (contentType: string) => String.pipe(HttpApiSchema.asText({ contentType }))
/** What Prometheus asks for. */
export const metricsContentType = "text/plain; version=0.0.4; charset=utf-8"

const system = HttpApiGroup.make("system")
  .add(
    HttpApiEndpoint.get("stats", "/stats", {
      query: page,
      success: Schemas.Stats,
      error: problems(403, 422)
    }).annotateMerge(
      about("What went through", "Counts are since the hub started; of a topic, since it was made.")
    ),
    HttpApiEndpoint.get("metrics", "/metrics", { success: text(metricsContentType) }).annotateMerge(
      about("Metrics for Prometheus", "")
    )
  )
  .middleware(Problems)
  .middleware(Authorization)
  .add(
    HttpApiEndpoint.get("home", "/", { success: Schemas.Home.pipe(HttpApiSchema.status(302)) }).annotateMerge(
      about("What is where", "Leads to /docs.")
    ),
    HttpApiEndpoint.get("health", "/health", { success: Schemas.Health }).annotateMerge(
      about("Whether the hub lives", "Also while it drains.")
    ),
    HttpApiEndpoint.get("ready", "/ready", { success: Schemas.Ready, error: problems(503) }).annotateMerge(
      about("Whether the hub takes work", "Not from the moment at which it is told to stop.")
    ),
    HttpApiEndpoint.get("docs", "/docs", { success: text("text/html") }).annotateMerge(
      about(
        "This description, for people",
        "Made from /openapi.json; nothing is loaded from elsewhere. Both are open to all, as /health and /ready are."
      )
    )
  )

export const Api = HttpApi.make("polestar")
  .add(messages, topics, system)
  .annotateMerge(
    OpenApi.annotations({
      title: "Polestar",
      version: "1",
      description:
        "Publish and read messages. Errors are problem details (RFC 9457) with a `code`. Names of topics are segments " +
        "joined by dots; where topics are read, `*` is one segment and a final `>` one or more.",
      transform: ({ components, paths, ...rest }) => ({ ...rest, ...described(paths, components) })
    })
  )
