/**
 * What a topic's log has stored later than at once, on its way to the subscribers: an actor of its own, so that a
 * subscriber which is waited for does not hold up the log, nor the log the subscribers.
 */
import type { Cause, Effect } from "effect"
import type { Batch } from "../protocol/Batch.ts"
import { Actor } from "./Actor.ts"
import type { ActorSystem } from "./ActorSystem.ts"

/** The topic takes nothing more while this much waits, so the mailbox itself needs no limit. */
export const feedLimit = 8_388_608
const unlimited = { maxMessages: Number.POSITIVE_INFINITY, maxBytes: Number.POSITIVE_INFINITY }

export class Feed extends Actor<Batch> {
  private readonly pass: (batch: Batch) => Effect.Effect<void> | undefined
  private readonly broke: (batch: Batch, cause: Cause.Cause<never>) => Effect.Effect<void>

  constructor(
    system: ActorSystem,
    pass: (batch: Batch) => Effect.Effect<void> | undefined,
    broke: (batch: Batch, cause: Cause.Cause<never>) => Effect.Effect<void>
  ) {
    super(system, unlimited)
    this.pass = pass
    this.broke = broke
  }

  /** Passes the batch on, now or when those before it are through. */
  take(batch: Batch): void {
    // A mailbox without limits is full only for who must wait behind others, and nobody waits here.
    if (!this.tellUnsafe(batch)) this.system.fork(this.tell(batch))
  }

  protected override messagesOf(batch: Batch): number {
    return batch.count
  }

  protected override bytesOf(batch: Batch): number {
    return batch.end - batch.start
  }

  protected override keep(batch: Batch): void {
    batch.keep()
  }

  protected override handle(batch: Batch): Effect.Effect<void> | undefined {
    return this.pass(batch)
  }

  protected override failed(batch: Batch, cause: Cause.Cause<never>): Effect.Effect<void> {
    return this.broke(batch, cause)
  }
}
