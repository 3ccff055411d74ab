/** Durations as programs give them, in the milliseconds that the wire takes. Pure. */
import { Duration, Option } from "effect"

/** Whole milliseconds, rounded up; `NaN` for what is no duration. */
export const millisOf = (input: Duration.Input): number =>
  Option.match(Duration.fromInput(input), {
    onNone: () => Number.NaN,
    onSome: (duration) => Math.ceil(Duration.toMillis(duration))
  })
