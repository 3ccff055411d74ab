/** Publishing over HTTP: every row and every error, over real sockets. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Hub } from "../../../src/actors/Hub.ts"
import { WebServer } from "../../../src/transports/WebServer.ts"
import { ask, json, postJson, publish, rawSocket, webHub } from "./WebHub.ts"

const replayed = (topic: string) =>
  Effect.map(ask(`/api/v1/topics/${topic}/messages?limit=1000`), (answer) => answer.json.messages)

describe("http publish", () => {
  it.live("http publish - one message is answered by its receipt", () =>
    Effect.gen(function* () {
      const { json: receipt, status } = yield* publish(
        "a.b",
        { n: 1 },
        { id: "m-1", key: "k", headers: { h: "v" }, ttl: 3600, priority: 3 }
      )
      assert.strictEqual(status, 202)
      assert.containsAllKeys(receipt, ["message_id", "topic", "offset", "epoch", "durability", "duplicate"])
      assert.strictEqual(receipt.message_id, `a.b@${receipt.epoch}-0`)
      assert.isFalse(receipt.duplicate)
      const again = yield* publish("a.b", { n: 1 }, { id: "m-1" })
      assert.isTrue(again.json.duplicate)
      const [message] = yield* replayed("a.b")
      assert.deepInclude(message, {
        id: "m-1",
        key: "k",
        headers: { h: "v" },
        payload: { n: 1 },
        topic: "a.b"
      })
      assert.lengthOf(yield* replayed("a.b"), 1)
    }).pipe(Effect.provide(webHub()))
  )

  it.live(
    "http publish - requests that come together are published together, each with its own receipt",
    () =>
      Effect.gen(function* () {
        const sent = Array.from({ length: 60 }, (_, n) => ({ topic: `t${n % 2}`, n }))
        const answers = yield* Effect.forEach(
          sent,
          ({ n, topic }) => publish(topic, n, n % 10 === 0 ? { id: `id-${n}` } : {}),
          { concurrency: "unbounded" }
        )
        for (const topic of ["t0", "t1"]) {
          const kept = yield* replayed(topic)
          assert.lengthOf(kept, 30)
          for (const [place, { json: receipt }] of answers.entries()) {
            if (receipt.topic === topic) assert.strictEqual(kept[receipt.offset]?.payload, sent[place]?.n)
          }
        }
      }).pipe(Effect.provide(webHub()))
  )

  it.live("http publish - a body of another type is the payload, with its content type", () =>
    Effect.gen(function* () {
      const png = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0, 255)
      const query = "topic=pics&id=p1&key=k&ttl=60&priority=9&header.camera=x%20y"
      const sent = yield* ask(`/api/v1/messages?${query}`, {
        body: png,
        headers: { "content-type": "image/png" }
      })
      assert.strictEqual(sent.status, 202)
      const [message] = yield* replayed("pics")
      assert.deepInclude(message, {
        content_type: "image/png",
        encoding: "base64",
        payload: Buffer.from(png).toString("base64"),
        id: "p1",
        key: "k",
        headers: { camera: "x y" }
      })
      yield* ask("/api/v1/messages?topic=pics", {
        body: "hello",
        headers: { "content-type": "text/plain; charset=utf-8" }
      })
      const [, text] = yield* replayed("pics")
      assert.strictEqual(text?.payload, "hello")
    }).pipe(Effect.provide(webHub()))
  )

  it.live("http publish - the request's trace is the message's", () =>
    Effect.gen(function* () {
      const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
      yield* ask("/api/v1/messages", { headers: { ...json, traceparent }, body: '{"topic":"t","payload":1}' })
      yield* ask("/api/v1/messages", {
        headers: { ...json, traceparent: "nonsense" },
        body: '{"topic":"t","payload":1}'
      })
      const [first, second] = yield* replayed("t")
      assert.strictEqual(first?.headers?.traceparent, traceparent)
      assert.isUndefined(second?.headers)
    }).pipe(Effect.provide(webHub()))
  )

  const deep = (depth: number) => `{"topic":"a","payload":${"[".repeat(depth)}${"]".repeat(depth)}}`

  it.live.each([
    ["no JSON", "{bad", 400, "INVALID_JSON"],
    ["JSON a thousand deep", deep(1000), 400, "INVALID_JSON"],
    ["JSON thirty thousand deep", deep(30_000), 400, "INVALID_JSON"],
    ["not UTF-8", Uint8Array.of(0x22, 0xff, 0x22), 400, "INVALID_JSON"],
    ["no topic", '{"payload":1}', 422, "MISSING_TOPIC"],
    ["no payload", '{"topic":"a"}', 422, "MISSING_MESSAGE"],
    ["a bad topic", '{"topic":"a b","payload":1}', 400, "INVALID_TOPIC"],
    ["a pattern", '{"topic":"a.*","payload":1}', 400, "INVALID_TOPIC"],
    ["the hub's own topic", '{"topic":"$sys","payload":1}', 403, "FORBIDDEN"],
    ["a priority out of range", '{"topic":"a","payload":1,"priority":10}', 422, "BAD_REQUEST"],
    ["a payload too large", `{"topic":"a","payload":"${"x".repeat(5000)}"}`, 413, "MESSAGE_TOO_LARGE"],
    ["a body too large", `{"topic":"a","payload":"${"x".repeat(200_000)}"}`, 413, "MESSAGE_TOO_LARGE"]
  ] as const)("http publish - refused: %s", ([, body, status, code]) =>
    Effect.gen(function* () {
      const answer = yield* ask("/api/v1/messages", { headers: json, body })
      assert.strictEqual(answer.headers["content-type"], "application/problem+json")
      assert.deepInclude(answer.json, { status, code })
      assert.strictEqual(answer.status, status)
      assert.strictEqual((yield* publish("ok", 1)).status, 202)
    }).pipe(Effect.provide(webHub({ maxMessageSize: 4096 })))
  )

  it.live("http publish - what is refused is counted as so many messages, each once", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const rejected = Effect.map(hub.metrics, ({ messagesRejected }) => messagesRejected)
      const post = (body: string) => ask("/api/v1/messages", { headers: json, body })
      yield* post("{bad")
      yield* post(`{"topic":"a","payload":"${"x".repeat(5000)}"}`)
      const { detail } = (yield* publish("$sys.x", 1)).json
      assert.strictEqual(detail, "topics that begin with $ are the hub's own")
      assert.strictEqual(yield* rejected, 3)
      yield* postJson("/api/v1/messages/bulk", {
        messages: [{ topic: "a", payload: 1 }, { topic: "a b", payload: 1 }, { topic: "$x", payload: 1 }, {}]
      })
      assert.strictEqual(yield* rejected, 6)
      // A batch that is refused as a whole, of which one message would be.
      yield* Effect.forEach(
        [10, 20_000, 30],
        (size) =>
          ask("/api/v1/messages?topic=$x", {
            headers: { "content-type": "text/plain" },
            body: "x".repeat(size % 4096)
          }),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(yield* rejected, 9)
      yield* ask("/api/v1/poll?topics=a&timeout=x")
      yield* ask("/api/v1/messages")
      assert.strictEqual(yield* rejected, 9)
    }).pipe(Effect.provide(webHub({ maxMessageSize: 4096 })))
  )

  it.live("http publish - the status line has the name that the problem has", () =>
    Effect.gen(function* () {
      for (const [type, body, name] of [
        ["application/json", "x".repeat(200_000), "413 Content Too Large"],
        ["application/json", "{}", "422 Unprocessable Content"],
        ["text/csv", "x", "415 Unsupported Media Type"]
      ] as const) {
        const raw = yield* rawSocket
        const path = type === "text/csv" ? "/api/v1/messages/bulk" : "/api/v1/messages"
        raw.write(
          `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n${body}`
        )
        yield* raw.says(/\r\n\r\n\{.*\}/)
        const status = name.slice(0, 3)
        assert.isTrue(raw.text.startsWith(`HTTP/1.1 ${name}\r\n`), raw.text.slice(0, 60))
        assert.include(raw.text, `"title":"${name.slice(4)}","status":${status}`)
      }
    }).pipe(Effect.scoped, Effect.provide(webHub({ maxMessageSize: 4096 })))
  )

  it.live.each([
    ["without a topic", "", "text/plain", 422, "MISSING_TOPIC"],
    ["with a bad ttl", "?topic=a&ttl=soon", "text/plain", 422, "BAD_REQUEST"],
    ["with a bad priority", "?topic=a&priority=1.5", "text/plain", 422, "BAD_REQUEST"],
    ["with a bad time", "?topic=a&deliver_at=soon", "text/plain", 422, "BAD_REQUEST"],
    ["with a topic that is none", "?topic=a..b", "text/plain", 400, "INVALID_TOPIC"]
  ] as const)("http publish - a raw body is refused %s", ([, query, type, status, code]) =>
    Effect.gen(function* () {
      const answer = yield* ask(`/api/v1/messages${query}`, { headers: { "content-type": type }, body: "x" })
      assert.deepInclude(answer.json, { status, code })
    }).pipe(Effect.provide(webHub()))
  )

  it.live.each([
    "topic=a&topic=secret.x",
    "topic=a&priority=1&priority=9",
    "topic=a&id=x&id=y",
    "topic=a&header.x=1&header.x=2"
  ])("http publish - by either way the answer is the same: ?%s", (query) =>
    Effect.gen(function* () {
      const { host, port } = yield* WebServer
      const asked = (headers: Readonly<Record<string, string>>) =>
        Effect.map(
          ask(`/api/v1/messages?${query}`, {
            headers: { "content-type": "text/plain", ...headers },
            body: "x"
          }),
          ({ json: { code, detail }, status }) => ({ code, detail, status })
        )
      // What has an Origin takes the ordinary way.
      const ordinary = yield* asked({ origin: `http://${host}:${port}` })
      assert.deepStrictEqual(yield* asked({}), ordinary)
      assert.strictEqual(ordinary.status, query.includes("header.") ? 202 : 422)
    }).pipe(Effect.provide(webHub()))
  )

  it.live("http publish - topics that must be made are not made by use", () =>
    Effect.gen(function* () {
      assert.deepInclude((yield* publish("a", 1)).json, { status: 404, code: "TOPIC_NOT_FOUND" })
      yield* postJson("/topics", { name: "a" })
      assert.strictEqual((yield* publish("a", 1)).status, 202)
    }).pipe(Effect.provide(webHub({ autoCreateTopics: false })))
  )
})

describe("http bulk", () => {
  it.live("http bulk - a receipt or an error for each, in order", () =>
    Effect.gen(function* () {
      const messages = [
        { topic: "x", payload: 0 },
        { topic: "y", payload: 1 },
        { payload: 2 },
        { topic: "x", payload: 3, id: "three" },
        { topic: "x", payload: 4 },
        { topic: "a b", payload: 5 },
        { topic: "x", payload: 6, priority: 11 },
        { topic: "x", payload: 3, id: "three" },
        { topic: "x", payload: 8 }
      ]
      const { json: answer, status } = yield* postJson("/api/v1/messages/bulk", { messages })
      assert.strictEqual(status, 202)
      assert.deepInclude(answer, { accepted: 6, rejected: 3 })
      const shown = answer.results.map(
        (each) => each.error?.code ?? `${each.topic}${each.offset}${each.duplicate ? "!" : ""}`
      )
      assert.deepStrictEqual(shown, [
        "x0",
        "y0",
        "MISSING_TOPIC",
        "x1",
        "x2",
        "INVALID_TOPIC",
        "BAD_REQUEST",
        "x1!",
        "x3"
      ])
      const kept = yield* replayed("x")
      assert.deepStrictEqual(
        kept.map((each) => each.payload),
        [0, 3, 4, 8]
      )
    }).pipe(Effect.provide(webHub()))
  )

  it.live("http bulk - ten thousand in one body keep their order", () =>
    Effect.gen(function* () {
      const messages = Array.from({ length: 10_000 }, (_, n) => ({ topic: `t${n % 3}`, payload: n }))
      const { json: answer } = yield* postJson("/api/v1/messages/bulk", { messages })
      assert.strictEqual(answer.accepted, 10_000)
      for (const [n, { offset, topic }] of answer.results.entries()) {
        assert.strictEqual(topic, `t${n % 3}`)
        assert.strictEqual(offset, Math.floor(n / 3))
      }
    }).pipe(Effect.provide(webHub({ hotTierMessages: 10 })))
  )

  it.live.each([
    ["no JSON", "[", json, 400, "INVALID_JSON"],
    ["no list", "{}", json, 422, "MISSING_MESSAGE"],
    ["too many", JSON.stringify({ messages: new Array(10_001).fill(0) }), json, 403, "LIMIT_REACHED"],
    ["another type", "x", { "content-type": "text/csv" }, 415, "UNSUPPORTED_MEDIA_TYPE"],
    ["too large", " ".repeat(70_000), json, 413, "MESSAGE_TOO_LARGE"]
  ] as const)("http bulk - refused: %s", ([, body, headers, status, code]) =>
    Effect.gen(function* () {
      const answer = yield* ask("/api/v1/messages/bulk", { headers, body })
      assert.deepInclude(answer.json, { status, code })
    }).pipe(Effect.provide(webHub({ maxRequestBody: 65_536 })))
  )

  it.live("http bulk - lines are published and answered as they come", () =>
    Effect.gen(function* () {
      const raw = yield* rawSocket
      const chunk = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`
      raw.write(
        "POST /api/v1/messages/bulk HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
      )
      raw.write(chunk('{"topic":"l","payload":1}\n{"topic":"l","pay'))
      yield* raw.says(/"message_id":"l@\d+-0"/)
      // The rest of the second line has not come, and the first one is there for all.
      assert.lengthOf(yield* replayed("l"), 1)
      raw.write(chunk('load":2}\n{bad\n\n{"topic":"l","payload":4}'))
      yield* raw.says(/INVALID_JSON/)
      raw.write("0\r\n\r\n")
      yield* raw.says(/"message_id":"l@\d+-2"[^\n]*\n\r\n0\r\n\r\n/)
      assert.deepStrictEqual(
        (yield* replayed("l")).map((each) => each.payload),
        [1, 2, 4]
      )
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.live("http bulk - each answer says which line it is of, and what was refused its id", () =>
    Effect.gen(function* () {
      const answer = yield* ask("/api/v1/messages/bulk", {
        headers: { "content-type": "application/x-ndjson" },
        body: '\n{"topic":"l","payload":1}\n \n\n{bad\n{"topic":"l","payload":2}'
      })
      const answers = answer.text
        .trim()
        .split("\n")
        .map((each) => JSON.parse(each))
      assert.deepStrictEqual(
        answers.map(({ error, line }) => [line, error?.code]),
        [
          [2, undefined],
          [5, "INVALID_JSON"],
          [6, undefined]
        ]
      )
      assert.match(answers[1].instance, /^urn:uuid:/)
      assert.notProperty(answers[0], "instance")
    }).pipe(Effect.provide(webHub()))
  )

  it.live("http bulk - a line that is too long is refused alone", () =>
    Effect.gen(function* () {
      const line = (size: number) => JSON.stringify({ topic: "l", payload: "x".repeat(size) })
      const body = [line(10), line(300_000), line(20)].join("\n")
      const answer = yield* ask("/api/v1/messages/bulk", {
        headers: { "content-type": "application/x-ndjson" },
        body
      })
      const codes = answer.text
        .trim()
        .split("\n")
        .map((each) => JSON.parse(each).error?.code ?? "ok")
      assert.deepStrictEqual(codes, ["ok", "MESSAGE_TOO_LARGE", "ok"])
    }).pipe(Effect.provide(webHub({ maxMessageSize: 1000 })))
  )
})
