/**
 * What a subscription hears: messages with their values, and what became of those that it did not get.
 *
 * A batch is decoded in one plain loop when the subscriber asks for it. A payload that its topic's codec does not
 * accept becomes `Undecodable`, and the messages around it are not affected.
 */
import { Result } from "effect"
import type { Deliver } from "../protocol/Deliver.ts"
import { type Message, octetsContentType } from "../protocol/Message.ts"
import type { Position } from "../protocol/Position.ts"
import { forEachMessage } from "../protocol/Publish.ts"
import type { Inbound } from "./Client.ts"
import { decodeFailed, type PolestarError } from "./PolestarError.ts"
import type { NoParams, TopicSource } from "./Topic.ts"

/** One message. */
export interface Delivery<A, Params = NoParams> {
  readonly _tag: "Message"
  /** The topic's name. */
  readonly topic: string
  /** The topic's parameters, as its template names them. */
  readonly params: Params
  readonly value: A
  readonly position: Position
  /** When the hub took the message: milliseconds since 1970, on the hub's clock. */
  readonly timestamp: number
  readonly id: string | undefined
  readonly key: string | undefined
  /** Empty if there are none. */
  readonly headers: Readonly<Record<string, string>>
  readonly contentType: string
}

/** One message whose payload the topic's codec did not accept. */
export interface Undecodable {
  readonly _tag: "Undecodable"
  readonly topic: string
  readonly position: Position
  readonly payload: Uint8Array
  readonly contentType: string
  /** Its reason is `DecodeFailed`. */
  readonly error: PolestarError
}

/** Of the messages from `from` to before `to`, `count` were dropped: this subscription was full. */
export interface Dropped {
  readonly _tag: "Dropped"
  readonly topic: string
  readonly from: Position
  readonly to: Position
  readonly count: number
}

/** After a reconnection: nothing was missed, and `messages` were sent again from the hub's log. */
export interface Recovered {
  readonly _tag: "Recovered"
  readonly messages: number
}

/** What was between `from` and `to` can no longer be had, or is unknown because the topic's log is another one. */
export interface Gap {
  readonly _tag: "Gap"
  readonly topic: string
  readonly from: Position
  readonly to: Position
}

export type SubscriptionEvent<A, Params = NoParams> =
  | Delivery<A, Params>
  | Undecodable
  | Dropped
  | Recovered
  | Gap

const noHeaders: Readonly<Record<string, string>> = Object.freeze({})

/** Appends what an inbound item says to `events`, in order. */
export const decodeInbound = <A, Params>(
  source: TopicSource<A, Params>,
  inbound: Inbound,
  events: Array<SubscriptionEvent<A, Params>>
): void => {
  if (inbound._tag === "Messages") decodeBatch(source, inbound.topic, inbound.batch, events)
  else events.push(inbound)
}

const decodeBatch = <A, Params>(
  source: TopicSource<A, Params>,
  topic: string,
  batch: Deliver,
  events: Array<SubscriptionEvent<A, Params>>
): void => {
  const { epoch, offset, timestamp } = batch
  const params = source.parse(topic)
  let seen = 0
  const isWhole = forEachMessage(
    batch.bytes,
    batch.start,
    batch.end,
    batch.skip,
    batch.count,
    (message, index) => {
      seen = index + 1
      const position = { epoch, offset: offset + index }
      events.push(decodeMessage(source, topic, params, message, position, timestamp))
    }
  )
  // A hub checks what it passes on, so this is a hub that is broken: say so, and lose nothing silently.
  if (!isWhole) {
    events.push({
      _tag: "Gap",
      topic,
      from: { epoch, offset: offset + seen },
      to: { epoch, offset: offset + batch.count }
    })
  }
}

const decodeMessage = <A, Params>(
  source: TopicSource<A, Params>,
  topic: string,
  params: Params | undefined,
  message: Message,
  position: Position,
  timestamp: number
): Delivery<A, Params> | Undecodable => {
  const { payload, id, key } = message
  const contentType = message.contentType ?? octetsContentType
  const decoded =
    params === undefined
      ? Result.fail(new TypeError(`${topic} does not match ${source.pattern} with its parameters`))
      : source.codec.decode(payload, contentType)
  if (Result.isFailure(decoded) || params === undefined) {
    const cause = Result.isFailure(decoded) ? decoded.failure : undefined
    return { _tag: "Undecodable", topic, position, payload, contentType, error: decodeFailed(cause) }
  }
  return {
    _tag: "Message",
    topic,
    params,
    value: decoded.success,
    position,
    timestamp,
    id,
    key,
    headers: message.headers ?? noHeaders,
    contentType
  }
}
