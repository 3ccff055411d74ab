/**
 * Spans of batches on their way through the hub, for those whose messages carry a sampled `traceparent`. It is
 * there only when tracing is on; without it the hot path asks one question a batch.
 *
 *     polestar.publish (the publisher's)
 *     ├─ polestar.route      from the reading of the batch until every subscriber's mailbox has it
 *     │  └─ polestar.deliver from its leaving of one mailbox until it is written to the socket
 *     └─ polestar.consume    (the handler's)
 *
 * The hub decides nothing about sampling: whoever began a trace did, and the tracer's sampler may. It does bound
 * what clients can make it do, since each of them may call each of its messages sampled.
 */
import { type Cause, Context, Exit, Option, References, Tracer } from "effect"
import type { Batch } from "../protocol/Batch.ts"
import { RecordFlags } from "../protocol/Message.ts"
import { sampledTraces } from "../protocol/TraceparentScan.ts"
import type { Counters } from "../services/Counters.ts"
import type { ActorSystem } from "./ActorSystem.ts"

/** Spans that are made in a second of the clock; beyond them batches go untraced, and are counted. */
export const spansPerSecond = 2000
/** Traces that one batch belongs to: the first is the span's parent, the others are linked. */
const tracesPerBatch = 16

export type EndSpan = () => void

export class BatchTracer {
  private readonly tracer: Tracer.Tracer
  private readonly system: ActorSystem
  private readonly counters: Counters
  /** What delivering a batch is a part of, for as long as the batch is somewhere. */
  private readonly routes = new WeakMap<Batch, Tracer.ExternalSpan>()
  /** The batch that was routed last, if it is in no trace: it is being delivered, so that need not be found out again. */
  private untraced: Batch | undefined
  private second = 0
  private made = 0

  constructor(tracer: Tracer.Tracer, system: ActorSystem, counters: Counters) {
    this.tracer = tracer
    this.system = system
    this.counters = counters
  }

  /** Begins the span of a topic passing a batch on; call what it answers, if anything, when all have it. */
  route(batch: Batch, subscribers: number): EndSpan | undefined {
    const traces = this.tracesOf(batch)
    if (traces.length === 0) {
      this.untraced = batch
      return undefined
    }
    const span = this.begin("polestar.route", batch, traces, batch.receivedAt)
    if (span === undefined) return undefined
    this.routes.set(batch, Tracer.externalSpan({ traceId: span.traceId, spanId: span.spanId, sampled: true }))
    span.attribute("polestar.subscribers", subscribers)
    return this.ending(span, Exit.void)
  }

  /** Begins the span of writing a batch to one subscriber; call what it answers, if anything, when it is written. */
  deliver(batch: Batch, session: string): EndSpan | undefined {
    if ((batch.records & RecordFlags.headers) === 0 || batch === this.untraced) return undefined
    const route = this.routes.get(batch)
    const traces = route === undefined ? this.tracesOf(batch) : [route]
    const span = this.begin("polestar.deliver", batch, traces, this.system.readFine())
    if (span === undefined) return undefined
    span.attribute("polestar.session", session)
    return this.ending(span, Exit.void)
  }

  /** Makes the span of a topic that could not take a batch. */
  failed(batch: Batch, cause: Cause.Cause<unknown>): void {
    const span = this.begin("polestar.route", batch, this.tracesOf(batch), batch.receivedAt)
    if (span !== undefined) this.ending(span, Exit.failCause(cause))()
  }

  private begin(
    name: string,
    batch: Batch,
    traces: ReadonlyArray<Tracer.ExternalSpan>,
    at: number
  ): Tracer.Span | undefined {
    const [parent, ...others] = traces
    if (parent === undefined || !this.isAllowed()) return undefined
    const span = this.tracer.span({
      name,
      parent: Option.some(parent),
      annotations: Context.empty(),
      links: others.map((span) => ({ span, attributes: {} })),
      startTime: nanosOf(at),
      kind: "internal",
      root: false,
      sampled: true
    })
    if (!span.sampled) return undefined
    span.attribute("messaging.system", "polestar")
    span.attribute("messaging.destination.name", batch.topic)
    span.attribute("messaging.batch.message_count", batch.count)
    span.attribute("polestar.offset", batch.offset)
    return span
  }

  private ending(span: Tracer.Span, exit: Exit.Exit<unknown, unknown>): EndSpan {
    return () => span.end(nanosOf(this.system.readFine()), exit)
  }

  /** Only whether there is one, where no span may be made of it. */
  private tracesOf(batch: Batch): ReadonlyArray<Tracer.ExternalSpan> {
    return tracesIn(batch, this.isSpent() ? 1 : tracesPerBatch)
  }

  private isAllowed(): boolean {
    const isSpent = this.isSpent()
    if (isSpent) this.counters.spansSkipped++
    else this.made++
    return !isSpent
  }

  private isSpent(): boolean {
    const second = Math.floor(this.system.now() / 1000)
    if (second !== this.second) {
      this.second = second
      this.made = 0
    }
    return this.made >= spansPerSecond
  }
}

const noTraces: ReadonlyArray<Tracer.ExternalSpan> = []

const tracesIn = (batch: Batch, limit: number): ReadonlyArray<Tracer.ExternalSpan> => {
  if ((batch.records & RecordFlags.headers) === 0) return noTraces
  const traces = sampledTraces(batch, limit)
  return traces.length === 0 ? noTraces : traces.map((trace) => Tracer.externalSpan(trace))
}

/** A number cannot hold nanoseconds since 1970, so this is exact to a microsecond. */
const nanosOf = (milliseconds: number): bigint => BigInt(Math.round(milliseconds * 1000)) * 1000n

/** A tracer for the hub if tracing is on, that is if another tracer than Effect's own was provided. */
export const makeBatchTracer = (
  context: Context.Context<never>,
  system: ActorSystem,
  counters: Counters
): BatchTracer | undefined => {
  const tracer = Context.get(context, Tracer.Tracer)
  return tracer === Tracer.nativeTracer || !Context.get(context, References.TracerEnabled)
    ? undefined
    : new BatchTracer(tracer, system, counters)
}
