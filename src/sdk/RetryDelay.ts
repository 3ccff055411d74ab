/** The delay of one attempt by a schedule that nobody runs: the hub keeps the time between the attempts. */
import { Duration, Effect, Pull, Schedule } from "effect"

/**
 * The delay that a schedule gives after its step `attempt`, from 1, each step being given `input`; `undefined` if it
 * has ended by then. To the schedule time passes as it asks for, and nothing else does.
 */
export const delayOf = <Input, R>(
  schedule: Schedule.Schedule<unknown, Input, never, R>,
  attempt: number,
  input: Input
): Effect.Effect<Duration.Duration | undefined, never, R> =>
  Effect.flatMap(Schedule.toStep(schedule), (step) =>
    Effect.gen(function* () {
      let now = 0
      let delay = Duration.zero
      for (let n = 0; n < attempt; n++) {
        ;[, delay] = yield* step(now, input)
        now += Duration.toMillis(delay)
      }
      return delay
    }).pipe(Pull.catchDone(() => Effect.succeed(undefined)))
  )
