import { assert, describe, it } from "@effect/vitest"
import { Effect, type Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Hub } from "../../src/actors/Hub.ts"
import { decodeText } from "../../src/protocol/Bytes.ts"
import type { ErrorCode } from "../../src/protocol/ErrorCode.ts"
import { unlimitedCredit } from "../../src/protocol/Op.ts"
import { hubWith } from "./TestHub.ts"
import { connect, greeted, numbered, sessionId, type WireClient } from "./WireClient.ts"

const metrics = Effect.flatMap(Hub, (hub) => hub.metrics)

/** The answer to a request, or the code of its failure. */
const ask = Effect.fnUntraced(function* (client: WireClient, method: string, body: string) {
  const request = client.request(method, body)
  const isAnswer = () =>
    client.take("Response", (frame) => frame.request === request) ??
    client.take("Failure", (frame) => frame.request === request && frame.session === 0)
  const answer = yield* client.until("an answer", isAnswer)
  if (answer._tag === "Failure") return answer.code
  const parsed: unknown = JSON.parse(decodeText(answer.body) ?? "")
  return parsed
})

/** Steps through time until the fiber is done; answers after how many milliseconds it was. */
const millisecondsOf = Effect.fnUntraced(function* (fiber: Fiber.Fiber<unknown, unknown>, limit: number) {
  for (let passed = 0; passed <= limit; passed += 10) {
    for (let turn = 0; turn < 20; turn++) yield* Effect.yieldNow
    if (fiber.pollUnsafe() !== undefined) return passed
    yield* TestClock.adjust(10)
  }
  return Number.POSITIVE_INFINITY
})

