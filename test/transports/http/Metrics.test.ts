/** `/metrics` and `/stats` of a hub with traffic on every transport: numbers that are right, the same, and of good form. */
import { spawnSync } from "node:child_process"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, Schema, Stream } from "effect"
import { Hub, TcpServer, WebServer } from "../../../src/hub.ts"
import * as Topic from "../../../src/sdk/Topic.ts"
import * as HubServer from "../../../src/transports/HubServer.ts"
import { range } from "../../contracts/sdk/Kit.ts"
import { eventually, sdkClient } from "../../faults/Faults.ts"
import { samplesOf } from "../../faults/WebFaults.ts"
import { describeWith } from "../../Tools.ts"
import { connectJson } from "../websocket/JsonPeer.ts"
import { ask, openStream, postJson, publish } from "./WebHub.ts"

const topic = "metered.topic"
const Metered = Topic.make(topic, Schema.Number)
const live = Layer.provide(HubServer.layerWith({ port: 0, httpPort: 0 }), Logger.layer([]))

const Stats = Schema.fromJsonString(
  Schema.Struct({
    topics: Schema.Array(
      Schema.Struct({ name: Schema.String, messages: Schema.Number, delivered: Schema.Number })
    ),
    total_topics: Schema.Number,
    total_subscribers: Schema.Number,
    total_messages: Schema.Number,
    total_delivered: Schema.Number,
    total_dropped: Schema.Number,
    connections: Schema.Number,
    groups: Schema.Number,
    queue_depth: Schema.Number,
    client_queue_depth: Schema.Number
  })
)

/** Two clients by each transport that stays, and messages by each that publishes; what is open stays so. */
const traffic = Effect.gen(function* () {
  const { port } = yield* TcpServer
  const { port: webPort } = yield* WebServer
  const hub = yield* Hub
  const url = `ws://127.0.0.1:${webPort}/ws`
  const star = yield* sdkClient(port)
  const { messages } = yield* (yield* sdkClient(port)).open(Metered)
  yield* Effect.forkScoped(Stream.runDrain(messages))
  const event = yield* connectJson(url)
  event.send({ type: "subscribe", topic })
  const message = yield* connectJson(url)
  message.send({ type: "subscribe", topics: [topic], client_id: "one" })
  for (const peer of [event, message]) yield* peer.nextOf("ack")
  const streams = yield* Effect.forEach(range(2), () => openStream(`/api/v1/stream?topics=${topic}`))
  for (const stream of streams) yield* stream.says(/begin/)
  const poll = (path: string) =>
    Effect.forkScoped(ask(`/api/v1/poll?timeout=30&topics=${path}`), { startImmediately: true })
  const answered = yield* poll("polled")
  yield* poll("never")
  yield* poll("never")
  yield* poll("never&client_id=two")
  const waiting = Effect.map(hub.metrics, ({ connectionsByTransport }) => connectionsByTransport["long-poll"])
  yield* eventually(
    "the polls to wait",
    Effect.map(waiting, (count) => count === 4)
  )
  // 5 + 4 + 3 + 2 messages, each to five clients, and one to a poll.
  for (const n of range(5)) assert.strictEqual((yield* publish(topic, n)).status, 202)
  yield* postJson("/api/v1/messages/bulk", { messages: range(4).map((payload) => ({ topic, payload })) })
  for (const n of range(3)) event.send({ type: "publish", topic, message: { id: `ws-${n}`, payload: n } })
  for (const _ of range(3)) yield* event.nextOf("ack")
  for (const n of range(2)) yield* star.publish(Metered, n)
  assert.strictEqual((yield* publish("polled", 1)).status, 202)
  assert.lengthOf((yield* Fiber.join(answered)).json.messages, 1)
  yield* eventually(
    "all to be delivered",
    Effect.map(
      hub.metrics,
      ({ connections, messagesDelivered }) => messagesDelivered >= 71 && connections === 10
    )
  )
})

const expected = {
  'proxy_connections_total{type="tcp"}': 2,
  'proxy_connections_total{type="websocket"}': 2,
  'proxy_connections_total{type="event-stream"}': 2,
  'proxy_connections_total{type="long-poll"}': 3,
  'proxy_connections_total{type="http"}': 1,
  'proxy_connections_total{type="memory"}': 0,
  proxy_messages_received_total: 15,
  proxy_messages_delivered_total: 71,
  proxy_message_latency_seconds_count: 71,
  'proxy_message_latency_seconds_bucket{le="+Inf"}': 71,
  'proxy_queue_depth{queue="topics"}': 0,
  'proxy_queue_depth{queue="clients"}': 0,
  'polestar_messages_dropped_total{policy="drop-oldest"}': 0
}

describe("http metrics", () => {
  it.live(
    "http metrics - count what was sent and received by every transport, and /stats says the same",
    () =>
      Effect.gen(function* () {
        yield* traffic
        const [scraped, asked] = yield* Effect.all([ask("/metrics"), ask("/stats")], { concurrency: 2 })
        assert.strictEqual(scraped.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        const samples = samplesOf(scraped.text)
        for (const [name, value] of Object.entries(expected))
          assert.strictEqual(samples.get(name), value, name)
        const stats = yield* Schema.decodeEffect(Stats)(asked.text)
        const one = (name: string) => samples.get(name) ?? Number.NaN
        const sum = (name: string) =>
          [...samples].reduce((total, [key, value]) => total + (key.startsWith(`${name}{`) ? value : 0), 0)
        assert.deepInclude(stats, {
          total_messages: one("proxy_messages_received_total"),
          total_delivered: one("proxy_messages_delivered_total"),
          total_dropped: sum("polestar_messages_dropped_total"),
          connections: sum("proxy_connections_total"),
          total_topics: one("polestar_topics"),
          total_subscribers: one("polestar_subscriptions"),
          groups: one("polestar_groups"),
          queue_depth: one('proxy_queue_depth{queue="topics"}'),
          client_queue_depth: one('proxy_queue_depth{queue="clients"}')
        })
        const metered = stats.topics.filter(({ name }) => name === topic)
        assert.deepStrictEqual(metered, [{ name: topic, messages: 14, delivered: 70 }])
      }).pipe(Effect.scoped, Effect.provide(live))
  )
})

describeWith("promtool", "http metrics by promtool", (promtool) => {
  const check = (text: string) =>
    Effect.sync(() => {
      const { status, stderr, stdout } = spawnSync(promtool, ["check", "metrics"], { input: text })
      return { status, said: `${stdout}${stderr}` }
    })

  it.live("http metrics - promtool accepts them, with traffic and without", () =>
    Effect.gen(function* () {
      const accepted = { status: 0, said: "" }
      assert.deepStrictEqual(yield* check((yield* ask("/metrics")).text), accepted)
      yield* traffic
      const { text } = yield* ask("/metrics")
      assert.deepStrictEqual(yield* check(text), accepted)
      for (const name of ["messages_received_total", "messages_delivered_total"])
        assert.include(text, `# TYPE proxy_${name} counter`)
      assert.include(text, "# TYPE proxy_message_latency_seconds histogram")
      assert.include(text, "# TYPE proxy_queue_depth gauge")
      // It finds fault with what is at fault.
      const misnamed = text.replace("proxy_connections_total untyped", "proxy_connections_total gauge")
      assert.notStrictEqual((yield* check(misnamed)).status, 0)
    }).pipe(Effect.scoped, Effect.provide(live))
  )
})
