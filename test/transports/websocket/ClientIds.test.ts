/** A `client_id` is one client, whatever it comes by: WebSocket or polls, and whatever its name is. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { Hub } from "../../../src/actors/Hub.ts"
import { WebServer } from "../../../src/transports/WebServer.ts"
import { ask, postJson, publish, webHub } from "../http/WebHub.ts"
import { connectJson } from "./JsonPeer.ts"

const connect = Effect.flatMap(WebServer, ({ port }) => connectJson(`ws://127.0.0.1:${port}/ws`))

const poll = (topics: string, clientId: string, timeout = 5) =>
  ask(`/api/v1/poll?${new URLSearchParams({ topics, client_id: clientId, timeout: String(timeout) })}`)

const settings = { groupAckWait: 60_000, groupBackoff: 1 }

describe("client ids", () => {
  it.live("client ids - what WebSocket left unacknowledged comes to a poll, and is acknowledged there", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const peer = yield* Scope.provide(connect, scope)
      peer.send({ type: "subscribe", topics: ["jobs.*"], client_id: "one" })
      yield* peer.nextOf("ack")
      for (const n of [1, 2, 3]) yield* publish("jobs.a", n)
      const ids: Array<unknown> = []
      while (ids.length < 3) ids.push((yield* peer.nextOf("message")).message_id)
      peer.send({ type: "ack", message_id: ids[1], request_id: 1 })
      assert.deepInclude(yield* peer.nextOf("ack"), { acknowledged: 1 })
      yield* Scope.close(scope, Exit.void)
      // Each comes again in its own time.
      const again: Array<unknown> = []
      while (again.length < 2) {
        const { json } = yield* poll("jobs.*", "one")
        again.push(...json.messages.map((each) => [each.payload, each.message_id, each.attempt]))
      }
      assert.deepStrictEqual(again, [
        [1, ids[0], 2],
        [3, ids[2], 2]
      ])
      const acked = yield* postJson("/api/v1/ack", { client_id: "one", message_ids: [ids[0], ids[2]] })
      assert.deepInclude(acked.json, { acknowledged: 2 })
      const back = yield* connect
      back.send({ type: "subscribe", topics: ["jobs.*"], client_id: "one" })
      yield* back.nextOf("ack")
      yield* publish("jobs.b", 4)
      assert.deepInclude(yield* back.nextOf("message"), { payload: 4 })
    }).pipe(Effect.scoped, Effect.provide(webHub(settings)))
  )

  it.live(
    "client ids - an ack counts different ids of topics that the client reads, by either transport",
    () =>
      Effect.gen(function* () {
        yield* poll("jobs", "one", 0)
        for (const n of [1, 2]) yield* publish("jobs", n)
        const given = (yield* poll("jobs", "one")).json.messages.map((each) => each.message_id)
        assert.lengthOf(given, 2)
        const message_ids = [...given, given[0], "other@1-1"]
        const peer = yield* connect
        peer.send({ type: "ack", message_ids, request_id: 1 })
        assert.deepInclude(yield* peer.nextOf("ack"), { acknowledged: 0 })
        peer.send({ type: "subscribe", topics: ["jobs"], client_id: "one" })
        yield* peer.nextOf("ack")
        peer.send({ type: "ack", message_ids, request_id: 2 })
        assert.deepInclude(yield* peer.nextOf("ack"), { acknowledged: 2 })
        const byHttp = yield* postJson("/api/v1/ack", { client_id: "one", message_ids })
        assert.deepInclude(byHttp.json, { acknowledged: 2 })
        const nobody = yield* postJson("/api/v1/ack", { client_id: "other", message_ids })
        assert.deepInclude(nobody.json, { acknowledged: 0 })
        assert.strictEqual(nobody.status, 200)
      }).pipe(Effect.scoped, Effect.provide(webHub(settings)))
  )

  it.live("client ids - what a poll left unacknowledged comes over WebSocket when its time is over", () =>
    Effect.gen(function* () {
      yield* poll("jobs", "one", 0)
      yield* publish("jobs", 1)
      assert.lengthOf((yield* poll("jobs", "one")).json.messages, 1)
      const peer = yield* connect
      peer.send({ type: "subscribe", topics: ["jobs"], client_id: "one" })
      yield* peer.nextOf("ack")
      const message = yield* peer.nextOf("message")
      assert.deepInclude(message, { payload: 1, attempt: 2 })
      peer.send({ type: "ack", message_id: message.message_id, request_id: 1 })
      assert.deepInclude(yield* peer.nextOf("ack"), { acknowledged: 1 })
      assert.deepStrictEqual((yield* poll("jobs", "one", 0.1)).json.messages, [])
    }).pipe(Effect.scoped, Effect.provide(webHub({ groupAckWait: 150, groupBackoff: 1 })))
  )

  it.live("client ids - another client, and the same in the dialect of topic, have their own", () =>
    Effect.gen(function* () {
      const one = yield* connect
      one.send({ type: "subscribe", topics: ["jobs"], client_id: "one" })
      const two = yield* connect
      two.send({ type: "subscribe", topics: ["jobs"], client_id: "two" })
      const live = yield* connect
      live.send({ type: "subscribe", topic: "jobs", client_id: "one" })
      for (const peer of [one, two, live]) yield* peer.nextOf("ack")
      yield* publish("jobs", 1)
      assert.deepInclude(yield* one.nextOf("message"), { payload: 1 })
      assert.deepInclude(yield* two.nextOf("message"), { payload: 1 })
      assert.strictEqual((yield* live.next).type, "event")
      assert.strictEqual((yield* (yield* Hub).metrics).groups, 2)
    }).pipe(Effect.scoped, Effect.provide(webHub(settings)))
  )

  it.live.each([
    "a b",
    "~",
    "x~y~z",
    "a.b.>",
    "\u00fc\u2603\ud83d\ude00",
    "$sys",
    "x".repeat(255),
    '"\\\u0000\n',
    "*"
  ])("client ids - any text is a name: %j", (clientId) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const peer = yield* Scope.provide(connect, scope)
      peer.send({ type: "subscribe", topics: ["t.>"], client_id: clientId })
      yield* peer.nextOf("ack")
      yield* publish("t.a", "kept")
      assert.deepInclude(yield* peer.nextOf("message"), { payload: "kept" })
      yield* Scope.close(scope, Exit.void)
      const { json } = yield* poll("t.>", clientId)
      assert.deepInclude(json.messages[0], { payload: "kept", attempt: 2 })
      const other = yield* poll("t.>", `${clientId.slice(1)}-`, 0)
      assert.deepStrictEqual(other.json.messages, [])
    }).pipe(Effect.scoped, Effect.provide(webHub(settings)))
  )

  it.live("client ids - one that is too long is refused, by WebSocket, poll and ack alike", () =>
    Effect.gen(function* () {
      const clientId = "x".repeat(256)
      const peer = yield* connect
      peer.send({ type: "subscribe", topics: ["jobs"], client_id: clientId, request_id: 1 })
      assert.deepInclude((yield* peer.next).error, { code: "BAD_REQUEST" })
      assert.deepInclude((yield* poll("jobs", clientId)).json, { status: 422, code: "BAD_REQUEST" })
      const acked = yield* postJson("/api/v1/ack", { client_id: clientId, message_ids: ["jobs@1-1"] })
      assert.deepInclude(acked.json, { status: 422, code: "BAD_REQUEST" })
      assert.strictEqual((yield* (yield* Hub).metrics).groups, 0)
    }).pipe(Effect.scoped, Effect.provide(webHub(settings)))
  )

  it.live("client ids - each topic and pattern of a client has a group of its own", () =>
    Effect.gen(function* () {
      const star = yield* connect
      star.send({ type: "subscribe", topics: ["jobs"], client_id: "one" })
      yield* star.nextOf("ack")
      const { json } = yield* poll("jobs,jobs.*", "one", 0)
      assert.deepStrictEqual(json.messages, [])
      assert.strictEqual((yield* (yield* Hub).metrics).groups, 2)
    }).pipe(Effect.scoped, Effect.provide(webHub(settings)))
  )
})
