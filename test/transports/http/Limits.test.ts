/** What a client may not do: too much, too slowly, too often, from elsewhere. The others notice nothing. */
import * as Http from "node:http"
import * as Net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Hub } from "../../../src/actors/Hub.ts"
import { WebServer } from "../../../src/transports/WebServer.ts"
import { ask, json, openStream, postJson, publish, RawSocket, rawSocket, webHub } from "./WebHub.ts"

const head = (length: number | string) =>
  `POST /api/v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${
    typeof length === "number" ? `Content-Length: ${length}` : length
  }\r\n\r\n`

describe("http limits", () => {
  it.live("http limits - a body that does not come is refused, and its connection closed", () =>
    Effect.gen(function* () {
      const raw = yield* rawSocket
      raw.write(`${head(100)}{"topic"`)
      yield* raw.says(/^HTTP\/1\.1 408 [\s\S]*REQUEST_TIMEOUT/)
      yield* raw.closed
    }).pipe(Effect.scoped, Effect.provide(webHub({ httpReadTimeout: 500 })))
  )

  it.live("http limits - a byte now and then is no progress", () =>
    Effect.gen(function* () {
      const raw = yield* rawSocket
      raw.write(head(1000))
      yield* Effect.forkScoped(
        Effect.forever(
          Effect.andThen(
            Effect.sleep(20),
            Effect.sync(() => raw.write(" "))
          )
        )
      )
      yield* raw.says(/^HTTP\/1\.1 408 /)
      yield* raw.closed
    }).pipe(Effect.scoped, Effect.provide(webHub({ httpReadTimeout: 500 })))
  )

  it.live("http limits - lines that stop coming end with an answer that says so", () =>
    Effect.gen(function* () {
      const raw = yield* rawSocket
      raw.write(
        "POST /api/v1/messages/bulk HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
      )
      raw.write('1b\r\n{"topic":"l","payload":1}\n{\r\n')
      yield* raw.says(/"message_id"[\s\S]*REQUEST_TIMEOUT/)
      yield* raw.closed
    }).pipe(Effect.scoped, Effect.provide(webHub({ httpReadTimeout: 500 })))
  )

  it.live("http limits - a head that does not come, or says nothing at all, is cut off", () =>
    Effect.gen(function* () {
      const silent = yield* rawSocket
      const slow = yield* rawSocket
      slow.write("GET /health HTTP/1.1\r\nHost: ")
      yield* silent.closed
      yield* slow.closed
      assert.match(slow.text, /^HTTP\/1\.1 408 /)
    }).pipe(Effect.scoped, Effect.provide(webHub({ httpReadTimeout: 500 })))
  )

  it.live("http limits - an idle connection is closed", () =>
    Effect.gen(function* () {
      const raw = yield* rawSocket
      raw.write("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
      yield* raw.says(/healthy/)
      yield* raw.closed
    }).pipe(Effect.scoped, Effect.provide(webHub({ httpIdleTimeout: 50 })))
  )

  it.live.each([
    ["a body that is said to be too large", head(10_000_000), /^HTTP\/1\.1 413 [\s\S]*MESSAGE_TOO_LARGE/],
    [
      "a body that turns out too large",
      `${head("Transfer-Encoding: chunked")}${`10000\r\n${" ".repeat(65_536)}\r\n`.repeat(4)}`,
      /^HTTP\/1\.1 413 [\s\S]*MESSAGE_TOO_LARGE/
    ],
    [
      "a head that is too large",
      `GET /health HTTP/1.1\r\nHost: x\r\nX: ${"y".repeat(20_000)}\r\n\r\n`,
      /^HTTP\/1\.1 431 Request Header Fields Too Large\r\n[\s\S]*HEAD_TOO_LARGE/
    ],
    ["what is no HTTP", "\x16\x03\x01\x02\x00\r\n\r\n", /^HTTP\/1\.1 400 /],
    ["a chunk that is none", `${head("Transfer-Encoding: chunked")}zz\r\n`, /^HTTP\/1\.1 400 |^$/]
  ] as const)("http limits - refused and closed: %s", ([, text, expected]) =>
    Effect.gen(function* () {
      const raw = yield* rawSocket
      raw.write(text)
      yield* raw.closed
      assert.match(raw.text, expected)
      assert.strictEqual((yield* publish("ok", 1)).status, 202)
    }).pipe(Effect.scoped, Effect.provide(webHub({ maxMessageSize: 4096, httpReadTimeout: 10_000 })))
  )

  it.live("http limits - whoever sends on after a refusal can read it, and nothing more is done", () =>
    Effect.gen(function* () {
      const { host, port } = yield* WebServer
      const raw = new RawSocket(Net.connect({ host, port: port ?? 0, allowHalfOpen: true }))
      raw.write(head("Content-Encoding: gzip\r\nContent-Length: 1000000"))
      yield* raw.says(/^HTTP\/1\.1 415 [\s\S]*UNSUPPORTED_MEDIA_TYPE/)
      raw.write("x".repeat(900_000))
      assert.strictEqual((yield* publish("meanwhile", 1)).status, 202)
      assert.isUndefined(raw.failure)
      const body = '{"topic":"late","payload":1}'
      raw.write(`${"x".repeat(100_000)}${head(body.length)}${body}`)
      assert.strictEqual((yield* publish("meanwhile", 2)).status, 202)
      raw.socket.end()
      yield* raw.closed
      assert.lengthOf(raw.text.match(/HTTP\/1\.1 /g) ?? [], 1)
      assert.strictEqual((yield* (yield* Hub).metrics).messagesReceived, 2)
    }).pipe(Effect.provide(webHub()))
  )

  it.live("http limits - messages a minute, with the time to wait", () =>
    Effect.gen(function* () {
      for (let n = 0; n < 5; n++) assert.strictEqual((yield* publish("a", n)).status, 202)
      const answer = yield* publish("a", 5)
      assert.deepInclude(answer.json, { status: 429, code: "RATE_LIMITED" })
      assert.isAbove(Number(answer.headers["retry-after"]), 0)
      // Reading is not limited.
      assert.strictEqual((yield* ask("/api/v1/topics/a/messages")).json.messages.length, 5)
    }).pipe(Effect.provide(webHub({ rateLimitPerClient: 5 })))
  )

  it.live("http limits - of many messages as many are taken as are left, in order", () =>
    Effect.gen(function* () {
      const bulk = (count: number) =>
        postJson("/api/v1/messages/bulk", {
          messages: Array.from({ length: count }, (_, payload) => ({ topic: "a", payload }))
        })
      for (let n = 0; n < 3; n++) yield* publish("a", n)
      const { json: some, status } = yield* bulk(3)
      assert.strictEqual(status, 202)
      assert.deepInclude(some, { accepted: 2, rejected: 1 })
      assert.deepStrictEqual(
        some.results.map(({ error }) => error?.code),
        [undefined, undefined, "RATE_LIMITED"]
      )
      const none = yield* bulk(2)
      assert.deepInclude(none.json, { status: 429, code: "RATE_LIMITED" })
      assert.isAbove(Number(none.headers["retry-after"]), 0)
      const { text } = yield* ask("/api/v1/messages/bulk", {
        headers: { "content-type": "application/x-ndjson" },
        body: '{"topic":"a","payload":1}\n{"topic":"a","payload":2}\n'
      })
      for (const line of text.trim().split("\n"))
        assert.strictEqual(JSON.parse(line).error.code, "RATE_LIMITED")
      assert.lengthOf((yield* ask("/api/v1/topics/a/messages")).json.messages, 5)
      const { messagesRejected, refusals } = yield* (yield* Hub).metrics
      assert.deepStrictEqual([messagesRejected, refusals], [5, { RATE_LIMITED: 5 }])
    }).pipe(Effect.provide(webHub({ rateLimitPerClient: 5 })))
  )

  it.live("http limits - more messages at once than a minute allows are taken up to that", () =>
    Effect.gen(function* () {
      const line = '{"topic":"a","payload":1}'
      const answer = yield* ask("/api/v1/messages/bulk", {
        headers: json,
        body: `{"messages":[${Array.from({ length: 7 }, () => line)}]}`
      })
      assert.deepInclude(answer.json, { accepted: 5, rejected: 2 })
      assert.isAbove(Number(JSON.parse(answer.text).results[6].error.retry_after), 0)
    }).pipe(Effect.provide(webHub({ rateLimitPerClient: 5 })))
  )

  it.live("http limits - a full queue is answered at once, with the time to wait", () =>
    Effect.gen(function* () {
      const stream = yield* openStream("/api/v1/stream?topics=a&overflow=wait")
      yield* stream.says(/begin/)
      stream.socket.pause()
      const payload = "x".repeat(500_000)
      const hub = yield* Hub
      const publishes = Effect.forever(
        Effect.forkScoped(publish("a", payload)).pipe(Effect.andThen(Effect.sleep(1)))
      )
      const pressing = yield* Effect.forkScoped(publishes)
      while (((yield* hub.topics("a"))[0]?.queued ?? 0) < 3) yield* Effect.sleep(2)
      yield* Fiber.interrupt(pressing)
      const answer = yield* publish("a", 1)
      assert.deepInclude(answer.json, { status: 503, code: "QUEUE_FULL" })
      assert.isDefined(answer.headers["retry-after"])
      assert.strictEqual((yield* publish("b", 1)).status, 202)
    }).pipe(
      Effect.scoped,
      Effect.provide(
        webHub({ queueSize: 3, clientQueueSize: 3, clientWriteTimeout: 60_000, drainTimeout: 100 })
      )
    )
  )

  it.live("http limits - a publish that is not confirmed in time says that it may still take effect", () =>
    Effect.gen(function* () {
      const stream = yield* openStream("/api/v1/stream?topics=a&overflow=wait")
      yield* stream.says(/begin/)
      stream.socket.pause()
      const payload = "x".repeat(500_000)
      let answer = yield* publish("a", payload)
      for (let n = 0; n < 100 && answer.status === 202; n++) answer = yield* publish("a", payload)
      assert.deepInclude(answer.json, { status: 503, code: "QUEUE_FULL" })
      assert.include(answer.json.detail, "may still")
    }).pipe(
      Effect.scoped,
      Effect.provide(
        webHub({ clientQueueSize: 3, httpPublishTimeout: 200, clientWriteTimeout: 60_000, drainTimeout: 100 })
      )
    )
  )
})

describe("http origins", () => {
  const page = (origin: string, host = "localhost:1") => ({ headers: { origin, host } })

  it.live("http origins - pages from elsewhere are refused, unless they are allowed", () =>
    Effect.gen(function* () {
      const refused = yield* ask("/health", page("https://evil.example"))
      assert.deepInclude(refused.json, { status: 403, code: "ORIGIN_NOT_ALLOWED" })
      assert.isUndefined(refused.headers["access-control-allow-origin"])
      const own = yield* ask("/health", page("http://localhost:1"))
      assert.strictEqual(own.status, 200)
      const allowed = yield* ask("/health", page("https://a.app.example"))
      assert.strictEqual(allowed.headers["access-control-allow-origin"], "https://a.app.example")
      const preflight = yield* ask("/api/v1/messages", {
        method: "OPTIONS",
        ...page("https://a.app.example")
      })
      assert.strictEqual(preflight.status, 204)
      assert.include(String(preflight.headers["access-control-allow-headers"]), "last-event-id")
      const problem = yield* ask("/nothing", page("https://a.app.example"))
      assert.strictEqual(problem.headers["access-control-allow-origin"], "https://a.app.example")
    }).pipe(Effect.provide(webHub({ allowedOrigins: "https://*.app.example" })))
  )

  it.live("http origins - a name that was pointed at this machine is not this machine", () =>
    Effect.gen(function* () {
      const rebound = yield* ask("/topics", { headers: { host: "evil.example" } })
      assert.strictEqual(rebound.json.code, "ORIGIN_NOT_ALLOWED")
      const proxied = yield* ask("/topics", { headers: { host: "hub.example" } })
      assert.strictEqual(proxied.status, 200)
    }).pipe(Effect.provide(webHub({ allowedOrigins: ["https://hub.example"] })))
  )

  it.live("http origins - an upgrade is asked the same, and only /ws upgrades", () =>
    Effect.gen(function* () {
      const upgrade = (path: string, origin: string) =>
        `GET ${path} HTTP/1.1\r\nHost: localhost\r\nOrigin: ${origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`
      const evil = yield* rawSocket
      evil.write(upgrade("/ws", "https://evil.example"))
      yield* evil.says(/^HTTP\/1\.1 403 [\s\S]*ORIGIN_NOT_ALLOWED/)
      const elsewhere = yield* rawSocket
      elsewhere.write(upgrade("/elsewhere", "http://localhost"))
      yield* elsewhere.says(/^HTTP\/1\.1 404 /)
      const own = yield* rawSocket
      own.write(upgrade("/ws?x=1", "http://localhost"))
      yield* own.says(/^HTTP\/1\.1 101 /)
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )
})

describe("http connections", () => {
  it.live("http connections - are kept between requests, refused ones too", () =>
    Effect.gen(function* () {
      const agent = new Http.Agent({ keepAlive: true, maxSockets: 1 })
      const opened: Array<unknown> = []
      agent.on("free", (socket) => {
        if (!opened.includes(socket)) opened.push(socket)
      })
      for (let n = 0; n < 3; n++) {
        const body = n === 1 ? "{bad" : '{"topic":"a","payload":1}'
        yield* ask("/api/v1/messages", { headers: json, body }, agent)
      }
      // The agent has it back a moment after the answer.
      while (Object.keys(agent.freeSockets).length === 0) yield* Effect.sleep(1)
      assert.lengthOf(opened, 1)
      agent.destroy()
    }).pipe(Effect.provide(webHub()))
  )
})
