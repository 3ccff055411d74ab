/**
 * The codes that only a hub in trouble or at its limits answers, over real sockets: by WebSocket and by HTTP, with the
 * time to wait where the same request may succeed later. The clients' own mistakes are with what they were made with.
 */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Schedule } from "effect"
import { Hub } from "../../src/actors/Hub.ts"
import type { LocalOutlet } from "../../src/actors/LocalConnection.ts"
import { problemKinds } from "../../src/protocol/json/Problem.ts"
import { notGiven, unlimitedCredit } from "../../src/protocol/Op.ts"
import { Auth } from "../../src/services/Auth.ts"
import { AuthError } from "../../src/services/auth/AuthError.ts"
import type { SettingsInput } from "../../src/services/Settings.ts"
import { clientGroupName } from "../../src/transports/ClientGroup.ts"
import { WebServer } from "../../src/transports/WebServer.ts"
import { Faults, failingLog } from "../actors/FailingLog.ts"
import { hubWith } from "../actors/TestHub.ts"
import { type Answer, ask, json, postJson, publish, webHub } from "./http/WebHub.ts"
import { connectJson } from "./websocket/JsonPeer.ts"

const connect = Effect.flatMap(WebServer, ({ port }) => connectJson(`ws://127.0.0.1:${port}/ws`))

/** A hub whose log does what the test says. */
const failingHub = (faults: Faults, input: SettingsInput = {}) =>
  WebServer.layer.pipe(
    Layer.provideMerge(hubWith({ port: 0, httpPort: 0, ...input }, failingLog(faults))),
    Layer.provideMerge(Auth.layerOff),
    Layer.provideMerge(NodeFileSystem.layer),
    Layer.provide(Logger.layer([]))
  )

const waits = (answer: Answer) => Number(answer.headers["retry-after"])

const message = (id: string) => ({ type: "publish", topic: "a", message: { id, payload: 1 }, request_id: id })

const quietOutlet: LocalOutlet = {
  isWritable: true,
  isWaiting: false,
  deliver: () => {},
  control: () => {},
  pumpLater: () => {},
  ended: () => {},
  isTaking: () => true
}

