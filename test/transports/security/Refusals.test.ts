/** Every refusal is counted and logged once, with an id by which whoever was refused can be found in the log. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Hub } from "../../../src/actors/Hub.ts"
import { Api } from "../../../src/transports/http/Api.ts"
import { isKnownPath } from "../../../src/transports/http/Paths.ts"
import { WebServer } from "../../../src/transports/WebServer.ts"
import { ask, json, rawSocket } from "../http/WebHub.ts"
import { connectJson } from "../websocket/JsonPeer.ts"
import { answerIn, bearer, keyFor, secureHub, upgrade } from "./SecureHub.ts"

const alice = keyFor("alice", { publish: ["a"], subscribe: ["a"] })

interface Line {
  readonly level: string
  readonly message: string
  readonly annotations: Readonly<Record<string, unknown>>
}

const hub = () => {
  const log: Array<string> = []
  const refusals = (): ReadonlyArray<Line> =>
    log
      .filter((line) => line.startsWith("{"))
      .map((line): Line => JSON.parse(line))
      .filter(({ message }) => message === "refused")
  return { refusals, layer: secureHub({ authKeys: [alice.entry] }, { httpReadTimeout: 1000 }, log) }
}

/** The code, how it was asked, what was asked for, and whether it was alice who asked. */
type Expected = readonly [code: string, transport: string, what: string | undefined, byAlice: boolean]

