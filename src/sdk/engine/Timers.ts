/** Timers for plain code, on the `Clock` of the program: they stop with the client's scope. */
import { type Clock, type Context, Duration, Effect, Fiber, type Scope } from "effect"

export class Timers {
  private readonly clock: Clock.Clock
  private readonly scope: Scope.Scope
  private readonly run: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>

  constructor(clock: Clock.Clock, context: Context.Context<never>, scope: Scope.Scope) {
    this.clock = clock
    this.scope = scope
    this.run = Effect.runForkWith(context)
  }

  /** Milliseconds since 1970. */
  now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  /** Runs the effect on a fiber that is interrupted with the client. */
  fork<A, E>(effect: Effect.Effect<A, E>): void {
    Fiber.runIn(this.run(effect), this.scope)
  }

  after(millis: number, f: () => void): void {
    this.fork(Effect.andThen(Effect.sleep(Duration.millis(Math.max(millis, 0))), Effect.sync(f)))
  }
}

/**
 * One timer for many things that become due in the order in which they began, so that each of them costs
 * nothing. `ring` deals with what is due and answers when the next thing will be, if there is one.
 */
export class Alarm {
  private isSet = false
  private readonly timers: Timers
  private readonly ring: (now: number) => number | undefined

  constructor(timers: Timers, ring: (now: number) => number | undefined) {
    this.timers = timers
    this.ring = ring
  }

  /** Sets the alarm, unless it is set already: to an earlier time, then. */
  set(at: number): void {
    if (this.isSet) return
    this.isSet = true
    this.timers.after(at - this.timers.now(), () => {
      this.isSet = false
      const next = this.ring(this.timers.now())
      if (next !== undefined) this.set(next)
    })
  }
}
