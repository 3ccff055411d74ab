import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Hub } from "../../src/actors/Hub.ts"
import type { ErrorCode } from "../../src/protocol/ErrorCode.ts"
import { GroupClient } from "./groups/GroupClient.ts"
import { hubWith } from "./TestHub.ts"
import { greeted, numbered, sessionId, type WireClient } from "./WireClient.ts"

const metrics = Effect.flatMap(Hub, (hub) => hub.metrics)
const failure = (client: WireClient, request: number) =>
  Effect.map(
    client.next("Failure", (frame) => frame.request === request),
    (frame): ErrorCode => frame.code
  )

describe("session", () => {
  it.effect("session - a thousand on one connection get each their own", () =>
    Effect.gen(function* () {
      const count = 1000
      const client = yield* greeted(count)
      for (let session = 1; session <= count; session++) {
        client.askToSubscribe(`own.${session}`, { session, subscription: 1 })
        client.askToSubscribe("all", { session, subscription: 2 })
      }
      for (let left = 2 * count; left > 0; left--) yield* client.next("Subscribed")
      const before = yield* metrics
      assert.deepStrictEqual(
        [before.sessions, before.subscriptions, before.connections],
        [count, 2 * count, 1]
      )
      for (let session = 1; session <= count; session++)
        client.publish(`own.${session}`, [`to ${session}`], { session })
      client.publish("all", ["to all"])
      const deliveries = yield* client.until("all deliveries", () =>
        client.inbox.length >= 2 * count ? client.inbox.splice(0) : undefined
      )
      const got = new Map<number, Array<string>>()
      for (const frame of deliveries) {
        if (frame._tag !== "Deliver") return assert.fail(`a ${frame._tag}`)
        const texts = got.get(frame.session) ?? []
        got.set(frame.session, [
          ...texts,
          ...frame.messages.map((each) => `${frame.subscription} ${each.text}`)
        ])
      }
      for (let session = 1; session <= count; session++)
        assert.sameMembers(got.get(session) ?? [], [`1 to ${session}`, "2 to all"])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("session - one that is closed leaves the others as they are", () =>
    Effect.gen(function* () {
      const client = yield* greeted(2)
      for (const session of [1, 2]) yield* client.subscribe("a", { session, subscription: 1 })
      const request = client.close(1)
      assert.deepStrictEqual(yield* client.next("Closed"), {
        _tag: "Closed",
        session: 1,
        request,
        reason: "normal",
        subscription: 0
      })
      yield* client.publishAndWait("a", ["x"], { session: 2 })
      assert.strictEqual((yield* client.messages(1, 1, 2)).length, 1)
      assert.deepStrictEqual(client.delivered(1, 1), [])
      const { sessions, subscriptions } = yield* metrics
      assert.deepStrictEqual([sessions, subscriptions], [1, 1])
      client.publish("a", ["x"])
      assert.strictEqual((yield* client.next("Rejected")).code, "unknown-session")
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("session - its number may be used again, and knows nothing of before", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.subscribe("a", { subscription: 1 })
      client.close(1)
      client.open(1, sessionId(44))
      yield* client.next("Opened")
      yield* client.publishAndWait("a", ["x"])
      yield* client.subscribe("a", { subscription: 1 })
      yield* client.publishAndWait("a", ["y"])
      assert.deepStrictEqual(
        (yield* client.messages(1, 1)).map((message) => message.text),
        ["y"]
      )
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("session - one connection's numbers mean nothing on another", () =>
    Effect.gen(function* () {
      const [one, two] = [yield* greeted(), yield* greeted()]
      yield* one.subscribe("a")
      yield* two.subscribe("b")
      two.close(1)
      yield* two.next("Closed")
      yield* one.publishAndWait("a", ["x"])
      assert.strictEqual((yield* one.messages(1, 1)).length, 1)
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("session - what is wrong with one request is answered, and touches nothing else", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.subscribe("a", { subscription: 5 })
      const ask = (pattern: string, options = {}) => client.askToSubscribe(pattern, options).request
      const wrong: ReadonlyArray<readonly [number, ErrorCode]> = [
        [client.open(1), "session-exists"],
        [client.close(9), "unknown-session"],
        [client.unsubscribe(6), "unknown-subscription"],
        [client.unsubscribe(5, 9), "unknown-session"],
        [ask("a", { session: 9 }), "unknown-session"],
        [ask("a", { subscription: 5 }), "subscription-exists"],
        [ask("a..b"), "invalid-pattern"],
        [ask("a.>.b"), "invalid-pattern"],
        [ask(""), "invalid-pattern"],
        [ask("$hub.>"), "reserved-topic"],
        [ask("*", { start: { _tag: "Position", position: { epoch: 1, offset: 1 } } }), "bad-request"]
      ]
      for (const [request, code] of wrong) assert.strictEqual(yield* failure(client, request), code)
      yield* client.publishAndWait("a", numbered(2))
      assert.strictEqual((yield* client.messages(5, 2)).length, 2)
      const { sessions, subscriptions } = yield* metrics
      assert.deepStrictEqual([sessions, subscriptions], [1, 1])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("session - there may be so many on a connection, and so many subscriptions in one", () =>
    Effect.gen(function* () {
      const client = yield* greeted(2)
      assert.strictEqual(yield* failure(client, client.open(3)), "limit-reached")
      client.close(2)
      client.open(3)
      yield* client.next("Opened")
      for (const pattern of ["a", "b", "c"]) yield* client.subscribe(pattern)
      assert.strictEqual(yield* failure(client, client.askToSubscribe("d").request), "limit-reached")
      yield* client.subscribe("d", { session: 3 })
      client.unsubscribe(1)
      yield* client.subscribe("d")
      const other = yield* greeted(2)
      yield* other.subscribe("a")
    }).pipe(Effect.provide(hubWith({ maxSessionsPerConnection: 2, maxSubscriptionsPerSession: 3 })))
  )

  it.effect("session - there may be so many subscriptions of all sessions of a connection together", () =>
    Effect.gen(function* () {
      const client = yield* greeted(3)
      const group = new GroupClient(client)
      yield* client.subscribe("a")
      yield* client.subscribe("a", { session: 2 })
      yield* group.join("g", "a", { session: 3, subscription: 90 })
      const refused = (request: number) =>
        Effect.map(
          client.next("Failure", (frame) => frame.request === request),
          ({ code, message }) => {
            assert.strictEqual(code, "limit-reached")
            assert.include(message, "maxSubscriptionsPerConnection")
          }
        )
      yield* refused(client.askToSubscribe("b", { session: 2 }).request)
      yield* refused(group.askToJoin("h", "a", { session: 2, subscription: 91 }))
      // What ends makes room: a subscription, a membership that is left, is refused or is removed, and a session.
      client.unsubscribe(1)
      yield* client.subscribe("b", { session: 2 })
      yield* group.ask("group.remove", { name: "g" })
      yield* group.join("g", "a", { session: 3, subscription: 92 })
      client.unsubscribe(92, 3)
      assert.strictEqual(
        yield* group.joinFailure("g", "b", { session: 3, subscription: 93 }),
        "group-mismatch"
      )
      yield* group.join("g", "a", { session: 3, subscription: 94 })
      client.close(2)
      for (const pattern of ["c", "d"]) yield* client.subscribe(pattern)
      yield* refused(client.askToSubscribe("e").request)
      const other = yield* greeted(1)
      for (const pattern of ["a", "b", "c"]) yield* other.subscribe(pattern)
    }).pipe(Effect.provide(hubWith({ maxSubscriptionsPerConnection: 3 })))
  )

  it.effect("session - one client cannot have a message sent to it without end", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      for (let n = 0; n < 1000; n++) client.askToSubscribe("a")
      const { request } = client.askToSubscribe("a")
      const { code, message } = yield* client.next("Failure", (frame) => frame.request === request)
      assert.strictEqual(code, "limit-reached")
      assert.include(message, "maxSubscriptionsPerSession")
    }).pipe(Effect.provide(hubWith({ maxSubscriptionsPerSession: 1000 })))
  )
})
