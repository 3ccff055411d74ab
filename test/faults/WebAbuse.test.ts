/** Requests that are none, or not such as are taken: each has its one answer, and nobody else notices. */
import { gzipSync } from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ask, json, rawSocket } from "../transports/http/WebHub.ts"
import { eventually, soon } from "./Faults.ts"
import { startHub } from "./HubProcess.ts"
import { at, longestTrip, samplesOf, steadyPair } from "./WebFaults.ts"

const host = "Host: localhost\r\n"
const close = "Connection: close\r\n"
const path = "/api/v1/messages"

/** A request whose connection ends with its answer. */
const get = (target: string, headers = "") => `GET ${target} HTTP/1.1\r\n${host}${close}${headers}\r\n`

const post = (body: string, headers = "Content-Type: application/json\r\n", target = path) =>
  `POST ${target} HTTP/1.1\r\n${host}${close}${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`

const postHead = (headers: string, target = path) =>
  `POST ${target} HTTP/1.1\r\n${host}Content-Type: application/json\r\n${headers}\r\n`

const lines = "/api/v1/messages/bulk"
const zipped = gzipSync('{"topic":"a","payload":1}').toString("latin1")

const postZipped = (headers: string, target = path) =>
  `POST ${target} HTTP/1.1\r\n${host}${close}${headers}Content-Encoding: gzip\r\nContent-Length: ${zipped.length}\r\n\r\n${zipped}`

const upgrade = (target: string, headers = "") =>
  `GET ${target} HTTP/1.1\r\n${host}Connection: Upgrade\r\nUpgrade: websocket\r\n${headers}\r\n`

const key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
const nested = (depth: number) => `{"topic":"a","payload":${"[".repeat(depth)}${"]".repeat(depth)}}`
const patterns = (count: number) => Array.from({ length: count }, (_, n) => `p${n}`).join(",")

/** What is sent, the status that answers it, and what the answer says. */
type Case = readonly [what: string, sent: string, status: number, says?: string]

