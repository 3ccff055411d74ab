/** Publishing by HTTP: one message, many as JSON, or many line by line, published as they come. */
import type { IncomingMessage } from "node:http"
import { Effect } from "effect"
import type { HttpServerResponse } from "effect/http"
import {
  type BodyFault,
  decodeBulkBody,
  decodePublishBody,
  type Receipt,
  receiptOf,
  type TopicMessage
} from "../../protocol/json/MessageJson.ts"
import { type JsonCode, jsonCodes } from "../../protocol/json/Problem.ts"
import { jsonContentType, type Message, octetsContentType } from "../../protocol/Message.ts"
import { parseTraceparent } from "../../protocol/Traceparent.ts"
import type { Identity } from "../../services/auth/Identity.ts"
import { type PlannedBatch, planBatches } from "./BulkPlan.ts"
import { limitKeyOf, mayPublish } from "./Caller.ts"
import { readRawMessage } from "./RawMessage.ts"
import { jsonResponse, type Refusal, refusal } from "./Refusal.ts"
import { readBody } from "./RequestBody.ts"
import type { Web } from "./Web.ts"

type WebService = Web["Service"]

/** A publish, and who asks for it. */
export interface PublishContext {
  readonly web: WebService
  readonly identity: Identity
  readonly request: IncomingMessage
}

/** What became of one message of many. */
export type Outcome =
  | Receipt
  | { readonly error: { readonly code: JsonCode; readonly message: string; readonly retry_after?: number } }

/** `application/json`, whatever its parameters. */
export const isJson = (contentType: string | undefined): boolean =>
  contentType !== undefined && /^application\/json\s*(;|$)/i.test(contentType)

/** POST /api/v1/messages */
export const publishOne = (
  context: PublishContext,
  query: URLSearchParams
): Effect.Effect<HttpServerResponse.HttpServerResponse, Refusal> => {
  const contentType = context.request.headers["content-type"]
  const isBody = !isJson(contentType) && (contentType !== undefined || query.has("topic"))
  const publishing = isBody
    ? publishRaw(context, contentType ?? octetsContentType, query)
    : publishJson(context)
  return Effect.map(publishing, (receipt) => jsonResponse(receipt, 202))
}

/** The same, of a body that says everything. */
export const publishJson = (context: PublishContext): Effect.Effect<Receipt, Refusal> => {
  const { request, web } = context
  const limits = web.limitsOf(context.identity)
  const { httpReadTimeout: timeout } = web.settings
  return Effect.flatMap(readBody(request, { maxBytes: limits.maxBytes, timeout }), (body) =>
    publishRead(context, decodePublishBody(body, limits))
  )
}

const publishRaw = (
  context: PublishContext,
  contentType: string,
  query: URLSearchParams
): Effect.Effect<Receipt, Refusal> => {
  const { maxPayload: maxBytes } = context.web.limitsOf(context.identity)
  const { httpReadTimeout: timeout } = context.web.settings
  return Effect.flatMap(readBody(context.request, { maxBytes, timeout }), (body) =>
    publishRead(context, readRawMessage(body, contentType, query))
  )
}

const publishRead = (
  context: PublishContext,
  message: TopicMessage | BodyFault
): Effect.Effect<Receipt, Refusal> =>
  message._tag === "Fault"
    ? Effect.fail(refusal(message.code, message.message))
    : publishMessage(context, message)

const publishMessage = (context: PublishContext, given: TopicMessage): Effect.Effect<Receipt, Refusal> => {
  const forbidden = mayPublish(context.identity, given.topic)
  if (forbidden !== undefined) return Effect.fail(forbidden)
  const { deliverAt, priority, topic, ttl } = given
  const message = traced(given.message, context.request)
  const publish = context.web.publisher.publish(topic, [message], { deliverAt, priority, ttl })
  const counted = takeShare(context, 1)
  const published = counted === undefined ? publish : Effect.andThen(counted, publish)
  return Effect.map(published, ({ durability, duplicate, epoch, offset }) =>
    receiptOf(topic, { epoch, offset }, durability, duplicate, message.id)
  )
}

/** Nothing where there is no limit. */
const takeShare = (
  { identity, request, web }: PublishContext,
  messages: number
): Effect.Effect<void, Refusal> | undefined => {
  const limit = identity.limits.messagesPerMinute ?? web.settings.rateLimitPerClient
  return limit === 0 ? undefined : web.rate.take(limitKeyOf(identity, request), messages, limit)
}

