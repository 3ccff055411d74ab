/** A clock whose time of day is set forward and back, as a person or a time server does; what elapses is not touched. */
import { type Clock, Effect } from "effect"

export interface JumpingClock {
  readonly clock: Clock.Clock
  /** Sets it ahead of the machine's by so many milliseconds, or behind. */
  readonly set: (ahead: number) => void
  readonly now: () => number
}

/** Over the machine's clock. */
export const makeJumpingClock: Effect.Effect<JumpingClock> = Effect.clockWith((real) =>
  Effect.sync(() => {
    let ahead = 0
    const now = () => real.currentTimeMillisUnsafe() + ahead
    const nanos = () => real.currentTimeNanosUnsafe() + BigInt(ahead) * 1_000_000n
    const clock: Clock.Clock = {
      currentTimeMillisUnsafe: now,
      currentTimeMillis: Effect.sync(now),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: () => real.monotonicTimeNanosUnsafe(),
      monotonicTimeNanos: real.monotonicTimeNanos,
      sleep: (duration) => real.sleep(duration)
    }
    return {
      clock,
      now,
      set: (millis) => {
        ahead = millis
      }
    }
  })
)
