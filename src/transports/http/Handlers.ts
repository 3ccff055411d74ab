/** The API's handlers: each reads what was asked, asks whether the caller may, and answers by one function elsewhere. */
import type { ServerResponse } from "node:http"
import { Effect, Layer } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { maxClientId } from "../../protocol/json/JsonLimits.ts"
import { decodeAckBody } from "../../protocol/json/MessageJson.ts"
import { checkTopicName } from "../../protocol/TopicName.ts"
import type { Identity } from "../../services/auth/Identity.ts"
import { Api, metricsContentType } from "./Api.ts"
import * as Authorization from "./Authorization.ts"
import { CurrentCaller } from "./Authorization.ts"
import { isLines, publishLines } from "./BulkLines.ts"
import { type Caller, mayBeClient, mayPublish, maySubscribe } from "./Caller.ts"
import { docsPage, docsPolicy } from "./Docs.ts"
import * as Management from "./Management.ts"
import { metricsText } from "./MetricsText.ts"
import { nodeRequest, nodeResponse } from "./NodeRequest.ts"
import { webSocketPath } from "./Paths.ts"
import { poll } from "./Poll.ts"
import { pollResponse } from "./PollAnswer.ts"
import type { PollPlace } from "./PollMemory.ts"
import * as Problems from "./Problems.ts"
import { publishMany, publishOne } from "./Publishing.ts"
import { type Beginning, readBeginning, readPatterns } from "./Reading.ts"
import { jsonResponse, Refusal, refusal } from "./Refusal.ts"
import { readBody } from "./RequestBody.ts"
import { stream } from "./Streaming.ts"
import { Web } from "./Web.ts"

type Answer = Effect.Effect<HttpServerResponse.HttpServerResponse, Refusal>

const defaultMessages = 100
/** Seconds that a poll waits unless it says otherwise. */
const defaultPollTimeout = 30
/** Bytes of a body that says no more than a name. */
const smallBody = 65_536

