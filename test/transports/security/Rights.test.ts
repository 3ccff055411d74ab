/** An identity may do what its patterns say, by every door, and learns nothing of what it may not. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Hub } from "../../../src/actors/Hub.ts"
import { WebServer } from "../../../src/transports/WebServer.ts"
import type { WireClient } from "../../actors/WireClient.ts"
import { ask, json } from "../http/WebHub.ts"
import { connectJson } from "../websocket/JsonPeer.ts"
import { admitted, bearer, binaryClient, type Door, keyFor, secureHub, tcpClient } from "./SecureHub.ts"

const alice = keyFor("alice", { publish: ["orders.eu"], subscribe: ["orders.*", "orders.eu.>"] })
const root = keyFor("root", { publish: [">"], subscribe: [">"] })
const hub = () => secureHub({ authKeys: [alice.entry, root.entry] })

const doors: ReadonlyArray<Door> = [tcpClient, binaryClient]

const writer = keyFor("writer", { publish: [">"], subscribe: ["other"] })
const keeper = keyFor("keeper", { publish: ["orders.eu"], subscribe: ["orders.eu", "$dead.>"] })

const jsonPeer = (key: string) =>
  Effect.flatMap(WebServer, ({ port }) => connectJson(`ws://127.0.0.1:${port}/ws?token=${key}`))

/** Only look like a topic that may be published to, or are one that nobody may. */
const lookAlikes = [
  "orders.eu ",
  " orders.eu",
  "orders.eu.",
  ".orders.eu",
  "orders..eu",
  "Orders.eu",
  "ORDERS.EU",
  "orders.еu",
  "orders.ｅｕ",
  "orders․eu",
  "orders。eu",
  "orders.eu\u0000",
  "orders.eu\u200b",
  "orders.e\u0301u",
  "orders.eu\ufeff",
  "orders.eu\n",
  "orders%2Eeu",
  "orders.eu%00",
  "orders.eu.x",
  "orders/eu",
  "orders",
  "orders.*",
  "orders.>",
  "*.eu",
  ">",
  "",
  "$hub.orders.eu",
  "$dead.x.orders.eu",
  "$channel.orders.eu",
  "$"
]

const wider = [
  "orders.>",
  ">",
  "*.eu",
  "orders.*.x",
  "orders.*.>",
  "*",
  "$dead.>",
  "$hub.>",
  "$channel.*",
  "$"
]

const codeOfRejected = (client: WireClient) => Effect.map(client.next("Rejected"), ({ code }) => code)

