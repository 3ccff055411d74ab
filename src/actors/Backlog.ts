/**
 * What a connection has read for topics that are full: it waits here in order, bounded, while the connection's control
 * frames are still read, so that a client which waits for its own subscriber can grant it credit.
 */
import { Effect, type Scope } from "effect"
import type { Batch } from "../protocol/Batch.ts"
import { Deque } from "../protocol/Deque.ts"
import { errorMessage } from "../protocol/ErrorCode.ts"
import type { Registry } from "./Registry.ts"
import type { Topic } from "./Topic.ts"

/** Bytes that wait before reading stops: more than an SDK ever has in flight. */
const limit = 8_388_608

export class Backlog {
  private readonly registry: Registry
  private readonly scope: Scope.Scope
  private readonly batches = new Deque<Batch>()
  private bytes = 0
  private listener: (() => void) | undefined

  /** What waits when the scope closes is let go of. */
  constructor(registry: Registry, scope: Scope.Scope) {
    this.registry = registry
    this.scope = scope
  }

  get isEmpty(): boolean {
    return this.batches.length === 0
  }

  /** Whether reading must stop. */
  get isFull(): boolean {
    return this.bytes > limit
  }

  /** Hands it to its topic now, or when the topic has taken all that came before. */
  hand(topic: Topic, batch: Batch): void {
    if (this.isEmpty && topic.tellUnsafe(batch)) return
    batch.keep()
    this.batches.push(batch)
    this.bytes += batch.size
    if (this.batches.length === 1) this.registry.system.fork(this.drain(), this.scope)
  }

  private readonly drain = Effect.fnUntraced({ self: this }, function* (this: Backlog) {
    for (let next = this.batches.at(0); next !== undefined; next = this.batches.at(0)) {
      // The topic may have been let go of meanwhile, and made anew.
      const topic = this.registry.topicNamed(next.topic)
      if (typeof topic === "string") next.publisher?.reject(next, topic, errorMessage(topic))
      else yield* topic.tell(next)
      this.batches.shift()
      this.bytes -= next.size
      if (!this.isFull) this.listener?.()
    }
  })

  /** Waits until reading may go on. */
  readonly shrinks: Effect.Effect<void> = Effect.callback<void>((resume) => {
    this.listener = () => {
      this.listener = undefined
      resume(Effect.void)
    }
  })
}
