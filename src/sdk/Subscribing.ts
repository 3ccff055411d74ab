/**
 * One live subscription as a stream: at most once, in the order of each topic, resumed after a reconnection.
 *
 * What arrives is decoded batch by batch, when the stream is pulled; a stream that is not pulled holds no more than
 * `queueSize` messages here, and then the hub does with the others what `overflow` says.
 */
import { Array as Arr, Effect, type Pull, Result, type Scope, Stream } from "effect"
import type { Overflow, Position, Start } from "../protocol/Position.ts"
import type { Client, ClientSession, Inbox } from "./Client.ts"
import { type Delivery, decodeInbound, type SubscriptionEvent, type Undecodable } from "./Delivery.ts"
import { messageInvalid, type PolestarError } from "./PolestarError.ts"
import { type TimeInput, timeMillis } from "./Times.ts"
import type { TopicSource } from "./Topic.ts"

/** Where a subscription starts: with what comes, or with what the hub still has. */
export type From =
  | "now"
  /** The oldest message that is kept of each topic. */
  | "first"
  /** The last so many messages of each topic. */
  | { readonly last: number }
  /** The message at a position, of a pattern without wildcards. */
  | { readonly position: Position }
  /** What the hub took at a time or later, on the hub's clock. */
  | { readonly time: TimeInput }

export interface SubscribeOptions {
  /** Default `"now"`. */
  readonly from?: From | undefined
  /**
   * What happens when this client does not keep up: `"drop-oldest"` (the default) and `"drop-newest"` lose messages
   * and say so (`Dropped`); `"wait"` holds back the topic and its publishers; `"disconnect"` ends the stream with
   * the error `Disconnected`.
   */
  readonly overflow?: Overflow | undefined
  /** Whether messages that this same client published are among them. Default true. */
  readonly echo?: boolean | undefined
  /** Messages, and bytes, that may wait in this client. Default: as the client's. */
  readonly queueSize?: number | undefined
  readonly queueBytes?: number | undefined
}

/** A subscription that the hub has confirmed. One of its streams is to be run, once. */
export interface Subscription<A, Params> {
  /** All that the subscription hears. */
  readonly events: Stream.Stream<SubscriptionEvent<A, Params>, PolestarError>
  /** The messages alone. The first that cannot be decoded is logged as a warning, and all such are counted. */
  readonly messages: Stream.Stream<Delivery<A, Params>, PolestarError>
}

/** Subscribes, and answers when the hub has confirmed it: what is published from then on arrives. */
export const open = Effect.fnUntraced(function* <A, Params>(
  client: Client,
  session: ClientSession,
  source: TopicSource<A, Params>,
  options: SubscribeOptions = {}
): Effect.fn.Return<Subscription<A, Params>, PolestarError, Scope.Scope> {
  if (source.patternFault !== undefined) return yield* messageInvalid(source.patternFault)
  const start = yield* Effect.fromResult(startOf(options.from ?? "now"))
  const overflow = options.overflow ?? "drop-oldest"
  // The hub closes the session of a slow consumer: one of its own, so that nothing else ends with it. It has the
  // same id, by which the hub knows this client's own messages.
  const own = overflow === "disconnect" ? yield* client.openSession({ id: session.id }) : session
  const inbox = yield* own.subscribe({
    pattern: source.pattern,
    start,
    overflow,
    echo: options.echo ?? true,
    queueSize: options.queueSize,
    queueBytes: options.queueBytes
  })
  const events = pullEvents(client, source, inbox)
  return {
    events: Stream.fromPull(Effect.succeed(events)),
    messages: Stream.fromPull(Effect.sync(() => onlyMessages(events)))
  }
})

const pullEvents = <A, Params>(
  client: Client,
  source: TopicSource<A, Params>,
  inbox: Inbox
): Pull.Pull<Arr.NonEmptyReadonlyArray<SubscriptionEvent<A, Params>>, PolestarError> => {
  const pull: Pull.Pull<
    Arr.NonEmptyReadonlyArray<SubscriptionEvent<A, Params>>,
    PolestarError
  > = Effect.flatMap(inbox.take, (arrived) => {
    const events: Array<SubscriptionEvent<A, Params>> = []
    for (const inbound of arrived) decodeInbound(source, inbound, events)
    let undecodable = 0
    for (const event of events) if (event._tag === "Undecodable") undecodable++
    if (undecodable > 0) client.countUndecodable(undecodable)
    return Arr.isArrayNonEmpty(events) ? Effect.succeed(events) : pull
  })
  return pull
}

const isDelivery = <A, Params>(event: SubscriptionEvent<A, Params>): event is Delivery<A, Params> =>
  event._tag === "Message"

const onlyMessages = <A, Params>(
  events: Pull.Pull<Arr.NonEmptyReadonlyArray<SubscriptionEvent<A, Params>>, PolestarError>
): Pull.Pull<Arr.NonEmptyReadonlyArray<Delivery<A, Params>>, PolestarError> => {
  let hasWarned = false
  const pull: Pull.Pull<Arr.NonEmptyReadonlyArray<Delivery<A, Params>>, PolestarError> = Effect.flatMap(
    events,
    (all) => {
      const messages = all.filter(isDelivery)
      const first = hasWarned || messages.length === all.length ? undefined : all.find(isUndecodable)
      const next = Arr.isArrayNonEmpty(messages) ? Effect.succeed(messages) : pull
      if (first === undefined) return next
      hasWarned = true
      return Effect.andThen(warn(first), next)
    }
  )
  return pull
}

const isUndecodable = <A, Params>(event: SubscriptionEvent<A, Params>): event is Undecodable =>
  event._tag === "Undecodable"

/** The topic and the position say which message; its payload is nobody's business in a log. */
const warn = ({ topic, position, error }: Undecodable): Effect.Effect<void> =>
  Effect.logWarning("A message could not be decoded and was left out; there may be more").pipe(
    Effect.annotateLogs({ topic, ...position, error: error.message })
  )

const largestCount = 4_294_967_295

const startOf = (from: From): Result.Result<Start, PolestarError> => {
  if (from === "now") return Result.succeed({ _tag: "Now" })
  if (from === "first") return Result.succeed({ _tag: "First" })
  if ("last" in from) {
    return isCount(from.last) && from.last <= largestCount
      ? Result.succeed({ _tag: "Last", count: from.last })
      : Result.fail(messageInvalid(`from.last is not an integer from 0 to ${largestCount}`))
  }
  if ("position" in from) {
    return isCount(from.position.epoch) && isCount(from.position.offset)
      ? Result.succeed({ _tag: "Position", position: from.position })
      : Result.fail(messageInvalid("from.position is not a position"))
  }
  const time = Math.floor(timeMillis(from.time))
  return isCount(time)
    ? Result.succeed({ _tag: "Time", time })
    : Result.fail(messageInvalid("from.time is not a moment since 1970"))
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0
