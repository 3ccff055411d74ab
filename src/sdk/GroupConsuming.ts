/**
 * A handler for every message of a group: at least once. Its success acknowledges; its typed failure is refused, and
 * then comes again, is set aside or becomes a dead letter, as the consumer chooses.
 *
 * - A message that waits here for its turn is held on to: the group's `ackWait` bounds the handler's time alone. One
 *   that comes again while its handler runs is left out, and done when that handler is.
 * - When a connection is lost, what had not begun is let go; what had is finished and acknowledged on the next one.
 * - Interrupted, the consumer gives back at once all that it has, and waits for the hub to know, for `writeTimeout` at
 *   most. A handler that dies (a defect) has its message delivered again, as a failed attempt, and ends the consumer.
 */
import {
  Array as Arr,
  Cause,
  Duration,
  Effect,
  type Pull,
  Result,
  type Schedule,
  Scope,
  Stream
} from "effect"
import { type Guard, makeGuard } from "./CircuitGuard.ts"
import type { Client, Membership } from "./Client.ts"
import { type ConsumeCounts, type HandlingOptions, logFailure, runEach } from "./Consuming.ts"
import type { Gap } from "./Delivery.ts"
import * as Failure from "./Failure.ts"
import {
  decodeAll,
  type GroupDelivery,
  type JoinOptions,
  joinGroup,
  rangeOf,
  refuseUndecodable
} from "./GroupSubscription.ts"
import { type Held, HeldDeliveries } from "./HeldDeliveries.ts"
import type { PolestarError } from "./PolestarError.ts"
import { delayOf } from "./RetryDelay.ts"
import type { TopicSource } from "./Topic.ts"
import { withConsumerSpan } from "./Tracing.ts"

export type GroupHandler<A, Params, E, R> = (delivery: GroupDelivery<A, Params>) => Effect.Effect<void, E, R>

/** A handler, and what becomes of its failures. `handle` stands first, so that its errors are known to `onFailure`. */
export interface GroupHandlers<A, Params, E, R, E2, R2> {
  readonly handle: GroupHandler<A, Params, E, R>
  /** Chooses for each failure. If it fails itself, the message is delivered again and the consumer ends. */
  readonly onFailure: (
    error: NoInfer<E>,
    delivery: GroupDelivery<A, Params>
  ) => Failure.Failure | Effect.Effect<Failure.Failure, E2, R2>
}

export interface GroupConsumeOptions<E, R3> extends JoinOptions, HandlingOptions {
  /**
   * How long a message waits whose handler failed: after its attempt n the schedule's n-th delay, counted from its
   * start. The hub keeps the time and another member may do the next attempt, so the schedule must not depend on a
   * clock. The group's `maxDeliveries` holds besides. Default: the group's backoff.
   */
  readonly retry?: Schedule.Schedule<unknown, E, never, R3> | undefined
  /** What becomes of a message when `retry` has ended. Default `"dead-letter"`. */
  readonly whenExhausted?: "dead-letter" | "park" | undefined
}

/** Joins, and runs the handler for each message until it is interrupted, or the membership fails. */
export const consumeGroup = <A, Params, E, R, E2, R2, R3>(
  client: Client,
  source: TopicSource<A, Params>,
  options: GroupConsumeOptions<E, R3>,
  handler: GroupHandler<A, Params, E, R> | GroupHandlers<A, Params, E, R, E2, R2>,
  counts: ConsumeCounts
): Effect.Effect<void, PolestarError | E2, R | R2 | R3> =>
  // A handler that asks for a scope means its own, not this one.
  Effect.scopedWith((scope) =>
    Effect.gen(function* () {
      const guard = yield* Scope.provide(makeGuard(options.circuitBreaker), scope)
      const least = 2 * (options.concurrency ?? 1)
      const member = yield* Scope.provide(joinGroup(client, source, options, least), scope)
      const held = new HeldDeliveries<A, Params>(member)
      yield* Scope.addFinalizer(
        scope,
        Effect.sync(() => member.refuseUnsafe(held.all(), { fate: "back", error: "" }))
      )
      yield* Effect.forkIn(keepHolding(member, held), scope)
      const messages = Stream.fromPull(Effect.sync(() => pullHeld(client, source, member, held)))
      const handling: Handling<A, Params, E, R, E2, R2, R3> = {
        member,
        held,
        options,
        handler,
        counts,
        guard
      }
      return yield* runEach(messages, options.concurrency, (delivery) => handleOne(handling, delivery))
    })
  )

interface Handling<A, Params, E, R, E2, R2, R3> {
  readonly member: Membership
  readonly held: HeldDeliveries<A, Params>
  readonly options: GroupConsumeOptions<E, R3>
  readonly handler: GroupHandler<A, Params, E, R> | GroupHandlers<A, Params, E, R, E2, R2>
  readonly counts: ConsumeCounts
  readonly guard: Guard
}

