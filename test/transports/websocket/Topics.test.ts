/** Requests about several topics: what is refused of them is named, and the rest is done; and what all of them may ask. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Hub } from "../../../src/actors/Hub.ts"
import { problemOf } from "../../../src/protocol/json/Problem.ts"
import { PatternSet } from "../../../src/protocol/PatternSet.ts"
import { anonymous } from "../../../src/services/auth/Identity.ts"
import { WebServer } from "../../../src/transports/WebServer.ts"
import { keyFor, secureHub } from "../security/SecureHub.ts"
import { connectJson, type JsonPeer, openJson, type Said } from "./JsonPeer.ts"
import { WebSocketHub, webSocketHub } from "./WebSocketHub.ts"

const connect = Effect.flatMap(WebSocketHub, ({ url }) => connectJson(url))

const publish = (topic: string, id: string, fields = {}) => ({
  type: "publish",
  topic,
  message: { id, payload: id, ...fields },
  request_id: id
})

/** The next so many answers: what each is about, and its code if it is an error. */
const answers = (peer: JsonPeer, count: number) =>
  Effect.gen(function* () {
    const told: Array<unknown> = []
    while (told.length < count) {
      const { error, request_id, topic, topics, type } = yield* peer.next
      told.push([type, request_id, topic ?? topics, (error as { code: string } | undefined)?.code])
    }
    return told
  })

/** Whether nothing but this answer is on its way. */
const isQuiet = Effect.fnUntraced(function* (peer: JsonPeer) {
  peer.send({ type: "ping" })
  assert.strictEqual((yield* peer.next).type, "pong")
})

