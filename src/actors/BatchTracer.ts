/**
 * Spans of batches on their way through the hub, for those whose messages carry a sampled `traceparent`. It is
 * there only when tracing is on; without it the hot path asks one question a batch.
 */
import { Context, Exit, Option, Tracer } from "effect"
import type { Batch } from "../protocol/Batch.ts"
import { RecordFlags } from "../protocol/Message.ts"
import { forEachMessage } from "../protocol/Publish.ts"
import { parseTraceparent } from "../protocol/Traceparent.ts"
import type { ActorSystem } from "./ActorSystem.ts"

const nothing = (): void => {}

export class BatchTracer {
  private readonly tracer: Tracer.Tracer
  private readonly system: ActorSystem
  private readonly sampleRatio: number

  constructor(tracer: Tracer.Tracer, system: ActorSystem, sampleRatio: number) {
    this.tracer = tracer
    this.system = system
    this.sampleRatio = sampleRatio
  }

  /** Begins the span of a topic passing a batch on to its subscribers; call what it answers at the end. */
  route(batch: Batch, subscribers: number): () => void {
    return this.span("polestar.route", "internal", batch, { "polestar.subscribers": subscribers })
  }

  /** Begins the span of writing a batch to one subscriber. */
  deliver(batch: Batch, session: string): () => void {
    return this.span("polestar.deliver", "producer", batch, { "polestar.session": session })
  }

  private span(
    name: string,
    kind: Tracer.SpanKind,
    batch: Batch,
    attributes: Readonly<Record<string, unknown>>
  ): () => void {
    const parent = this.parentOf(batch)
    if (parent === undefined) return nothing
    const span = this.tracer.span({
      name,
      parent: Option.some(parent),
      annotations: Context.empty(),
      links: [],
      startTime: BigInt(this.system.now()) * 1_000_000n,
      kind,
      root: false,
      sampled: true
    })
    span.attribute("messaging.system", "polestar")
    span.attribute("messaging.destination.name", batch.topic)
    span.attribute("messaging.batch.message_count", batch.count)
    for (const [key, value] of Object.entries(attributes)) span.attribute(key, value)
    return () => span.end(BigInt(this.system.now()) * 1_000_000n, Exit.void)
  }

  /** The trace of the first message that is in one; a batch is one unit of work and so has one parent. */
  private parentOf(batch: Batch): Tracer.ExternalSpan | undefined {
    if ((batch.records & RecordFlags.headers) === 0) return undefined
    let parent: Tracer.ExternalSpan | undefined
    forEachMessage(batch.bytes, batch.start, batch.end, batch.skip, batch.count, (message) => {
      const header = parent === undefined ? message.headers?.traceparent : undefined
      if (header === undefined) return
      const trace = parseTraceparent(header)
      if (trace?.sampled === true && this.isChosen(trace.traceId)) parent = Tracer.externalSpan(trace)
    })
    return parent
  }

  /** By the trace, so that all spans of one trace are kept or none. */
  private isChosen(traceId: string): boolean {
    if (this.sampleRatio >= 1) return true
    return Number.parseInt(traceId.slice(-8), 16) / 0x1_0000_0000 < this.sampleRatio
  }
}

/** A tracer for the hub if tracing is on, that is if another tracer than Effect's own was provided. */
export const makeBatchTracer = (
  context: Context.Context<never>,
  system: ActorSystem,
  sampleRatio: number
): BatchTracer | undefined => {
  const tracer = Context.get(context, Tracer.Tracer)
  return tracer === Tracer.nativeTracer || sampleRatio <= 0
    ? undefined
    : new BatchTracer(tracer, system, sampleRatio)
}
