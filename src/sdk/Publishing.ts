/**
 * From a value and its options to a message: everything that can be wrong with a publish before it is sent.
 * Pure; what is wrong is answered as an error, and then nothing was sent.
 */
import { type Duration, Result } from "effect"
import type { Message } from "../protocol/Message.ts"
import type * as Client from "./Client.ts"
import { attributesOf } from "./engine/PublishCall.ts"
import { encodeFailed, messageInvalid, PolestarError } from "./PolestarError.ts"
import { millisOf, type TimeInput, timeMillis } from "./Times.ts"
import type { TopicTarget } from "./Topic.ts"
import { traceparentHeader } from "./Tracing.ts"

/** Options of all messages of one publish. */
export interface BatchOptions {
  /** Up to 255 names of up to 255 bytes, with values of up to 65,535 bytes. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** 0 – 9, 9 the most urgent. Default 0. */
  readonly priority?: number | undefined
  /** After it the message is not delivered any more: 1 ms to 49 days, or infinity, the default. */
  readonly ttl?: Duration.Input | undefined
  /**
   * The hub holds the message until then, by its clock; it takes its place in the topic at that time. A moment that is
   * past is now.
   */
  readonly deliverAt?: TimeInput | undefined
  /** The same, so long after it was published, by this machine's clock. Not with `deliverAt`. */
  readonly delay?: Duration.Input | undefined
}

export interface PublishOptions extends BatchOptions {
  /**
   * Names the message: one of an id that the topic had within the hub's window (2 minutes unless set) is not stored
   * again, and its receipt says `duplicate`. Up to 255 bytes.
   */
  readonly id?: string | undefined
  /** Messages of one key belong together. Up to 255 bytes. */
  readonly key?: string | undefined
}

/** Ids and keys of many messages are made from their values, and their index in what is published. */
export interface PublishAllOptions<A> extends BatchOptions {
  readonly id?: ((value: A, index: number) => string) | undefined
  readonly key?: string | ((value: A, index: number) => string) | undefined
}

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

/**
 * The options as the engine takes them, checked by its rules; `undefined` if there are none. `now` is in milliseconds
 * since 1970.
 */
export const engineOptions = (
  options: BatchOptions | undefined,
  now: number
): Result.Result<Client.PublishOptions | undefined, PolestarError> => {
  const { delay, deliverAt, priority, ttl } = options ?? {}
  if ((priority ?? ttl ?? deliverAt ?? delay) === undefined) return Result.succeed(undefined)
  if (deliverAt !== undefined && delay !== undefined) {
    return Result.fail(messageInvalid("give one of deliverAt and delay"))
  }
  const after = delay === undefined ? 0 : millisOf(delay)
  if (!(after >= 0)) return Result.fail(messageInvalid("the delay is not a duration"))
  const at = deliverAt === undefined ? undefined : timeMillis(deliverAt)
  const engine = { priority, ttl, deliverAt: after > 0 ? now + after : at }
  const attributes = attributesOf(engine)
  return attributes instanceof PolestarError ? Result.fail(attributes) : Result.succeed(engine)
}