layer(webSocketHub(), { excludeTestServices: true })("websocket topics", (it) => {
  for (const client_id of [undefined, "c"]) {
    const how = client_id === undefined ? "live" : "with a client_id"
    it.effect(`topics - each that is refused has its own error, and the ack names the rest, ${how}`, () =>
      Effect.gen(function* () {
        const peer = yield* connect
        const topics = ["a", "b..c", "$sys.x", "d.>", ""]
        peer.send({ type: "subscribe", topics, client_id, request_id: 1 })
        const told = yield* answers(peer, 4)
        assert.sameDeepMembers(told, [
          ["error", 1, "b..c", "INVALID_TOPIC"],
          ["error", 1, "", "INVALID_TOPIC"],
          ["error", 1, "$sys.x", "FORBIDDEN"],
          ["ack", 1, ["a", "d.>"], undefined]
        ])
        yield* isQuiet(peer)
        const other = yield* connect
        other.send(publish("d.x", `${how} 1`))
        assert.deepInclude(yield* peer.nextOf("message"), { topic: "d.x" })
        peer.send({ type: "unsubscribe", topics: ["a", "b..c", "nope", "d.>"], request_id: 2 })
        assert.deepStrictEqual(yield* answers(peer, 3), [
          ["error", 2, "b..c", "INVALID_TOPIC"],
          ["error", 2, "nope", "NOT_SUBSCRIBED"],
          ["ack", 2, ["a", "d.>"], undefined]
        ])
      })
    )

    it.effect(`topics - if all are refused there are errors and no ack, ${how}`, () =>
      Effect.gen(function* () {
        const peer = yield* connect
        peer.send({ type: "subscribe", topics: ["b..c", "$sys.x"], client_id, request_id: 1 })
        assert.deepStrictEqual(yield* answers(peer, 2), [
          ["error", 1, "b..c", "INVALID_TOPIC"],
          ["error", 1, "$sys.x", "FORBIDDEN"]
        ])
        peer.send({ type: "subscribe", topics: ["b..c"], client_id, request_id: 2 })
        assert.deepStrictEqual(yield* answers(peer, 1), [["error", 2, "b..c", "INVALID_TOPIC"]])
        yield* isQuiet(peer)
      })
    )
  }

  it.effect("topics - an error about one topic names it, in whatever was asked", () =>
    Effect.gen(function* () {
      const peer = yield* connect
      peer.send({ type: "subscribe", topic: "a..b", request_id: 1 })
      peer.send({ type: "subscribe", topic: "a", last_n: -1, request_id: 2 })
      peer.send({ type: "publish", topic: "a", request_id: 3 })
      peer.send({ type: "subscribe", topic: "a", topics: ["b"], request_id: 4 })
      assert.deepStrictEqual(yield* answers(peer, 4), [
        ["error", 1, "a..b", "INVALID_TOPIC"],
        ["error", 2, "a", "BAD_REQUEST"],
        ["error", 3, "a", "MISSING_MESSAGE"],
        ["error", 4, undefined, "BAD_REQUEST"]
      ])
    })
  )

  it.effect("topics - a receipt has the id that the publisher gave", () =>
    Effect.gen(function* () {
      const peer = yield* connect
      for (const fields of [{}, { deliver_at: Date.now() + 600_000 }]) {
        const id = `mine ${Object.keys(fields).length}`
        peer.send(publish("receipts", id, fields))
        const { receipt } = yield* peer.nextOf("ack")
        assert.deepInclude(receipt, { id, topic: "receipts", duplicate: false })
      }
    })
  )

  for (const [dialect, asked, payloadOf] of [
    ["topic", { topic: "topic.*" }, (said: Said) => (said.message as Said).payload],
    ["topics", { topics: ["topics.*"] }, (said: Said) => said.payload]
  ] as const) {
    it.effect(
      `echo - with \`${dialect}\`, what a client publishes itself comes to it unless it says no`,
      () =>
        Effect.gen(function* () {
          const [silent, loud, other] = [yield* connect, yield* connect, yield* connect]
          silent.send({ type: "subscribe", ...asked, echo: false })
          loud.send({ type: "subscribe", ...asked, echo: true })
          for (const peer of [silent, loud]) yield* peer.nextOf("ack")
          silent.send(publish(`${dialect}.a`, "silent"))
          loud.send(publish(`${dialect}.a`, "loud"))
          other.send(publish(`${dialect}.a`, "other"))
          /** The payloads that come to it beside the answer to its own publish. */
          const heard = Effect.fnUntraced(function* (peer: JsonPeer, count: number) {
            const said: Array<Said> = []
            while (said.length <= count) said.push(yield* peer.next)
            yield* isQuiet(peer)
            return said.filter(({ type }) => type !== "ack").map(payloadOf)
          })
          assert.sameMembers(yield* heard(loud, 3), ["silent", "loud", "other"])
          assert.sameMembers(yield* heard(silent, 2), ["loud", "other"])
        })
    )
  }

  it.effect("echo - what is left out live is left out of the past too", () =>
    Effect.gen(function* () {
      const [peer, other] = [yield* connect, yield* connect]
      peer.send(publish("hall", "mine"))
      yield* peer.nextOf("ack")
      other.send(publish("hall", "theirs"))
      yield* other.nextOf("ack")
      peer.send({ type: "subscribe", topic: "hall", last_n: 5, echo: false })
      yield* peer.nextOf("ack")
      assert.deepInclude((yield* peer.nextOf("event")).message, { id: "theirs" })
      yield* isQuiet(peer)
    })
  )

  for (const [field, value] of [
    ["last_n", 5],
    ["overflow", "wait"],
    ["echo", false]
  ] as const) {
    it.effect(`topics - \`${field}\` does not go with a client_id, and the error names both`, () =>
      Effect.gen(function* () {
        const peer = yield* connect
        peer.send({ type: "subscribe", topics: ["a"], client_id: "c", [field]: value })
        const { code, message } = (yield* peer.next).error as { code: string; message: string }
        assert.strictEqual(code, "BAD_REQUEST")
        assert.include(message, `\`${field}`)
        assert.include(message, "`client_id`")
        // In the dialect where it says nothing, nothing speaks against it.
        peer.send({ type: "subscribe", topic: "a", client_id: "c", [field]: value })
        assert.strictEqual((yield* peer.next).type, "ack")
      })
    )
  }
})

const patterns = (text: string): PatternSet => {
  const set = PatternSet.make([text])
  return set instanceof PatternSet ? set : PatternSet.none
}

