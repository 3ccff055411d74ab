/** Counts what a connection delivers, one place for every transport: messages, bytes, spans, and how long they took. */
import type { Batch } from "../protocol/Batch.ts"
import type { EndSpan } from "./BatchTracer.ts"
import type { Registry } from "./Registry.ts"

export class DeliveryMeter {
  private readonly registry: Registry
  /** When the hub took the oldest of what is not written yet. */
  private oldest = Number.POSITIVE_INFINITY
  private unwritten = 0
  private spans: Array<EndSpan> | undefined

  constructor(registry: Registry) {
    this.registry = registry
  }

  /** A batch is on its way to a client. */
  delivered(batch: Batch, sessionId: string): void {
    const { counters, tracer } = this.registry
    counters.messagesDelivered += batch.count
    counters.bytesDelivered += batch.end - batch.start
    const end = tracer?.deliver(batch, sessionId)
    if (end !== undefined) {
      this.spans ??= []
      this.spans.push(end)
    }
    // A replay's age is not how long the hub took.
    if (batch.receivedAt < 0) return
    this.unwritten += batch.count
    if (batch.receivedAt < this.oldest) this.oldest = batch.receivedAt
  }

  /** All that was delivered has been handed to the client's socket. */
  written(): void {
    if (this.unwritten > 0) {
      const { counters, system } = this.registry
      counters.latency(Math.max(0, system.readFine() - this.oldest), this.unwritten)
      this.unwritten = 0
      this.oldest = Number.POSITIVE_INFINITY
    }
    const { spans } = this
    if (spans === undefined) return
    this.spans = undefined
    for (const end of spans) end()
  }
}
