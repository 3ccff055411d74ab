/** What one client of the web may have of what the hub keeps for it, over real sockets: groups, and held messages. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { WebServer } from "../../src/transports/WebServer.ts"
import { member } from "../actors/groups/GroupClient.ts"
import { ask, json, postJson, publish, webHub } from "./http/WebHub.ts"
import { connectJson } from "./websocket/JsonPeer.ts"

const connect = Effect.flatMap(WebServer, ({ port }) => connectJson(`ws://127.0.0.1:${port}/ws`))

describe("client limits", () => {
  it.live(
    "client limits - so many groups, whichever client_id and transport made them; the limit is named",
    () =>
      Effect.gen(function* () {
        const poll = (id: string) => ask(`/api/v1/poll?topics=a&client_id=${id}&timeout=0`)
        for (const id of ["one", "two"]) assert.strictEqual((yield* poll(id)).status, 200)
        const third = yield* poll("three")
        assert.deepInclude(third.json, { status: 403, code: "LIMIT_REACHED" })
        assert.include(third.json.detail, "maxGroupsPerClient")
        const peer = yield* connect
        peer.send({ type: "subscribe", topics: ["a"], client_id: "four" })
        const { error } = yield* peer.next
        assert.deepInclude(error, { code: "LIMIT_REACHED" })
        assert.include(JSON.stringify(error), "maxGroupsPerClient")
        // Those that are there are used as before.
        assert.strictEqual((yield* poll("two")).status, 200)
        peer.send({ type: "subscribe", topics: ["a"], client_id: "one" })
        assert.strictEqual((yield* peer.next).type, "ack")
      }).pipe(Effect.scoped, Effect.provide(webHub({ maxGroupsPerClient: 2 })))
  )

  it.live(
    "client limits - a group of a client_id is one that goes when it is not used, whatever made it",
    () =>
      Effect.gen(function* () {
        const peer = yield* connect
        peer.send({ type: "subscribe", topics: ["a"], client_id: "one" })
        assert.strictEqual((yield* peer.next).type, "ack")
        yield* ask("/api/v1/poll?topics=a&client_id=two&timeout=0")
        const inside = yield* member()
        const groups = yield* inside.ask("groups")
        assert.deepStrictEqual(
          Array.isArray(groups) && groups.map(({ inactiveThreshold, name }) => [name, inactiveThreshold]),
          [
            ["one~a", 5000],
            ["two~a", 5000]
          ]
        )
      }).pipe(Effect.scoped, Effect.provide(webHub({ clientGroupInactiveThreshold: 5000 })))
  )

  it.live("client limits - DELAY_TOO_LONG: a deliver_at that is too far off, on every way in", () =>
    Effect.gen(function* () {
      const now = Date.now()
      const [near, far] = [now + 3_500_000, now + 3_700_000]
      const problem = { status: 422, code: "DELAY_TOO_LONG" }
      const one = yield* publish("a", 1, { deliver_at: far })
      assert.deepInclude(one.json, problem)
      assert.include(one.json.detail, "maxDelay")
      const text = { "content-type": "text/plain" }
      const raw = (at: number) =>
        ask(`/api/v1/messages?topic=a&deliver_at=${at}`, { headers: text, body: "x" })
      assert.deepInclude((yield* raw(far)).json, problem)
      const messages = [near, far].map((at) => ({ topic: "a", payload: 1, deliver_at: at }))
      const bulk = yield* postJson("/api/v1/messages/bulk", { messages })
      const lines = yield* ask("/api/v1/messages/bulk", {
        headers: { ...json, "content-type": "application/x-ndjson" },
        body: messages.map((message) => `${JSON.stringify(message)}\n`).join("")
      })
      assert.deepInclude(bulk.json, { accepted: 1, rejected: 1 })
      assert.deepInclude(bulk.json.results[1]?.error, { code: "DELAY_TOO_LONG" })
      assert.include(lines.text, "DELAY_TOO_LONG")
      const peer = yield* connect
      const send = (id: string, deliver_at: number) =>
        peer.send({ type: "publish", topic: "a", message: { id, payload: 1, deliver_at }, request_id: id })
      send("far", far)
      assert.deepInclude((yield* peer.next).error, { code: "DELAY_TOO_LONG" })
      send("near", near)
      assert.strictEqual((yield* peer.next).type, "ack")
      for (const answer of [yield* publish("a", 1, { deliver_at: near }), yield* raw(near)])
        assert.strictEqual(answer.status, 202)
    }).pipe(Effect.scoped, Effect.provide(webHub({ maxDelay: 3_600_000 })))
  )
})
