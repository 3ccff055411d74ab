/**
 * A member of a group: messages at least once, shared with the group's other members, to be acknowledged.
 *
 *     const orders = yield* star.join(Orders, { group: "billing" })
 *     yield* Stream.runForEach(orders.messages, (order) => Effect.andThen(charge(order), orders.acknowledge(order)))
 *
 * What is neither acknowledged nor refused within the group's `ackWait` comes again, here or to another member, and so
 * does what this member had when its connection was lost. It may then come here while it is still being handled:
 * `consume` leaves such out, this does not.
 */
import { Array as Arr, Effect, type Pull, type Scope, Stream } from "effect"
import type { OffsetRange, Order, Position, Start } from "../protocol/Position.ts"
import type { Client, Inbound, Membership, TopicRange } from "./Client.ts"
import {
  type Delivery,
  decodeInbound,
  type Gap,
  type SubscriptionEvent,
  type Undecodable
} from "./Delivery.ts"
import { byTopic } from "./engine/OffsetRanges.ts"
import { deadLetter, errorText, type Failure, refusalOf } from "./Failure.ts"
import { type GroupOptions, type GroupStart, groupName, groupNumbers, groupStart } from "./GroupOptions.ts"
import { messageInvalid, type PolestarError } from "./PolestarError.ts"
import type { NoParams, TopicSource } from "./Topic.ts"

export interface JoinOptions extends GroupOptions {
  /** The group's name: 1 to 64 bytes, one segment of a topic's name. It is made if it is not there. */
  readonly group: string
  /** Where a group that is new starts. Default `"now"`. One that is there goes on where it was. */
  readonly start?: GroupStart | undefined
  /**
   * Messages that may wait in this client for their turn. Default: as many as it handles in a quarter of a second, up to
   * 1,024, so that a slow member leaves the work to others.
   */
  readonly prefetch?: number | undefined
  /** The same in bytes. Default: as the client's. */
  readonly queueBytes?: number | undefined
}

/** One message of a group. */
export interface GroupDelivery<A, Params = NoParams> extends Delivery<A, Params> {
  /** The how manieth attempt this is, counting those that failed: from 1; 255 stands for that and more. */
  readonly attempt: number
}

/** One message whose payload the topic's codec did not accept. It is to be acknowledged or refused as any other. */
export interface UndecodableDelivery extends Undecodable {
  readonly attempt: number
}

/** A `Gap` is what is lost to the whole group: it was not kept until its turn. */
export type GroupEvent<A, Params = NoParams> = GroupDelivery<A, Params> | UndecodableDelivery | Gap

/** What a message is acknowledged by. */
export interface Delivered {
  readonly topic: string
  readonly position: Position
}

/** A member that the hub has confirmed. One of its streams is to be run, once. */
export interface GroupSubscription<A, Params> {
  readonly group: string
  /** All that the member hears. */
  readonly events: Stream.Stream<GroupEvent<A, Params>, PolestarError>
  /** The messages alone. What cannot be decoded is refused as a dead letter, and counted; the first is logged. */
  readonly messages: Stream.Stream<GroupDelivery<A, Params>, PolestarError>
  /**
   * These are done, and never come again: it answers when the hub has stored that. Over a lost connection it is sent
   * again. What is acknowledged at the same time goes together.
   */
  readonly acknowledge: (deliveries: Delivered | Iterable<Delivered>) => Effect.Effect<void, PolestarError>
  /** This message and all of its topic before it are done, whichever member has them. */
  readonly acknowledgeUpTo: (delivery: Delivered) => Effect.Effect<void, PolestarError>
  /**
   * These were not handled; `error` is told in the dead letter, if one becomes of it. Only what this member has. Fails
   * with `ConnectionLost` if the connection is lost before the hub has answered: the messages come again all the same.
   */
  readonly refuse: (
    deliveries: Delivered | Iterable<Delivered>,
    failure: Failure,
    error?: unknown
  ) => Effect.Effect<void, PolestarError>
}

/** Joins, and answers when the hub has confirmed it. Leaves with the scope, which gives everything back at once. */
export const join = Effect.fnUntraced(function* <A, Params>(
  client: Client,
  source: TopicSource<A, Params>,
  options: JoinOptions
): Effect.fn.Return<GroupSubscription<A, Params>, PolestarError, Scope.Scope> {
  const member = yield* joinGroup(client, source, options, 2)
  const events = pullEvents(client, source, member)
  return {
    group: options.group,
    events: Stream.fromPull(Effect.succeed(events)),
    messages: Stream.fromPull(Effect.sync(() => onlyMessages(events, member))),
    acknowledge: (deliveries) =>
      tellAll(rangesOf(deliveries), ({ epoch, topic }, ranges) => member.acknowledge(topic, epoch, ranges)),
    acknowledgeUpTo: ({ position: { epoch, offset }, topic }) =>
      member.acknowledge(topic, epoch, [{ from: 0, to: offset + 1 }]),
    refuse: (deliveries, failure, error) => {
      const refusal = refusalOf(failure, error === undefined ? "" : errorText(error))
      return tellAll(rangesOf(deliveries), ({ epoch, topic }, ranges) =>
        member.refuse(topic, epoch, ranges, refusal)
      )
    }
  }
})