describe("websocket refusals", () => {
  const someone = {
    ...anonymous,
    kind: "jwt" as const,
    id: "someone",
    publish: patterns("mine.>"),
    subscribe: patterns("news.*"),
    groups: patterns("someone")
  }

  it.live("refusals - what is forbidden is named, and what is not is done", () =>
    Effect.gen(function* () {
      const peer = yield* connect
      peer.send({ type: "subscribe", topics: ["news.*", "other", "news.>"], request_id: 1 })
      peer.send(publish("other", "p"))
      peer.send({ type: "subscribe", topics: ["news.*"], client_id: "else", request_id: 2 })
      const errors = [yield* peer.next, yield* peer.next]
      for (const { error, topic } of errors) {
        assert.deepInclude(error, { code: "FORBIDDEN" })
        assert.include((error as { message: string }).message, `'${topic}'`)
      }
      assert.deepStrictEqual(
        errors.map(({ topic }) => topic),
        ["other", "news.>"]
      )
      assert.sameDeepMembers(yield* answers(peer, 3), [
        ["ack", 1, ["news.*"], undefined],
        ["error", "p", "other", "FORBIDDEN"],
        ["error", 2, undefined, "FORBIDDEN"]
      ])
    }).pipe(
      Effect.scoped,
      Effect.provide(Layer.fresh(webSocketHub({}, { authenticate: () => Effect.succeed(someone) })))
    )
  )

  it.live("refusals - each is counted once, also what the hub was never asked", () => {
    let left = 1
    const hub = webSocketHub(
      {},
      {
        authenticate: () => Effect.succeed(someone),
        admission: () => () =>
          left-- > 0 ? Effect.void : Effect.fail(problemOf("RATE_LIMITED", undefined, 30))
      }
    )
    return Effect.gen(function* () {
      const { metrics } = yield* Hub
      const peer = yield* connect
      const counted = Effect.fnUntraced(function* (
        count: number,
        expected: Readonly<Record<string, number>>
      ) {
        yield* answers(peer, count)
        assert.deepStrictEqual({ ...(yield* metrics).refusals }, expected)
      })
      peer.sendRaw("{")
      yield* counted(1, { INVALID_JSON: 1 })
      peer.send({ type: "subscribe", topics: ["other", "more", "a..b"] })
      yield* counted(3, { INVALID_JSON: 1, FORBIDDEN: 2, INVALID_TOPIC: 1 })
      peer.send({ type: "subscribe", topics: ["news.*"], client_id: "else" })
      yield* counted(1, { INVALID_JSON: 1, FORBIDDEN: 3, INVALID_TOPIC: 1 })
      peer.send(publish("other", "p"))
      yield* counted(1, { INVALID_JSON: 1, FORBIDDEN: 4, INVALID_TOPIC: 1 })
      peer.send(publish("mine.a", "q"))
      yield* counted(1, { INVALID_JSON: 1, FORBIDDEN: 4, INVALID_TOPIC: 1, RATE_LIMITED: 1 })
    }).pipe(Effect.scoped, Effect.provide(Layer.fresh(hub)))
  })

  it.live("refusals - a WebSocket that its identity may not have leaves one line in the log", () => {
    const alice = keyFor("alice", { limits: { connections: 1 } })
    const lines: Array<string> = []
    return Effect.gen(function* () {
      const { port } = yield* WebServer
      const url = `ws://127.0.0.1:${port}/ws?token=${alice.key}`
      yield* connectJson(url)
      const second = yield* openJson(url)
      assert.deepStrictEqual(yield* second.closed, { code: 3005, reason: "too-many-connections" })
      const about = () =>
        lines
          .filter((line) => line.startsWith("{"))
          .map((line) => JSON.parse(line))
          .filter(({ message }) => message === "refused" || message === "connection ended")
      yield* Effect.repeat(isQuietLog(lines), { until: () => about().length > 0 })
      assert.lengthOf(about(), 1)
      assert.deepInclude(about()[0].annotations, { code: "TOO_MANY_CONNECTIONS", transport: "websocket" })
    }).pipe(Effect.scoped, Effect.provide(secureHub({ authKeys: [alice.entry] }, {}, lines)))
  })
})

/** Lets what is still to be logged be logged. */
const isQuietLog = (lines: ReadonlyArray<string>): Effect.Effect<void> =>
  Effect.suspend(() => {
    const before = lines.length
    return Effect.flatMap(Effect.sleep(20), () => (lines.length === before ? Effect.void : isQuietLog(lines)))
  })