describe("refusals", () => {
  it("refusals - the paths that they show are all that there are", () => {
    const paths = Object.values(Api.groups).flatMap((group) =>
      Object.values(group.endpoints).map(({ path }) => path.replace(/:[^/]+/g, "x"))
    )
    for (const path of [...paths, "/ws", "/openapi.json"]) assert.isTrue(isKnownPath(path), path)
    for (const path of ["/x", "/ws/x", "/api/v1/x", "/topics/x/y", "/wsx", "/api/v1/messages/x", "//ws"])
      assert.isFalse(isKnownPath(path), path)
  })

  it.live("refusals - of a request are counted and logged once, with the id of its answer", () => {
    const { layer, refusals } = hub()
    return Effect.gen(function* () {
      const as = bearer(alice.key)
      const body = (topic: string) => ({
        headers: { ...as, ...json },
        body: JSON.stringify({ topic, payload: 1 })
      })
      const page = { headers: { ...as, host: "localhost:1", origin: "https://evil.example" } }
      const asked: ReadonlyArray<
        readonly [Effect.Effect<{ readonly json: object }, unknown, WebServer>, Expected]
      > = [
        [ask("/topics"), ["UNAUTHORIZED", "http", "/topics", false]],
        [ask("/topics", { headers: bearer("x") }), ["UNAUTHORIZED", "http", "/topics", false]],
        [
          ask("/api/v1/messages", { ...body("a"), headers: json }),
          ["UNAUTHORIZED", "http", "/api/v1/messages", false]
        ],
        [ask("/topics", page), ["ORIGIN_NOT_ALLOWED", "http", "/topics", false]],
        [ask("/api/v1/messages", body("b")), ["FORBIDDEN", "http", "b", true]],
        [
          ask("/api/v1/messages", { ...body("a"), body: "{" }),
          ["INVALID_JSON", "http", "/api/v1/messages", true]
        ],
        [ask("/api/v1/poll?topics=b", { headers: as }), ["FORBIDDEN", "long-poll", "b", true]],
        [ask("/api/v1/poll", { headers: as }), ["MISSING_TOPIC", "long-poll", "/api/v1/poll", true]],
        [
          ask("/api/v1/poll?topics=a&max=x", { headers: as }),
          ["BAD_REQUEST", "long-poll", "/api/v1/poll", true]
        ],
        [ask("/api/v1/stream?topics=b", { headers: as }), ["FORBIDDEN", "event-stream", "b", true]],
        [
          ask("/api/v1/topics/a/messages", { headers: as }),
          ["TOPIC_NOT_FOUND", "http", "/api/v1/topics/a/messages", true]
        ],
        [ask("/topics/b", { method: "DELETE", headers: as }), ["FORBIDDEN", "http", "b", true]],
        [ask("/topics", { method: "PUT", headers: as }), ["METHOD_NOT_ALLOWED", "http", "/topics", true]],
        [ask(`/${alice.key}`, { headers: as }), ["NOT_FOUND", "http", undefined, true]],
        [upgrade("/ws"), ["UNAUTHORIZED", "websocket", "/ws", false]],
        [upgrade("/ws", page.headers), ["ORIGIN_NOT_ALLOWED", "websocket", "/ws", false]],
        [upgrade("/nothing"), ["NOT_FOUND", "http", undefined, false]]
      ]
      const counts: Record<string, number> = {}
      for (const [index, [asking, [code, transport, what, byAlice]]] of asked.entries()) {
        const { json: problem } = yield* asking
        counts[code] = (counts[code] ?? 0) + 1
        const lines = refusals()
        assert.lengthOf(lines, index + 1, `${code} ${what}`)
        const { annotations } = lines[index]!
        assert.deepInclude(annotations, { code, transport })
        assert.strictEqual(annotations.what, what)
        assert.strictEqual(annotations.identity, byAlice ? `api-key:${alice.id}` : undefined)
        assert.match(String(annotations.peer), /^127\.0\.0\.1:\d+$/)
        assert.deepInclude(problem, { code, instance: `urn:uuid:${annotations.connection}` })
      }
      assert.deepStrictEqual((yield* (yield* Hub).metrics).refusals, counts)
    }).pipe(Effect.provide(layer))
  })

  it.live("refusals - of some messages of many are counted each, and logged together", () => {
    const { layer, refusals } = hub()
    return Effect.gen(function* () {
      const headers = { ...bearer(alice.key), ...json }
      const messages = ["a", "b", "c", "b"].map((topic) => ({ topic, payload: 1 }))
      const many = yield* ask("/api/v1/messages/bulk", { headers, body: JSON.stringify({ messages }) })
      assert.strictEqual(many.json.rejected, 3)
      assert.deepInclude(refusals()[0]?.annotations, { code: "FORBIDDEN", what: "b", times: 3 })
      assert.lengthOf(refusals(), 1)
      const lines = yield* ask("/api/v1/messages/bulk", {
        headers: { ...headers, "content-type": "application/x-ndjson" },
        body: '{"topic":"b","payload":1}\n{\n'
      })
      assert.strictEqual(lines.status, 202)
      assert.deepInclude((yield* (yield* Hub).metrics).refusals, { FORBIDDEN: 4, INVALID_JSON: 1 })
      assert.lengthOf(refusals(), 3)
    }).pipe(Effect.provide(layer))
  })

  it.live("refusals - of what is no request, and of a body that does not come", () => {
    const { layer, refusals } = hub()
    return Effect.gen(function* () {
      for (const [text, code] of [
        ["nonsense\r\n\r\n", "BAD_REQUEST"],
        [`GET /topics HTTP/1.1\r\nHost: localhost\r\nX: ${"y".repeat(20_000)}\r\n\r\n`, "HEAD_TOO_LARGE"],
        ["GET /topics HTTP/1.1\r\nHost: ", "REQUEST_TIMEOUT"],
        [
          `POST /api/v1/messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${alice.key}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{`,
          "REQUEST_TIMEOUT"
        ]
      ] as const) {
        const raw = yield* rawSocket
        raw.write(text)
        yield* raw.closed
        const last = refusals().at(-1)?.annotations
        const problem: object = answerIn(raw.text).json
        assert.deepInclude(problem, { code, instance: `urn:uuid:${last?.connection}` })
      }
      assert.lengthOf(refusals(), 4)
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.live("refusals - over WebSocket are counted and logged once, under the id of the connection", () => {
    const { layer, refusals } = hub()
    return Effect.gen(function* () {
      const { port } = yield* WebServer
      const peer = yield* connectJson(`ws://127.0.0.1:${port}/ws?token=${alice.key}`)
      const asked = [
        [{ type: "nothing" }, "UNKNOWN_TYPE", undefined],
        [{ type: "subscribe", topic: "b" }, "FORBIDDEN", "b"],
        [{ type: "publish", topic: "b", message: { id: "1", payload: 1 } }, "FORBIDDEN", "b"],
        [{ type: "unsubscribe", topic: "a" }, "NOT_SUBSCRIBED", "a"],
        [{ type: "ack", message_id: "x" }, "BAD_REQUEST", undefined]
      ] as const
      for (const [index, [request, code, what]] of asked.entries()) {
        peer.send(request)
        assert.deepInclude((yield* peer.nextOf("error")).error, { code })
        assert.lengthOf(refusals(), index + 1, code)
        assert.deepInclude(refusals()[index]?.annotations, { code, transport: "websocket" })
        assert.strictEqual(refusals()[index]?.annotations.what, what)
      }
      assert.lengthOf([...new Set(refusals().map(({ annotations }) => annotations.connection))], 1)
    }).pipe(Effect.scoped, Effect.provide(layer))
  })
})
