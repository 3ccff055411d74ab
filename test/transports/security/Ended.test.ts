/** What is open when a token expires, or when a key is taken back or changed, does not outlive it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Redacted, Schedule } from "effect"
import { Hub } from "../../../src/actors/Hub.ts"
import type { HubMetrics } from "../../../src/services/HubMetrics.ts"
import { WebServer } from "../../../src/transports/WebServer.ts"
import { makeFolder, secret } from "../../services/auth/Tokens.ts"
import { ask, eventsIn, json, openStream, rawSocket } from "../http/WebHub.ts"
import { connectJson } from "../websocket/JsonPeer.ts"
import { admitted, bearer, binaryClient, keyFor, secureHub, tcpClient, tokenOf } from "./SecureHub.ts"

const rights = { publish: [">"], subscribe: [">"] }

const jsonPeer = (token: string) =>
  Effect.flatMap(WebServer, ({ port }) => connectJson(`ws://127.0.0.1:${port}/ws?token=${token}`))

const polled = (token: string, more = "") =>
  Effect.forkScoped(ask(`/api/v1/poll?topics=a&timeout=30${more}`, { headers: bearer(token) }), {
    startImmediately: true
  })

/** Messages line by line, of which the last has not come yet. */
const lines = (token: string) =>
  Effect.gen(function* () {
    const raw = yield* rawSocket
    raw.write(
      `POST /api/v1/messages/bulk HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n`
    )
    const line = '{"topic":"l","payload":1}\n'
    const more = () => raw.write(`${line.length.toString(16)}\r\n${line}\r\n`)
    more()
    yield* raw.says(/message_id/)
    return { raw, more }
  })

/** Waits until the hub says so of itself. */
const until = (isSo: (metrics: HubMetrics) => boolean) =>
  Effect.flatMap(Hub, ({ metrics }) =>
    Effect.repeat(metrics, { until: isSo, schedule: Schedule.spaced("2 millis") })
  )

/** The last event, and the end of the response; its socket may be used again. */
const streamEnd = /event: close[\s\S]*\r\n0\r\n\r\n$/

/** Everything that may be open, with this token. */
const openAll = Effect.fnUntraced(function* (token: string) {
  const stream = yield* openStream("/api/v1/stream?topics=a", bearer(token))
  const poll = yield* polled(token)
  const clientPoll = yield* polled(token, "&client_id=x")
  const peer = yield* jsonPeer(token)
  peer.send({ type: "subscribe", topic: "a" })
  yield* peer.nextOf("ack")
  const tcp = yield* admitted(tcpClient, token)
  const binary = yield* admitted(binaryClient, token)
  const bulk = yield* lines(token)
  return { stream, poll, clientPoll, peer, tcp, binary, bulk }
})

/**
 * What is opened with a token before that expires. A machine that is too busy for the first token has another, which
 * lives longer.
 */
const openedWith = Effect.fnUntraced(function* <A, E, R>(open: (token: string) => Effect.Effect<A, E, R>) {
  for (let seconds = 1; ; seconds *= 3) {
    const exp = Date.now() / 1000 + seconds
    const token = yield* tokenOf({ exp, ...rights })
    const opened = yield* Effect.exit(Effect.timeout(open(token), seconds * 1000))
    if (Exit.isSuccess(opened) && Date.now() < exp * 1000) return { exp, token, open: opened.value }
  }
})

