/** Durations and moments as programs give them, in the milliseconds that the wire takes. Pure. */
import { DateTime, Duration, Option } from "effect"

/** Whole milliseconds, rounded up; `NaN` for what is no duration. */
export const millisOf = (input: Duration.Input): number =>
  Option.match(Duration.fromInput(input), {
    onNone: () => Number.NaN,
    onSome: (duration) => Math.ceil(Duration.toMillis(duration))
  })

/** A moment: a number is milliseconds since 1970. */
export type TimeInput = number | Date | DateTime.DateTime

export const timeMillis = (time: TimeInput): number =>
  typeof time === "number" ? time : time instanceof Date ? time.getTime() : DateTime.toEpochMillis(time)
