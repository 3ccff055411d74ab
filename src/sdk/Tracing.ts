/**
 * The trace of a message, in its header `traceparent`.
 *
 * Tracing is on for a fiber when another tracer than Effect's own was provided to it. While it is off, nothing here
 * makes a span: publishing asks two fields of its fiber, and handling a message looks for one header.
 */
import { Effect, type Fiber, Tracer } from "effect"
import { formatTraceparent, parseTraceparent } from "../protocol/Traceparent.ts"
import type { Delivery } from "./Delivery.ts"

export const traceparentHeader = "traceparent"

/**
 * What a handler's span is to the message: its child, so that one trace goes from the publisher to the handler;
 * linked to it, in a trace of its own; or nothing, and no span is made.
 */
export type TraceMode = "child" | "link" | "off"

const isTracing = (fiber: Fiber.Fiber<unknown, unknown>): boolean => {
  const { tracer, tracerEnabled } = fiber.cache
  return tracerEnabled && tracer !== undefined && tracer !== Tracer.nativeTracer
}

/** The header for what is published within a span; `undefined` if there is none or it is not sampled. */
const headerOf = (span: Tracer.AnySpan | undefined): string | undefined =>
  span === undefined || !span.sampled
    ? undefined
    : formatTraceparent({ traceId: span.traceId.padStart(32, "0"), spanId: span.spanId, sampled: true })

/**
 * Runs `send` with the `traceparent` to publish. With tracing on it runs in a producer's span, one for all that
 * is sent at once, unless the trace it is in was not sampled.
 */
export const withProducerSpan = <A, E, R>(
  topic: string,
  send: (traceparent: string | undefined) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    const parent = fiber.cache.span
    if (!isTracing(fiber) || parent?.sampled === false) return send(headerOf(parent))
    return Effect.useSpan(
      "polestar.publish",
      { kind: "producer", attributes: attributesOf(topic, "publish") },
      (span) => send(headerOf(span))
    )
  })

/** Runs a handler of a message in the trace that `mode` asks for. */
export const withConsumerSpan = <A, E, R>(
  mode: TraceMode,
  delivery: Delivery<unknown, unknown>,
  handle: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => {
  if (mode === "off") return handle
  return Effect.withFiber((fiber) => {
    const header = delivery.headers[traceparentHeader]
    const trace = header === undefined ? undefined : parseTraceparent(header)
    const remote = trace === undefined ? undefined : Tracer.externalSpan(trace)
    if (!isTracing(fiber)) {
      // No spans, but what the handler publishes still belongs to the message's trace.
      return remote === undefined || mode === "link"
        ? handle
        : Effect.provideService(handle, Tracer.ParentSpan, remote)
    }
    const options = { kind: "consumer", attributes: attributesOf(delivery.topic, "process") } as const
    if (remote === undefined) return runInSpan(handle, options)
    return mode === "child"
      ? runInSpan(handle, { ...options, parent: remote })
      : runInSpan(handle, { ...options, root: true, links: [{ span: remote, attributes: {} }] })
  })
}

const runInSpan = <A, E, R>(
  handle: Effect.Effect<A, E, R>,
  options: Tracer.SpanOptions
): Effect.Effect<A, E, R> =>
  Effect.useSpan("polestar.consume", options, (span) =>
    Effect.provideService(handle, Tracer.ParentSpan, span)
  )

const attributesOf = (topic: string, operation: string): Record<string, unknown> => ({
  "messaging.system": "polestar",
  "messaging.operation.type": operation,
  "messaging.destination.name": topic
})
