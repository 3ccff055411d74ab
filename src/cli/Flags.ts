/** Flags of the kinds that several commands have. */
import { Clock, Effect, Option } from "effect"
import { Argument, Flag } from "effect/cli"
import { UsageError } from "./ExitCode.ts"
import { type Point, parseDuration, parsePoint } from "./StartAt.ts"

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

/** An argument that is the name of something. */
export const nameOf = (name: string, description: string): Argument.Argument<string> =>
  Argument.String(name).pipe(Argument.withDescription(description))

/** A duration such as 30s; read it with `durationOf`. */
export const duration = (name: string, description: string): Flag.Flag<Option.Option<string>> =>
  Flag.String(name).pipe(Flag.withMetavar("<duration>"), Flag.withDescription(description), Flag.optional)

/** Milliseconds, if the flag was given. */
export const durationOf = (
  name: string,
  given: Option.Option<string>
): Effect.Effect<number | undefined, UsageError> => {
  if (Option.isNone(given)) return Effect.succeed(undefined)
  const millis = parseDuration(given.value)
  return millis === undefined
    ? Effect.fail(
        new UsageError({
          message: `--${name}: found ${JSON.stringify(given.value)}; allowed: milliseconds, or a duration such as "30s"`
        })
      )
    : Effect.succeed(millis)
}

/** The point that a flag names; `more` are forms that the caller has looked for. */
export const pointOf = (name: string, given: string, more = ""): Effect.Effect<Point, UsageError> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    Effect.mapError(
      Effect.fromResult(parsePoint(given, now, more)),
      (wrong) => new UsageError({ message: `--${name}: ${wrong}` })
    )
  )
