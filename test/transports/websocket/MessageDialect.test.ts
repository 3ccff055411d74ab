import { assert, layer } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { connectJson, type Said } from "./JsonPeer.ts"
import { WebSocketHub, webSocketHub } from "./WebSocketHub.ts"

const connect = Effect.flatMap(WebSocketHub, ({ url }) => connectJson(url))

const publish = (topic: string, id: string, payload: unknown = id) => ({
  type: "publish",
  topic,
  message: { id, payload }
})

const textOf = (said: Said): string => String(said.message_id)

layer(webSocketHub({ groupAckWait: 60_000 }), { excludeTestServices: true })(
  "websocket, dialect of topics",
  (it) => {
    it.effect("messages - several topics in one subscription, without an id live and at most once", () =>
      Effect.gen(function* () {
        const peer = yield* connect
        peer.send({ type: "subscribe", topics: ["notifications", "alerts"], request_id: "s" })
        assert.deepInclude(yield* peer.next, {
          type: "ack",
          request_id: "s",
          topics: ["notifications", "alerts"]
        })
        peer.send(publish("alerts", "m1", { user_id: 123 }))
        const message = yield* peer.nextOf("message")
        yield* peer.nextOf("ack")
        assert.deepInclude(message, { topic: "alerts", payload: { user_id: 123 }, id: "m1", offset: 0 })
        assert.match(textOf(message), /^alerts@\d+-0$/)
        assert.isString(message.timestamp)
        // Acknowledging what needs none does no harm.
        peer.send({ type: "ack", message_id: message.message_id, request_id: 1 })
        assert.deepInclude(yield* peer.nextOf("ack"), { request_id: 1 })
      })
    )

    it.effect("messages - what a client with an id did not acknowledge comes again, and nothing else", () =>
      Effect.gen(function* () {
        const { url } = yield* WebSocketHub
        const subscribe = { type: "subscribe", topics: ["jobs", "tasks.>"], client_id: "client-123" }
        const first = yield* Scope.make()
        const peer = yield* Scope.provide(connectJson(url), first)
        peer.send(subscribe)
        yield* peer.nextOf("ack")
        const other = yield* connect
        for (const id of ["a", "b", "c"]) other.send(publish("jobs", id))
        other.send(publish("tasks.one.two", "d"))
        const got = new Map<string, Said>()
        while (got.size < 4) {
          const message = yield* peer.nextOf("message")
          got.set(String(message.id), message)
        }
        peer.send({ type: "ack", message_ids: [got.get("a")?.message_id, got.get("c")?.message_id] })
        peer.send({ type: "ack", message_id: got.get("d")?.message_id, request_id: "acked" })
        yield* peer.nextOf("ack")
        yield* Scope.close(first, Exit.void)
        const again = yield* connect
        again.send(subscribe)
        // One topic may deliver before the other is joined, and so before the ack.
        const message = yield* again.nextOf("message")
        assert.deepInclude(message, { id: "b", attempt: 2, message_id: got.get("b")?.message_id })
        other.send(publish("jobs", "e"))
        assert.deepInclude(yield* again.nextOf("message"), { id: "e" })
      })
    )

    it.effect("messages - a group's client is given more than its credit at once", () =>
      Effect.gen(function* () {
        const peer = yield* connect
        peer.send({ type: "subscribe", topics: ["many"], client_id: "many" })
        yield* peer.nextOf("ack")
        const other = yield* connect
        for (let i = 0; i < 1000; i++) other.send(publish("many", `m${i}`))
        const ids = new Set<string>()
        while (ids.size < 1000) ids.add(textOf(yield* peer.nextOf("message")))
      })
    )

    it.effect("messages - two sockets of one client share what is for it", () =>
      Effect.gen(function* () {
        const peers = [yield* connect, yield* connect]
        for (const peer of peers) {
          peer.send({ type: "subscribe", topics: ["shared"], client_id: "shared" })
          yield* peer.nextOf("ack")
        }
        const other = yield* connect
        for (let i = 0; i < 10; i++) {
          other.send(publish("shared", `m${i}`))
          yield* other.nextOf("ack")
        }
        const ids: Array<string> = []
        for (const peer of peers) {
          while (ids.length < 10 && peer.waiting().length > 0) ids.push(textOf(yield* peer.next))
          peer.send({ type: "ping" })
          for (let said = yield* peer.next; said.type !== "pong"; said = yield* peer.next)
            ids.push(textOf(said))
        }
        assert.strictEqual(new Set(ids).size, 10)
        assert.strictEqual(ids.length, 10)
      })
    )

    it.effect("messages - both dialects on one socket, each subscription in its own", () =>
      Effect.gen(function* () {
        const peer = yield* connect
        peer.send({ type: "subscribe", topic: "both", request_id: 1 })
        peer.send({ type: "subscribe", topics: ["both"], request_id: 2 })
        yield* peer.nextOf("ack")
        yield* peer.nextOf("ack")
        const other = yield* connect
        other.send(publish("both", "m"))
        const types = [(yield* peer.next).type, (yield* peer.next).type]
        assert.sameMembers(types, ["event", "message"])
        peer.send({ type: "unsubscribe", topics: ["both"], request_id: 3 })
        assert.deepInclude(yield* peer.next, { type: "ack", request_id: 3, topics: ["both"] })
        other.send(publish("both", "n"))
        assert.strictEqual((yield* peer.next).type, "event")
        peer.send({ type: "ping" })
        assert.strictEqual((yield* peer.next).type, "pong")
      })
    )
  }
)
