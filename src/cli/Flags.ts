/** Flags of the kinds that several commands have. */
import { Flag } from "effect/cli"

/** A whole number within bounds, both included. */
export const between = (name: string, minimum: number, maximum: number): Flag.Flag<number> =>
  Flag.Int(name).pipe(
    Flag.filter(
      (value) => value >= minimum && value <= maximum,
      () => `an integer from ${minimum} to ${maximum}`
    )
  )

/** A whole number that is not too small. */
export const atLeast = (name: string, minimum: number): Flag.Flag<number> =>
  between(name, minimum, Number.MAX_SAFE_INTEGER)

/** A flag that is there or not. */
export const present = (name: string, description: string): Flag.Flag<boolean> =>
  Flag.Boolean(name).pipe(Flag.withoutNegation, Flag.withDescription(description), Flag.withDefault(false))
