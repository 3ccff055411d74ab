/**
 * What can wait until everyone who is answered in the present turn has the answer on its way: done then, before anything
 * else is read.
 */
import type { Effect } from "effect"

export class Afterwards {
  private readonly fork: (work: Effect.Effect<void>) => void
  private works: Array<Effect.Effect<void>> = []

  constructor(fork: (work: Effect.Effect<void>) => void) {
    this.fork = fork
  }

  add(work: Effect.Effect<void>): void {
    if (this.works.length === 0) queueMicrotask(this.workOff)
    this.works.push(work)
  }

  private readonly workOff = (): void => {
    const works = this.works
    this.works = []
    for (const work of works) this.fork(work)
  }
}
