/**
 * From a value and its options to a message: everything that can be wrong with a publish before it is sent.
 * Pure; what is wrong is answered as an error, and then nothing was sent.
 */
import { DateTime, type Duration, Result } from "effect"
import type { Message } from "../protocol/Message.ts"
import type * as Client from "./Client.ts"
import { attributesOf } from "./engine/PublishCall.ts"
import { encodeFailed, messageInvalid, PolestarError } from "./PolestarError.ts"
import type { TopicTarget } from "./Topic.ts"
import { traceparentHeader } from "./Tracing.ts"

/** A moment: a number is milliseconds since 1970. */
export type TimeInput = number | Date | DateTime.DateTime

/** Options of all messages of one publish. */
export interface BatchOptions {
  /** Up to 255 names of up to 255 bytes, with values of up to 65,535 bytes. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** 0 – 9, 9 the most urgent. Default 0. */
  readonly priority?: number | undefined
  /** After it the message is not delivered any more: 1 ms to 49 days, or infinity, the default. */
  readonly ttl?: Duration.Input | undefined
  /** The hub is to hold the message until then. For now this hub cannot: it refuses it as `unsupported`. */
  readonly deliverAt?: TimeInput | undefined
}

export interface PublishOptions extends BatchOptions {
  /** Names the message, for who reads it; this hub does not look for messages of the same id yet. Up to 255 bytes. */
  readonly id?: string | undefined
  /** Messages of one key belong together. Up to 255 bytes. */
  readonly key?: string | undefined
}

/** Ids and keys of many messages are made from their values, and their index in what is published. */
export interface PublishAllOptions<A> extends BatchOptions {
  readonly id?: ((value: A, index: number) => string) | undefined
  readonly key?: string | ((value: A, index: number) => string) | undefined
}

export const timeMillis = (time: TimeInput): number =>
  typeof time === "number" ? time : time instanceof Date ? time.getTime() : DateTime.toEpochMillis(time)

export const encodeMessage = <A>(
  target: TopicTarget<A>,
  value: A,
  options: PublishOptions | undefined,
  headers: Readonly<Record<string, string>> | undefined
): Result.Result<Message, PolestarError> => {
  if (target.nameFault !== undefined) return Result.fail(messageInvalid(target.nameFault))
  const { codec } = target
  const payload = codec.encode(value)
  return Result.isFailure(payload)
    ? Result.fail(encodeFailed(payload.failure))
    : Result.succeed({
        payload: payload.success,
        contentType: codec.contentType,
        id: options?.id,
        key: options?.key,
        headers
      })
}

/** The messages in order, or what is wrong with the first that cannot be one. */
export const encodeMessages = <A>(
  target: TopicTarget<A>,
  values: Iterable<A>,
  options: PublishAllOptions<A> | undefined,
  headers: Readonly<Record<string, string>> | undefined
): Result.Result<ReadonlyArray<Message>, PolestarError> => {
  const messages: Array<Message> = []
  for (const value of values) {
    const index = messages.length
    const key = options?.key
    const encoded = encodeMessage(
      target,
      value,
      { id: options?.id?.(value, index), key: typeof key === "function" ? key(value, index) : key },
      headers
    )
    if (Result.isFailure(encoded)) return Result.fail(encoded.failure)
    messages.push(encoded.success)
  }
  return Result.succeed(messages)
}

/** The headers with the trace in them; a `traceparent` that was given stays. */
export const headersWith = (
  headers: Readonly<Record<string, string>> | undefined,
  traceparent: string | undefined
): Readonly<Record<string, string>> | undefined =>
  traceparent === undefined ? headers : { [traceparentHeader]: traceparent, ...headers }

/** The options as the engine takes them, checked by its rules; `undefined` if there are none. */
export const engineOptions = (
  options: BatchOptions | undefined
): Result.Result<Client.PublishOptions | undefined, PolestarError> => {
  const { deliverAt, priority, ttl } = options ?? {}
  if ((priority ?? ttl ?? deliverAt) === undefined) return Result.succeed(undefined)
  const engine = { priority, ttl, deliverAt: deliverAt === undefined ? undefined : timeMillis(deliverAt) }
  const attributes = attributesOf(engine)
  return attributes instanceof PolestarError ? Result.fail(attributes) : Result.succeed(engine)
}
