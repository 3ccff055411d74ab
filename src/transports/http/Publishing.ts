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
import { type PlannedBatch, planBatches } from "./BulkPlan.ts"
import { type Caller, mayPublish } from "./Caller.ts"
import { type PublishLimit, publishLimitOf } from "./PublishLimit.ts"
import { readRawMessage } from "./RawMessage.ts"
import { jsonResponse, Refusal, refusal } from "./Refusal.ts"
import { readBody } from "./RequestBody.ts"
import type { Web } from "./Web.ts"

type WebService = Web["Service"]

/** What became of one message of many. */
export type Outcome =
  | Receipt
  | { readonly error: { readonly code: JsonCode; readonly message: string; readonly retry_after?: number } }

/** `application/json`, whatever its parameters. */
export const isJson = (contentType: string | undefined): boolean =>
  contentType !== undefined && /^application\/json\s*(;|$)/i.test(contentType)

const queryOf = ({ url = "" }: IncomingMessage): URLSearchParams => {
  const at = url.indexOf("?")
  return new URLSearchParams(at < 0 ? "" : url.slice(at))
}

/** POST /api/v1/messages: as JSON the body says everything, else it is the payload. Answered 202. */
export const publishOne = (caller: Caller): Effect.Effect<Receipt, Refusal> => {
  const contentType = caller.request.headers["content-type"]
  if (isJson(contentType)) return publishJson(caller)
  const query = queryOf(caller.request)
  return contentType !== undefined || query.has("topic")
    ? publishRaw(caller, contentType ?? octetsContentType, query)
    : publishJson(caller)
}

const publishJson = (caller: Caller): Effect.Effect<Receipt, Refusal> => {
  const { identity, request, web } = caller
  const limits = web.limitsOf(identity)
  return Effect.flatMap(readBody(web, request, limits.maxBytes), (body) =>
    publishRead(caller, decodePublishBody(body, limits))
  )
}

const publishRaw = (
  caller: Caller,
  contentType: string,
  query: URLSearchParams
): Effect.Effect<Receipt, Refusal> => {
  const { identity, request, web } = caller
  return Effect.flatMap(readBody(web, request, web.limitsOf(identity).maxPayload), (body) =>
    publishRead(caller, readRawMessage(body, contentType, query))
  )
}

const publishRead = (caller: Caller, message: TopicMessage | BodyFault): Effect.Effect<Receipt, Refusal> =>
  message._tag === "Fault"
    ? Effect.fail(refusal(message.code, message.message))
    : publishMessage(caller, message)

const publishMessage = (caller: Caller, given: TopicMessage): Effect.Effect<Receipt, Refusal> => {
  const forbidden = mayPublish(caller.identity, given.topic)
  if (forbidden !== undefined) return Effect.fail(forbidden)
  const { topic } = given
  const message = traced(given.message, caller.request)
  const publish = caller.web.gathering.publish({ ...given, message })
  const counted = publishLimit(caller)?.take(1)
  const published = counted === undefined ? publish : Effect.andThen(counted, publish)
  return Effect.map(published, ({ durability, duplicate, epoch, offset }) =>
    receiptOf(topic, { epoch, offset }, durability, duplicate, message.id)
  )
}

const publishLimit = ({ identity, limitKey, web }: Caller): PublishLimit | undefined =>
  publishLimitOf(web, identity, limitKey)

/** The request's trace is the message's, unless the message has one. */
const traced = (message: Message, { headers }: IncomingMessage): Message => {
  const { traceparent } = headers
  if (typeof traceparent !== "string" || message.headers?.traceparent !== undefined) return message
  if (parseTraceparent(traceparent) === undefined) return message
  return { ...message, headers: { ...message.headers, traceparent } }
}

