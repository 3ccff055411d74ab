import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { connectJson } from "./JsonPeer.ts"
import { WebSocketHub, webSocketHub } from "./WebSocketHub.ts"

const connect = Effect.flatMap(WebSocketHub, ({ url }) => connectJson(url))

const iso = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

layer(webSocketHub(), { excludeTestServices: true })("websocket, dialect of topic", (it) => {
  it.effect("events - the greeting has an id of the client", () =>
    Effect.gen(function* () {
      const { greeting } = yield* connect
      assert.strictEqual(greeting.type, "connected")
      assert.match(String(greeting.ts), iso)
      const message = greeting.message as { id: string; payload: { client_id: string } }
      assert.strictEqual(message.id, "welcome")
      assert.match(message.payload.client_id, /^[0-9a-f-]{36}$/)
    })
  )

  it.effect("events - subscribe, publish, event, unsubscribe, each with its ack", () =>
    Effect.gen(function* () {
      const peer = yield* connect
      peer.send({ type: "subscribe", topic: "news", request_id: "req-123" })
      const subscribed = yield* peer.next
      assert.deepInclude(subscribed, {
        type: "ack",
        request_id: "req-123",
        topic: "news",
        message: { id: "ack", payload: "Subscribed to topic 'news'" }
      })
      assert.match(String(subscribed.ts), iso)
      peer.send({
        type: "publish",
        topic: "news",
        message: { id: "msg-456", payload: "Breaking news!", timestamp: "2024-01-01T12:00:00Z" },
        request_id: "req-125"
      })
      const said = [yield* peer.next, yield* peer.next]
      const event = said.find(({ type }) => type === "event")
      const ack = said.find(({ type }) => type === "ack")
      assert.deepInclude(event, {
        topic: "news",
        message: { id: "msg-456", payload: "Breaking news!" },
        offset: 0
      })
      assert.isNumber(event?.epoch)
      assert.deepInclude(ack, { request_id: "req-125", topic: "news" })
      const receipt = ack?.receipt as Record<string, unknown>
      assert.deepInclude(receipt, { topic: "news", offset: 0, duplicate: false })
      peer.send({ type: "unsubscribe", topic: "news", request_id: "req-124" })
      assert.deepInclude(yield* peer.next, {
        type: "ack",
        request_id: "req-124",
        topic: "news",
        message: { id: "ack", payload: "Unsubscribed from topic 'news'" }
      })
      peer.send({ type: "publish", topic: "news", message: { id: "msg-457", payload: 1 }, request_id: 7 })
      assert.deepInclude(yield* peer.next, { type: "ack", request_id: 7 })
      assert.deepStrictEqual(peer.waiting(), [])
    })
  )

  it.effect("events - ping is answered by pong", () =>
    Effect.gen(function* () {
      const peer = yield* connect
      peer.send({ type: "ping", request_id: "req-126" })
      assert.deepInclude(yield* peer.next, { type: "pong", request_id: "req-126" })
    })
  )

  it.effect("events - subscribing twice is acknowledged again and delivers once", () =>
    Effect.gen(function* () {
      const peer = yield* connect
      peer.send({ type: "subscribe", topic: "twice", request_id: 1 })
      peer.send({ type: "subscribe", topic: "twice", request_id: 2 })
      assert.deepInclude(yield* peer.next, { type: "ack", request_id: 1 })
      assert.deepInclude(yield* peer.next, { type: "ack", request_id: 2 })
      peer.send({ type: "publish", topic: "twice", message: { id: "a", payload: 1 }, request_id: 3 })
      peer.send({ type: "ping", request_id: 4 })
      yield* peer.nextOf("pong")
      peer.send({ type: "publish", topic: "twice", message: { id: "b", payload: 2 }, request_id: 5 })
      assert.deepInclude(yield* peer.nextOf("event"), { message: { id: "b", payload: 2 } })
    })
  )

  it.effect("events - the last messages come before any live one", () =>
    Effect.gen(function* () {
      const peer = yield* connect
      for (let i = 0; i < 5; i++)
        peer.send({ type: "publish", topic: "last", message: { id: `m${i}`, payload: i } })
      for (let i = 0; i < 5; i++) yield* peer.nextOf("ack")
      peer.send({ type: "subscribe", topic: "last", last_n: 3, request_id: "s" })
      assert.deepInclude(yield* peer.next, { type: "ack", request_id: "s" })
      peer.send({ type: "publish", topic: "last", message: { id: "live", payload: 5 } })
      const ids: Array<unknown> = []
      for (let i = 0; i < 4; i++) {
        const { message } = yield* peer.nextOf("event")
        ids.push((message as { id: string }).id)
      }
      assert.deepStrictEqual(ids, ["m2", "m3", "m4", "live"])
    })
  )

  it.effect("events - a pattern is subscribed as a topic is", () =>
    Effect.gen(function* () {
      const peer = yield* connect
      peer.send({ type: "subscribe", topic: "weather.*", request_id: 1 })
      yield* peer.nextOf("ack")
      peer.send({ type: "publish", topic: "weather.london", message: { id: "w", payload: { celsius: 12 } } })
      assert.deepInclude(yield* peer.nextOf("event"), {
        topic: "weather.london",
        message: { id: "w", payload: { celsius: 12 } }
      })
    })
  )

  it.effect(
    "events - a client that comes back goes on where it was, and is told that nothing is missing",
    () =>
      Effect.gen(function* () {
        const peer = yield* connect
        peer.send({ type: "subscribe", topic: "resumed", request_id: 1 })
        yield* peer.nextOf("ack")
        peer.send({ type: "publish", topic: "resumed", message: { id: "seen", payload: 0 } })
        const seen = yield* peer.nextOf("event")
        peer.socket.terminate()
        const other = yield* connect
        for (const id of ["missed-1", "missed-2"])
          other.send({ type: "publish", topic: "resumed", message: { id, payload: 0 } })
        yield* other.nextOf("ack")
        yield* other.nextOf("ack")
        const again = yield* connect
        const from = { epoch: seen.epoch, offset: Number(seen.offset) + 1 }
        again.send({ type: "subscribe", topic: "resumed", from, request_id: 2 })
        assert.deepInclude(yield* again.next, { type: "ack" })
        assert.deepInclude((yield* again.next).message, { id: "missed-1" })
        assert.deepInclude((yield* again.next).message, { id: "missed-2" })
        assert.deepInclude(yield* again.next, { type: "recovered", topic: "resumed", ...from })
      })
  )

  it.effect("events - a position of another log is a gap", () =>
    Effect.gen(function* () {
      const peer = yield* connect
      peer.send({ type: "publish", topic: "gap", message: { id: "x", payload: 0 } })
      const { receipt } = yield* peer.nextOf("ack")
      const { epoch } = receipt as { epoch: number }
      peer.send({ type: "subscribe", topic: "gap", from: `${epoch - 1}-7`, request_id: 1 })
      yield* peer.nextOf("ack")
      assert.deepInclude(yield* peer.next, {
        type: "gap",
        topic: "gap",
        from: { epoch: epoch - 1, offset: 7 },
        to: { epoch, offset: 0 }
      })
      assert.deepInclude((yield* peer.next).message, { id: "x" })
    })
  )
})
