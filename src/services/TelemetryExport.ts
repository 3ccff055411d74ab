/**
 * The exporters behind `Telemetry`: the only file that loads OpenTelemetry. Traces go through its SDK; metrics are
 * Effect's own, read when they are sent.
 */
import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http"
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  type SpanExporter,
  type SpanProcessor,
  TraceIdRatioBasedSampler
} from "@opentelemetry/sdk-trace-base"
import { Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"
import { OtlpExporter, OtlpMetrics, OtlpSerialization } from "effect/observability"
import { MetricsFlush } from "./HubMetrics.ts"
import type { TelemetryOptions, TraceSampling } from "./TelemetryOptions.ts"

/** Milliseconds that closing waits for what is left of the spans, and of the metrics, to be sent. */
const flushTimeout = 3_000
/** The same for all that a processor or an exporter does to end, which begins with a flush. */
const shutdownTimeout = flushTimeout + 500

export const layer = (options: TelemetryOptions): Layer.Layer<never> => {
  const attributes = { "service.instance.id": crypto.randomUUID() }
  const resource = { serviceName: options.serviceName, attributes }
  return Layer.mergeAll(tracesLayer(options.traces, resource), metricsLayer(options.metrics, resource))
}

interface ServiceResource {
  readonly serviceName: string
  readonly attributes: Record<string, string>
}

const tracesLayer = (traces: TelemetryOptions["traces"], resource: ServiceResource): Layer.Layer<never> => {
  if (traces === undefined) return Layer.empty
  const configuration = Effect.gen(function* () {
    const context = yield* Effect.context<never>()
    const run = Effect.runPromiseWith(context)
    // Without what else a URL may hold: a password is not for a log.
    const { origin, pathname } = new URL(traces.url)
    const collector = `${origin}${pathname}`
    const exporter = reporting(
      new OTLPTraceExporter({ url: traces.url, timeoutMillis: traces.timeout }),
      collector,
      run
    )
    return {
      resource,
      shutdownTimeout,
      tracerConfig: { sampler: samplerOf(traces.sampling) },
      spanProcessor: forgiving(new BatchSpanProcessor(exporter), collector, run)
    }
  })
  return NodeSdk.layer(configuration)
}

type Run = (effect: Effect.Effect<void>) => Promise<void>

/** The same exporter, which says when spans begin to be lost and when they no longer are. */
const reporting = (exporter: SpanExporter, collector: string, run: Run): SpanExporter => {
  let isLosing = false
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        const isLost = result.error !== undefined
        if (isLost && !isLosing) {
          run(Effect.logWarning(`cannot export traces to ${collector}: ${lineOf(result.error)}`))
        }
        if (!isLost && isLosing) run(Effect.logInfo(`traces are exported to ${collector} again`))
        isLosing = isLost
        done(result)
      }),
    forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
    shutdown: () => exporter.shutdown()
  }
}

/** One line. A name with several addresses fails with an error that says nothing, around one for each of them. */
const lineOf = (error: Error | undefined): string => {
  const inner: unknown = error instanceof AggregateError ? error.errors[0] : error
  const text = inner instanceof Error && inner.message !== "" ? inner.message : String(inner)
  return text.replace(/\s*[\r\n]+\s*/g, " ").trim()
}

/** The same processor, except that a collector which cannot be reached does not make closing fail, or wait long. */
const forgiving = (processor: SpanProcessor, collector: string, run: Run): SpanProcessor => ({
  onStart: (span, context) => processor.onStart(span, context),
  onEnd: (span) => processor.onEnd(span),
  forceFlush: () =>
    run(
      Effect.promise(() => processor.forceFlush()).pipe(
        Effect.timeoutOrElse({
          duration: flushTimeout,
          orElse: () => Effect.logWarning(`cannot export the last traces to ${collector} in time`)
        }),
        Effect.ignoreCause
      )
    ),
  shutdown: () => run(Effect.ignoreCause(Effect.promise(() => processor.shutdown())))
})

export const samplerOf = ({ parentBased, ratio }: TraceSampling): Sampler => {
  const root =
    ratio >= 1
      ? new AlwaysOnSampler()
      : ratio <= 0
        ? new AlwaysOffSampler()
        : new TraceIdRatioBasedSampler(ratio)
  return parentBased ? new ParentBasedSampler({ root }) : root
}

const metricsLayer = (
  metrics: TelemetryOptions["metrics"],
  resource: ServiceResource
): Layer.Layer<never> => {
  if (metrics === undefined) return Layer.empty
  const exporting = OtlpMetrics.layer({
    url: metrics.url,
    headers: metrics.headers,
    exportInterval: metrics.interval,
    resource,
    shutdownTimeout
  })
  const flush = Effect.map(OtlpExporter.Flusher, ({ flush }) =>
    Effect.asVoid(Effect.timeoutOption(Effect.interruptible(flush), flushTimeout))
  )
  return Layer.effect(MetricsFlush, flush).pipe(
    Layer.provide(exporting),
    Layer.provide([FetchHttpClient.layer, OtlpSerialization.layerJson])
  )
}
