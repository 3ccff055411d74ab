/**
 * Keeps a group in the store: what changed in a turn is saved at its end, and while a save is on its way, all that
 * changes meanwhile becomes the next one. Whoever waits is told when what it waits for is safe. If saving fails it is tried
 * again, and nobody is told anything until it succeeds.
 */
import { Effect } from "effect"
import type { StateChange, StateStore } from "../../services/StateStore.ts"
import type { ActorSystem, Flushable } from "../ActorSystem.ts"

/** Milliseconds before a save that failed is tried again. */
const retryAfter = 1000

export class Saver implements Flushable {
  private readonly system: ActorSystem
  private readonly store: StateStore["Service"]
  /** What to save now: by key, made when it is asked for, so that it is the latest. */
  private dirty = new Map<string, () => Uint8Array | undefined>()
  private waiting: Array<() => void> = []
  private isSaving = false
  private isMarked = false

  constructor(system: ActorSystem, store: StateStore["Service"]) {
    this.system = system
    this.store = store
  }

  get isIdle(): boolean {
    return this.dirty.size === 0 && !this.isSaving
  }

  /** Has the value of `key` saved, as `value` says it is then; `undefined` forgets the key. */
  changed(key: string, value: () => Uint8Array | undefined): void {
    this.dirty.set(key, value)
    if (this.isMarked || this.isSaving) return
    this.isMarked = true
    this.system.markDirty(this)
  }

  /** Calls back when all that changed until now is safe. */
  whenSaved(listener: () => void): void {
    if (this.isIdle) listener()
    else this.waiting.push(listener)
  }

  readonly saved: Effect.Effect<void> = Effect.callback<void>((resume) => {
    this.whenSaved(() => resume(Effect.void))
  })

  flush(): void {
    this.isMarked = false
    if (this.isSaving) return
    const dirty = this.dirty
    const waiting = this.waiting
    this.dirty = new Map()
    this.waiting = []
    if (dirty.size === 0) {
      for (const listener of waiting) listener()
      return
    }
    const changes: Array<StateChange> = []
    for (const [key, value] of dirty) changes.push([key, value()])
    this.isSaving = true
    this.store.save(changes, (error) => {
      this.isSaving = false
      if (error === undefined) {
        for (const listener of waiting) listener()
        this.flush()
        return
      }
      for (const [key, value] of dirty) if (!this.dirty.has(key)) this.dirty.set(key, value)
      this.waiting = [...waiting, ...this.waiting]
      const again = Effect.sync(() => this.flush())
      const complaint = Effect.logWarning("the state of a group could not be saved", error)
      this.system.fork(Effect.andThen(complaint, Effect.delay(again, retryAfter)))
    })
  }

  broke(error: unknown): void {
    this.system.fork(Effect.logError("the state of a group could not be encoded", error))
  }
}