describe("codes", () => {
  for (const [code, reason] of [
    ["STORAGE_FULL", "full"],
    ["TOPIC_FAILED", "io"]
  ] as const) {
    it.live(`codes - ${code} by HTTP, in bulk and by WebSocket; what comes afterwards is taken`, () => {
      const faults = new Faults()
      faults.holdsBack.add("a")
      /** Refuses so many batches, once they are there. */
      const refuse = (count: number) =>
        Effect.sync(() => faults.waitingFor("a") >= count).pipe(
          Effect.repeat({ until: (there) => there, schedule: Schedule.spaced("2 millis") }),
          Effect.andThen(Effect.sync(() => faults.refuse("a", count, reason)))
        )
      return Effect.gen(function* () {
        const peer = yield* connect
        yield* Effect.forkScoped(refuse(1))
        const one = yield* publish("a", 1)
        assert.deepInclude(one.json, { status: 503, code })
        assert.strictEqual(waits(one), problemKinds[code].retryAfter)
        yield* Effect.forkScoped(refuse(1))
        const many = yield* postJson("/api/v1/messages/bulk", {
          messages: [
            { topic: "a", payload: 1 },
            { topic: "b", payload: 1 }
          ]
        })
        assert.deepInclude(many.json, { accepted: 1, rejected: 1 })
        assert.strictEqual(many.json.results[0]?.error?.code, code)
        assert.include(many.text, `"retry_after":${problemKinds[code].retryAfter}`)
        yield* Effect.forkScoped(refuse(1))
        peer.send(message("x"))
        const said = yield* peer.nextOf("error")
        assert.strictEqual(said.request_id, "x")
        assert.deepInclude(said.error, { code, retry_after: problemKinds[code].retryAfter })
        faults.holdsBack.clear()
        peer.send(message("y"))
        assert.deepInclude(yield* peer.nextOf("ack"), { request_id: "y" })
        assert.strictEqual((yield* publish("a", 1)).status, 202)
      }).pipe(Effect.scoped, Effect.provide(failingHub(faults)))
    })
  }

  it.live("codes - LIMIT_REACHED: more subscriptions than are allowed; those that are there go on", () =>
    Effect.gen(function* () {
      const peer = yield* connect
      for (let n = 0; n < 5; n++) peer.send({ type: "subscribe", topic: `t${n}`, request_id: n })
      const said = [yield* peer.next, yield* peer.next, yield* peer.next, yield* peer.next, yield* peer.next]
      assert.deepStrictEqual(
        said.map(({ type }) => type),
        ["ack", "ack", "ack", "error", "error"]
      )
      assert.deepInclude(said[3]?.error, { code: "LIMIT_REACHED" })
      peer.send({ type: "subscribe", topics: ["g"], client_id: "c" })
      assert.deepInclude((yield* peer.next).error, { code: "LIMIT_REACHED" })
      yield* publish("t2", 1)
      assert.strictEqual((yield* peer.next).type, "event")
      // One that ends makes room for another.
      peer.send({ type: "unsubscribe", topic: "t0" })
      yield* peer.nextOf("ack")
      peer.send({ type: "subscribe", topic: "t3", request_id: 3 })
      assert.deepInclude(yield* peer.next, { type: "ack", request_id: 3 })
      const stream = yield* ask("/api/v1/stream?topics=a,b,c,d")
      assert.deepInclude(stream.json, { status: 403, code: "LIMIT_REACHED" })
    }).pipe(Effect.scoped, Effect.provide(webHub({ maxSubscriptionsPerSession: 3 })))
  )

  it.live("codes - LIMIT_REACHED: more topics and more groups than are allowed", () =>
    Effect.gen(function* () {
      yield* publish("a", 1)
      const peer = yield* connect
      peer.send({ type: "publish", topic: "b", message: { id: "m", payload: 1 } })
      assert.deepInclude((yield* peer.next).error, { code: "LIMIT_REACHED" })
      assert.deepInclude((yield* publish("b", 1)).json, { status: 403, code: "LIMIT_REACHED" })
      assert.deepInclude((yield* postJson("/topics", { name: "b" })).json, {
        status: 403,
        code: "LIMIT_REACHED"
      })
      yield* ask("/api/v1/poll?topics=a&client_id=one&timeout=0")
      const second = yield* ask("/api/v1/poll?topics=a&client_id=two&timeout=0")
      assert.deepInclude(second.json, { status: 403, code: "LIMIT_REACHED" })
    }).pipe(Effect.scoped, Effect.provide(webHub({ maxTopics: 1, maxGroups: 1 })))
  )

  it.live("codes - CONFLICT: a group of the client's name was made for something else", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const other = yield* hub.connectLocal(quietOutlet)
      other.send({ _tag: "Open", session: 1, request: 1, id: "other", incarnation: 0, name: "" })
      other.send({
        _tag: "Join",
        session: 1,
        request: 2,
        subscription: 1,
        group: clientGroupName("one", "a"),
        pattern: "else.*",
        creditMessages: unlimitedCredit,
        creditBytes: unlimitedCredit,
        start: { _tag: "Now" },
        order: "any",
        ackWait: notGiven.u32,
        maxDeliveries: notGiven.u16,
        maxInFlight: notGiven.u32,
        backoff: notGiven.u32,
        maxBackoff: notGiven.u32
      })
      const polled = yield* ask("/api/v1/poll?topics=a&client_id=one&timeout=0")
      assert.deepInclude(polled.json, { status: 409, code: "CONFLICT" })
      const peer = yield* connect
      peer.send({ type: "subscribe", topics: ["a"], client_id: "one", request_id: 1 })
      const said = yield* peer.next
      assert.strictEqual(said.request_id, 1)
      assert.deepInclude(said.error, { code: "CONFLICT" })
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.live("codes - GROUP_NOT_FOUND: the group was removed while its client was there", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const peer = yield* connect
      peer.send({ type: "subscribe", topics: ["a"], client_id: "one" })
      yield* peer.nextOf("ack")
      const other = yield* hub.connectLocal(quietOutlet)
      const body = new TextEncoder().encode(JSON.stringify({ name: clientGroupName("one", "a") }))
      yield* other.request("group.remove", body)
      assert.deepInclude((yield* peer.next).error, { code: "GROUP_NOT_FOUND" })
      peer.send({ type: "subscribe", topics: ["a"], client_id: "one", request_id: 1 })
      assert.deepInclude(yield* peer.next, { type: "ack", request_id: 1 })
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  for (const [reason, code, status, header, value] of [
    ["missing", "UNAUTHORIZED", 401, "www-authenticate", /^Bearer$/],
    ["bad-signature", "UNAUTHORIZED", 401, "www-authenticate", /^Bearer$/],
    ["expired", "TOKEN_EXPIRED", 401, "www-authenticate", /^Bearer error="invalid_token".*expired/],
    ["jwks-unavailable", "AUTH_UNAVAILABLE", 503, "retry-after", /^5$/]
  ] as const) {
    it.live(`codes - ${code}: of a token, ${reason}, by HTTP and before there is a WebSocket`, () => {
      const refusing = Layer.succeed(
        Auth,
        Auth.of({
          isOn: true,
          authenticate: () => Effect.fail(new AuthError({ reason })),
          holds: () => Effect.succeed("holds")
        })
      )
      const upgrade = {
        connection: "Upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="
      }
      return Effect.gen(function* () {
        for (const [path, asking] of [
          ["/api/v1/messages", { headers: { ...json, authorization: "Bearer x" }, body: "{}" }],
          ["/api/v1/poll?topics=a", {}],
          ["/api/v1/stream?topics=a&token=x", {}],
          ["/stats", {}],
          ["/ws?token=x", { headers: upgrade }]
        ] as const) {
          const answer = yield* ask(path, asking)
          assert.strictEqual(answer.status, status, path)
          assert.deepInclude(answer.json, { status, code }, path)
          assert.match(String(answer.headers[header]), value, path)
        }
        // These ask nobody.
        for (const path of ["/health", "/ready"]) assert.strictEqual((yield* ask(path)).status, 200)
      }).pipe(
        Effect.provide(
          WebServer.layer.pipe(
            Layer.provideMerge(hubWith({ port: 0, httpPort: 0 })),
            Layer.provideMerge(refusing),
            Layer.provideMerge(NodeFileSystem.layer)
          )
        )
      )
    })
  }

  it.live(
    "codes - INTERNAL: a publish or another request that breaks is counted, and named in its answer",
    () => {
      const broken = Layer.succeed(
        Auth,
        Auth.of({
          isOn: true,
          authenticate: () => Effect.die(new Error("broken")),
          holds: () => Effect.succeed("holds")
        })
      )
      return Effect.gen(function* () {
        const hub = yield* Hub
        for (const [count, asked] of [publish("a", 1), ask("/stats")].entries()) {
          const { json: problem } = yield* asked
          assert.deepInclude(problem, { status: 500, code: "INTERNAL" })
          assert.match(JSON.stringify(problem), /"instance":"urn:uuid:/)
          assert.strictEqual((yield* hub.metrics).refusals.INTERNAL, count + 1)
        }
        assert.strictEqual((yield* hub.metrics).messagesRejected, 1)
      }).pipe(
        Effect.provide(
          WebServer.layer.pipe(
            Layer.provideMerge(hubWith({ port: 0, httpPort: 0 })),
            Layer.provideMerge(broken),
            Layer.provideMerge(NodeFileSystem.layer),
            Layer.provide(Logger.layer([]))
          )
        )
      )
    }
  )

  it.live("codes - INTERNAL: a hub that cannot go on is not ready, and says so", () => {
    const faults = new Faults()
    return Effect.gen(function* () {
      assert.strictEqual((yield* ask("/ready")).status, 200)
      faults.throws.set("a", 1_000_000)
      const ready = yield* Effect.andThen(publish("a", 1), ask("/ready")).pipe(
        Effect.repeat({ until: ({ status }) => status !== 200, schedule: Schedule.spaced("10 millis") })
      )
      assert.deepInclude(ready.json, { status: 503, code: "INTERNAL" })
    }).pipe(
      Effect.scoped,
      Effect.provide(failingHub(faults, { restartLimit: 2, restartBackoff: 1, drainTimeout: 100 }))
    )
  })
})
