/**
 * Payloads of any content type, in by HTTP or WebSocket, and out to every reader of JSON: in one form, in which they can
 * be published again as they are.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { WebServer } from "../../../src/transports/WebServer.ts"
import { ask, eventsIn, openStream, webHub } from "../http/WebHub.ts"
import { connectJson, type Said } from "./JsonPeer.ts"

const connect = Effect.flatMap(WebServer, ({ port }) => connectJson(`ws://127.0.0.1:${port}/ws`))

const bytes = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0, 255)
const base64 = (content: Uint8Array) => Buffer.from(content).toString("base64")

interface Case {
  readonly name: string
  readonly type: string
  readonly body: string | Uint8Array
  readonly shown: Said
}

const cases: ReadonlyArray<Case> = [
  { name: "text", type: "text/plain", body: "h\u00e9llo\n", shown: { payload: "h\u00e9llo\n" } },
  {
    name: "text with its charset",
    type: "text/csv; charset=utf-8",
    body: 'a,"b"\n',
    shown: { payload: 'a,"b"\n' }
  },
  {
    name: "an image",
    type: "image/png",
    body: bytes,
    shown: { payload: base64(bytes), encoding: "base64" }
  },
  {
    name: "JSON of a type of its own",
    type: "application/cloudevents+json",
    body: '{"n":1.50}',
    shown: { payload: { n: 1.5 } }
  },
  {
    name: "what is not the JSON that it is said to be",
    type: "application/cloudevents+json",
    body: '{"n":',
    shown: { payload: base64(Buffer.from('{"n":')), encoding: "base64" }
  },
  {
    name: "text that is not UTF-8",
    type: "text/plain",
    body: bytes,
    shown: { payload: base64(bytes), encoding: "base64" }
  },
  {
    name: "text of another charset",
    type: "text/plain; charset=latin1",
    body: Uint8Array.of(0xe9),
    shown: { payload: "6Q==", encoding: "base64" }
  },
  { name: "nothing", type: "text/plain", body: "", shown: { payload: "" } }
]

const contentOf = ({ content_type, encoding, payload }: Said): Said => ({
  payload,
  ...(content_type === undefined ? {} : { content_type }),
  ...(encoding === undefined ? {} : { encoding })
})

const isSaid = (value: unknown): value is Said => typeof value === "object" && value !== null

const eventContent = ({ message }: Said): Said => (isSaid(message) ? contentOf(message) : {})

describe("payloads", () => {
  for (const { body, name, shown, type } of cases) {
    it.live(`payloads - ${name} by HTTP is the same to every reader`, () =>
      Effect.gen(function* () {
        const peer = yield* connect
        peer.send({ type: "subscribe", topic: "p" })
        peer.send({ type: "subscribe", topics: ["p"] })
        yield* peer.nextOf("ack")
        yield* peer.nextOf("ack")
        const stream = yield* openStream("/api/v1/stream?topics=p")
        yield* stream.says(/begin/)
        const sent = yield* ask("/api/v1/messages?topic=p", {
          method: "POST",
          body,
          headers: { "content-type": type }
        })
        assert.strictEqual(sent.status, 202)
        const expected = { ...shown, content_type: type }
        const said = [yield* peer.next, yield* peer.next]
        const event = said.find((each) => each.type === "event") ?? {}
        const message = said.find((each) => each.type === "message") ?? {}
        assert.deepStrictEqual(eventContent(event), expected)
        assert.deepStrictEqual(contentOf(message), expected)
        yield* stream.says(/message_id/)
        const streamed = eventsIn(stream.text).find((each) => each.event === "message")
        assert.deepStrictEqual(contentOf({ ...streamed?.data }), expected)
        const polled = yield* ask("/api/v1/poll?topics=p&from=first&timeout=5")
        assert.deepStrictEqual(contentOf({ ...polled.json.messages[0] }), expected)
        const grouped = yield* ask("/api/v1/poll?topics=p&from=first&timeout=5&client_id=c")
        assert.deepStrictEqual(contentOf({ ...grouped.json.messages[0] }), expected)
        const replayed = yield* ask("/api/v1/topics/p/messages")
        assert.deepStrictEqual(contentOf({ ...replayed.json.messages[0] }), expected)
        // As it was delivered it can be published again.
        peer.send({ type: "publish", topic: "p", message: { id: "again", ...eventContent(event) } })
        const again = yield* peer.nextOf("event")
        assert.deepStrictEqual(eventContent(again), expected)
      }).pipe(Effect.scoped, Effect.provide(webHub()))
    )
  }

  it.live("payloads - JSON is passed on to the byte, with all that goes with it", () =>
    Effect.gen(function* () {
      const payload = '{"big":12345678901234567890,"same":1,"same":2,"text":"\\u00e9/\\/"}'
      const peer = yield* connect
      peer.send({ type: "subscribe", topic: "p" })
      yield* peer.nextOf("ack")
      const heard: Array<string> = []
      peer.socket.prependListener("message", (data) => heard.push(String(data)))
      peer.sendRaw(
        `{"type":"publish","topic":"p","message":{"id":"i","key":"k","headers":{"a":"\u00fc","__proto__":"x"},"payload":${payload}}}`
      )
      const event = yield* peer.nextOf("event")
      assert.isTrue(heard.some((text) => text.includes(`"payload":${payload}`)))
      const message = isSaid(event.message) ? event.message : {}
      assert.deepInclude(message, { id: "i", key: "k" })
      const { text } = yield* ask("/api/v1/topics/p/messages")
      assert.include(text, `"payload":${payload}`)
      assert.include(text, '"headers":{"a":"\u00fc","__proto__":"x"}')
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.live.each([
    ["an unknown encoding", { payload: "x", encoding: "hex" }],
    ["what is no base64", { payload: "?", encoding: "base64" }],
    ["bytes that are no string", { payload: 1, content_type: "image/png" }],
    ["text that is no string", { payload: {}, content_type: "text/plain" }]
  ] as const)("payloads - refused with BAD_REQUEST: %s", ([, content]) =>
    Effect.gen(function* () {
      const peer = yield* connect
      peer.send({ type: "publish", topic: "p", message: { id: "i", ...content }, request_id: 1 })
      assert.deepInclude((yield* peer.next).error, { code: "BAD_REQUEST" })
      const answer = yield* ask("/api/v1/messages", {
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ topic: "p", ...content })
      })
      assert.deepInclude(answer.json, { status: 422, code: "BAD_REQUEST" })
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )
})
