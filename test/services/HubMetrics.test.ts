import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Metric, Scope } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { Counters } from "../../src/services/Counters.ts"
import { metricsOf, registerMetrics } from "../../src/services/HubMetrics.ts"
import type { HubGauges } from "../../src/services/MetricHandles.ts"
import { hubWith } from "../actors/TestHub.ts"
import { greeted } from "../actors/WireClient.ts"

/** A registry of the test's own: the default one is the process's. */
const ownRegistry = Layer.sync(Metric.MetricRegistry, () => new Map())

const scrape = Effect.map(PrometheusMetrics.format(), (text) => {
  const samples = new Map<string, number>()
  for (const line of text.split("\n")) {
    const at = line.lastIndexOf(" ")
    if (!line.startsWith("#") && at > 0) samples.set(line.slice(0, at), Number(line.slice(at + 1)))
  }
  return { text, samples }
})

const gauges: HubGauges = {
  topics: 1,
  connectionsByTransport: { tcp: 2, websocket: 1, "long-poll": 0, "event-stream": 0, http: 0, memory: 0 },
  connections: 2,
  sessions: 3,
  subscriptions: 4,
  groups: 9,
  groupInFlight: 10,
  queueDepth: 5,
  queueCapacity: 0.25,
  clientQueueDepth: 6,
  clientQueueBytes: 7,
  clientQueueCapacity: 0.5,
  receivedPerSecond: 0,
  deliveredPerSecond: 0,
  logBytes: 8
}

describe("hub metrics", () => {
  it.effect("hub metrics - a scrape shows what went through the hub, and nothing once it is closed", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(hubWith(), scope)
      const traffic = Effect.gen(function* () {
        const client = yield* greeted()
        yield* client.subscribe("weather.>")
        // Has no credit, so what it should get waits.
        const { subscription } = client.askToSubscribe("weather.b", { creditMessages: 0 })
        client.publish("weather.a", ["1", "2", "3"])
        client.publish("weather.b", ["4", "5"])
        client.publish("$hub.secret", ["no"])
        yield* client.settled
        assert.strictEqual(client.delivered(1).length, 5)
        assert.strictEqual(client.delivered(subscription).length, 0)
        return yield* scrape
      })
      const { samples, text } = yield* Effect.scoped(traffic).pipe(Effect.provideContext(context))
      const expected = {
        'proxy_connections_total{type="memory"}': 1,
        proxy_messages_received_total: 5,
        proxy_messages_delivered_total: 5,
        'proxy_queue_depth{queue="topics"}': 0,
        'proxy_queue_depth{queue="clients"}': 2,
        proxy_message_latency_seconds_count: 5,
        'proxy_message_latency_seconds_bucket{le="+Inf"}': 5,
        polestar_messages_rejected_total: 1,
        'polestar_refusals_total{code="FORBIDDEN"}': 1,
        polestar_connections_opened_total: 1,
        polestar_sessions_opened_total: 1,
        polestar_topics_created_total: 2,
        polestar_topics: 2,
        polestar_sessions: 1,
        polestar_subscriptions: 2,
        'polestar_messages_dropped_total{policy="drop-oldest"}': 0,
        'polestar_connections_closed_total{reason="shutting-down"}': 0
      }
      for (const [name, value] of Object.entries(expected)) assert.strictEqual(samples.get(name), value, name)
      assert.include(text, "# TYPE proxy_connections_total gauge")
      assert.include(text, "# TYPE proxy_messages_received_total counter")
      assert.include(text, "# TYPE proxy_message_latency_seconds histogram")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* scrape).text, "")
    }).pipe(Effect.provide(ownRegistry))
  )

  it.effect("hub metrics - latency is in seconds, in buckets that add up", () =>
    Effect.gen(function* () {
      const counters = new Counters()
      counters.latency(0.05, 2)
      counters.latency(3, 1)
      counters.latency(20_000, 1)
      yield* registerMetrics(counters, () => gauges)
      const { samples } = yield* scrape
      const bucket = (le: string) => samples.get(`proxy_message_latency_seconds_bucket{le="${le}"}`)
      assert.deepStrictEqual(["0.0001", "0.0025", "0.005", "10", "+Inf"].map(bucket), [2, 2, 3, 3, 4])
      assert.approximately(samples.get("proxy_message_latency_seconds_sum") ?? 0, 20.0031, 1e-9)
      const [histogram] = (yield* Metric.snapshot).filter(({ type }) => type === "Histogram")
      assert.deepInclude(histogram?.state, { count: 4, min: 0.00005, max: 20 })
      const { latency } = metricsOf(counters, gauges)
      assert.deepInclude(latency, { p50: 0.1, p999: 20_000, max: 20_000 })
    }).pipe(Effect.provide(ownRegistry))
  )

  it.effect("hub metrics - one scrape walks the hub once, and the next one again", () =>
    Effect.gen(function* () {
      let walks = 0
      yield* registerMetrics(new Counters(), () => {
        walks++
        return { ...gauges, topics: walks }
      })
      assert.strictEqual((yield* scrape).samples.get("polestar_topics"), 1)
      assert.strictEqual(walks, 1)
      yield* Effect.promise(() => Promise.resolve())
      assert.strictEqual((yield* scrape).samples.get("polestar_topics"), 2)
    }).pipe(Effect.provide(ownRegistry))
  )

  it.effect("hub metrics - every label has few values, fixed when the hub starts", () =>
    Effect.gen(function* () {
      const counters = new Counters()
      yield* registerMetrics(counters, () => gauges)
      const before = (yield* scrape).samples.size
      counters.closed("normal")
      counters.closed("whatever a client sends")
      const after = (yield* scrape).samples
      assert.strictEqual(after.size, before)
      assert.strictEqual(after.get('polestar_connections_closed_total{reason="normal"}'), 1)
    }).pipe(Effect.provide(ownRegistry))
  )
})
