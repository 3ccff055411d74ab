/** Bounds the lines that clients can have written to the log: so many in a second, and then how many were not. */
import { Effect } from "effect"
import type { ActorSystem } from "./ActorSystem.ts"

export class LineBudget {
  private readonly system: ActorSystem
  private readonly perSecond: number
  private readonly what: string
  private second = 0
  private lines = 0
  private unsaid = 0

  /** `what` says what was left out: "refused 12 times more, without a line each". */
  constructor(system: ActorSystem, perSecond: number, what: string) {
    this.system = system
    this.perSecond = perSecond
    this.what = what
  }

  /** Whether one more line may be written now. */
  mayLog(): boolean {
    const second = Math.floor(this.system.now() / 1000)
    if (second !== this.second) this.begin(second)
    if (this.lines++ < this.perSecond) return true
    this.unsaid++
    return false
  }

  private begin(second: number): void {
    const unsaid = this.unsaid
    this.second = second
    this.lines = 0
    this.unsaid = 0
    if (unsaid > 0)
      this.system.fork(Effect.logWarning(`${this.what} ${unsaid} times more, without a line each`))
  }
}
