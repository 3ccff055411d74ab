/**
 * What the hub says to a WebSocket client besides deliveries (`DeliveryJson.ts`), each as the bytes of one text frame.
 * Times are milliseconds since 1970, and are written as RFC 3339.
 */
import type { Position } from "../Position.ts"
import type { RequestId } from "./ClientJson.ts"
import { encodeJson } from "./JsonWriter.ts"
import type { Receipt } from "./MessageJson.ts"
import { type JsonCode, type ProblemKind, problemKinds } from "./Problem.ts"
import { timeText } from "./StartText.ts"

const requestField = (requestId: RequestId | undefined) =>
  requestId === undefined ? {} : { request_id: requestId }

/** The first thing that a client is told. */
export const encodeConnected = (clientId: string, now: number): Uint8Array =>
  encodeJson({
    type: "connected",
    message: { id: "welcome", payload: { client_id: clientId } },
    ts: timeText(now)
  })

/** What was done. */
export type Done =
  | { readonly _tag: "Subscribed"; readonly topic: string }
  | { readonly _tag: "Unsubscribed"; readonly topic: string }
  /** Without a receipt where the publisher does not wait for one. */
  | { readonly _tag: "Published"; readonly topic: string; readonly receipt?: Receipt | undefined }
  /** In the dialect of `topics`. */
  | { readonly _tag: "SubscribedAll"; readonly topics: ReadonlyArray<string> }
  | { readonly _tag: "UnsubscribedAll"; readonly topics: ReadonlyArray<string> }
  | { readonly _tag: "Acknowledged"; readonly count: number }

const ackFields = (done: Done): { readonly payload: string; readonly fields: object } => {
  switch (done._tag) {
    case "Subscribed":
      return { payload: `Subscribed to topic '${done.topic}'`, fields: { topic: done.topic } }
    case "Unsubscribed":
      return { payload: `Unsubscribed from topic '${done.topic}'`, fields: { topic: done.topic } }
    case "Published": {
      const receipt = done.receipt === undefined ? {} : { receipt: done.receipt }
      return { payload: `Published to topic '${done.topic}'`, fields: { topic: done.topic, ...receipt } }
    }
    case "SubscribedAll":
      return { payload: `Subscribed to ${counted(done.topics.length)}`, fields: { topics: done.topics } }
    case "UnsubscribedAll":
      return { payload: `Unsubscribed from ${counted(done.topics.length)}`, fields: { topics: done.topics } }
    case "Acknowledged":
      return { payload: "Acknowledged", fields: { acknowledged: done.count } }
  }
}

const counted = (topics: number): string => `${topics} topic${topics === 1 ? "" : "s"}`

export const encodeAck = (done: Done, requestId: RequestId | undefined, now: number): Uint8Array => {
  const { fields, payload } = ackFields(done)
  return encodeJson({
    type: "ack",
    ...requestField(requestId),
    ...fields,
    message: { id: "ack", payload },
    ts: timeText(now)
  })
}

export const encodePong = (requestId: RequestId | undefined, now: number): Uint8Array =>
  encodeJson({ type: "pong", ...requestField(requestId), ts: timeText(now) })

export interface ErrorText {
  readonly code: JsonCode
  /** The table's own sentence if absent. */
  readonly message?: string | undefined
  readonly requestId?: RequestId | undefined
  /** The topic or pattern that it is about, if it is about one. */
  readonly topic?: string | undefined
  /** Seconds after which the same request may succeed; the table's own if absent. */
  readonly retryAfter?: number | undefined
}

/** Takes what `decodeClientJson` answers as a fault, as it is. */
export const encodeError = (error: ErrorText, now: number): Uint8Array => {
  const kind: ProblemKind = problemKinds[error.code]
  const retryAfter = error.retryAfter ?? kind.retryAfter
  return encodeJson({
    type: "error",
    ...requestField(error.requestId),
    ...(error.topic === undefined ? {} : { topic: error.topic }),
    error: {
      code: error.code,
      message: error.message ?? kind.summary,
      ...(retryAfter === undefined ? {} : { retry_after: retryAfter })
    },
    ts: timeText(now)
  })
}

const positionFields = ({ epoch, offset }: Position) => ({ epoch, offset })

/** After a resume from `position`, from which on nothing is missing. */
export const encodeRecovered = (topic: string, position: Position, now: number): Uint8Array =>
  encodeJson({ type: "recovered", topic, ...positionFields(position), ts: timeText(now) })

/** After a resume: the messages from `from` to before `to` are lost to the client. */
export const encodeGap = (topic: string, from: Position, to: Position, now: number): Uint8Array =>
  encodeJson({
    type: "gap",
    topic,
    from: positionFields(from),
    to: positionFields(to),
    ts: timeText(now)
  })

/** Messages that overflow took since this was last said. */
export const encodeDropped = (topic: string, count: number, now: number): Uint8Array =>
  encodeJson({ type: "dropped", topic, count, ts: timeText(now) })