const noRequests: ReadonlyArray<Case> = [
  ["HTTP/2 without asking", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "BAD_REQUEST"],
  ["TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "BAD_REQUEST"],
  ["zeros", "\0".repeat(64), 400, "BAD_REQUEST"],
  ["an unknown method", "FOO / HTTP/1.1\r\n\r\n", 400, "BAD_REQUEST"],
  ["bare line feeds", "GET /health HTTP/1.1\nHost: localhost\n\n", 400, "BAD_REQUEST"],
  ["no host", "GET /health HTTP/1.1\r\n\r\n", 400],
  ["a header over two lines", get("/health", "X: a\r\n b\r\n"), 400, "BAD_REQUEST"],
  ["a space before the colon", get("/health", "X : a\r\n"), 400, "BAD_REQUEST"],
  ["a target that is no path", "GET health HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "BAD_REQUEST"],
  ["a head that is too large", get("/health", `X: ${"y".repeat(20_000)}\r\n`), 431, "HEAD_TOO_LARGE"],
  ["too many headers", get("/health", "X: y\r\n".repeat(4000)), 431, "HEAD_TOO_LARGE"],
  ["a target that is too long", get(`/${"y".repeat(20_000)}`), 431, "HEAD_TOO_LARGE"],
  ["a tunnel", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n", 405, "METHOD_NOT_ALLOWED"],
  ["TRACE", get("/health").replace("GET", "TRACE"), 405, "METHOD_NOT_ALLOWED"]
]

const bodies: ReadonlyArray<Case> = [
  [
    "two lengths that differ",
    `${postHead("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")}0\r\n\r\nGET /health HTTP/1.1\r\n`,
    400,
    "BAD_REQUEST"
  ],
  ["two lengths", `${postHead("Content-Length: 5\r\nContent-Length: 6\r\n")}12345`, 400, "BAD_REQUEST"],
  ["a length below nothing", postHead("Content-Length: -1\r\n"), 400, "BAD_REQUEST"],
  ["a length beyond all", postHead("Content-Length: 99999999999999999999999\r\n"), 400, "BAD_REQUEST"],
  ["a length that is too large", postHead("Content-Length: 99999999\r\n"), 413, "MESSAGE_TOO_LARGE"],
  ["the same, in bulk", postHead("Content-Length: 99999999\r\n", lines), 413, "MESSAGE_TOO_LARGE"],
  ["a chunk that is none", `${postHead("Transfer-Encoding: chunked\r\n")}zz\r\n`, 400, "BAD_REQUEST"],
  [
    "a chunk beyond all",
    `${postHead("Transfer-Encoding: chunked\r\n")}${"f".repeat(20)}\r\n`,
    400,
    "BAD_REQUEST"
  ],
  [
    "trailers without end",
    `${postHead("Transfer-Encoding: chunked\r\n")}0\r\n${"X: y\r\n".repeat(4000)}`,
    431
  ],
  ["chunks in HTTP/1.0", `${postHead("Transfer-Encoding: chunked\r\n").replace("1.1", "1.0")}0\r\n\r\n`, 400],
  [
    "a transfer encoding that is not known",
    `${postHead("Transfer-Encoding: gzip, chunked\r\n")}0\r\n\r\n`,
    501,
    "UNSUPPORTED"
  ],
  ["gzip", postZipped("Content-Type: application/json\r\n"), 415, "UNSUPPORTED_MEDIA_TYPE"],
  [
    "gzip as it is",
    postZipped("Content-Type: text/plain\r\n", `${path}?topic=a`),
    415,
    "UNSUPPORTED_MEDIA_TYPE"
  ],
  [
    "gzip in lines",
    postZipped("Content-Type: application/x-ndjson\r\n", lines),
    415,
    "UNSUPPORTED_MEDIA_TYPE"
  ],
  ["another expectation", post("{}", "Expect: the-best\r\n"), 417],
  ["a body that is not asked for, half of it", get("/health", "Content-Length: 100\r\n"), 200, "healthy"],
  ["nothing", post(""), 400, "INVALID_JSON"],
  ["JSON nested a thousand deep", post(nested(1000)), 400, "INVALID_JSON"],
  ["JSON nested half a million deep", post(nested(500_000)), 400, "INVALID_JSON"],
  [
    "JSON nested a million deep, in bulk",
    post(`{"messages":[${"[".repeat(1e6)}`, undefined, lines),
    400,
    "INVALID_JSON"
  ],
  ["half a surrogate pair", post('{"topic":"\\ud800","payload":1}'), 422, "surrogate"],
  ["a time that is no number", post('{"topic":"a","payload":1,"ttl":1e400}'), 422, "`ttl`"],
  ["a control character", post('{"topic":"a\\u0000","payload":1}'), 400, "INVALID_TOPIC"]
]

const queries: ReadonlyArray<Case> = [
  ["too many patterns", get(`/api/v1/poll?timeout=0&topics=${patterns(101)}`), 403, "LIMIT_REACHED"],
  ["many patterns", get(`/api/v1/poll?timeout=0&topics=${patterns(100)}`), 200, '"messages":[]'],
  ["a start that is none", get(`/api/v1/poll?topics=a&from=${"9".repeat(400)}`), 422, "`from`"],
  ["a start below nothing", get("/api/v1/poll?topics=a&from=-1"), 422, "`from`"],
  ["an offset beyond all", get("/api/v1/poll?topics=a&from=1:99999999999999999999"), 422, "`from`"],
  ["a year beyond all", get("/api/v1/poll?topics=a&from=999999-01-01T00:00:00Z"), 422, "`from`"],
  [
    "a last event that was none",
    get("/api/v1/stream?topics=a", `Last-Event-ID: ${"z".repeat(9000)}\r\n`),
    422
  ],
  ["a timeout beyond all", get("/api/v1/poll?topics=a&timeout=1e999"), 422, "`timeout`"],
  ["a number that is none", get("/api/v1/poll?topics=a&max=NaN"), 422, "`max`"],
  ["a name that is no UTF-8", get("/api/v1/topics/%ff/messages"), 404, "NOT_FOUND"],
  ["a path that goes up", get("/../../etc/passwd"), 404, "NOT_FOUND"]
]

const upgrades: ReadonlyArray<Case> = [
  ["an upgrade elsewhere", upgrade("/health", key), 404, "NOT_FOUND"],
  ["an upgrade to something else", upgrade("/ws", key).replace("websocket", "h2c"), 426, "UPGRADE_REQUIRED"],
  ["an upgrade without a key", upgrade("/ws", "Sec-WebSocket-Version: 13\r\n"), 400],
  ["an upgrade of another version", upgrade("/ws", key.replace("13", "12")), 400],
  ["an upgrade by POST", upgrade("/ws", key).replace("GET", "POST"), 405],
  ["an upgrade that is not finished", upgrade("/ws", key).slice(0, -2), 408, "REQUEST_TIMEOUT"]
]

const slow: ReadonlyArray<Case> = [
  ["half a head", `GET /health HTTP/1.1\r\n${host}X`, 408, "REQUEST_TIMEOUT"],
  ["half a body", `${postHead("Content-Length: 100\r\n")}{`, 408, "REQUEST_TIMEOUT"],
  [
    "a body that is continued and does not come",
    postHead("Content-Length: 9\r\nExpect: 100-continue\r\n"),
    408
  ]
]

const withoutContinue = (text: string) => text.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, "")

describe("faults - web abuse", () => {
  it.live("web abuse - each has its one answer and its end, and a steady pair notices nothing", () =>
    Effect.gen(function* () {
      const hub = yield* startHub({ httpReadTimeout: 500 })
      const onHub = at(hub.webPort)
      const steady = yield* steadyPair(hub.webPort)
      const check = ([what, sent, status, says = ""]: Case) =>
        Effect.scoped(
          Effect.gen(function* () {
            const raw = yield* onHub(rawSocket)
            raw.socket.write(sent, "latin1")
            yield* soon(`the end of ${what}`, raw.closed, () => raw.text)
            const text = withoutContinue(raw.text)
            assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} `), what)
            assert.lengthOf(text.match(/HTTP\/1\.1 /g) ?? [], 1, what)
            assert.include(text, says, what)
          })
        )
      const cases = [...noRequests, ...bodies, ...queries, ...upgrades, ...slow]
      yield* Effect.forEach(cases, check, { concurrency: 8, discard: true })
      const { trips, worst } = steady.look()
      assert.isAbove(trips, 5)
      assert.isBelow(worst, longestTrip)
      assert.isBelow(yield* hub.peak, 400_000_000)
      yield* eventually(
        "everybody else to be gone",
        Effect.map(onHub(ask("/metrics")), ({ text }) => {
          const samples = samplesOf(text)
          assert.strictEqual(samples.get("polestar_actor_failures_total"), 0)
          return ["tcp", "long-poll", "event-stream"].every(
            (type) => samples.get(`proxy_connections_total{type="${type}"}`) === 0
          )
        })
      )
    })
  )

  it.live("web abuse - what is odd and allowed is taken as it is said", () =>
    Effect.gen(function* () {
      const hub = yield* startHub()
      const onHub = at(hub.webPort)
      const published = [
        '{"topic":"odd","payload":1e999999}',
        `{"topic":"odd","payload":${"9".repeat(5000)}}`,
        '{"topic":"elsewhere","topic":"odd","payload":1}',
        '{"__proto__":{"topic":"elsewhere"},"topic":"odd","payload":{"__proto__":{"polluted":true}}}',
        '{"topic":"odd","payload":1,"headers":{"__proto__":"x","constructor":"y"}}'
      ]
      for (const body of published)
        assert.strictEqual((yield* onHub(ask(path, { headers: json, body }))).status, 202, body)
      const notUtf8 = Buffer.from('{"topic":"odd","payload":"\xff\xfe"}', "latin1")
      const refused = yield* onHub(ask(path, { headers: json, body: notUtf8 }))
      assert.deepInclude(refused.json, { status: 400, code: "INVALID_JSON" })
      const { text } = yield* onHub(ask("/api/v1/topics/odd/messages"))
      const payloads = [
        '"payload":1e999999',
        `"payload":${"9".repeat(5000)}`,
        '"payload":{"__proto__":{"polluted":true}}'
      ]
      for (const payload of [...payloads, '"headers":{"__proto__":"x","constructor":"y"}'])
        assert.include(text, payload)
      assert.isUndefined(Reflect.get({}, "polluted"))
      const topics = (yield* onHub(ask("/topics"))).json.topics.map(({ name }) => name)
      assert.deepStrictEqual(topics, ["odd"])
      const old = yield* onHub(rawSocket)
      old.write("GET /health HTTP/1.0\r\n\r\n")
      yield* old.closed
      assert.match(old.text, /^HTTP\/1\.1 200 /)
      const patient = yield* onHub(rawSocket)
      const body = '{"topic":"odd","payload":1}'
      patient.write(postHead(`Expect: 100-continue\r\nContent-Length: ${body.length}\r\n`))
      yield* patient.says(/^HTTP\/1\.1 100 Continue\r\n\r\n$/)
      patient.write(body)
      yield* patient.says(/HTTP\/1\.1 202 /)
    }).pipe(Effect.scoped)
  )

  it.live("web abuse - an answer that has begun is cut off, and no other is put into it", () =>
    Effect.gen(function* () {
      const hub = yield* startHub()
      const raw = yield* at(hub.webPort)(rawSocket)
      raw.write(
        `POST ${lines} HTTP/1.1\r\n${host}Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n`
      )
      raw.write('1b\r\n{"topic":"l","payload":1}\n\n\r\n')
      yield* raw.says(/message_id/)
      raw.write("zz\r\n")
      yield* raw.closed
      assert.lengthOf(raw.text.match(/HTTP\/1\.1 /g) ?? [], 1)
      assert.notMatch(raw.text, /\r\n0\r\n/)
    }).pipe(Effect.scoped)
  )

  it.live("web abuse - on the port of WebSocket no request is more than answered and ended", () =>
    Effect.gen(function* () {
      const hub = yield* startHub({ wsPort: 0 })
      for (const sent of [
        `GET /health HTTP/1.1\r\n${host}\r\n`,
        postHead("Content-Length: 100\r\n"),
        "FOO\r\n\r\n"
      ]) {
        const raw = yield* at(hub.wsPort)(rawSocket)
        raw.write(sent)
        yield* raw.closed
        assert.match(raw.text, /^HTTP\/1\.1 (404|400) [\s\S]*"code":"(NOT_FOUND|BAD_REQUEST)"/)
      }
    }).pipe(Effect.scoped)
  )
})
