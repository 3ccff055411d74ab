/**
 * From a value and its options to a message: everything that can be wrong with a publish before it is sent.
 * Pure; what is wrong is answered as an error, and then nothing was sent.
 */
import { DateTime, Duration, Option, Result } from "effect"
import type { Message } from "../protocol/Message.ts"
import { maxPriority } from "../protocol/Publish.ts"
import type * as Client from "./Client.ts"
import { encodeFailed, messageInvalid } from "./Failures.ts"
import type { PolestarError } from "./PolestarError.ts"
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
  /** The hub holds the message until then. */
  readonly deliverAt?: TimeInput | undefined
}

export interface PublishOptions extends BatchOptions {
  /** Names the message: one seen by the hub within two minutes is not stored twice. Up to 255 bytes. */
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

/** A `ttl` of the wire is 32 bits of milliseconds. */
const longestTtl = 4_294_967_295

const noOptions: Result.Result<Client.PublishOptions | undefined, PolestarError> = Result.succeed(undefined)

/** The options as the engine takes them; `undefined` if there are none. */
export const engineOptions = (
  options: BatchOptions | undefined
): Result.Result<Client.PublishOptions | undefined, PolestarError> => {
  const { priority } = options ?? {}
  if (options === undefined || (priority ?? options.ttl ?? options.deliverAt) === undefined) return noOptions
  if (priority !== undefined && !(Number.isInteger(priority) && priority >= 0 && priority <= maxPriority)) {
    return Result.fail(messageInvalid(`the priority is not an integer from 0 to ${maxPriority}`))
  }
  const deliverAt = options.deliverAt === undefined ? undefined : timeMillis(options.deliverAt)
  if (deliverAt !== undefined && !(Number.isSafeInteger(Math.ceil(deliverAt)) && deliverAt >= 0)) {
    return Result.fail(messageInvalid("deliverAt is not a moment since 1970"))
  }
  const ttl = options.ttl === undefined ? undefined : Option.getOrNull(Duration.fromInput(options.ttl))
  const ttlMillis = ttl === undefined ? undefined : ttl === null ? Number.NaN : Duration.toMillis(ttl)
  if (
    ttlMillis !== undefined &&
    !(ttlMillis === Number.POSITIVE_INFINITY || (ttlMillis >= 1 && ttlMillis <= longestTtl))
  ) {
    return Result.fail(messageInvalid(`the ttl is not from 1 to ${longestTtl} ms, nor infinity`))
  }
  return Result.succeed({
    priority,
    ttl:
      ttlMillis === undefined || ttlMillis === Number.POSITIVE_INFINITY
        ? undefined
        : Duration.millis(Math.ceil(ttlMillis)),
    deliverAt: deliverAt === undefined ? undefined : Math.ceil(deliverAt)
  })
}