/** With who asks; what is refused is answered here. */
const asCaller = (
  handle: (caller: Caller) => Answer
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, CurrentCaller> =>
  Effect.flatMap(CurrentCaller, (caller) => Effect.catch(handle(caller), (refused) => caller.refuse(refused)))

/** Nothing more is to be written: the handler wrote the response itself. */
const written = HttpServerResponse.empty()

const messageHandlers = HttpApiBuilder.group(
  Api,
  "messages",
  Effect.fnUntraced(function* (handlers) {
    const web = yield* Web
    return handlers
      .handleRaw("publish", () =>
        asCaller((caller) => Effect.map(publishOne(caller), (receipt) => jsonResponse(receipt, 202)))
      )
      .handleRaw("publishBulk", ({ request }) =>
        asCaller((caller) =>
          isLines(request.headers["content-type"])
            ? Effect.as(publishLines(caller, nodeResponse(request)), written)
            : publishMany(caller)
        )
      )
      .handle("poll", ({ query, request }) =>
        asCaller((caller) => answerPoll(caller, query, nodeResponse(request)))
      )
      .handleRaw("ack", () => asCaller(acknowledge))
      .handle("stream", ({ query, request }) =>
        asCaller((caller) =>
          Effect.suspend(() => {
            const patterns = readPatterns(query.topics)
            if (patterns instanceof Refusal) return Effect.fail(patterns)
            const lastEvent = request.headers["last-event-id"]
            // Whoever comes back goes on, whatever it began with.
            const beginning =
              lastEvent === undefined || lastEvent === ""
                ? readBeginning(query.from, patterns, query.last)
                : readBeginning(lastEvent, patterns)
            if (beginning instanceof Refusal) return Effect.fail(beginning)
            const refused = firstRefused(caller.identity, patterns)
            if (refused !== undefined) return Effect.fail(refused)
            const overflow = query.overflow ?? web.settings.clientOverflow
            const wanted = { caller, patterns, beginning, overflow }
            return Effect.as(stream(web, wanted, nodeResponse(request)), written)
          })
        )
      )
      .handle("replay", ({ params, query, request }) =>
        asCaller((caller) => replay(caller, params.name, query, nodeResponse(request)))
      )
  })
)

const firstRefused = (identity: Identity, patterns: ReadonlyArray<string>): Refusal | undefined => {
  for (const pattern of patterns) {
    const refused = maySubscribe(identity, pattern)
    if (refused !== undefined) return refused
  }
  return undefined
}

interface PollQuery {
  readonly topics?: string
  readonly from?: string
  readonly last?: number
  readonly timeout?: number
  readonly client_id?: string
  readonly max?: number
}

const answerPoll = (caller: Caller, query: PollQuery, response: ServerResponse): Answer =>
  Effect.suspend(() => {
    const { identity, web } = caller
    const patterns = readPatterns(query.topics)
    if (patterns instanceof Refusal) return Effect.fail(patterns)
    const beginning = readBeginning(query.from, patterns, query.last)
    if (beginning instanceof Refusal) return Effect.fail(beginning)
    const refused = firstRefused(identity, patterns)
    if (refused !== undefined) return Effect.fail(refused)
    const { maxPollMessages, maxPollTimeout } = web.settings
    const max = Math.min(query.max ?? defaultMessages, maxPollMessages)
    if (max === 0) return Effect.fail(refusal("BAD_REQUEST", "`max` must be 1 or more"))
    const timeout = Math.min((query.timeout ?? defaultPollTimeout) * 1000, maxPollTimeout)
    const clientId = query.client_id
    if (clientId === undefined || clientId === "") {
      const place = saysWhere(query) ? undefined : web.memory.placeOf(caller.limitKey, patterns)
      const wanted = { caller, response, patterns, beginning: goOn(place, beginning), max, timeout, place }
      return Effect.map(poll(web, wanted), pollResponse)
    }
    if (clientId.length > maxClientId)
      return Effect.fail(refusal("BAD_REQUEST", `\`client_id\` is longer than ${maxClientId} characters`))
    const notThat = mayBeClient(identity, clientId)
    if (notThat !== undefined) return Effect.fail(notThat)
    if (query.last !== undefined && query.last > 0)
      return Effect.fail(
        refusal("BAD_REQUEST", "with a `client_id` there is no `last`: it gets what it did not acknowledge")
      )
    const { start } = beginning
    return Effect.map(
      web.clients.poll(caller, clientId, { response, patterns, start, max, timeout }),
      (body) => HttpServerResponse.uint8Array(body, { contentType: "application/json" })
    )
  })

/** Whether a poll says itself where it begins, if only by `now`. */
const saysWhere = ({ from = "", last = 0 }: PollQuery): boolean => from !== "" || last > 0

/** From the place, if there is one. */
const goOn = (place: PollPlace | undefined, beginning: Beginning): Beginning =>
  place?.cursor === undefined ? beginning : { start: place.cursor.start, cursor: place.cursor, isNow: false }

const acknowledge = (caller: Caller): Answer =>
  Effect.gen(function* () {
    const { identity, request, web } = caller
    const limits = web.limitsOf(identity)
    const body = decodeAckBody(yield* readBody(web, request, limits.maxBytes), limits)
    if (body._tag === "Fault") return yield* Effect.fail(refusal(body.code, body.message))
    // Who has no group was never waited for.
    if (body.clientId === undefined) return jsonResponse({ acknowledged: 0 })
    const notThat = mayBeClient(identity, body.clientId)
    if (notThat !== undefined) return yield* Effect.fail(notThat)
    const acknowledged = yield* web.clients.acknowledge(caller, body.clientId, body.messageIds)
    return jsonResponse({ acknowledged })
  })

const replay = (
  caller: Caller,
  topic: string,
  query: { readonly from?: string; readonly last?: number; readonly limit?: number },
  response: ServerResponse
): Answer =>
  Effect.gen(function* () {
    const { identity, web } = caller
    const error = checkTopicName(topic)
    if (error !== undefined) return yield* Effect.fail(refusal("INVALID_TOPIC", error.message))
    const refused = maySubscribe(identity, topic)
    if (refused !== undefined) return yield* Effect.fail(refused)
    const known = yield* web.hub.topics(topic)
    if (known.length === 0) return yield* Effect.fail(refusal("TOPIC_NOT_FOUND"))
    const from = query.from ?? (query.last === undefined || query.last === 0 ? "first" : undefined)
    const beginning = readBeginning(from, [topic], query.last)
    if (beginning instanceof Refusal) return yield* Effect.fail(beginning)
    const max = Math.min(query.limit ?? defaultMessages, web.settings.maxPollMessages)
    if (max === 0) return yield* Effect.fail(refusal("BAD_REQUEST", "`limit` must be 1 or more"))
    const wanted = { caller, response, patterns: [topic], beginning, max, timeout: undefined }
    return pollResponse(yield* poll(web, wanted))
  })

const pageOf = (query: { readonly after?: string; readonly limit?: number }): Management.TopicPage => ({
  after: query.after,
  limit: query.limit
})

const topicHandlers = HttpApiBuilder.group(
  Api,
  "topics",
  Effect.fnUntraced(function* (handlers) {
    const web = yield* Web
    return handlers
      .handleRaw("createTopic", ({ request }) =>
        asCaller(({ identity }) =>
          Effect.gen(function* () {
            const name = Management.readTopicName(yield* readBody(web, nodeRequest(request), smallBody))
            if (name instanceof Refusal) return yield* Effect.fail(name)
            const refused = mayPublish(identity, name)
            if (refused !== undefined) return yield* Effect.fail(refused)
            return yield* Management.createTopic(web, name)
          })
        )
      )
      .handle("deleteTopic", ({ params }) =>
        asCaller(({ identity }) => Management.removeTopic(web, identity, params.name))
      )
      .handle("listTopics", ({ query }) =>
        asCaller(({ identity }) => Management.listTopics(web, identity, pageOf(query)))
      )
  })
)

/** What is where, for whoever does not follow to the page. */
const home = {
  name: "Polestar",
  docs: "/docs",
  openapi: "/openapi.json",
  health: "/health",
  websocket: webSocketPath
}

const systemHandlers = HttpApiBuilder.group(
  Api,
  "system",
  Effect.fnUntraced(function* (handlers) {
    const web = yield* Web
    return handlers
      .handle("home", () => Effect.succeed(jsonResponse(home, 302, { location: "/docs" })))
      .handle("health", () => Management.health(web))
      .handle("ready", () => Effect.sync(() => Management.ready(web)))
      .handle("stats", ({ query }) =>
        asCaller(({ identity }) => Management.stats(web, identity, pageOf(query)))
      )
      .handle("metrics", () =>
        Effect.map(metricsText, (text) => HttpServerResponse.text(text, { contentType: metricsContentType }))
      )
      .handle("docs", () =>
        Effect.succeed(
          HttpServerResponse.text(docsPage, {
            contentType: "text/html; charset=utf-8",
            headers: { "content-security-policy": docsPolicy, "x-content-type-options": "nosniff" }
          })
        )
      )
  })
)

/** All routes of the API, and its description. */
export const layer = HttpApiBuilder.layer(Api, { openapiPath: "/openapi.json" }).pipe(
  Layer.provide([messageHandlers, topicHandlers, systemHandlers]),
  Layer.provide([Authorization.layer, Problems.layer])
)