describe("what is open", () => {
  it.live("what is open - ends when its token expires, and is told to come again with a new one", () =>
    Effect.gen(function* () {
      const { exp, open } = yield* openedWith(openAll)
      const end = { reason: "token-expired", reconnect: true }
      yield* open.stream.says(streamEnd)
      assert.isAtLeast(Date.now(), exp * 1000)
      const last = eventsIn(open.stream.text).at(-1)
      assert.strictEqual(last?.event, "close")
      assert.deepInclude(last?.data, end)
      for (const poll of [open.poll, open.clientPoll]) {
        const answer = yield* Fiber.join(poll)
        assert.deepInclude(answer.json, { status: 401, code: "TOKEN_EXPIRED" })
        assert.include(String(answer.headers["www-authenticate"]), "expired")
      }
      assert.deepInclude((yield* open.peer.nextOf("error")).error, { code: "TOKEN_EXPIRED" })
      assert.strictEqual((yield* open.peer.closed).code, 3008)
      assert.strictEqual(yield* open.tcp.goodbye, "token-expired")
      assert.strictEqual(yield* open.binary.goodbye, "token-expired")
      open.bulk.more()
      yield* open.bulk.raw.says(/TOKEN_EXPIRED[\s\S]*"last":true/)
    }).pipe(
      Effect.scoped,
      Effect.provide(secureHub({ authJwtSecret: Redacted.make(secret), authClockTolerance: 0 }))
    )
  )

  it.live("what is open - a client that polls goes on with its next token, and loses nothing", () =>
    Effect.gen(function* () {
      const second = yield* tokenOf(rights)
      const poll = (token: string) =>
        ask("/api/v1/poll?topics=a&timeout=10&client_id=x", { headers: bearer(token) })
      const body = '{"topic":"a","payload":1}'
      const publish = ask("/api/v1/messages", { headers: { ...bearer(second), ...json }, body })
      const { token: first } = yield* openedWith((token) =>
        Effect.gen(function* () {
          const waiting = yield* Effect.forkChild(poll(token), { startImmediately: true })
          yield* until((hub) => hub.groups === 1)
          yield* publish
          assert.lengthOf((yield* Fiber.join(waiting)).json.messages, 1)
        })
      )
      // Not acknowledged, it is still the client's own when the token has gone.
      assert.strictEqual((yield* poll(first)).json.code, "TOKEN_EXPIRED")
      const nothing = yield* ask("/api/v1/poll?topics=a&timeout=0.2&client_id=x", { headers: bearer(second) })
      assert.deepStrictEqual(nothing.json.messages, [])
      yield* publish
      const { messages } = (yield* poll(second)).json
      assert.deepStrictEqual(
        messages.map(({ attempt, payload }) => [payload, attempt]),
        [[1, undefined]]
      )
    }).pipe(
      Effect.scoped,
      Effect.provide(secureHub({ authJwtSecret: Redacted.make(secret), authClockTolerance: 0 }))
    )
  )

  it.live(
    "what is open - ends within seconds when its key is taken back, or may do something else",
    () =>
      Effect.gen(function* () {
        const { write } = yield* makeFolder
        const [kept, removed, changed, replaced] = ["kept", "removed", "changed", "replaced"].map((name) =>
          keyFor(name, rights)
        )
        assert(kept && removed && changed && replaced)
        const writeKeys = (...entries: ReadonlyArray<object>) =>
          write("keys.json", JSON.stringify({ authKeys: entries }))
        const file = yield* writeKeys(kept.entry, removed.entry, changed.entry, replaced.entry)
        yield* Effect.gen(function* () {
          const [stays, goes] = [yield* openAll(kept.key), yield* openAll(removed.key)]
          const [narrower, other] = [yield* jsonPeer(changed.key), yield* jsonPeer(replaced.key)]
          yield* writeKeys(
            { ...changed.entry, publish: [] },
            { ...replaced.entry, hash: keyFor("x").entry.hash },
            { ...kept.entry, publish: ">" }
          )
          assert.strictEqual((yield* goes.peer.closed).code, 3503)
          assert.strictEqual(yield* goes.tcp.goodbye, "unauthorized")
          assert.strictEqual(yield* goes.binary.goodbye, "unauthorized")
          yield* goes.stream.says(streamEnd)
          assert.deepInclude(eventsIn(goes.stream.text).at(-1)?.data, {
            reason: "unauthorized",
            reconnect: false
          })
          for (const poll of [goes.poll, goes.clientPoll])
            assert.deepInclude((yield* Fiber.join(poll)).json, { status: 401, code: "UNAUTHORIZED" })
          goes.bulk.more()
          yield* goes.bulk.raw.says(/UNAUTHORIZED[\s\S]*"last":true/)
          // One whose rights changed is to come again and have the new ones; another key under its id is none.
          assert.strictEqual((yield* narrower.closed).code, 3008)
          assert.strictEqual((yield* other.closed).code, 3503)
          const again = yield* jsonPeer(changed.key)
          again.send({ type: "publish", topic: "a", message: { id: "1", payload: 1 } })
          assert.deepInclude((yield* again.nextOf("error")).error, { code: "FORBIDDEN" })
          // Whose rights are the same, however they are written, notices nothing.
          stays.peer.send({ type: "ping" })
          yield* stays.peer.nextOf("pong")
          assert.isFalse(
            /event: close/.test(stays.stream.text) || stays.tcp.isClosed || stays.binary.isClosed
          )
          stays.bulk.more()
          yield* stays.bulk.raw.says(/message_id[\s\S]*message_id/)
        }).pipe(Effect.scoped, Effect.provide(secureHub({ authKeysFile: file })))
      }).pipe(Effect.scoped),
    20_000
  )
})