/** Handles one message and settles it. Interrupted it does not: then the consumer gives back what it holds. */
const handleOne = <A, Params, E, R, E2, R2, R3>(
  self: Handling<A, Params, E, R, E2, R2, R3>,
  one: Held<A, Params>
): Effect.Effect<void, PolestarError | E2, R | R2 | R3> => {
  const { counts, guard, held, member, options } = self
  const { delivery } = one
  const handle = typeof self.handler === "function" ? self.handler : self.handler.handle
  let isOurs = false
  const traced = withConsumerSpan(
    options.trace ?? "child",
    delivery,
    Effect.suspend(() => handle(delivery))
  )
  const begun = Effect.suspend(() => {
    isOurs = held.begin(one)
    return isOurs ? traced : Effect.void
  })
  return Effect.matchCauseEffect(guard(begun), {
    onSuccess: () => {
      if (isOurs) {
        counts.handled++
        held.remove(one)
        member.acknowledgeUnsafe(delivery.topic, delivery.position)
      }
      return Effect.void
    },
    onFailure: (cause): Effect.Effect<void, PolestarError | E2, R2 | R3> => {
      const error = Cause.hasDies(cause) ? undefined : Cause.findError(cause)
      if (error !== undefined && Result.isSuccess(error)) {
        counts.handlerFailures++
        return failed(self, one, error.success)
      }
      // What was interrupted is given back with all else.
      return Cause.hasDies(cause)
        ? Effect.andThen(
            refuse(self, one, Failure.retry(), Cause.squash(cause)),
            Effect.failCause(defectsOf(cause))
          )
        : Effect.failCause(defectsOf(cause))
    }
  })
}

/** The cause of a handler that did not fail in its own way. */
const defectsOf = <E>(cause: Cause.Cause<E>): Cause.Cause<never> =>
  Cause.fromReasons(cause.reasons.filter((reason) => reason._tag !== "Fail"))

const failed = <A, Params, E, R, E2, R2, R3>(
  self: Handling<A, Params, E, R, E2, R2, R3>,
  one: Held<A, Params>,
  error: E
): Effect.Effect<void, PolestarError | E2, R2 | R3> =>
  Effect.flatMap(chosen(self, one, error), (failure) => refuse(self, one, failure, error))

/** What the consumer's options say of a failure. */
const chosen = <A, Params, E, R, E2, R2, R3>(
  self: Handling<A, Params, E, R, E2, R2, R3>,
  one: Held<A, Params>,
  error: E
): Effect.Effect<Failure.Failure, PolestarError | E2, R2 | R3> => {
  const { handler, options } = self
  const { retry, whenExhausted } = options
  const { delivery } = one
  const scheduled = (failure: Failure.Failure): Effect.Effect<Failure.Failure, never, R3> => {
    if (failure._tag !== "Retry" || failure.delay !== undefined || retry === undefined) {
      return Effect.succeed(failure)
    }
    return Effect.map(delayOf(retry, delivery.attempt, error), (delay) => {
      if (delay !== undefined) return Failure.retryAfter(delay)
      return whenExhausted === "park" ? Failure.park : Failure.deadLetter
    })
  }
  if (typeof handler === "function") {
    return Effect.andThen(logFailure(error, delivery), scheduled(Failure.retry()))
  }
  const answer = Effect.suspend(() => {
    const failure = handler.onFailure(error, delivery)
    return Effect.isEffect(failure) ? failure : Effect.succeed(failure)
  })
  return Effect.flatMap(
    // An `onFailure` that fails has not chosen.
    Effect.onError(answer, () => Effect.ignore(refuse(self, one, Failure.retry(), error))),
    scheduled
  )
}

/** Tells the hub, and waits for no answer; what a lost connection took with it has failed there as well. */
const refuse = <A, Params, E, R, E2, R2, R3>(
  { held, member }: Handling<A, Params, E, R, E2, R2, R3>,
  one: Held<A, Params>,
  failure: Failure.Failure,
  error: unknown
): Effect.Effect<void> =>
  Effect.sync(() => {
    held.remove(one)
    member.refuseUnsafe([rangeOf(one.delivery)], Failure.refusalOf(failure, Failure.errorText(error)))
  })

/** Has the acknowledgement wait of what has not begun start anew, before it runs out. */
const keepHolding = <A, Params>(member: Membership, held: HeldDeliveries<A, Params>): Effect.Effect<never> =>
  Effect.forever(
    Effect.suspend(() => Effect.sleep(Duration.millis(Math.max(1, member.ackWait() / 3)))).pipe(
      Effect.andThen(
        Effect.sync(() =>
          member.refuseUnsafe([...held.notBegun(), ...member.queued()], { fate: "hold", error: "" })
        )
      )
    )
  )

type HeldPull<A, Params> = Pull.Pull<Arr.NonEmptyReadonlyArray<Held<A, Params>>, PolestarError>

/** What arrives, taken in hand. What cannot be decoded is refused, and what is lost is logged. */
const pullHeld = <A, Params>(
  client: Client,
  source: TopicSource<A, Params>,
  member: Membership,
  held: HeldDeliveries<A, Params>
): HeldPull<A, Params> => {
  const refuse = refuseUndecodable(member)
  const pull: HeldPull<A, Params> = Effect.flatMap(member.take, (arrived) => {
    const events = decodeAll(client, source, arrived)
    const kept: Array<Held<A, Params>> = []
    let told = refuse(events)
    for (const event of events) {
      if (event._tag === "Gap") told = Effect.andThen(told, logLost(event))
      if (event._tag !== "Message") continue
      const one = held.add(event)
      if (one !== undefined) kept.push(one)
    }
    return Effect.andThen(told, Arr.isReadonlyArrayNonEmpty(kept) ? Effect.succeed(kept) : pull)
  })
  return pull
}

const logLost = ({ from, to, topic }: Gap): Effect.Effect<void> =>
  Effect.logWarning("Messages are lost to the group: they were not kept until their turn").pipe(
    Effect.annotateLogs({ topic, epoch: from.epoch, from: from.offset, to: to.offset })
  )
