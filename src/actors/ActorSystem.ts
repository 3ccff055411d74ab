/**
 * What the actors of one hub share: the scope that their fibers live in, the clock, how deep the present turn
 * is, and which connections have something to write at the end of it.
 *
 * A turn is what happens between two returns to the event loop. Everything that it delivers is written once, at
 * its end, or at the end of the last of several that are known to follow each other.
 */
import { Clock, Context, Effect, Fiber, Scope } from "effect"

export interface Flushable {
  readonly flush: () => void
  /** Told that `flush` threw. */
  readonly broke: (error: unknown) => void
}

export class ActorSystem {
  readonly scope: Scope.Scope
  /** Actors that are at work in place, one called by the other. */
  depth = 0
  /** Bytes that wait in all mailboxes, each counted where it waits, and how many may. */
  queuedBytes = 0
  readonly maxQueuedBytes: number
  private turnTime = 0
  private turnTimeFine = 0
  /** The time of day less what had elapsed, when the system began. */
  private readonly steadyFrom: number
  private readonly context: Context.Context<never>
  private readonly clock: Clock.Clock
  private dirty: Array<Flushable> = []
  private scheduled = false
  /** Whether more turns are known to follow before the event loop goes on. */
  private moreFollow = false

  constructor(
    scope: Scope.Scope,
    context: Context.Context<never>,
    maxQueuedBytes = Number.POSITIVE_INFINITY
  ) {
    this.maxQueuedBytes = maxQueuedBytes
    this.scope = scope
    this.context = context
    this.clock = Context.get(context, Clock.Clock)
    this.steadyFrom = this.clock.currentTimeMillisUnsafe() - this.elapsed()
  }

  /** Milliseconds since 1970, as every program of the machine has them; within a turn, of its beginning. */
  now(): number {
    return this.turnTime === 0 ? this.clock.currentTimeMillisUnsafe() : this.turnTime
  }

  /**
   * Milliseconds with fractions, to measure and to trace by; within a turn, of when it was first asked. The clock
   * behind it is another one, and may be up to a second from the time of day.
   */
  nowFine(): number {
    if (this.turnTime === 0) return this.readFine()
    if (this.turnTimeFine === 0) this.turnTimeFine = this.readFine()
    return this.turnTimeFine
  }

  /**
   * Milliseconds since 1970 as they would be if nobody had set the clock since the system began: for what is to last so
   * long, whatever the time of day.
   */
  steady(): number {
    return Math.floor(this.steadyFrom + this.elapsed())
  }

  /** The clock itself, also within a turn, with fractions. */
  readFine(): number {
    return Number(this.clock.currentTimeNanosUnsafe()) / 1e6
  }

  /** Does `work` as one turn: the clock is read once for all of it. */
  turn(work: () => void): void {
    // What is resumed within a turn may begin one of its own.
    const outer = this.turnTime
    const outerFine = this.turnTimeFine
    this.turnTime = this.clock.currentTimeMillisUnsafe()
    this.turnTimeFine = 0
    try {
      work()
    } finally {
      this.turnTime = outer
      this.turnTimeFine = outerFine
    }
  }

  /** The same, where more turns are known to follow: what it delivers is written together with what they do. */
  turnOfMany(work: () => void): void {
    this.moreFollow = true
    try {
      this.turn(work)
    } finally {
      this.moreFollow = false
    }
  }

  /** Starts a fiber at once; it is interrupted when the scope closes. */
  fork<A, E>(effect: Effect.Effect<A, E>, scope: Scope.Scope = this.scope): Fiber.Fiber<A, E> {
    return Fiber.runIn(Effect.runForkWith(this.context)(effect), scope)
  }

  /** Has `flush` called at the end of the turn. To be called once until then. */
  markDirty(target: Flushable): void {
    this.dirty.push(target)
    if (this.moreFollow) {
      if (this.dirty.length === 1) setImmediate(this.flush)
      return
    }
    if (this.scheduled) return
    this.scheduled = true
    queueMicrotask(this.flush)
  }

  private elapsed(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe()) / 1e6
  }

  private readonly flush = (): void => {
    this.scheduled = false
    const dirty = this.dirty
    this.dirty = []
    for (const each of dirty) {
      // One connection that fails must not keep the others from writing.
      try {
        each.flush()
      } catch (error) {
        each.broke(error)
      }
    }
  }
}

/** An actor system whose fibers end with the present scope. */
export const makeActorSystem = Effect.fnUntraced(function* (maxQueuedBytes?: number) {
  const scope = yield* Scope.Scope
  const context = yield* Effect.context<never>()
  return new ActorSystem(scope, context, maxQueuedBytes)
})
