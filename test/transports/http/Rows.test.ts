/** What messages may carry, from HTTP to every reader: a time to be delivered at or to live until, a priority, ids, labels. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Hub } from "../../../src/actors/Hub.ts"
import { WebServer } from "../../../src/transports/WebServer.ts"
import { connectJson } from "../websocket/JsonPeer.ts"
import { ask, json, openStream, postJson, publish, type Shown, webHub } from "./WebHub.ts"

const connect = Effect.flatMap(WebServer, ({ port }) => connectJson(`ws://127.0.0.1:${port}/ws`))

const payloads = (messages: ReadonlyArray<Shown>) => messages.map(({ payload }) => payload)

const replayed = (topic: string) =>
  Effect.map(ask(`/api/v1/topics/${encodeURIComponent(topic)}/messages`), (answer) => answer.json.messages)

describe("http messages", () => {
  it.live("http messages - one that is to be delivered later has no place yet, and comes in its time", () =>
    Effect.gen(function* () {
      const peer = yield* connect
      peer.send({ type: "subscribe", topics: ["a"] })
      yield* peer.nextOf("ack")
      const polling = yield* Effect.forkScoped(ask("/api/v1/poll?topics=a&timeout=20"), {
        startImmediately: true
      })
      // In time enough for a busy machine to say and ask all of this before.
      const due = Date.now() + 1500
      const later = yield* publish("a", "later", { id: "l", deliver_at: new Date(due).toISOString() })
      assert.strictEqual(later.status, 202)
      assert.deepInclude(later.json, { message_id: "a@0-0", id: "l", topic: "a", epoch: 0, offset: 0 })
      assert.deepStrictEqual(yield* replayed("a"), [])
      peer.send({
        type: "publish",
        topic: "a",
        message: { id: "w", payload: "by WebSocket", deliver_at: due + 1 }
      })
      const ack = yield* peer.nextOf("ack")
      assert.deepInclude(ack.receipt, { message_id: "a@0-0", epoch: 0 })
      const message = yield* peer.nextOf("message")
      assert.isAtLeast(Date.now(), due)
      assert.deepInclude(message, { payload: "later", id: "l", offset: 0 })
      assert.match(String(message.message_id), /^a@[1-9]\d*-0$/)
      assert.strictEqual(payloads((yield* Fiber.join(polling)).json.messages)[0], "later")
      assert.deepInclude(yield* peer.nextOf("message"), { payload: "by WebSocket" })
      const past = yield* publish("a", "past", { deliver_at: 1 })
      assert.strictEqual(past.json.offset, 2)
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.live(
    "http messages - one whose time is over is not delivered, by replay or poll, to a group or a stream",
    () =>
      Effect.gen(function* () {
        yield* ask("/api/v1/poll?topics=a&client_id=c&timeout=0")
        yield* publish("a", "gone", { ttl: 0.05 })
        yield* publish("a", "kept", { ttl: 60 })
        yield* publish("a", "for ever", { ttl: 0 })
        const left = ["kept", "for ever"]
        while (payloads(yield* replayed("a")).length > left.length) yield* Effect.sleep(5)
        assert.deepStrictEqual(payloads(yield* replayed("a")), left)
        const polled = yield* ask("/api/v1/poll?topics=a&from=first&timeout=1")
        assert.deepStrictEqual(payloads(polled.json.messages), left)
        const group = yield* ask("/api/v1/poll?topics=a&client_id=c&timeout=1")
        assert.deepStrictEqual(payloads(group.json.messages), left)
        const stream = yield* openStream("/api/v1/stream?topics=a&from=first")
        yield* stream.says(/for ever/)
        assert.notInclude(stream.text, "gone")
        const peer = yield* connect
        peer.send({ type: "subscribe", topic: "a", last_n: 3 })
        assert.deepInclude((yield* peer.nextOf("event")).message, { payload: "kept" })
      }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.live("http messages - what is urgent overtakes what waits for a client", () =>
    Effect.gen(function* () {
      const slow = yield* connect
      slow.send({ type: "subscribe", topic: "a", overflow: "wait" })
      yield* slow.nextOf("ack")
      slow.socket.pause()
      const large = "x".repeat(500_000)
      const count = 24
      for (let n = 0; n < count; n++) yield* publish("a", { n, large }, { priority: 0 })
      yield* publish("a", { n: "urgent" }, { priority: 9 })
      slow.socket.resume()
      const order: Array<unknown> = []
      while (order.length <= count) {
        const { message } = yield* slow.nextOf("event")
        order.push(JSON.parse(JSON.stringify(message)).payload.n)
      }
      const at = order.indexOf("urgent")
      assert.isAtLeast(at, 0)
      assert.isBelow(at, count)
      assert.deepStrictEqual(
        order.filter((n) => n !== "urgent"),
        Array.from({ length: count }, (_, n) => n)
      )
    }).pipe(Effect.scoped, Effect.provide(webHub({ clientWriteTimeout: 60_000 })))
  )

  it.live("http messages - an id that was seen is told so, whatever it came by", () =>
    Effect.gen(function* () {
      const peer = yield* connect
      const first = yield* publish("a", 1, { id: "once" })
      peer.send({ type: "publish", topic: "a", message: { id: "once", payload: 2 }, request_id: 1 })
      const { receipt } = yield* peer.nextOf("ack")
      assert.deepInclude(receipt, { message_id: first.json.message_id, duplicate: true })
      const lines = yield* ask("/api/v1/messages/bulk", {
        headers: { "content-type": "application/x-ndjson" },
        body: '{"topic":"a","payload":3,"id":"once"}\n{"topic":"a","payload":4,"id":"other"}'
      })
      assert.deepStrictEqual(
        lines.text
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line).duplicate),
        [true, false]
      )
      assert.deepStrictEqual(payloads(yield* replayed("a")), [1, 4])
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.live("http messages - key and headers go round by WebSocket, poll and stream", () =>
    Effect.gen(function* () {
      const labels = { key: "k\u00fc", headers: { "x-one": "1", Two: "zw\u00f6lf" } }
      const peer = yield* connect
      peer.send({ type: "subscribe", topics: ["a"] })
      yield* peer.nextOf("ack")
      peer.send({ type: "publish", topic: "a", message: { id: "i", payload: null, ...labels } })
      assert.deepInclude(yield* peer.nextOf("message"), { ...labels, id: "i", payload: null })
      const { json: polled } = yield* ask("/api/v1/poll?topics=a&from=first")
      assert.deepInclude(polled.messages[0], { ...labels, id: "i", payload: null })
      const stream = yield* openStream("/api/v1/stream?topics=a&from=first")
      yield* stream.says(/"key":"k\u00fc"/)
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.live("http messages - names of topics are escaped in paths and queries as any text is", () =>
    Effect.gen(function* () {
      for (const name of ["a/b", "\u00fc.\u2603", "a%2Fb", "x?y#z", "a+b&c=d", "news@1-1"]) {
        yield* publish(name, name)
        assert.deepStrictEqual(payloads(yield* replayed(name)), [name])
        const query = new URLSearchParams({ topics: name, from: "first", timeout: "1" })
        assert.deepStrictEqual(payloads((yield* ask(`/api/v1/poll?${query}`)).json.messages), [name])
        const removed = yield* ask(`/topics/${encodeURIComponent(name)}`, { method: "DELETE" })
        assert.deepInclude(removed.json, { topic: name })
      }
    }).pipe(Effect.provide(webHub()))
  )

  it.live("http messages - from a time, a position or the beginning, and as many as wanted", () =>
    Effect.gen(function* () {
      for (const n of [0, 1]) yield* publish("a", n)
      yield* Effect.sleep(5)
      const time = new Date().toISOString()
      yield* Effect.sleep(5)
      const { json: third } = yield* publish("a", 2)
      yield* publish("a", 3)
      for (const [query, expected] of [
        [`from=${time}`, [2, 3]],
        [`from=${Date.parse(time)}`, [2, 3]],
        [`from=${third.epoch}-3`, [3]],
        ["from=first&max=1", [0]],
        ["from=first&max=3", [0, 1, 2]],
        ["from=now&timeout=0", []],
        ["timeout=0", []]
      ] as const) {
        const answer = yield* ask(`/api/v1/poll?topics=a&${query}`)
        assert.deepStrictEqual(payloads(answer.json.messages), [...expected], query)
      }
      for (const from of [time, Date.parse(time), `${third.epoch}-2`, { epoch: third.epoch, offset: 2 }]) {
        for (const topics of [{ topic: "a" }, { topics: ["a"] }]) {
          const peer = yield* connect
          peer.send({ type: "subscribe", ...topics, from })
          yield* peer.nextOf("ack")
          assert.strictEqual((yield* peer.next).offset, 2)
        }
      }
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )
})

describe("http topics that must be made", () => {
  it.live("http topics - nobody makes one by using it: TOPIC_NOT_FOUND by every way", () =>
    Effect.gen(function* () {
      const message = { topic: "none", payload: 1 }
      const notFound = { status: 404, code: "TOPIC_NOT_FOUND" }
      for (const [path, asking] of [
        ["/api/v1/messages", { headers: json, body: JSON.stringify(message) }],
        ["/api/v1/messages?topic=none", { headers: { "content-type": "text/plain" }, body: "x" }],
        ["/api/v1/poll?topics=none&timeout=0", {}],
        ["/api/v1/poll?topics=none&timeout=0&from=first", {}],
        ["/api/v1/poll?topics=none&timeout=0&client_id=c", {}],
        ["/api/v1/stream?topics=none", {}],
        ["/api/v1/topics/none/messages", {}],
        ["/topics/none", { method: "DELETE" }]
      ] as const) {
        assert.deepInclude((yield* ask(path, asking)).json, notFound, path)
      }
      const bulk = yield* postJson("/api/v1/messages/bulk", { messages: [message] })
      assert.strictEqual(bulk.json.results[0]?.error?.code, "TOPIC_NOT_FOUND")
      const peer = yield* connect
      for (const request of [
        { type: "subscribe", topic: "none" },
        { type: "subscribe", topics: ["none"] },
        { type: "subscribe", topics: ["none"], client_id: "c" },
        { type: "publish", topic: "none", message: { id: "m", payload: 1 } }
      ]) {
        peer.send({ ...request, request_id: 7 })
        const said = yield* peer.next
        assert.deepInclude(said, { type: "error", request_id: 7 }, JSON.stringify(request))
        assert.deepInclude(said.error, { code: "TOPIC_NOT_FOUND" })
      }
      // A pattern is of topics that may come.
      peer.send({ type: "subscribe", topics: ["none.*"] })
      assert.strictEqual((yield* peer.next).type, "ack")
      assert.deepStrictEqual(yield* (yield* Hub).topics(">"), [])
      yield* postJson("/topics", { name: "none" })
      assert.strictEqual((yield* publish("none", 1)).status, 202)
    }).pipe(Effect.scoped, Effect.provide(webHub({ autoCreateTopics: false })))
  )
})
