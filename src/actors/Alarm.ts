/** Rings once at the earliest of the times it was set to. */
import { Effect, Fiber, type Scope } from "effect"
import type { ActorSystem } from "./ActorSystem.ts"

/** Longer sleeps are cut: a timer takes no more than about 24 days, and a clock may be set. */
const longestSleep = 30_000

export class Alarm {
  private readonly system: ActorSystem
  private readonly scope: Scope.Scope
  private readonly ring: () => void
  private readonly now: () => number
  private at = Number.POSITIVE_INFINITY
  private sleeping: Fiber.Fiber<void> | undefined

  /** `ring` is called as a turn of its own. `now` is by which clock: the hub's, if not given. */
  constructor(
    system: ActorSystem,
    ring: () => void,
    now: () => number = () => system.now(),
    scope: Scope.Scope = system.scope
  ) {
    this.system = system
    this.ring = ring
    this.now = now
    this.scope = scope
  }

  /** Rings at `time` (ms), or earlier if it was set to that before; `Infinity` is never. */
  set(time: number): void {
    if (time >= this.at) return
    this.at = time
    if (this.sleeping !== undefined) this.system.fork(Fiber.interrupt(this.sleeping))
    this.sleeping = this.system.fork(this.sleep, this.scope)
  }

  private readonly sleep: Effect.Effect<void> = Effect.suspend(() => {
    const left = this.at - this.now()
    if (left > 0) return Effect.andThen(Effect.sleep(Math.min(Math.ceil(left), longestSleep)), this.sleep)
    this.at = Number.POSITIVE_INFINITY
    this.sleeping = undefined
    this.system.turn(this.ring)
    return Effect.void
  })
}
