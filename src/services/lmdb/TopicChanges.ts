/** What a topic's log has to be written: a batch that takes its place, and retention. */
import type { Batch } from "../../protocol/Batch.ts"
import { HeldOnDisk } from "./HeldMessages.ts"
import type { LmdbTopicLog } from "./LmdbTopicLog.ts"
import type { Change, Reason, WriteSet } from "./Writer.ts"

/** A batch takes the next place of its topic. */
export class Append implements Change {
  readonly isRelief = false
  readonly size: number
  private readonly log: LmdbTopicLog
  private readonly batch: Batch

  constructor(log: LmdbTopicLog, batch: Batch) {
    this.log = log
    this.batch = batch
    this.size = batch.end - batch.start
  }

  prepare(set: WriteSet): Reason | undefined {
    return this.log.place(set, this.batch)
  }

  done(): void {
    const { batch, log } = this
    log.ended(this)
    // Held by another engine until now: that one has still to let go of it.
    if (batch.held instanceof HeldOnDisk) log.shared.held.left(batch.held)
    else batch.held?.forget()
    log.owner.stored(batch)
  }

  failed(reason: Reason, cause: unknown): void {
    this.log.ended(this)
    this.log.owner.refused(this.batch, this.log.error(reason, cause))
  }
}

/** Makes a log join a set, which trims it. */
export class Trim implements Change {
  readonly isRelief = true
  readonly size = 0
  private readonly log: LmdbTopicLog

  constructor(log: LmdbTopicLog) {
    this.log = log
  }

  prepare(set: WriteSet): undefined {
    if (this.log.numbers.id > 0) this.log.join(set)
  }

  done(): void {
    this.log.ended(this)
  }

  failed(): void {
    this.log.ended(this)
  }
}
