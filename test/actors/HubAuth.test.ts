import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Hub } from "../../src/actors/Hub.ts"
import { duplexPair } from "../../src/protocol/DuplexPair.ts"
import { errorMessage } from "../../src/protocol/ErrorCode.ts"
import { PatternSet } from "../../src/protocol/PatternSet.ts"
import { Auth } from "../../src/services/Auth.ts"
import { AuthError } from "../../src/services/auth/AuthError.ts"
import { anonymous, type Identity } from "../../src/services/auth/Identity.ts"
import * as StateStoreMemory from "../../src/services/StateStoreMemory.ts"
import { GroupClient } from "./groups/GroupClient.ts"
import { hubWith, memoryLog } from "./TestHub.ts"
import { numbered, WireClient } from "./WireClient.ts"

const setOf = (...patterns: ReadonlyArray<string>): PatternSet => {
  const set = PatternSet.make(patterns)
  if (set instanceof PatternSet) return set
  throw new Error(set.message)
}

const alice: Identity = {
  ...anonymous,
  kind: "api-key",
  id: "alice",
  publish: setOf("orders.eu"),
  subscribe: setOf("orders.*"),
  groups: setOf("billing"),
  limits: { messageSize: 10 },
  expiresAt: 60_000
}

const answerTo = (token: string | undefined): Effect.Effect<Identity, AuthError> =>
  token?.startsWith("alice") === true
    ? Effect.succeed(alice)
    : token === "broken"
      ? Effect.die(new Error("a broken check of tokens"))
      : Effect.fail(new AuthError({ reason: token === "old" ? "expired" : "unknown-key" }))

/** Tokens take a while to be looked at, but for those that say `-now`; `-late` is later than a hello may be. */
const auth = Layer.succeed(Auth, {
  isOn: true,
  holds: () => Effect.succeed("holds"),
  authenticate: (token) =>
    token?.endsWith("-now") === true
      ? answerTo(token)
      : Effect.delay(answerTo(token), token?.endsWith("-late") === true ? 500_000 : 10)
})

/** The hub has done what it can without more time, and its fibers wait. */
const idle = Effect.repeat(Effect.yieldNow, { times: 50 })

/** What the client sends meanwhile, in one piece instead. */
const chunkOf = (client: WireClient, send: () => void): Uint8Array => {
  const chunks: Array<Uint8Array> = []
  const raw = client.raw
  client.raw = (bytes) => void chunks.push(bytes)
  send()
  client.raw = raw
  return Buffer.concat(chunks)
}

const tagsOf = (client: WireClient) => client.inbox.map(({ _tag }) => _tag)

const hub = hubWith({}, memoryLog, StateStoreMemory.layer, auth)

/** A client over a connection that the hub serves as one from outside. */
const outside = Effect.gen(function* () {
  const [ours, theirs] = duplexPair()
  ;(yield* Hub).serve(ours)
  return new WireClient(theirs)
})

const admitted = Effect.gen(function* () {
  const client = yield* outside
  client.hello({ token: "alice" })
  yield* TestClock.adjust(10)
  yield* client.next("Welcome")
  client.open(1)
  yield* client.next("Opened")
  return client
})

const codeOf = (client: WireClient, request: number) =>
  Effect.map(
    client.next("Failure", (failure) => failure.request === request),
    ({ code }) => code
  )

