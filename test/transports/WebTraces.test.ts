/** One trace from a request of HTTP through the hub to whoever is given the message, by each transport of the web. */
import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Effect, Layer } from "effect"
import { formatTraceparent } from "../../src/protocol/Traceparent.ts"
import { Auth } from "../../src/services/Auth.ts"
import { WebServer } from "../../src/transports/WebServer.ts"
import { hubWith } from "../actors/TestHub.ts"
import { parentSpanId, traceIdOf } from "../actors/TracedMessages.ts"
import { ask, eventsIn, json, openStream } from "./http/WebHub.ts"
import { connectJson } from "./websocket/JsonPeer.ts"

const traceId = traceIdOf(7)
const traceparent = formatTraceparent({ traceId, spanId: parentSpanId, sampled: true })

/** A hub whose spans can be looked at. */
const tracedHub = () => {
  const exporter = new InMemorySpanExporter()
  const tracing = NodeSdk.layer(() => ({
    resource: { serviceName: "test" },
    spanProcessor: new SimpleSpanProcessor(exporter)
  }))
  const layer = WebServer.layer.pipe(
    Layer.provideMerge(hubWith({ port: 0, httpPort: 0 })),
    Layer.provideMerge(Auth.layerOff),
    Layer.provideMerge(NodeFileSystem.layer),
    Layer.provideMerge(tracing)
  )
  return { exporter, layer }
}

describe("web traces", () => {
  const { exporter, layer } = tracedHub()
  it.live("web traces - a publish by HTTP, its way through the hub and its deliveries are one trace", () =>
    Effect.gen(function* () {
      const { port } = yield* WebServer
      const socket = yield* connectJson(`ws://127.0.0.1:${port}/ws`)
      socket.send({ type: "subscribe", topic: "traced", request_id: "1" })
      yield* socket.nextOf("ack")
      const stream = yield* openStream("/api/v1/stream?topics=traced")
      yield* stream.says(/event: begin/)
      const answer = yield* ask("/api/v1/messages", {
        headers: { ...json, traceparent },
        body: JSON.stringify({ topic: "traced", payload: 1 })
      })
      assert.strictEqual(answer.status, 202)

      const event = yield* socket.nextOf("event")
      assert.nestedInclude(event, { "message.headers.traceparent": traceparent })
      yield* stream.says(/data: .*traced/)
      const [, message] = eventsIn(stream.text)
      assert.strictEqual(message?.data.headers?.traceparent, traceparent)
      const polled = yield* ask("/api/v1/topics/traced/messages")
      assert.strictEqual(polled.json.messages[0]?.headers?.traceparent, traceparent)

      const spans = exporter.getFinishedSpans().filter((span) => span.spanContext().traceId === traceId)
      const named = (name: string) => spans.filter((span) => span.name === name)
      const [route] = named("polestar.route")
      assert.strictEqual(route?.parentSpanContext?.spanId, parentSpanId)
      const deliveries = named("polestar.deliver").map((span) => span.parentSpanContext?.spanId)
      assert.deepStrictEqual(deliveries.slice(0, 2), [
        route?.spanContext().spanId,
        route?.spanContext().spanId
      ])
      assert.isNotEmpty(spans.filter((span) => span.parentSpanContext?.spanId === parentSpanId))
    }).pipe(Effect.scoped, Effect.provide(layer))
  )
})
