/** Topics, health, statistics, metrics and the API's description of itself. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Api } from "../../../src/transports/http/Api.ts"
import { ask, json, postJson, publish, webHub } from "./WebHub.ts"

describe("http topics", () => {
  it.live("http topics - made, listed, deleted", () =>
    Effect.gen(function* () {
      const made = yield* postJson("/topics", { name: "news" })
      assert.strictEqual(made.status, 201)
      assert.deepInclude(made.json, { message: "Topic 'news' created", topic: "news" })
      yield* publish("news", 1)
      yield* publish("other", 1)
      const { json: listed } = yield* ask("/topics")
      assert.deepStrictEqual(listed.topics, [
        { name: "news", subscribers: 0, messages: 1, dropped: 0 },
        { name: "other", subscribers: 0, messages: 1, dropped: 0 }
      ])
      const page = yield* ask("/topics?limit=1")
      assert.strictEqual(page.json.next, "news")
      assert.deepStrictEqual(
        (yield* ask("/topics?after=news")).json.topics.map(({ name }) => name),
        ["other"]
      )
      const gone = yield* ask("/topics/news", { method: "DELETE" })
      assert.strictEqual(gone.status, 200)
      assert.strictEqual(gone.json.topic, "news")
      assert.strictEqual((yield* ask("/topics/news", { method: "DELETE" })).json.code, "TOPIC_NOT_FOUND")
    }).pipe(Effect.provide(webHub()))
  )

  it.live.each([
    ["it exists", '{"name":"a"}', 409, "TOPIC_EXISTS"],
    ["a bad name", '{"name":"a..b"}', 400, "INVALID_TOPIC"],
    ["a pattern", '{"name":"a.*"}', 400, "INVALID_TOPIC"],
    ["no name", "{}", 400, "INVALID_TOPIC"],
    ["a name that is no text", '{"name":7}', 400, "INVALID_TOPIC"],
    ["no JSON", "x", 400, "INVALID_JSON"],
    ["the hub's own", '{"name":"$sys.x"}', 403, "FORBIDDEN"],
    ["too large", JSON.stringify({ name: "x".repeat(100_000) }), 413, "MESSAGE_TOO_LARGE"]
  ] as const)("http topics - refused: %s", ([, body, status, code]) =>
    Effect.gen(function* () {
      yield* postJson("/topics", { name: "a" })
      const answer = yield* ask("/topics", { body, headers: json })
      assert.deepInclude(answer.json, { status, code })
    }).pipe(Effect.provide(webHub()))
  )
})

describe("http system", () => {
  it.live("http system - health, readiness and statistics", () =>
    Effect.gen(function* () {
      yield* publish("a", 1)
      const health = yield* ask("/health")
      assert.strictEqual(health.status, 200)
      assert.deepInclude(health.json, { status: "healthy", topics_count: 1, total_subscribers: 0 })
      assert.containsAllKeys(health.json, ["uptime_seconds", "timestamp"])
      assert.strictEqual((yield* ask("/ready")).status, 200)
      const { json: stats } = yield* ask("/stats")
      const [topic] = stats.topics
      assert.deepInclude(topic, { name: "a", messages: 1, ring_buffer_size: 1, queue_depth: 0, delivered: 0 })
      assert.match(String(topic?.last_publish), /^\d{4}-/)
      assert.containsAllKeys(stats, ["timestamp", "total_messages", "total_subscribers", "total_dropped"])
    }).pipe(Effect.provide(webHub()))
  )

  it.live("http system - metrics in the text of Prometheus", () =>
    Effect.gen(function* () {
      yield* publish("a", 1)
      yield* ask("/api/v1/poll?topics=a&from=first")
      const { headers, text } = yield* ask("/metrics")
      assert.match(String(headers["content-type"]), /^text\/plain; version=0\.0\.4/)
      assert.include(text, "# TYPE proxy_queue_depth gauge")
      assert.match(text, /^proxy_messages_received_total 1$/m)
      assert.match(text, /^proxy_messages_delivered_total 1$/m)
      assert.match(text, /^proxy_message_latency_seconds_bucket/m)
      assert.isTrue(text.endsWith("\n"))
    }).pipe(Effect.provide(webHub()))
  )

  it.live("http system - describes itself: every row, and a page without anything from elsewhere", () =>
    Effect.gen(function* () {
      const { json: description } = yield* ask("/openapi.json")
      for (const group of Object.values(Api.groups)) {
        for (const { method, path } of Object.values(group.endpoints)) {
          const at = path.replace(/:([^/]+)/g, "{$1}")
          assert.containsAllKeys(description.paths[at], [method.toLowerCase()])
        }
      }
      const { headers, text } = yield* ask("/docs")
      assert.match(String(headers["content-type"]), /^text\/html/)
      assert.notMatch(text, /https?:\/\//)
      assert.notMatch(text, /<(script|link|img)[^>]+(src|href)/)
      assert.include(String(headers["content-security-policy"]), "default-src 'none'")
    }).pipe(Effect.provide(webHub()))
  )

  it.live("http system - what is not there, and methods that are not taken", () =>
    Effect.gen(function* () {
      assert.deepInclude((yield* ask("/nothing")).json, { status: 404, code: "NOT_FOUND" })
      const put = yield* ask("/topics", { method: "PUT", body: "" })
      assert.deepInclude(put.json, { status: 405, code: "METHOD_NOT_ALLOWED" })
      assert.strictEqual(put.headers.allow, "POST, GET")
      assert.strictEqual((yield* ask("/health", { method: "HEAD" })).status, 200)
    }).pipe(Effect.provide(webHub()))
  )
})