describe("hub - requests", () => {
  it.effect("hub - counts what went through in a second, and clients that came back", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const client = yield* greeted()
      yield* client.subscribe("a")
      yield* TestClock.adjust(1000)
      yield* client.publishAndWait("a", ["x", "y", "z"])
      yield* client.messages(1, 3)
      yield* TestClock.adjust(1000)
      const { deliveredPerSecond, receivedPerSecond, sessionsResumed } = yield* hub.metrics
      assert.deepStrictEqual([receivedPerSecond, deliveredPerSecond, sessionsResumed], [3, 3, 0])
      client.close(1)
      yield* client.next("Closed")
      client.open(2, sessionId(1))
      yield* client.next("Opened", ({ session }) => session === 2)
      yield* TestClock.adjust(1000)
      const later = yield* hub.metrics
      assert.deepStrictEqual(
        [later.receivedPerSecond, later.sessionsOpened, later.sessionsResumed],
        [0, 2, 1]
      )
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("hub - names its topics, all or those that a pattern matches", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.subscribe("a.*")
      const { position } = yield* client.publishAndWait("a.y", numbered(3))
      yield* client.publishAndWait("a.x", numbered(1))
      yield* client.publishAndWait("b", numbered(2))
      const all = yield* ask(client, "topics", "{}")
      assert.deepStrictEqual(
        (all as ReadonlyArray<{ readonly name: string }>).map((topic) => topic.name),
        ["a.x", "a.y", "b"]
      )
      const some = yield* ask(client, "topics", '{"pattern":"a.y"}')
      assert.lengthOf(some as ReadonlyArray<unknown>, 1)
      assert.deepInclude((some as ReadonlyArray<object>)[0], {
        name: "a.y",
        subscribers: 1,
        messages: 3,
        epoch: position.epoch,
        firstOffset: 0,
        nextOffset: 3,
        delivered: 3
      })
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("hub - tells nobody which channels there are", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.publishAndWait(`$channel.${sessionId(1)}`, ["x"])
      for (const pattern of ["$channel.*", "$channel.>", "$hub"])
        assert.strictEqual(yield* ask(client, "topics", JSON.stringify({ pattern })), "reserved-topic")
      assert.deepStrictEqual(yield* ask(client, "topics", "{}"), [])
      assert.deepStrictEqual(yield* ask(client, "topics", '{"pattern":">"}'), [])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("hub - says what it counts", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.publishAndWait("a", numbered(3))
      const stats = yield* ask(client, "stats", "{}")
      const { latency: _, ...counted } = yield* metrics
      assert.deepInclude(stats as object, { messagesReceived: 3, sessions: 1, topics: 1 })
      assert.includeMembers(Object.keys(stats as object), Object.keys(counted))
    }).pipe(Effect.provide(hubWith()))
  )

  const wrong: ReadonlyArray<readonly [string, string, ErrorCode]> = [
    ["nothing-of-this-name", "{}", "unknown-method"],
    ["", "", "unknown-method"],
    ["topics", "", "bad-request"],
    ["topics", "{", "bad-request"],
    ["topics", '{"pattern":7}', "bad-request"],
    ["topics", '{"pattern":"a..b"}', "invalid-pattern"],
    ["topics", '{"after":7}', "bad-request"]
  ]
  for (const [method, body, code] of wrong) {
    it.effect(`hub - the request "${method}" of "${body}" fails as ${code}`, () =>
      Effect.gen(function* () {
        const client = yield* greeted()
        assert.strictEqual(yield* ask(client, method, body), code)
        yield* client.settled
      }).pipe(Effect.provide(hubWith()))
    )
  }
})

describe("hub - limits", () => {
  it.effect("hub - so many connections, and one that ends makes room", () =>
    Effect.gen(function* () {
      const [one, two] = [yield* greeted(), yield* greeted()]
      const refused = yield* connect
      assert.strictEqual(yield* refused.goodbye, "too-many-connections")
      one.send({ _tag: "Goodbye", reason: "normal", message: "" })
      yield* one.closed
      yield* two.settled
      const third = yield* greeted()
      yield* third.settled
      assert.strictEqual((yield* metrics).connections, 2)
    }).pipe(Effect.provide(hubWith({ maxConnections: 2 })))
  )

  it.effect("hub - so many topics; those that are there go on", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.publishAndWait("a", ["x"])
      yield* client.subscribe("b")
      client.publish("c", ["x"])
      assert.strictEqual((yield* client.next("Rejected")).code, "limit-reached")
      yield* client.publishAndWait("b", ["x"])
      assert.strictEqual((yield* client.messages(1, 1)).length, 1)
      assert.strictEqual((yield* metrics).topics, 2)
    }).pipe(Effect.provide(hubWith({ maxTopics: 2 })))
  )

  it.effect("hub - topics only when asked for, where that is set", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const client = yield* greeted()
      client.publish("a", ["x"])
      assert.strictEqual((yield* client.next("Rejected")).code, "topic-not-found")
      client.askToSubscribe("a")
      assert.strictEqual((yield* client.next("Failure")).code, "topic-not-found")
      yield* client.subscribe("*", { subscription: 50 })
      assert.isTrue(yield* hub.createTopic("a"))
      assert.isFalse(yield* hub.createTopic("a"))
      yield* client.publishAndWait("a", ["x"])
      assert.strictEqual((yield* client.messages(50, 1)).length, 1)
      yield* client.publishAndWait(`$channel.${sessionId(1)}`, ["channels are made by use"])
    }).pipe(Effect.provide(hubWith({ autoCreateTopics: false })))
  )

  it.effect("hub - no topic is made of a name that is none", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      for (const name of ["", "a..b", "a.*", "a b", "x".repeat(256)])
        assert.strictEqual(yield* Effect.flip(hub.createTopic(name)), "invalid-topic", name)
      assert.strictEqual((yield* hub.metrics).topics, 0)
    }).pipe(Effect.provide(hubWith()))
  )
})

