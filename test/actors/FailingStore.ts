/**
 * A store of state in memory that does what a test says: it fails, keeps saves back until they are released, and outlives
 * a hub, so that a test can end one at any point between a save and its confirmation.
 */
import { Effect } from "effect"
import { type StateChange, StateStore, StateStoreError } from "../../src/services/StateStore.ts"

interface Waiting {
  readonly changes: ReadonlyArray<StateChange>
  readonly done: (error: StateStoreError | undefined) => void
}

export class StoreFaults {
  /** The next so many saves fail. */
  failures = 0
  /** Whether saves wait until they are released or refused. */
  holdsBack = false
  /** Whether every save is done later, though without being released, as on a disk. */
  isLate = false
  /** Saves that were asked for. */
  saves = 0
  /** Rises with each crash; what a store of an earlier life saves has no effect and is never answered. */
  life = 0
  readonly values = new Map<string, Uint8Array>()
  private waiting: ReadonlyArray<Waiting> = []
  private isScheduled = false

  get waitingCount(): number {
    return this.waiting.length
  }

  /** Makes the first `count` that wait, and says so. Answers how many. */
  release(count = Number.POSITIVE_INFINITY): number {
    return this.take(count, ({ changes, done }) => {
      this.make(changes)
      done(undefined)
    })
  }

  /** As `release`, but nobody is told: as if the hub ended before it was. */
  keepUntold(count = Number.POSITIVE_INFINITY): number {
    return this.take(count, ({ changes }) => this.make(changes))
  }

  refuse(count = Number.POSITIVE_INFINITY, reason: StateStoreError["reason"] = "full"): number {
    return this.take(count, ({ done }) => done(new StateStoreError({ reason })))
  }

  /** The hub is no more, at once: what waits is lost. */
  crash(): void {
    this.life++
    this.waiting = []
  }

  save(waiting: Waiting): void {
    this.saves++
    if (this.failures > 0) {
      this.failures--
      waiting.done(new StateStoreError({ reason: "full" }))
      return
    }
    if (!this.holdsBack && !this.isLate && this.waiting.length === 0) {
      this.make(waiting.changes)
      waiting.done(undefined)
      return
    }
    this.waiting = [...this.waiting, waiting]
    if (this.holdsBack || this.isScheduled) return
    this.isScheduled = true
    queueMicrotask(() => {
      this.isScheduled = false
      if (!this.holdsBack) this.release()
    })
  }

  private make(changes: ReadonlyArray<StateChange>): void {
    for (const [key, value] of changes) {
      if (value === undefined) this.values.delete(key)
      else this.values.set(key, value)
    }
  }

  private take(count: number, each: (waiting: Waiting) => void): number {
    const taken = this.waiting.slice(0, count)
    this.waiting = this.waiting.slice(taken.length)
    for (const waiting of taken) each(waiting)
    return taken.length
  }
}

/** The store as one hub has it: it is another's after a crash. */
export const makeFailingStore = (faults: StoreFaults): StateStore["Service"] => {
  const { life } = faults
  return StateStore.of({
    entries: (prefix) =>
      Effect.sync(() =>
        [...faults.values].filter(([key]) => key.startsWith(prefix)).sort(([a], [b]) => (a < b ? -1 : 1))
      ),
    save: (changes, done) => {
      if (faults.life === life) faults.save({ changes, done })
    }
  })
}
