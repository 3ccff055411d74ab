/**
 * When what requests wait for is over: one wheel for all of them, so that a wait costs a place in a set and no fiber of
 * its own. By Effect's clock, whatever the time of day is set to. Nothing runs while nobody waits.
 */
import { Clock, Effect, FiberSet, type Scope } from "effect"

/** Milliseconds between two looks: nothing rings too early, or later than by this. */
const grain = 20

/** Those that ring at one look. */
interface Slot {
  readonly look: number
  readonly waits: Set<Deadline>
}

/** A wait that can be given up. */
export class Deadline {
  private readonly slots: Map<number, Slot>
  private readonly slot: Slot
  readonly ring: () => void

  constructor(slots: Map<number, Slot>, slot: Slot, ring: () => void) {
    this.slots = slots
    this.slot = slot
    this.ring = ring
    slot.waits.add(this)
  }

  /** It does not ring any more. */
  stop(): void {
    const { look, waits } = this.slot
    waits.delete(this)
    // What nobody waits for is not looked for.
    if (waits.size === 0 && this.slots.get(look) === this.slot) this.slots.delete(look)
  }
}

export class Deadlines {
  private readonly clock: Clock.Clock
  private readonly fork: (work: Effect.Effect<void>) => void
  /** By the look at which they ring. */
  private readonly slots = new Map<number, Slot>()
  /** The look that was last. */
  private last = 0
  private isLooking = false

  /** `fork` starts its one fiber, whenever somebody waits. */
  constructor(clock: Clock.Clock, fork: (work: Effect.Effect<void>) => void) {
    this.clock = clock
    this.fork = fork
  }

  /** Milliseconds since some time in the past; never set back. */
  now(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe()) / 1e6
  }

  /** Has `ring` called once, in so many milliseconds. */
  after(delay: number, ring: () => void): Deadline {
    const now = this.now()
    if (!this.isLooking) this.last = Math.floor(now / grain)
    const look = Math.max(this.last + 1, Math.ceil((now + delay) / grain))
    let slot = this.slots.get(look)
    if (slot === undefined) {
      slot = { look, waits: new Set() }
      this.slots.set(look, slot)
    }
    const deadline = new Deadline(this.slots, slot, ring)
    if (!this.isLooking) {
      this.isLooking = true
      this.fork(this.looking)
    }
    return deadline
  }

  private readonly looking: Effect.Effect<void> = Effect.suspend(() => {
    this.look()
    if (this.slots.size > 0) return Effect.delay(this.looking, grain)
    this.isLooking = false
    return Effect.void
  })

  private look(): void {
    for (const due = Math.floor(this.now() / grain); this.last < due; ) {
      this.last++
      const slot = this.slots.get(this.last)
      if (slot === undefined) continue
      this.slots.delete(this.last)
      for (const deadline of slot.waits) this.ring(deadline)
    }
  }

  /** One that fails must not keep the others from ringing. */
  private ring(deadline: Deadline): void {
    try {
      deadline.ring()
    } catch (error) {
      this.fork(Effect.logError("a request could not be told that its time is over", error))
    }
  }
}

/** They end with the scope, and none rings after that. */
export const makeDeadlines: Effect.Effect<Deadlines, never, Scope.Scope> = Effect.gen(function* () {
  return new Deadlines(yield* Clock.Clock, yield* FiberSet.makeRuntime<never>())
})