/** The request's trace is the message's, unless the message has one. */
const traced = (message: Message, { headers }: IncomingMessage): Message => {
  const { traceparent } = headers
  if (typeof traceparent !== "string" || message.headers?.traceparent !== undefined) return message
  if (parseTraceparent(traceparent) === undefined) return message
  return { ...message, headers: { ...message.headers, traceparent } }
}

/** POST /api/v1/messages/bulk, as JSON */
export const publishMany = (
  context: PublishContext
): Effect.Effect<HttpServerResponse.HttpServerResponse, Refusal> => {
  const { httpReadTimeout: timeout, maxRequestBody: maxBytes } = context.web.settings
  const limits = context.web.limitsOf(context.identity)
  const contentType = context.request.headers["content-type"]
  if (contentType !== undefined && !isJson(contentType)) {
    return Effect.fail(
      refusal(
        "UNSUPPORTED_MEDIA_TYPE",
        `send ${jsonContentType}, or application/x-ndjson for a message a line`
      )
    )
  }
  return readBody(context.request, { maxBytes, timeout }).pipe(
    Effect.flatMap((body) => {
      const messages = decodeBulkBody(body, limits)
      return "_tag" in messages
        ? Effect.fail(refusal(messages.code, messages.message))
        : publishAll(context, messages)
    }),
    Effect.map((results) => {
      const rejected = results.reduce((count, result) => count + ("error" in result ? 1 : 0), 0)
      return jsonResponse({ accepted: results.length - rejected, rejected, results }, 202)
    })
  )
}

/** Publishes what can be published. Answers what became of each, in order. */
export const publishAll = (
  context: PublishContext,
  given: ReadonlyArray<TopicMessage | BodyFault>
): Effect.Effect<ReadonlyArray<Outcome>> => {
  const outcomes = new Array<Outcome>(given.length)
  const wanted: Array<readonly [number, TopicMessage]> = []
  for (const [place, each] of given.entries()) {
    if (each._tag === "Fault") {
      outcomes[place] = { error: { code: each.code, message: each.message } }
      continue
    }
    const forbidden = mayPublish(context.identity, each.topic)
    if (forbidden === undefined)
      wanted.push([place, { ...each, message: traced(each.message, context.request) }])
    else outcomes[place] = outcomeOf(forbidden)
  }
  const publishing = Effect.forEach(
    planBatches(wanted),
    (batch) =>
      Effect.map(publishBatch(context.web, batch), (results) => {
        for (const [index, place] of batch.places.entries()) outcomes[place] = results(index)
      }),
    { concurrency: "unbounded", discard: true }
  )
  const share = wanted.length === 0 ? undefined : takeShare(context, wanted.length)
  if (share === undefined) return Effect.as(publishing, outcomes)
  return Effect.matchEffect(share, {
    onFailure: (refused) => {
      for (const [place] of wanted) outcomes[place] = outcomeOf(refused)
      return Effect.succeed(outcomes)
    },
    onSuccess: () => Effect.as(publishing, outcomes)
  })
}

/** What became of each message, by its place in the batch. */
const publishBatch = (
  { publisher }: WebService,
  { deliverAt, messages, priority, topic, ttl }: PlannedBatch
): Effect.Effect<(index: number) => Outcome> =>
  Effect.match(publisher.publish(topic, messages, { deliverAt, priority, ttl }), {
    onSuccess: ({ durability, duplicate, epoch, offset }) => {
      const isHeld = epoch === 0
      return (index) =>
        receiptOf(
          topic,
          { epoch, offset: isHeld ? 0 : offset + index },
          durability,
          duplicate,
          messages[index]?.id
        )
    },
    onFailure: (refused) => {
      const outcome = outcomeOf(refused)
      return () => outcome
    }
  })

export const outcomeOf = ({ problem }: Refusal): Outcome => {
  const { code, detail, retry_after } = problem
  return { error: { code, message: detail, ...(retry_after === undefined ? {} : { retry_after }) } }
}

export const tooLongLine: BodyFault = {
  _tag: "Fault",
  code: jsonCodes["message-too-large"],
  message: "the line is longer than is allowed"
}