/** The member beneath; `leastPrefetch` messages may wait in it whatever its speed. */
export const joinGroup = Effect.fnUntraced(function* <A, Params>(
  client: Client,
  source: TopicSource<A, Params>,
  options: JoinOptions,
  leastPrefetch: number
): Effect.fn.Return<Membership, PolestarError, Scope.Scope> {
  if (source.patternFault !== undefined) return yield* messageInvalid(source.patternFault)
  const group = yield* Effect.fromResult(groupName(options.group))
  const numbers = yield* Effect.fromResult(groupNumbers(options))
  const start: Start = yield* Effect.fromResult(groupStart(options.start ?? "now"))
  const order: Order = options.order ?? "any"
  const { prefetch, queueBytes } = options
  // A session is a member of a group once; of its own, a program may be one several times.
  const session = yield* client.openSession()
  return yield* session.join({
    ...numbers,
    group,
    pattern: source.pattern,
    start,
    order,
    prefetch,
    leastPrefetch,
    queueBytes
  })
})

/** What has arrived, decoded. */
export const decodeAll = <A, Params>(
  client: Client,
  source: TopicSource<A, Params>,
  arrived: ReadonlyArray<Inbound>
): ReadonlyArray<GroupEvent<A, Params>> => {
  const events: Array<GroupEvent<A, Params>> = []
  const some: Array<SubscriptionEvent<A, Params>> = []
  let undecodable = 0
  for (const inbound of arrived) {
    some.length = 0
    decodeInbound(source, inbound, some)
    const attempt = inbound._tag === "Messages" ? inbound.batch.attempt : 0
    for (const event of some) {
      if (event._tag === "Undecodable") undecodable++
      if (event._tag === "Gap") events.push(event)
      else if (event._tag === "Message" || event._tag === "Undecodable") {
        events.push(Object.assign(event, { attempt }))
      }
    }
  }
  if (undecodable > 0) client.countUndecodable(undecodable)
  return events
}

type EventPull<A, Params> = Pull.Pull<Arr.NonEmptyReadonlyArray<GroupEvent<A, Params>>, PolestarError>

const pullEvents = <A, Params>(
  client: Client,
  source: TopicSource<A, Params>,
  member: Membership
): EventPull<A, Params> => {
  const pull: EventPull<A, Params> = Effect.flatMap(member.take, (arrived) => {
    const events = decodeAll(client, source, arrived)
    return Arr.isReadonlyArrayNonEmpty(events) ? Effect.succeed(events) : pull
  })
  return pull
}

const onlyMessages = <A, Params>(
  events: EventPull<A, Params>,
  member: Membership
): Pull.Pull<Arr.NonEmptyReadonlyArray<GroupDelivery<A, Params>>, PolestarError> => {
  const refuse = refuseUndecodable(member)
  const pull: Pull.Pull<Arr.NonEmptyReadonlyArray<GroupDelivery<A, Params>>, PolestarError> = Effect.flatMap(
    events,
    (all) => {
      const messages = all.filter((event) => event._tag === "Message")
      const told = refuse(all)
      return Effect.andThen(told, Arr.isReadonlyArrayNonEmpty(messages) ? Effect.succeed(messages) : pull)
    }
  )
  return pull
}

/** Makes what refuses, as dead letters, those of some events that cannot be decoded; the first of all is logged. */
export const refuseUndecodable = (
  member: Membership
): (<A, Params>(events: ReadonlyArray<GroupEvent<A, Params>>) => Effect.Effect<void>) => {
  let hasWarned = false
  return (events) => {
    let warning = Effect.void
    for (const event of events) {
      if (event._tag !== "Undecodable") continue
      const { error, position, topic } = event
      member.refuseUnsafe([rangeOf(event)], refusalOf(deadLetter, error.message))
      if (hasWarned) continue
      hasWarned = true
      // The topic and the position say which message; its payload is nobody's business in a log.
      warning = Effect.logWarning(
        "A message could not be decoded and is a dead letter; there may be more"
      ).pipe(Effect.annotateLogs({ topic, ...position, error: error.message }))
    }
    return warning
  }
}

export const rangeOf = ({ position: { epoch, offset }, topic }: Delivered): TopicRange => ({
  topic,
  epoch,
  from: offset,
  to: offset + 1
})

const isIterable = (deliveries: Delivered | Iterable<Delivered>): deliveries is Iterable<Delivered> =>
  Symbol.iterator in deliveries

const rangesOf = (deliveries: Delivered | Iterable<Delivered>) =>
  byTopic(isIterable(deliveries) ? Array.from(deliveries, rangeOf) : [rangeOf(deliveries)])

/** One answer for all. */
const tellAll = (
  all: ReturnType<typeof byTopic>,
  tell: (
    of: { readonly topic: string; readonly epoch: number },
    ranges: ReadonlyArray<OffsetRange>
  ) => Effect.Effect<void, PolestarError>
): Effect.Effect<void, PolestarError> =>
  Effect.forEach(all, ([of, ranges]) => tell(of, ranges), { concurrency: "unbounded", discard: true })
