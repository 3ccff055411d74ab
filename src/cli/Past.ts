/**
 * The past of one topic as a stream that ends: what the hub has from a start to before an end, in order, and the gaps
 * in it. What is published meanwhile is left out. Complete, unless the hub says `Gap`.
 *
 * A resumed subscription is told `Recovered` once the hub has read all of the log for it; then only what waits in the
 * hub for credit, or is on its way, is to come, and a request that is answered with nothing before it says that it has.
 * After a gap there is no `Recovered`, so the offsets tell, and where the last messages of the topic have expired,
 * silence.
 */
import { Array as Arr, Cause, Effect, Option, type Pull, Queue, Stream } from "effect"
import type { Position, Start } from "../protocol/Position.ts"
import type { ClientSession, Inbound } from "../sdk/Client.ts"
import { type Delivery, decodeInbound, type Gap, type SubscriptionEvent } from "../sdk/Delivery.ts"
import { Polestar } from "../sdk/Polestar.ts"
import type { PolestarError } from "../sdk/PolestarError.ts"
import * as Topic from "../sdk/Topic.ts"
import { codecOf } from "./Payload.ts"

export interface Past {
  readonly topic: string
  readonly from: Position | { readonly time: number }
  /** The first message that is not wanted. */
  readonly end: Position
}

export type PastEvent = Delivery<Uint8Array> | Gap

/** Requests that must be answered with nothing before them. */
const quietAnswers = 2
/** How long after a gap nothing comes when nothing will. */
const silence = "5 seconds"
/** What is on the way: batches of messages, not messages. */
const maxTaken = 4
const queueSize = 10_000

type Taken = Arr.NonEmptyReadonlyArray<Inbound>

const startOf = ({ from, topic }: Past): Start =>
  "time" in from
    ? { _tag: "Resume", since: from.time, topics: [] }
    : { _tag: "Resume", since: 0, topics: [{ topic, ...from }] }

/** What is known of where a replay is. */
class Progress {
  /** Whether the hub has read all. */
  hasRecovered = false
  hasGap = false
  isAtEnd = false
  private readonly end: Position

  constructor(end: Position) {
    this.end = end
  }

  /** Whether all has come, or is on its way. */
  get isRead(): boolean {
    return this.hasRecovered || (this.hasGap && this.isAtEnd)
  }

  /** Takes note of what came; answers whether it is wanted. */
  takes(event: SubscriptionEvent<Uint8Array>): event is PastEvent {
    if (event._tag === "Recovered") this.hasRecovered = true
    if (event._tag === "Gap") {
      this.hasGap = true
      this.reached(event.to)
      return true
    }
    if (event._tag !== "Message") return false
    const { epoch, offset } = event.position
    this.reached({ epoch, offset: offset + 1 })
    return epoch === this.end.epoch && offset < this.end.offset
  }

  /** A log of another epoch is one that came after. */
  private reached({ epoch, offset }: Position): void {
    if (epoch !== this.end.epoch || offset >= this.end.offset) this.isAtEnd = true
  }
}

export const pastOf = (
  session: ClientSession,
  past: Past
): Stream.Stream<PastEvent, PolestarError, Polestar> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const star = yield* Polestar
      const source = Topic.named<string, Uint8Array>(past.topic, codecOf("binary"))
      const inbox = yield* session.subscribe({
        pattern: past.topic,
        start: startOf(past),
        overflow: "wait",
        echo: true,
        queueSize
      })
      // Taking from a queue may be interrupted, or done without waiting, and nothing is lost.
      const queue = yield* Queue.bounded<Taken, PolestarError | Cause.Done>(maxTaken)
      yield* Effect.flatMap(inbox.take, (taken) => Queue.offer(queue, taken)).pipe(
        Effect.forever,
        Effect.catchCause((cause) => Queue.failCause(queue, cause)),
        Effect.forkScoped
      )
      const progress = new Progress(past.end)
      const ask = star.client.request("topics", { pattern: past.topic })
      const step = next(queue, progress, ask)
      const pull: Pull.Pull<Arr.NonEmptyReadonlyArray<PastEvent>, PolestarError> = Effect.flatMap(
        step,
        (taken) => {
          const events: Array<SubscriptionEvent<Uint8Array>> = []
          for (const inbound of taken) decodeInbound(source, inbound, events)
          const wanted = events.filter((event) => progress.takes(event))
          return Arr.isArrayNonEmpty(wanted) ? Effect.succeed(wanted) : pull
        }
      )
      return Stream.fromPull(Effect.succeed(pull))
    })
  )

/** What came next; ends when nothing more will. */
const next = Effect.fnUntraced(function* (
  queue: Queue.Dequeue<Taken, PolestarError | Cause.Done>,
  progress: Progress,
  ask: Effect.Effect<unknown, PolestarError>
): Effect.fn.Return<ReadonlyArray<Inbound>, PolestarError | Cause.Done> {
  if (!progress.isRead) {
    const taken = progress.hasGap
      ? yield* Effect.timeoutOption(Queue.takeAll(queue), silence)
      : Option.some(yield* Queue.takeAll(queue))
    return Option.isSome(taken) ? taken.value.flat() : yield* Cause.done()
  }
  for (let quiet = 0; quiet <= quietAnswers; quiet++) {
    const taken = yield* Queue.clear(queue)
    if (taken.length > 0) return taken.flat()
    if (quiet < quietAnswers) yield* ask
  }
  return yield* Cause.done()
})