/** POST /api/v1/messages/bulk, as JSON */
export const publishMany = (
  caller: Caller
): Effect.Effect<HttpServerResponse.HttpServerResponse, Refusal> => {
  const { limitsOf, settings } = caller.web
  const limits = limitsOf(caller.identity)
  const contentType = caller.request.headers["content-type"]
  if (contentType !== undefined && !isJson(contentType)) {
    return Effect.fail(
      refusal(
        "UNSUPPORTED_MEDIA_TYPE",
        `send ${jsonContentType}, or application/x-ndjson for a message a line`
      )
    )
  }
  return Effect.gen(function* () {
    const messages = decodeBulkBody(
      yield* readBody(caller.web, caller.request, settings.maxRequestBody),
      limits
    )
    if ("_tag" in messages) return yield* Effect.fail(refusal(messages.code, messages.message))
    const results = yield* publishAll(caller, messages)
    const tooMany = rateLimited(results)
    if (tooMany !== undefined) return yield* Effect.fail(tooMany)
    const rejected = countRefused(caller, messages, results)
    const more = rejected === 0 ? {} : { instance: caller.instance }
    return jsonResponse({ accepted: results.length - rejected, rejected, ...more, results }, 202)
  })
}

/** Why none was taken, if it was for their number alone: then the same request may be sent again as it is. */
const rateLimited = (outcomes: ReadonlyArray<Outcome>): Refusal | undefined => {
  const refused = outcomes.flatMap((outcome) => ("error" in outcome ? [outcome.error] : []))
  const [first] = refused
  const isAll = refused.length === outcomes.length && refused.every(({ code }) => code === "RATE_LIMITED")
  if (first === undefined || !isAll) return undefined
  const { problem } = refusal(first.code, first.message, first.retry_after)
  return new Refusal({ problem, times: refused.length })
}

/** Publishes what can be published. Answers what became of each, in order; `countRefused` is for whoever answers. */
export const publishAll = (
  caller: Caller,
  given: ReadonlyArray<TopicMessage | BodyFault>
): Effect.Effect<ReadonlyArray<Outcome>> => {
  const outcomes = new Array<Outcome>(given.length)
  const wanted: Array<readonly [number, TopicMessage]> = []
  for (const [place, each] of given.entries()) {
    if (each._tag === "Fault") {
      outcomes[place] = { error: { code: each.code, message: each.message } }
      continue
    }
    const forbidden = mayPublish(caller.identity, each.topic)
    if (forbidden === undefined)
      wanted.push([place, { ...each, message: traced(each.message, caller.request) }])
    else outcomes[place] = outcomeOf(forbidden)
  }
  const publishing = (messages: typeof wanted) =>
    Effect.forEach(
      planBatches(messages),
      (batch) =>
        Effect.map(publishBatch(caller.web, batch), (results) => {
          for (const [index, place] of batch.places.entries()) outcomes[place] = results(index)
        }),
      { concurrency: "unbounded", discard: true }
    )
  const limit = publishLimit(caller)
  if (limit === undefined) return Effect.as(publishing(wanted), outcomes)
  return Effect.flatMap(limit.takeSome(wanted.length), ({ refused, taken }) => {
    if (refused !== undefined) for (const [place] of wanted.slice(taken)) outcomes[place] = outcomeOf(refused)
    return Effect.as(publishing(refused === undefined ? wanted : wanted.slice(0, taken)), outcomes)
  })
}

/** Of many messages the refused ones are counted and logged together, by what was wrong with them. Answers how many. */
export const countRefused = (
  caller: Caller,
  given: ReadonlyArray<TopicMessage | BodyFault>,
  outcomes: ReadonlyArray<Outcome>
): number => {
  let count = 0
  const refused = new Map<JsonCode, { readonly topic: string | undefined; times: number }>()
  for (const [place, outcome] of outcomes.entries()) {
    if (!("error" in outcome)) continue
    count++
    const same = refused.get(outcome.error.code)
    const message = given[place]
    const topic = message === undefined || message._tag === "Fault" ? undefined : message.topic
    if (same === undefined) refused.set(outcome.error.code, { topic, times: 1 })
    else same.times++
  }
  for (const [code, { times, topic }] of refused) caller.refusedPart(code, topic, times)
  return count
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
