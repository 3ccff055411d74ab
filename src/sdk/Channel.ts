/**
 * Channels: who knows the same UUID hears each other, and no one else does.
 *
 * Joining makes a client of its own on the connection that is there (many share one socket). It hears what all
 * other clients of the channel publish, never its own. Delivery is live and at most once; each subscriber has a
 * queue of its own, and one that lags loses its oldest messages without holding up the others.
 */
import { Cause, Effect, Exit, Queue, Result, type Scope, Stream } from "effect"
import type { Position } from "../protocol/Position.ts"
import type { Receipt } from "./Client.ts"
import * as PayloadCodec from "./PayloadCodec.ts"
import { Polestar } from "./Polestar.ts"
import { encodeFailed, messageInvalid, type PolestarError } from "./PolestarError.ts"
import { open } from "./Subscribing.ts"
import * as Topic from "./Topic.ts"

export interface Channel<A> {
  /** The channel's UUID in lower case. */
  readonly id: string
  /** The UUID of this client of it. */
  readonly clientId: string
  /** Sends to all other clients of the channel; answers when the hub has taken it. */
  readonly publish: (value: A) => Effect.Effect<Receipt, PolestarError>
  /**
   * What the others publish. Each run of the stream hears everything from then on, and the first one what came
   * since the join, as far as its queue holds it. It ends with the scope of the join.
   */
  readonly subscribe: Stream.Stream<A, PolestarError>
  /**
   * Messages that did not reach a subscriber: it lagged, here or in the hub, it was cut off for too long, or they could
   * not be decoded.
   */
  readonly missed: Effect.Effect<number>
}

export interface JoinOptions {
  /** Messages that wait for each subscriber. Default 100. */
  readonly capacity?: number | undefined
}

/** Joins a channel of raw bytes. A text that is no UUID is `MessageInvalid`. Leaves with the scope. */
export const join = (
  uuid: string,
  options?: JoinOptions
): Effect.Effect<Channel<Uint8Array>, PolestarError, Polestar | Scope.Scope> =>
  joinWith(ownedBytes, uuid, options)

/** Channels of typed values: JSON, or another codec by choice. What cannot be decoded is left out and counted. */
export const make = <A>(
  schema: PayloadCodec.PayloadSchema<A>,
  options?: Topic.TopicOptions
): {
  readonly join: (
    uuid: string,
    options?: JoinOptions
  ) => Effect.Effect<Channel<A>, PolestarError, Polestar | Scope.Scope>
} => {
  const codec = (options?.codec ?? PayloadCodec.json)(schema)
  return { join: (uuid, joinOptions) => joinWith(codec, uuid, joinOptions) }
}

const defaultCapacity = 100
const uuidForm = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** Bytes may wait for long and go to several: they are copied out of the socket's chunk, once. */
const ownedBytes: PayloadCodec.PayloadCodec<Uint8Array> = {
  ...PayloadCodec.bytes,
  decode: (payload) => Result.succeed(payload.slice())
}

const joinWith = Effect.fnUntraced(function* <A>(
  codec: PayloadCodec.PayloadCodec<A>,
  uuid: string,
  options: JoinOptions = {}
): Effect.fn.Return<Channel<A>, PolestarError, Polestar | Scope.Scope> {
  const id = uuid.toLowerCase()
  if (!uuidForm.test(id)) return yield* messageInvalid("the channel is not a UUID")
  const capacity = options.capacity ?? defaultCapacity
  if (!Number.isSafeInteger(capacity) || capacity < 1) {
    return yield* messageInvalid("the capacity is not a positive integer")
  }
  const { client } = yield* Polestar
  const topic = Topic.named(`$channel.${id}`, codec)
  const fanOut = new FanOut<A>(capacity, yield* makeQueue<A>(capacity))
  const session = yield* client.openSession({ name: "channel" })
  const { events } = yield* open(client, session, topic, { echo: false })
  yield* Stream.runForEachArray(events, (batch) =>
    Effect.sync(() => {
      for (const event of batch) {
        if (event._tag === "Message") fanOut.publish(event.value)
        else if (event._tag === "Undecodable") fanOut.missed++
        else if (event._tag === "Dropped") fanOut.missed += event.count
        else if (event._tag === "Gap") fanOut.missed += gapSize(event.from, event.to)
      }
    })
  ).pipe(
    Effect.onExit((exit) => Effect.sync(() => fanOut.end(exit))),
    Effect.forkScoped({ startImmediately: true })
  )
  return {
    id,
    clientId: session.id,
    publish: (value) => {
      const payload = codec.encode(value)
      return Result.isFailure(payload)
        ? Effect.fail(encodeFailed(payload.failure))
        : session.publish(topic.name, { payload: payload.success, contentType: codec.contentType })
    },
    subscribe: Stream.unwrap(Effect.map(fanOut.subscribe, (queue) => Stream.fromQueue(queue))),
    missed: Effect.sync(() => fanOut.missed)
  }
})

/** Messages in a gap; at least one if the channel began anew, since it is not known then. */
const gapSize = (from: Position, to: Position): number =>
  from.epoch === to.epoch ? Math.max(0, to.offset - from.offset) : 1

type SubscriberQueue<A> = Queue.Queue<A, PolestarError | Cause.Done>

const makeQueue = <A>(capacity: number): Effect.Effect<SubscriberQueue<A>> => Queue.sliding(capacity)

/** Gives every value to the queues of all who subscribe. */
class FanOut<A> {
  missed = 0
  private readonly capacity: number
  private readonly queues = new Set<SubscriberQueue<A>>()
  /** Fills from the start, for the first who subscribes. */
  private early: SubscriberQueue<A> | undefined
  private ended: Exit.Exit<unknown, PolestarError> | undefined

  constructor(capacity: number, early: SubscriberQueue<A>) {
    this.capacity = capacity
    this.early = this.add(early)
  }

  publish(value: A): void {
    for (const queue of this.queues) {
      if (Queue.isFullUnsafe(queue)) this.missed++
      Queue.offerUnsafe(queue, value)
    }
  }

  /** Lets subscribers drain what they have, then ends their streams, or fails them. */
  end(exit: Exit.Exit<unknown, PolestarError>): void {
    this.ended = exit
    for (const queue of this.queues) finish(queue, exit)
  }

  readonly subscribe: Effect.Effect<SubscriberQueue<A>, never, Scope.Scope> = Effect.acquireRelease(
    Effect.suspend(() => {
      const early = this.early
      this.early = undefined
      return early === undefined
        ? Effect.map(makeQueue<A>(this.capacity), (queue) => this.add(queue))
        : Effect.succeed(early)
    }),
    (queue) => {
      this.queues.delete(queue)
      return Queue.shutdown(queue)
    }
  )

  private add(queue: SubscriberQueue<A>): SubscriberQueue<A> {
    this.queues.add(queue)
    if (this.ended !== undefined) finish(queue, this.ended)
    return queue
  }
}

/** Being interrupted is how a scope ends: an ordinary end. */
const finish = <A>(queue: SubscriberQueue<A>, exit: Exit.Exit<unknown, PolestarError>): void => {
  if (Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)) Queue.failCauseUnsafe(queue, exit.cause)
  else Queue.endUnsafe(queue)
}
