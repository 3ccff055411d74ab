/** Spans of batches, looked at in memory; that they reach a collector is `services/Telemetry.test.ts`. */
import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import { assert, describe, it } from "@effect/vitest"
import { SpanStatusCode } from "@opentelemetry/api"
import {
  InMemorySpanExporter,
  type ReadableSpan,
  type Sampler,
  SimpleSpanProcessor
} from "@opentelemetry/sdk-trace-base"
import { Deferred, Effect, Layer, Schema } from "effect"
import { spansPerSecond } from "../../src/actors/BatchTracer.ts"
import { Hub } from "../../src/actors/Hub.ts"
import { Polestar } from "../../src/sdk/Polestar.ts"
import * as Topic from "../../src/sdk/Topic.ts"
import { MessageLog, type TopicLog } from "../../src/services/MessageLog.ts"
import { samplerOf } from "../../src/services/TelemetryExport.ts"
import { hubWith } from "./TestHub.ts"
import { parentSpanId, traced, traceIdOf } from "./TracedMessages.ts"
import { greeted } from "./WireClient.ts"

/** A tracer whose spans can be looked at. */
const inMemory = (sampler?: Sampler) => {
  const exporter = new InMemorySpanExporter()
  const layer = NodeSdk.layer(() => ({
    resource: { serviceName: "test" },
    spanProcessor: new SimpleSpanProcessor(exporter),
    tracerConfig: sampler === undefined ? {} : { sampler }
  }))
  const named = (name: string) => exporter.getFinishedSpans().filter((span) => span.name === name)
  return { layer, named, spans: () => exporter.getFinishedSpans() }
}

const idsOf = (span: ReadableSpan) => ({
  trace: span.spanContext().traceId,
  parent: span.parentSpanContext?.spanId
})

/** A log that opens and takes nothing. */
const brokenLog = Layer.succeed(MessageLog, {
  bytes: () => 0,
  names: () => [],
  tidy: () => {},
  describe: () => undefined,
  nextDue: () => Number.POSITIVE_INFINITY,
  due: () => Effect.succeed([]),
  open: (): TopicLog => ({
    epoch: 1,
    durability: "accepted",
    isReceiptEarly: false,
    nextOffset: 0,
    firstOffset: 0,
    lostUntil: 0,
    lastTimestamp: 0,
    messages: 0,
    bytes: 0,
    room: undefined,
    append: () => {
      throw new Error("the disk is full")
    },
    hold: () => {
      throw new Error("the disk is full")
    },
    read: () => Effect.succeed([]),
    offsetAt: () => Effect.succeed(0),
    expire: () => {},
    remove: Effect.void,
    close: () => {}
  })
})

