/** What a group is set to, as flags: of `polestar group create` and of `polestar sub --group`. */
import { Effect, Option } from "effect"
import { type Command, Flag } from "effect/cli"
import { Orders } from "../protocol/Position.ts"
import type { GroupOptions, GroupStart } from "../sdk/GroupOptions.ts"
import { UsageError } from "./ExitCode.ts"
import { between, duration, durationOf, pointOf } from "./Flags.ts"

export const optionFlags = {
  order: Flag.Literals("order", Orders).pipe(
    Flag.withDescription(
      "key: messages of one key are handled one after the other; fixed when the group is made"
    ),
    Flag.optional
  ),
  ackWait: duration("ack-wait", "What is not acknowledged for this long is delivered again"),
  maxDeliveries: between("max-deliveries", 0, 65_534).pipe(
    Flag.withDescription("Attempts after which a message is a dead letter; 0 is no limit"),
    Flag.optional
  ),
  maxInFlight: between("max-in-flight", 1, 4_294_967_294).pipe(
    Flag.withDescription("Messages that all members together have and have not acknowledged"),
    Flag.optional
  ),
  backoff: duration("backoff", "The wait before the second attempt; it doubles with each"),
  maxBackoff: duration("max-backoff", "The longest wait between two attempts")
}

type OptionFlags = Command.Command.Config.Infer<typeof optionFlags>

export const optionsOf = Effect.fnUntraced(function* (
  given: OptionFlags
): Effect.fn.Return<GroupOptions, UsageError> {
  return {
    order: Option.getOrUndefined(given.order),
    ackWait: yield* durationOf("ack-wait", given.ackWait),
    maxDeliveries: Option.getOrUndefined(given.maxDeliveries),
    maxInFlight: Option.getOrUndefined(given.maxInFlight),
    backoff: yield* durationOf("backoff", given.backoff),
    maxBackoff: yield* durationOf("max-backoff", given.maxBackoff)
  }
})

/** Where a new group starts. */
export const groupStartOf = Effect.fnUntraced(function* (
  name: string,
  given: string
): Effect.fn.Return<GroupStart, UsageError> {
  if (given.trim() === "now") return "now"
  const point = yield* pointOf(name, given, "now, ")
  if (point === "first" || "time" in point) return point
  const { epoch, offset } = point.position
  if (epoch === undefined) {
    return yield* new UsageError({
      message: `--${name}: an offset needs its epoch here: epoch:offset, as polestar topics shows it`
    })
  }
  return { position: { epoch, offset } }
})