describe("rights", () => {
  it.live("rights - what only looks like an allowed topic is refused by every door, and reaches nobody", () =>
    Effect.gen(function* () {
      const watcher = yield* admitted(tcpClient, root.key)
      yield* watcher.subscribe(">")
      const headers = { ...bearer(alice.key), ...json }
      const clients = yield* Effect.forEach(doors, (door) => admitted(door, alice.key))
      const peer = yield* jsonPeer(alice.key)
      for (const topic of lookAlikes) {
        const body = JSON.stringify({ topic, payload: 1 })
        const one = yield* ask("/api/v1/messages", { headers, body })
        assert.include([400, 403, 422], one.status, JSON.stringify(topic))
        const raw = yield* ask(`/api/v1/messages?topic=${encodeURIComponent(topic)}`, {
          headers: { ...bearer(alice.key), "content-type": "text/plain" },
          body: "1"
        })
        assert.include([400, 403, 422], raw.status, JSON.stringify(topic))
        const many = yield* ask("/api/v1/messages/bulk", { headers, body: `{"messages":[${body}]}` })
        assert.deepInclude(many.json, { accepted: 0, rejected: 1 })
        const lines = yield* ask("/api/v1/messages/bulk", {
          headers: { ...headers, "content-type": "application/x-ndjson" },
          body
        })
        assert.property(lines.json, "error")
        peer.send({ type: "publish", topic, message: { id: "1", payload: 1 } })
        assert.property(yield* peer.nextOf("error"), "error")
        for (const client of clients) {
          client.publish(topic, ["1"])
          assert.include(["forbidden", "invalid-topic", "reserved-topic"], yield* codeOfRejected(client))
        }
      }
      // What may be published is published, and nothing else was.
      assert.strictEqual(
        (yield* ask("/api/v1/messages", { headers, body: '{"topic":"orders.eu","payload":"yes"}' })).status,
        202
      )
      const [first] = yield* watcher.messages(1, 1)
      assert.deepInclude(first, { topic: "orders.eu", text: '"yes"' })
      assert.deepStrictEqual(
        (yield* (yield* Hub).topics(">")).map(({ name }) => name),
        ["orders.eu"]
      )
    }).pipe(Effect.scoped, Effect.provide(hub()))
  )

  it.live("rights - a pattern that is wider than allowed is refused by every door", () =>
    Effect.gen(function* () {
      const headers = bearer(alice.key)
      const clients = yield* Effect.forEach(doors, (door) => admitted(door, alice.key))
      const peer = yield* jsonPeer(alice.key)
      for (const pattern of wider) {
        const query = `topics=${encodeURIComponent(pattern)}`
        // An allowed one beside it changes nothing.
        for (const topics of [query, `topics=orders.eu,${encodeURIComponent(pattern)}`])
          for (const path of ["poll", "stream"]) {
            const { json: answer } = yield* ask(`/api/v1/${path}?${topics}&timeout=0`, { headers })
            assert.strictEqual(answer.code, "FORBIDDEN", `${path} ${pattern}`)
          }
        assert.strictEqual(
          (yield* ask(`/api/v1/poll?${query}&timeout=0&client_id=x`, { headers })).json.code,
          "FORBIDDEN"
        )
        for (const wanted of [
          { topic: pattern },
          { topics: ["orders.eu", pattern] },
          { topics: [pattern], client_id: "x" }
        ]) {
          peer.send({ type: "subscribe", ...wanted })
          assert.deepInclude((yield* peer.nextOf("error")).error, { code: "FORBIDDEN" })
        }
        for (const client of clients) {
          const { request } = client.askToSubscribe(pattern)
          const failure = yield* client.next("Failure", (frame) => frame.request === request)
          assert.include(["forbidden", "reserved-topic"], failure.code, pattern)
        }
      }
      for (const topic of ["secrets", "orders", "orders.us.x", "$dead.x", "orders%2Eus%2Ex"])
        assert.strictEqual(
          (yield* ask(`/api/v1/topics/${topic}/messages`, { headers })).json.code,
          "FORBIDDEN"
        )
      // What is as wide as allowed is not.
      for (const pattern of ["orders.*", "orders.eu.>", "orders.eu", "orders.eu.*.x"])
        assert.strictEqual((yield* ask(`/api/v1/poll?topics=${pattern}&timeout=0`, { headers })).status, 200)
    }).pipe(Effect.scoped, Effect.provide(hub()))
  )

  it.live(
    "rights - topics are listed for those who may use them, and made and removed by their publishers",
    () =>
      Effect.gen(function* () {
        const asRoot = { headers: { ...bearer(root.key), ...json } }
        const asAlice = { headers: { ...bearer(alice.key), ...json } }
        for (const topic of ["orders.eu", "orders.us", "secrets"])
          yield* ask("/api/v1/messages", { ...asRoot, body: JSON.stringify({ topic, payload: 1 }) })
        for (const path of ["/topics", "/stats"]) {
          const { json: answer, text } = yield* ask(path, asAlice)
          assert.deepStrictEqual(
            answer.topics.map(({ name }) => name),
            ["orders.eu", "orders.us"]
          )
          assert.notInclude(text, "secrets")
          assert.lengthOf((yield* ask(path, asRoot)).json.topics, 3)
          assert.lengthOf((yield* ask(`${path}?limit=1`, asAlice)).json.topics, 1)
          assert.lengthOf((yield* ask(`${path}?after=orders.us`, asAlice)).json.topics, 0)
        }
        for (const name of ["orders.us", "secrets", "nothing.there", "$dead.x", "orders%2Fus"]) {
          assert.strictEqual(
            (yield* ask(`/topics/${name}`, { ...asAlice, method: "DELETE" })).json.code,
            "FORBIDDEN"
          )
          const body = JSON.stringify({ name })
          assert.strictEqual((yield* ask("/topics", { ...asAlice, body })).json.code, "FORBIDDEN")
        }
        assert.strictEqual((yield* ask("/topics/orders.eu", { ...asAlice, method: "DELETE" })).status, 200)
        assert.strictEqual((yield* ask("/topics", { ...asAlice, body: '{"name":"orders.eu"}' })).status, 201)
        assert.lengthOf((yield* ask("/topics", asRoot)).json.topics, 3)
      }).pipe(Effect.scoped, Effect.provide(hub()))
  )

  it.live("rights - stats say how many came by what, and what was refused", () =>
    Effect.gen(function* () {
      yield* jsonPeer(alice.key)
      yield* ask("/topics")
      const { text } = yield* ask("/stats", { headers: bearer(alice.key) })
      assert.match(text, /"connections_by_type":\{"tcp":0,"websocket":1,/)
      assert.match(text, /"refused":\{"UNAUTHORIZED":1\}/)
    }).pipe(Effect.scoped, Effect.provide(hub()))
  )
})

const everything = { publish: ["jobs"], subscribe: ["jobs"] }
const ann = keyFor("ann", everything)
const ben = keyFor("ben", everything)
const named = (name: string, ...consumerGroups: ReadonlyArray<string>) =>
  keyFor(name, { ...everything, consumerGroups })

describe("rights to remove", () => {
  it.live("rights - a topic is removed by whoever may publish and subscribe it, by HTTP and TCP alike", () =>
    Effect.gen(function* () {
      const remove = (key: string, topic: string) =>
        Effect.gen(function* () {
          const { json, status } = yield* ask(`/topics/${encodeURIComponent(topic)}`, {
            method: "DELETE",
            headers: bearer(key)
          })
          const client = yield* admitted(tcpClient, key)
          client.request("topic.remove", JSON.stringify({ name: topic }))
          return [status, json.code, (yield* client.next("Failure")).code]
        })
      yield* ask("/api/v1/messages", {
        headers: { ...bearer(keeper.key), ...json },
        body: '{"topic":"orders.eu","payload":1}'
      })
      const forbidden = [403, "FORBIDDEN", "forbidden"]
      const none = "topic-not-found"
      assert.deepStrictEqual(yield* remove(writer.key, "orders.eu"), forbidden)
      assert.deepStrictEqual(yield* remove(keeper.key, "orders.us"), forbidden)
      assert.deepStrictEqual(yield* remove(writer.key, "$dead.g.orders.eu"), forbidden)
      // The first removes it, and then it is no more.
      assert.deepStrictEqual(yield* remove(keeper.key, "orders.eu"), [200, undefined, none])
      assert.deepStrictEqual(yield* remove(keeper.key, "$dead.g.orders.eu"), [404, "TOPIC_NOT_FOUND", none])
    }).pipe(Effect.scoped, Effect.provide(secureHub({ authKeys: [writer.entry, keeper.entry] })))
  )
})

describe("client ids of others", () => {
  const poll = (key: string, clientId: string, timeout = 0) =>
    ask(`/api/v1/poll?topics=jobs&client_id=${clientId}&timeout=${timeout}`, { headers: bearer(key) })
  const acknowledge = (key: string, clientId: string, ids: ReadonlyArray<string>) =>
    ask("/api/v1/ack", {
      headers: { ...bearer(key), ...json },
      body: JSON.stringify({ client_id: clientId, message_ids: ids })
    })
  const publish = (key: string, payload: unknown) =>
    ask("/api/v1/messages", {
      headers: { ...bearer(key), ...json },
      body: JSON.stringify({ topic: "jobs", payload })
    })

  it.live("client ids - the same one of two identities is two clients, by polls and by WebSocket", () =>
    Effect.gen(function* () {
      yield* poll(ann.key, "x")
      const peer = yield* jsonPeer(ben.key)
      peer.send({ type: "subscribe", topics: ["jobs"], client_id: "x" })
      yield* peer.nextOf("ack")
      yield* publish(ann.key, "for both")
      const { messages } = (yield* poll(ann.key, "x", 5)).json
      assert.strictEqual(messages[0]?.payload, "for both")
      const message = yield* peer.nextOf("message")
      assert.strictEqual(message.payload, "for both")
      // What ben acknowledges is still ann's.
      peer.send({ type: "ack", message_id: message.message_id, request_id: 1 })
      yield* peer.nextOf("ack")
      yield* acknowledge(ben.key, "x", [String(message.message_id)])
      const again = (yield* poll(ann.key, "x", 5)).json.messages
      assert.deepInclude(again[0], { payload: "for both", attempt: 2 })
      assert.strictEqual(
        (yield* acknowledge(ann.key, "x", [String(message.message_id)])).json.acknowledged,
        1
      )
    }).pipe(
      Effect.scoped,
      Effect.provide(secureHub({ authKeys: [ann.entry, ben.entry] }, { groupAckWait: 200, groupBackoff: 1 }))
    )
  )

  it.live("client ids - nobody joins, sees or removes the group of somebody else's by its name", () =>
    Effect.gen(function* () {
      yield* poll(ann.key, "x")
      const mine = yield* admitted(tcpClient, ann.key)
      mine.request("groups", "{}")
      const [group] = JSON.parse(Buffer.from((yield* mine.next("Response")).body).toString())
      assert.match(group.name, /^~[\w-]{16}~x~jobs~[\w-]{22}$/)
      for (const door of doors) {
        const other = yield* admitted(door, ben.key)
        other.request("groups", "{}")
        assert.strictEqual(Buffer.from((yield* other.next("Response")).body).toString(), "[]")
        for (const method of ["group", "group.remove", "group.pause"]) {
          other.request(method, JSON.stringify({ name: group.name }))
          // As of one that there is not.
          assert.strictEqual((yield* other.next("Failure")).code, "unknown-group")
        }
        other.request("group.create", JSON.stringify({ name: group.name, pattern: "jobs" }))
        assert.strictEqual((yield* other.next("Failure")).code, "forbidden")
      }
    }).pipe(Effect.scoped, Effect.provide(secureHub({ authKeys: [ann.entry, ben.entry] })))
  )

  it.live("client ids - those that consumerGroups name are shared, and no others may be used", () => {
    const [cat, dan] = [named("cat", "shared"), named("dan", "shared", "own")]
    return Effect.gen(function* () {
      yield* poll(cat.key, "shared")
      yield* publish(cat.key, 1)
      const { messages } = (yield* poll(cat.key, "shared", 5)).json
      const ids = messages.map(({ message_id }) => message_id)
      assert.lengthOf(ids, 1)
      assert.deepStrictEqual((yield* poll(dan.key, "shared")).json.messages, [])
      assert.strictEqual((yield* acknowledge(dan.key, "shared", ids)).json.acknowledged, 1)
      assert.strictEqual((yield* poll(cat.key, "own")).json.code, "FORBIDDEN")
      assert.strictEqual((yield* acknowledge(cat.key, "own", ids)).json.code, "FORBIDDEN")
      assert.strictEqual((yield* poll(dan.key, "own")).status, 200)
      const peer = yield* jsonPeer(cat.key)
      peer.send({ type: "subscribe", topics: ["jobs"], client_id: "own" })
      assert.deepInclude((yield* peer.nextOf("error")).error, { code: "FORBIDDEN" })
      peer.send({ type: "subscribe", topics: ["jobs"], client_id: "shared" })
      yield* peer.nextOf("ack")
    }).pipe(Effect.scoped, Effect.provide(secureHub({ authKeys: [cat.entry, dan.entry] })))
  })

  it.live("client ids - a channel's name is told to nobody who does not know it", () =>
    Effect.gen(function* () {
      const root = yield* admitted(tcpClient, ann.key)
      root.request("topics", JSON.stringify({ pattern: "$channel.>" }))
      assert.strictEqual((yield* root.next("Failure")).code, "reserved-topic")
      for (const pattern of ["$channel.*", "$channel.>"]) {
        const { request } = root.askToSubscribe(pattern)
        const failure = yield* root.next("Failure", (frame) => frame.request === request)
        assert.include(["forbidden", "reserved-topic"], failure.code)
      }
    }).pipe(Effect.scoped, Effect.provide(secureHub({ authKeys: [ann.entry] })))
  )
})
