/**
 * What becomes of a message that a member of a group did not handle.
 *
 *     star.consume(Orders, { group: "billing" }, {
 *       handle: charge,
 *       onFailure: (error) => (error._tag === "CardRefused" ? Failure.deadLetter : Failure.retry())
 *     })
 */
import type { Duration } from "effect"
import { notGiven } from "../protocol/Op.ts"
import type { Refusal } from "./Client.ts"
import { millisOf } from "./Times.ts"

export type Failure =
  /** To be delivered again after `delay`; if there is none, after the time that the consumer's or the group's rules say. */
  | { readonly _tag: "Retry"; readonly delay: Duration.Input | undefined }
  /** Delivered again as soon as a member can take it; it does not count as an attempt that failed. */
  | { readonly _tag: "GiveBack" }
  /** Set aside until the group is resumed (`groups.resume`). */
  | { readonly _tag: "Park" }
  /** Moved to the group's dead letters. */
  | { readonly _tag: "DeadLetter" }

/** To be tried again, when the consumer's schedule (`retry`) says, or else the group's backoff. */
export const retry = (): Failure => ({ _tag: "Retry", delay: undefined })

/** To be tried again after a time: up to 49 days, in whole milliseconds. */
export const retryAfter = (delay: Duration.Input): Failure => ({ _tag: "Retry", delay })

export const giveBack: Failure = { _tag: "GiveBack" }

export const park: Failure = { _tag: "Park" }

export const deadLetter: Failure = { _tag: "DeadLetter" }

const longestDelay = notGiven.u32 - 1

/** As the engine takes it. What is no duration is none: the group's backoff. */
export const refusalOf = (failure: Failure, error: string): Refusal => {
  switch (failure._tag) {
    case "Retry":
      return { fate: "again", delay: delayMillis(failure.delay), error }
    case "GiveBack":
      return { fate: "back", error }
    case "Park":
      return { fate: "park", error }
    case "DeadLetter":
      return { fate: "dead", error }
  }
}

const delayMillis = (delay: Duration.Input | undefined): number | undefined => {
  const millis = delay === undefined ? Number.NaN : millisOf(delay)
  return Number.isNaN(millis) ? undefined : Math.min(Math.max(0, millis), longestDelay)
}

/** The text of an error, for whoever looks at a dead letter: its message, or if it has none its fields. */
export const errorText = (error: unknown): string => {
  if (typeof error === "string") return error
  if (!(error instanceof Error)) return jsonOf(error) ?? String(error)
  if (error.message !== "") return `${error.name}: ${error.message}`
  const { _tag, cause, message, name, stack, ...fields }: Partial<Error> & { readonly _tag?: unknown } = {
    ...error
  }
  const json = jsonOf(fields)
  return json === undefined || json === "{}" ? error.name : `${error.name}: ${json}`
}

const jsonOf = (value: unknown): string | undefined => {
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}