describe("hub - who may do what", () => {
  it.effect(
    "hub auth - a token that is not accepted is told so, and one that has expired to come again",
    () =>
      Effect.gen(function* () {
        for (const [token, reason] of [
          ["", "unauthorized"],
          ["mallory", "unauthorized"],
          ["old", "token-expired"]
        ] as const) {
          const client = yield* outside
          client.hello({ token })
          yield* TestClock.adjust(10)
          assert.strictEqual(yield* client.goodbye, reason)
        }
      }).pipe(Effect.scoped, Effect.provide(hub))
  )

  it.effect("hub auth - what comes with the hello waits until the token has been looked at", () =>
    Effect.gen(function* () {
      const client = yield* outside
      client.hello({ token: "alice" })
      client.open(1)
      client.open(2)
      yield* TestClock.adjust(9)
      assert.isUndefined(client.take("Welcome"))
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* client.next("Welcome")).maxMessage, 10)
      yield* client.next("Opened", ({ session }) => session === 1)
      yield* client.next("Opened", ({ session }) => session === 2)
    }).pipe(Effect.scoped, Effect.provide(hub))
  )

  it.effect("hub auth - what comes in one chunk with the hello needs nothing more to be read", () =>
    Effect.gen(function* () {
      const client = yield* outside
      yield* idle
      const frames = chunkOf(client, () => {
        client.hello({ token: "alice" })
        client.open(1)
        client.publish("orders.eu", ["a"], { receipt: true })
      })
      client.raw(frames)
      yield* TestClock.adjust(10)
      yield* idle
      assert.deepStrictEqual(tagsOf(client), ["Welcome", "Opened", "Receipt"])
    }).pipe(Effect.scoped, Effect.provide(hub))
  )

  it.effect("hub auth - what comes while the token is looked at keeps its order, however it is cut", () =>
    Effect.gen(function* () {
      for (const size of [1, 7, 64, 1000]) {
        const client = yield* outside
        const expected = numbered(40)
        const frames = chunkOf(client, () => {
          client.hello({ token: "alice" })
          client.open(1)
          client.askToSubscribe("orders.eu")
          for (const text of expected) client.publish("orders.eu", [text])
        })
        // Before, while and after the token is looked at; the hub's fiber is idle or waits.
        for (let at = 0; at < frames.length; at += size) {
          client.raw(frames.subarray(at, at + size))
          if (at % 3 === 0) yield* Effect.yieldNow
          if (at > 300 && at <= 300 + size) yield* TestClock.adjust(9)
          if (at > 1200 && at <= 1200 + size) yield* TestClock.adjust(1)
        }
        yield* TestClock.adjust(10)
        const found = yield* client.messages(1, expected.length)
        assert.deepStrictEqual(
          found.map(({ text }) => text),
          expected
        )
        client.send({ _tag: "Goodbye", reason: "normal", message: "" })
        yield* client.closed
      }
    }).pipe(Effect.scoped, Effect.provide(hub))
  )

  for (const token of ["mallory", "mallory-now", "old"]) {
    it.effect(
      `hub auth - nothing is read after a token that is refused, not even a better one: ${token}`,
      () =>
        Effect.gen(function* () {
          const watcher = new WireClient(yield* (yield* Hub).connect)
          yield* watcher.begin()
          yield* watcher.subscribe("orders.eu")
          const client = yield* outside
          yield* idle
          client.raw(
            chunkOf(client, () => {
              client.hello({ token })
              client.hello({ token: "alice-now" })
              client.open(1)
              client.publish("orders.eu", ["a"])
            })
          )
          yield* TestClock.adjust(20)
          assert.strictEqual(yield* client.goodbye, token === "old" ? "token-expired" : "unauthorized")
          yield* watcher.settled
          assert.deepStrictEqual(watcher.delivered(1), [])
        }).pipe(Effect.scoped, Effect.provide(hub))
    )
  }

  it.effect(
    "hub auth - a client that goes, or is sent away, while its token is looked at is not admitted",
    () =>
      Effect.gen(function* () {
        const gone = yield* outside
        const late = yield* outside
        for (const client of [gone, late])
          client.raw(
            chunkOf(client, () => {
              client.hello({ token: client === late ? "alice-late" : "alice" })
              client.open(1)
              client.publish("orders.eu", ["a"])
            })
          )
        yield* idle
        gone.duplex.destroy()
        yield* TestClock.adjust(10)
        yield* idle
        assert.strictEqual((yield* (yield* Hub).metrics).connections, 1)
        yield* TestClock.adjust(600_000)
        assert.strictEqual(yield* late.goodbye, "hello-timeout")
        assert.deepStrictEqual(tagsOf(late), [])
        assert.strictEqual((yield* (yield* Hub).metrics).messagesReceived, 0)
      }).pipe(Effect.scoped, Effect.provide(hub))
  )

  it.effect("hub auth - what fails while a token is looked at ends that connection", () =>
    Effect.gen(function* () {
      const client = yield* outside
      client.hello({ token: "broken" })
      yield* TestClock.adjust(10)
      assert.strictEqual(yield* client.goodbye, "hub-failed")
    }).pipe(Effect.scoped, Effect.provide(hub))
  )

  it.effect("hub auth - publishes, subscribes and joins what its patterns cover, and nothing wider", () =>
    Effect.gen(function* () {
      const client = yield* admitted
      yield* client.publishAndWait("orders.eu", ["a"])
      for (const topic of ["orders.us", "orders.eu.x", "secrets"]) {
        client.publish(topic, ["a"])
        assert.strictEqual((yield* client.next("Rejected")).code, "forbidden", topic)
      }
      client.publish("orders.eu", ["longer than ten bytes"])
      assert.strictEqual((yield* client.next("Rejected")).code, "message-too-large")
      yield* client.subscribe("orders.us")
      for (const pattern of ["orders.>", ">", "orders.*.x", "*.us"])
        assert.strictEqual(
          yield* codeOf(client, client.askToSubscribe(pattern).request),
          "forbidden",
          pattern
        )
    }).pipe(Effect.scoped, Effect.provide(hub))
  )

  it.effect("hub auth - is told of the topics that it may use, and manages the groups that it may join", () =>
    Effect.gen(function* () {
      const trusted = new WireClient(yield* (yield* Hub).connect)
      yield* trusted.begin()
      for (const topic of ["orders.eu", "secrets"]) yield* trusted.publishAndWait(topic, ["a"])
      const client = yield* admitted
      const ask = (method: string, body: unknown) => client.request(method, JSON.stringify(body))
      ask("topics", {})
      const topics: unknown = JSON.parse(new TextDecoder().decode((yield* client.next("Response")).body))
      assert.deepStrictEqual(
        Array.isArray(topics) && topics.map((topic: { readonly name: string }) => topic.name),
        ["orders.eu"]
      )
      ask("group.create", { name: "billing", pattern: "orders.eu" })
      yield* client.next("Response")
      for (const [name, pattern] of [
        ["billing2", "orders.eu"],
        ["billing", ">"]
      ]) {
        assert.strictEqual(yield* codeOf(client, ask("group.create", { name, pattern })), "forbidden")
      }
      // Of a group that it may not see it is told no more than of one that there is not.
      const other = new GroupClient(trusted)
      yield* other.join("hidden", "orders.eu")
      yield* other.join("billing~2", "secrets", { subscription: 2 })
      for (const name of ["hidden", "billing~2", "nowhere"]) {
        for (const method of ["group", "group.pause", "group.resume", "group.remove", "group.reset"]) {
          const asked = ask(method, { name, to: "now" })
          const failed = yield* client
            .next("Failure", ({ request }) => request === asked)
            .pipe(Effect.map(({ code, message }) => [code, message]))
          assert.deepStrictEqual(
            failed,
            ["unknown-group", errorMessage("unknown-group")],
            `${method} ${name}`
          )
        }
      }
      assert.strictEqual(yield* codeOf(client, ask("topic.remove", { name: "secrets" })), "forbidden")
      assert.strictEqual(yield* codeOf(client, ask("dead.show", { topic: "$dead.billing.x" })), "forbidden")
    }).pipe(Effect.scoped, Effect.provide(hub))
  )

  it.effect("hub auth - a session ends when its token does", () =>
    Effect.gen(function* () {
      const client = yield* admitted
      client.answersPings = true
      yield* TestClock.adjust(59_989)
      assert.isFalse(client.isClosed)
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* client.goodbye, "token-expired")
    }).pipe(Effect.scoped, Effect.provide(hub))
  )
})