describe("hub - draining", () => {
  it.effect("hub - takes nothing new, and says goodbye when nothing waits", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const client = yield* greeted()
      yield* client.subscribe("a", { creditMessages: 0 })
      yield* client.publishAndWait("a", numbered(5))
      const draining = yield* Effect.forkChild(hub.drain, { startImmediately: true })
      client.publish("a", ["late"])
      assert.strictEqual((yield* client.next("Rejected")).code, "shutting-down")
      client.open(2)
      assert.strictEqual((yield* client.next("Failure")).code, "shutting-down")
      const late = yield* connect
      assert.strictEqual(yield* late.goodbye, "shutting-down")
      assert.isFalse(client.isClosed)
      client.credit(1, unlimitedCredit)
      assert.strictEqual((yield* client.messages(1, 5)).length, 5)
      assert.isAtMost(yield* millisecondsOf(draining, 5000), 100)
      assert.strictEqual(yield* client.goodbye, "shutting-down")
      assert.strictEqual(client.take("Closed")?.reason, "shutting-down")
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("hub - what topics and publishers hold is flushed too", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const publisher = yield* greeted()
      const client = yield* greeted()
      yield* client.subscribe("a", { overflow: "wait", creditMessages: 0 })
      for (const text of numbered(20)) {
        publisher.publish("a", [text])
        yield* publisher.settled
      }
      const draining = yield* Effect.forkChild(hub.drain, { startImmediately: true })
      yield* publisher.settled
      client.credit(1, unlimitedCredit)
      const found = yield* client.messages(1, 20)
      assert.deepStrictEqual(
        found.map((message) => message.text),
        numbered(20)
      )
      assert.isAtMost(yield* millisecondsOf(draining, 5000), 100)
    }).pipe(Effect.provide(hubWith({ clientQueueSize: 2, queueSize: 5 })))
  )

  it.effect("hub - a client that takes nothing is not waited for longer than the limit", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const publisher = yield* greeted()
      const [stuck, poor] = [yield* greeted(), yield* greeted()]
      yield* stuck.subscribe("a")
      yield* poor.subscribe("a", { overflow: "wait", creditMessages: 0 })
      stuck.duplex.pause()
      const large = "x".repeat(900_000)
      for (let left = 5; left > 0; left--) publisher.publish("a", [large])
      yield* publisher.settled
      const draining = yield* Effect.forkChild(hub.drain, { startImmediately: true })
      const passed = yield* millisecondsOf(draining, 5000)
      assert.isAtLeast(passed, 1000)
      assert.isAtMost(passed, 1600)
      assert.strictEqual(yield* poor.goodbye, "shutting-down")
      assert.strictEqual(yield* publisher.goodbye, "shutting-down")
      assert.strictEqual((yield* hub.metrics).connections, 0)
    }).pipe(Effect.provide(hubWith({ drainTimeout: 1000, writeTimeout: 500, clientQueueSize: 1 })))
  )

  it.effect("hub - is drained when its scope closes, before its actors end", () =>
    Effect.gen(function* () {
      const [client, busy] = yield* Effect.gen(function* () {
        const client = yield* greeted()
        const busy = yield* greeted()
        yield* busy.subscribe("a", { overflow: "wait", creditMessages: 1 })
        for (const text of numbered(9)) {
          client.publish("a", [text])
          yield* client.settled
        }
        // Reads on by itself, as a client does.
        yield* Effect.forkDetach(
          Effect.gen(function* () {
            for (let count = 0; count < 9; count++) {
              yield* busy.until("a delivery", () => (busy.inbox.length > count ? true : undefined))
              busy.credit(1, 1)
            }
          })
        )
        return [client, busy] as const
      }).pipe(Effect.provide(hubWith({ clientQueueSize: 2 })))
      assert.strictEqual(yield* client.goodbye, "shutting-down")
      assert.strictEqual(yield* busy.goodbye, "shutting-down")
      assert.deepStrictEqual(
        busy.delivered(1).map((message) => message.text),
        numbered(9)
      )
    })
  )

  it.effect("hub - with nobody there it drains at once, also twice", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      yield* hub.drain
      yield* hub.drain
    }).pipe(Effect.provide(hubWith()))
  )
})
