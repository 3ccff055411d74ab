/** Topics, health, statistics, metrics and the API's description of itself. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Api } from "../../../src/transports/http/Api.ts"
import { WebServer } from "../../../src/transports/WebServer.ts"
import { ask, json, postJson, publish, webHub } from "./WebHub.ts"

const { Array: list, Boolean: flag, optionalKey, Record, String: text, Struct, Unknown } = Schema

const Description = Schema.fromJsonString(
  Struct({
    components: Struct({ schemas: Record(text, Unknown), securitySchemes: Record(text, Unknown) }),
    paths: Record(
      text,
      Record(
        text,
        Struct({
          operationId: text,
          security: list(Record(text, list(text))),
          parameters: list(
            Struct({ name: text, description: text, required: flag, example: optionalKey(Unknown) })
          ),
          requestBody: optionalKey(
            Struct({
              description: text,
              content: Record(text, Struct({ example: optionalKey(Unknown) }))
            })
          )
        })
      )
    )
  })
)

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
    ["a topic where the name should be", '{"topic":"b"}', 400, "INVALID_TOPIC"],
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

describe("http pages", () => {
  it.live.each(["/topics", "/stats"])("http pages - %s after a text that is longer than any name", (path) =>
    Effect.gen(function* () {
      for (const after of ["0".repeat(256), "0".repeat(5000), encodeURIComponent("ü".repeat(128))]) {
        const { json: problem } = yield* ask(`${path}?after=${after}`)
        assert.deepInclude(problem, { status: 422, code: "BAD_REQUEST" })
        assert.strictEqual(problem.detail, "`after` must be at most 255 bytes long")
      }
      for (const after of ["", "0".repeat(255), "a..b"])
        assert.strictEqual((yield* ask(`${path}?after=${after}`)).status, 200)
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

  it.live("http system - says who may ask, and of each parameter and body what it is, with an example", () =>
    Effect.gen(function* () {
      const description = yield* Schema.decodeEffect(Description)((yield* ask("/openapi.json")).text)
      assert.deepInclude(description.components.securitySchemes.bearer, { type: "http", scheme: "bearer" })
      assert.deepStrictEqual(
        Object.keys(description.components.schemas).filter((name) => name.startsWith("Problem")),
        ["Problem"]
      )
      const operations = Object.values(description.paths).flatMap((methods) => Object.values(methods))
      for (const { operationId, parameters, requestBody, security } of operations) {
        const isOpen = ["home", "health", "ready", "docs"].some((name) => operationId === `system.${name}`)
        // What is open asks for nothing; everything else takes a token, or none where nobody is asked.
        assert.strictEqual(security.length === 0, isOpen, operationId)
        if (!isOpen) assert.includeDeepMembers([...security], [{ bearer: [] }, {}])
        for (const { description, example, name } of parameters) {
          assert.isAbove(description.length, 5, `${operationId} ${name}`)
          assert.isDefined(example, `${operationId} ${name}`)
        }
        if (requestBody === undefined) continue
        assert.isAbove(requestBody.description.length, 5)
        for (const content of Object.values(requestBody.content))
          assert.isDefined(content.example, operationId)
      }
      for (const path of ["/api/v1/poll", "/api/v1/stream"]) {
        const topics = description.paths[path]?.get?.parameters.find(({ name }) => name === "topics")
        assert.isTrue(topics?.required)
      }
      const example =
        description.paths["/api/v1/messages"]?.post?.requestBody?.content["application/json"]?.example
      assert.strictEqual((yield* postJson("/api/v1/messages", example)).status, 202)
    }).pipe(Effect.provide(webHub()))
  )

  it.live("http system - the root leads to the page, and says what is where", () =>
    Effect.gen(function* () {
      const { headers, status, text } = yield* ask("/")
      assert.strictEqual(status, 302)
      assert.strictEqual(headers.location, "/docs")
      assert.deepInclude(JSON.parse(text), { openapi: "/openapi.json", websocket: "/ws" })
    }).pipe(Effect.provide(webHub()))
  )

  it.live("http system - a plain request where WebSocket is spoken is told so, on both ports", () =>
    Effect.gen(function* () {
      const server = yield* WebServer
      for (const port of [server.port, server.wsPort]) {
        const asked = ask("/ws", { headers: { host: "localhost" } })
        const { headers, json, status } = yield* Effect.provideService(asked, WebServer, { ...server, port })
        assert.strictEqual(status, 426)
        assert.deepInclude(json, { status: 426, code: "UPGRADE_REQUIRED" })
        assert.strictEqual(headers.upgrade, "websocket")
        assert.match(String(headers.connection), /upgrade/i)
      }
    }).pipe(Effect.provide(webHub({ wsPort: 0 })))
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