describe("batch tracer", () => {
  it.effect(
    "batch tracer - a sampled message's route and deliveries are in its trace, an unsampled one's not",
    () => {
      const { layer, named, spans } = inMemory()
      return Effect.gen(function* () {
        const client = yield* greeted(2)
        yield* client.subscribe("weather.>")
        yield* client.subscribe("weather.a", { session: 2 })
        client.publish("weather.a", [traced(1, false)])
        client.publish("weather.a", ["plain"])
        yield* client.messages(1, 2)
        assert.deepStrictEqual(spans(), [])
        client.publish("weather.a", [traced(1)])
        yield* client.messages(1, 1)
        const [route] = named("polestar.route")
        assert.isDefined(route)
        assert.deepStrictEqual(idsOf(route), { trace: traceIdOf(1), parent: parentSpanId })
        assert.deepInclude(route.attributes, {
          "messaging.system": "polestar",
          "messaging.destination.name": "weather.a",
          "messaging.batch.message_count": 1,
          "polestar.subscribers": 2
        })
        const deliveries = named("polestar.deliver")
        assert.strictEqual(deliveries.length, 2)
        for (const delivery of deliveries) {
          assert.deepStrictEqual(idsOf(delivery), { trace: traceIdOf(1), parent: route.spanContext().spanId })
        }
      }).pipe(Effect.provide(Layer.provide(hubWith(), layer)))
    }
  )

  it.effect("batch tracer - a batch of several traces is in the first and linked to the others", () => {
    const { layer, named } = inMemory()
    return Effect.gen(function* () {
      const client = yield* greeted()
      client.publish("a", [traced(1, false), traced(2), traced(3), traced(2), traced(4)])
      yield* client.settled
      const [route, ...more] = named("polestar.route")
      assert.isDefined(route)
      assert.strictEqual(more.length, 0)
      assert.strictEqual(idsOf(route).trace, traceIdOf(2))
      assert.deepStrictEqual(
        route.links.map(({ context }) => context.traceId),
        [traceIdOf(3), traceIdOf(4)]
      )
    }).pipe(Effect.provide(Layer.provide(hubWith(), layer)))
  })

  it.effect("batch tracer - what waited in a mailbox, and what is replayed, stays in its trace", () => {
    const { layer, named } = inMemory()
    return Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.subscribe("a", { creditMessages: 0 })
      client.publish("a", [traced(1)])
      yield* client.settled
      assert.strictEqual(named("polestar.route").length, 1)
      assert.strictEqual(named("polestar.deliver").length, 0)
      client.credit(1, 10)
      yield* client.messages(1, 1)
      assert.deepStrictEqual(named("polestar.deliver").map(idsOf), [
        { trace: traceIdOf(1), parent: named("polestar.route")[0]?.spanContext().spanId }
      ])
      yield* client.subscribe("a", { start: { _tag: "Last", count: 1 } })
      yield* client.messages(2, 1)
      assert.strictEqual(named("polestar.deliver").length, 2)
      assert.strictEqual(named("Subscription.replay").length, 1)
    }).pipe(Effect.provide(Layer.provide(hubWith(), layer)))
  })

  it.effect(
    "batch tracer - clients cannot make the hub make more spans than it allows itself in a second",
    () => {
      const { layer, spans } = inMemory()
      return Effect.gen(function* () {
        const client = yield* greeted()
        const frames = Array.from(
          { length: spansPerSecond + 50 },
          (_, index) => client.publishFrame(`t${index}`, [traced(index + 1)]).bytes
        )
        client.raw(Buffer.concat(frames))
        yield* client.settled
        assert.strictEqual(spans().length, spansPerSecond)
        const hub = yield* Hub
        assert.strictEqual((yield* hub.metrics).spansSkipped, 50)
      }).pipe(Effect.provide(Layer.provide(hubWith(), layer)))
    }
  )

  it.effect("batch tracer - a batch that its topic could not take is a failed span of its trace", () => {
    const { layer, spans } = inMemory()
    return Effect.gen(function* () {
      const client = yield* greeted()
      client.publish("a", [traced(1)])
      yield* client.next("Rejected")
      const [span] = spans()
      assert.isDefined(span)
      assert.deepStrictEqual(idsOf(span), { trace: traceIdOf(1), parent: parentSpanId })
      assert.deepStrictEqual(span.status, { code: SpanStatusCode.ERROR, message: "the disk is full" })
    }).pipe(Effect.provide(Layer.provide(hubWith({}, brokenLog), layer)))
  })

  it.effect(
    "batch tracer - the tracer's sampler is asked, and the parent's decision kept where it says so",
    () => {
      const off = inMemory(samplerOf({ parentBased: false, ratio: 0 }))
      const parent = inMemory(samplerOf({ parentBased: true, ratio: 0 }))
      const publish = Effect.gen(function* () {
        const client = yield* greeted()
        yield* client.subscribe("a")
        client.publish("a", [traced(1)])
        yield* client.messages(1, 1)
      })
      return Effect.gen(function* () {
        yield* Effect.provide(publish, Layer.provide(hubWith(), off.layer))
        assert.deepStrictEqual(off.spans(), [])
        const count = Effect.map(publish, () => parent.spans().length)
        assert.strictEqual(yield* Effect.provide(count, Layer.provide(hubWith(), parent.layer)), 2)
      })
    }
  )

  it.live("batch tracer - one trace goes from the publisher through the hub to the handler", () => {
    const { layer, named } = inMemory()
    const dial = Effect.flatMap(Hub, (hub) => hub.connect)
    const star = Layer.unwrap(
      Effect.map(Effect.context<Hub>(), (context) =>
        Polestar.layer({ dial: Effect.provideContext(dial, context) })
      )
    )
    const temperature = Topic.make("weather.temperature", Schema.Number)
    return Effect.gen(function* () {
      const polestar = yield* Polestar
      const handled = yield* Deferred.make<string>()
      yield* Effect.forkScoped(
        polestar.consume(temperature, {}, () =>
          Effect.flatMap(Effect.currentSpan, ({ traceId }) => Deferred.succeed(handled, traceId))
        )
      )
      yield* Effect.repeat(polestar.topics(), { until: (topics) => topics[0]?.subscribers === 1 })
      yield* polestar.publish(temperature, 12).pipe(Effect.withSpan("request"))
      const trace = yield* Deferred.await(handled)
      const [request] = named("request")
      const [publish] = named("polestar.publish")
      const [route] = named("polestar.route")
      const [deliver] = named("polestar.deliver")
      assert.isDefined(request)
      assert.isDefined(publish)
      assert.isDefined(route)
      assert.isDefined(deliver)
      assert.strictEqual(request.spanContext().traceId, trace)
      assert.deepStrictEqual(idsOf(publish), { trace, parent: request.spanContext().spanId })
      assert.deepStrictEqual(idsOf(route), { trace, parent: publish.spanContext().spanId })
      assert.deepStrictEqual(idsOf(deliver), { trace, parent: route.spanContext().spanId })
    }).pipe(
      Effect.provide(star.pipe(Layer.provide(hubWith()), Layer.provide(layer), Layer.provideMerge(layer)))
    )
  })
})
