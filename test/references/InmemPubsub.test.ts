/** The messages and addresses of inmem-pubsub's document, as they are written there. */
import { dirname } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { WebServer } from "../../src/transports/WebServer.ts"
import { describeWith } from "../Tools.ts"
import { connectJson, type Said } from "../transports/websocket/JsonPeer.ts"
import { apiKey, bash, guardedHub, message, openHub } from "./ReferenceHub.ts"

const connect = Effect.flatMap(WebServer, ({ port }) => connectJson(`ws://localhost:${port}/ws`))
const connectWithKey = Effect.flatMap(WebServer, ({ port }) =>
  connectJson(`ws://localhost:${port}/ws?token=${apiKey}`)
)

/** As the document shows it; the time is now's, and the topic is told besides. */
const documented = (name: string): Said => {
  const { ts: _, ...rest }: Said = JSON.parse(message(name))
  return rest
}

describe("reference inmem-pubsub", () => {
  for (const { hub, opened } of [
    { hub: openHub, opened: connect },
    { hub: guardedHub, opened: connectWithKey }
  ]) {
    it.live(`inmem-pubsub - subscribe, publish, ping, unsubscribe, where ${hub.name}`, () =>
      Effect.gen(function* () {
        const peer = yield* opened
        if (!hub.isGuarded) {
          peer.sendRaw(message("subscribe"))
          const ack = yield* peer.next
          assert.deepInclude(ack, documented("acknowledgment"))
          assert.match(String(ack.ts), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
        }
        peer.sendRaw(message("publish"))
        const said = [yield* peer.next, ...(hub.isGuarded ? [] : [yield* peer.next])]
        const published = said.find(({ type }) => type === "ack")
        assert.deepInclude(published, { request_id: "req-125", topic: "news" })
        if (!hub.isGuarded) {
          const event = said.find(({ type }) => type === "event")
          assert.deepInclude(event, {
            topic: "news",
            message: { id: "msg-456", payload: "Breaking news!" }
          })
        }
        peer.sendRaw(message("ping"))
        assert.deepInclude(yield* peer.next, { type: "pong", request_id: "req-126" })
        peer.sendRaw(message("unsubscribe"))
        const last = yield* peer.next
        if (hub.isGuarded) assert.deepInclude(last.error, { code: "NOT_SUBSCRIBED" })
        else
          assert.deepInclude(last, {
            type: "ack",
            request_id: "req-124",
            message: { id: "ack", payload: "Unsubscribed from topic 'news'" }
          })
      }).pipe(Effect.scoped, Effect.provide(hub.layer()))
    )
  }

  it.live("inmem-pubsub - a topic that nobody made is the document's error", () =>
    Effect.gen(function* () {
      const peer = yield* connect
      peer.send({ type: "subscribe", topic: "nonexistent" })
      assert.deepInclude(yield* peer.next, documented("error"))
    }).pipe(Effect.scoped, Effect.provide(openHub.layer({ autoCreateTopics: false })))
  )
})

describeWith("curl", "reference inmem-pubsub, its addresses", (curl) => {
  it.live("inmem-pubsub - topics are made, listed, counted and deleted", () =>
    Effect.gen(function* () {
      const { port } = yield* WebServer
      const ask = (options: string, path: string) =>
        Effect.map(
          bash(`curl -s -w '\\n%{http_code}' ${options} http://localhost:${port}${path}`, dirname(curl)),
          (text): { readonly status: string; readonly json: Said } => {
            const [body = "", status = ""] = text.split("\n")
            return { status, json: JSON.parse(body) }
          }
        )
      const create = `-X POST -H 'Content-Type: application/json' -d '{"name": "news"}'`
      assert.deepStrictEqual(yield* ask(create, "/topics"), {
        status: "201",
        json: { message: "Topic 'news' created", topic: "news" }
      })
      const again = yield* ask(create, "/topics")
      assert.strictEqual(again.status, "409")
      assert.strictEqual(again.json.code, "TOPIC_EXISTS")
      const peer = yield* connect
      peer.sendRaw(message("subscribe"))
      yield* peer.nextOf("ack")
      peer.sendRaw(message("publish"))
      yield* peer.nextOf("event")
      const listed = yield* ask("", "/topics")
      assert.deepStrictEqual(listed.json, {
        topics: [{ name: "news", subscribers: 1, messages: 1, dropped: 0 }]
      })
      const health = yield* ask("", "/health")
      assert.deepInclude(health.json, { status: "healthy", topics_count: 1, total_subscribers: 1 })
      assert.isNumber(health.json.uptime_seconds)
      const stats = yield* ask("", "/stats")
      assert.deepInclude(stats.json, { total_topics: 1, total_messages: 1, total_delivered: 1 })
      const [topic] = Array.isArray(stats.json.topics) ? stats.json.topics : []
      assert.deepInclude(topic, { name: "news", subscribers: 1, messages: 1, delivered: 1, dropped: 0 })
      assert.deepStrictEqual(yield* ask("-X DELETE", "/topics/news"), {
        status: "200",
        json: { message: "Topic 'news' deleted", topic: "news" }
      })
      assert.strictEqual((yield* ask("-X DELETE", "/topics/news")).status, "404")
    }).pipe(Effect.scoped, Effect.provide(openHub.layer()))
  )
})
