/**
 * What a group is set to, as a program says it and as it goes to the hub. What is not given is the group's own, or
 * for a new group the hub's default. Pure: what is wrong is answered as `MessageInvalid`, before anything is sent.
 */
import { type Duration, Result } from "effect"
import { notGiven } from "../protocol/Op.ts"
import type { Order, Position, Start } from "../protocol/Position.ts"
import { isGroupName } from "../protocol/TopicName.ts"
import { messageInvalid, type PolestarError } from "./PolestarError.ts"
import { millisOf, type TimeInput, timeMillis } from "./Times.ts"

export interface GroupOptions {
  /**
   * `"key"`: messages of one key are handled one after the other, whichever members get them. Fixed when the group
   * is made, so each member is to say the same. Default `"any"`.
   */
  readonly order?: Order | undefined
  /** What is neither acknowledged nor refused for this long is delivered again. */
  readonly ackWait?: Duration.Input | undefined
  /** Failed attempts after which a message is a dead letter: 1 to 65,534; 0 or infinity is no limit. */
  readonly maxDeliveries?: number | undefined
  /** Messages that all members together have and have not acknowledged. */
  readonly maxInFlight?: number | undefined
  /** The wait before the second attempt; it doubles with each, up to `maxBackoff`. */
  readonly backoff?: Duration.Input | undefined
  readonly maxBackoff?: Duration.Input | undefined
}

/** Where a new group starts: with what comes, with the oldest message kept, at a position or a time. */
export type GroupStart =
  | "now"
  | "first"
  /** Of a group on one topic. */
  | { readonly position: Position }
  /** What the hub took at a time or later, on the hub's clock. */
  | { readonly time: TimeInput }

export interface NewGroupOptions extends GroupOptions {
  /** Default now. */
  readonly start?: GroupStart | undefined
  /** Without a member for so long it is removed, with what it had not done. Unless given: never. */
  readonly inactiveThreshold?: Duration.Input | undefined
}

/** Options as numbers, times in milliseconds. */
export interface GroupNumbers {
  readonly ackWait: number | undefined
  readonly maxDeliveries: number | undefined
  readonly maxInFlight: number | undefined
  readonly backoff: number | undefined
  readonly maxBackoff: number | undefined
}

const longest = notGiven.u32 - 1
const mostDeliveries = notGiven.u16 - 1

export const groupNumbers = (options: GroupOptions): Result.Result<GroupNumbers, PolestarError> => {
  const faults: Array<string> = []
  const time = (name: "ackWait" | "backoff" | "maxBackoff", least: number): number | undefined => {
    const input = options[name]
    if (input === undefined) return undefined
    const millis = millisOf(input)
    if (!(millis >= least && millis <= longest)) faults.push(`${name} is not from ${least} to ${longest} ms`)
    return millis
  }
  const count = (name: "maxDeliveries" | "maxInFlight", least: number, most: number): number | undefined => {
    const given = options[name]
    const value = name === "maxDeliveries" && given === Number.POSITIVE_INFINITY ? 0 : given
    if (value === undefined) return undefined
    if (!(Number.isInteger(value) && value >= least && value <= most)) {
      faults.push(`${name} is not an integer from ${least} to ${most}`)
    }
    return value
  }
  const numbers = {
    ackWait: time("ackWait", 1),
    maxDeliveries: count("maxDeliveries", 0, mostDeliveries),
    maxInFlight: count("maxInFlight", 1, longest),
    backoff: time("backoff", 0),
    maxBackoff: time("maxBackoff", 0)
  }
  const [fault] = faults
  return fault === undefined ? Result.succeed(numbers) : Result.fail(messageInvalid(fault))
}

export const groupThreshold = (
  input: Duration.Input | undefined
): Result.Result<number | undefined, PolestarError> => {
  const millis = input === undefined ? undefined : millisOf(input)
  return millis === undefined || (millis >= 1 && millis <= longest)
    ? Result.succeed(millis)
    : Result.fail(messageInvalid(`inactiveThreshold is not from 1 to ${longest} ms`))
}

/** The name, if a group may be called that. */
export const groupName = (name: string): Result.Result<string, PolestarError> =>
  isGroupName(name)
    ? Result.succeed(name)
    : Result.fail(
        messageInvalid(
          'the group\'s name is not 1 to 64 bytes without dots, wildcards, "$", "/" and white space'
        )
      )

/** As JOIN takes it. */
export const groupStart = (start: GroupStart): Result.Result<Start, PolestarError> => {
  if (start === "now") return Result.succeed({ _tag: "Now" })
  if (start === "first") return Result.succeed({ _tag: "First" })
  if ("position" in start) {
    const { epoch, offset } = start.position
    return isCount(epoch) && isCount(offset)
      ? Result.succeed({ _tag: "Position", position: start.position })
      : Result.fail(messageInvalid("start.position is not a position"))
  }
  return Result.map(momentOf(start.time, "start.time"), (time): Start => ({ _tag: "Time", time }))
}

/** Whole milliseconds since 1970; `name` is what is at fault if it is none. */
export const momentOf = (time: TimeInput, name: string): Result.Result<number, PolestarError> => {
  const millis = Math.floor(timeMillis(time))
  return isCount(millis)
    ? Result.succeed(millis)
    : Result.fail(messageInvalid(`${name} is not a moment since 1970`))
}

export const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0
