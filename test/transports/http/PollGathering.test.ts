/**
 * What one answer of a poll with a `client_id` holds: all that waits, up to a number of messages and of bytes. Where the
 * test's clock stands still, whatever is answered was waited for by itself, and not for a time.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Hub } from "../../../src/actors/Hub.ts"
import { ask, postJson, publish, type Shown, webHub } from "./WebHub.ts"
import { socketsDo, timely } from "./WebTime.ts"

const range = (count: number) => Array.from({ length: count }, (_, n) => n)
const payloads = (messages: ReadonlyArray<Shown>) => messages.map(({ payload }) => payload)
const sorted = (messages: ReadonlyArray<Shown>) => payloads(messages).sort((a, b) => Number(a) - Number(b))

const publishTwenty = Effect.forEach(range(20), (n) => publish(`t.${n}`, n), { discard: true })

describe("http poll gathering", () => {
  it.effect(
    "http poll gathering - a new group from the first on: twenty topics in one answer, without a wait",
    () =>
      Effect.gen(function* () {
        yield* publishTwenty
        const { json } = yield* ask("/api/v1/poll?topics=t.*&client_id=c&timeout=0&from=first")
        assert.deepStrictEqual(sorted(json.messages), range(20))
      }).pipe(Effect.provide(webHub()))
  )

  it.effect(
    "http poll gathering - what came between two polls is in one answer, of topics that were and that are new",
    () =>
      Effect.gen(function* () {
        yield* timely(ask("/api/v1/poll?topics=t.*&client_id=c&timeout=0"))
        yield* publishTwenty
        const { json } = yield* ask("/api/v1/poll?topics=t.*&client_id=c&timeout=0")
        assert.deepStrictEqual(sorted(json.messages), range(20))
      }).pipe(Effect.provide(webHub()))
  )

  it.effect("http poll gathering - of several topics that have a group each, too", () =>
    Effect.gen(function* () {
      yield* publishTwenty
      const topics = range(20).map((n) => `t.${n}`)
      const { json } = yield* ask(`/api/v1/poll?topics=${topics}&client_id=c&timeout=0&from=first`)
      assert.deepStrictEqual(sorted(json.messages), range(20))
    }).pipe(Effect.provide(webHub()))
  )

  it.live(
    "http poll gathering - who does not want to wait is given what is there while others wait too",
    () =>
      Effect.gen(function* () {
        const hub = yield* Hub
        yield* Effect.forkScoped(ask("/api/v1/poll?topics=never&timeout=60"), { startImmediately: true })
        while ((yield* hub.metrics).subscriptions < 1) yield* Effect.sleep(2)
        // The wheel of deadlines turns by now: at whatever moment of it they ask.
        for (const n of range(20)) {
          yield* publish(`u.${n}`, n)
          yield* Effect.sleep(n)
          const { json } = yield* ask(`/api/v1/poll?topics=u.${n}&client_id=c&timeout=0&from=first`)
          assert.deepStrictEqual(payloads(json.messages), [n])
        }
      }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.effect("http poll gathering - no more than wanted, and the next poll has the rest", () =>
    Effect.gen(function* () {
      yield* publishTwenty
      const poll = ask("/api/v1/poll?topics=t.*&client_id=c&timeout=1&from=first&max=8")
      const answers = yield* Effect.all([poll, poll, poll])
      assert.deepStrictEqual(
        answers.map(({ json }) => json.messages.length),
        [8, 8, 4]
      )
      assert.deepStrictEqual(sorted(answers.flatMap(({ json }) => json.messages)), range(20))
    }).pipe(Effect.provide(webHub()))
  )

  it.effect("http poll gathering - a message that comes answers whoever waits at once", () =>
    Effect.gen(function* () {
      yield* timely(ask("/api/v1/poll?topics=t.*&client_id=c&timeout=0"))
      const waiting = yield* Effect.forkScoped(ask("/api/v1/poll?topics=t.*&client_id=c&timeout=30"), {
        startImmediately: true
      })
      // It waits: so far nothing came, and its time is not over.
      yield* TestClock.adjust("1 second")
      yield* socketsDo
      assert.isUndefined(waiting.pollUnsafe())
      yield* publish("t.1", 1)
      assert.deepStrictEqual(payloads((yield* Fiber.join(waiting)).json.messages), [1])
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.live("http poll gathering - large messages: some in each answer, and all in the end", () =>
    Effect.gen(function* () {
      const large = "x".repeat(1_000_000)
      for (const n of range(20)) yield* publish("large", { n, large })
      const sizes: Array<number> = []
      const seen: Array<number> = []
      for (let polls = 0; polls < 6 && seen.length < 20; polls++) {
        const { json, text } = yield* ask(
          "/api/v1/poll?topics=large&client_id=c&timeout=2&from=first&max=1000"
        )
        sizes.push(text.length)
        for (const { payload } of json.messages) seen.push(Number(JSON.parse(JSON.stringify(payload)).n))
        yield* postJson("/api/v1/ack", {
          client_id: "c",
          message_ids: json.messages.map(({ message_id }) => message_id)
        })
      }
      assert.deepStrictEqual(seen, range(20))
      assert.isAtLeast(sizes.length, 3)
      for (const size of sizes) assert.isBelow(size, 10 * 1_048_576)
    }).pipe(Effect.provide(webHub({ hotTierBytes: 64 * 1_048_576 })))
  )
})

describe("http last", () => {
  const fill = Effect.forEach(range(6), (n) => publish(n % 2 === 0 ? "l.a" : "l.b", n), { discard: true })

  it.live("http last - the last so many messages of each topic, then what comes", () =>
    Effect.gen(function* () {
      yield* fill
      const one = yield* ask("/api/v1/poll?topics=l.a&last=2&timeout=5")
      assert.deepStrictEqual(payloads(one.json.messages), [2, 4])
      const all = yield* ask("/api/v1/poll?topics=l.*&last=1&timeout=5")
      assert.deepStrictEqual(sorted(all.json.messages), [4, 5])
      yield* publish("l.b", 6)
      const next = yield* ask(`/api/v1/poll?topics=l.*&timeout=5&from=${encodeURIComponent(all.json.next)}`)
      assert.deepStrictEqual(payloads(next.json.messages), [6])
      const replayed = yield* ask("/api/v1/topics/l.a/messages?last=1")
      assert.deepStrictEqual(payloads(replayed.json.messages), [4])
      assert.lengthOf((yield* ask("/api/v1/topics/l.a/messages?last=0&unknown=1")).json.messages, 3)
    }).pipe(Effect.provide(webHub()))
  )

  it.live.each([
    ["with from", "poll?topics=a&last=1&from=first", "`from` or `last`"],
    ["with a client_id", "poll?topics=a&last=1&client_id=c", "client_id"],
    ["what is no number", "poll?topics=a&last=x", "`last` must be a whole number, 0 or more"],
    ["of a stream, below nothing", "stream?topics=a&last=-1", "`last` must be a whole number, 0 or more"],
    ["of a replay, a part", "topics/a/messages?last=1.5", "`last` must be a whole number, 0 or more"],
    ["another time to wait", "poll?topics=a&timeout=abc", "`timeout` must be a number of seconds, 0 or more"],
    ["an overflow that is none", "stream?topics=a&overflow=x", "`overflow` must be one of wait, drop-oldest"]
  ] as const)("http last - refused: %s", ([, path, detail]) =>
    Effect.gen(function* () {
      yield* publish("a", 1)
      const { json } = yield* ask(`/api/v1/${path}`)
      assert.deepInclude(json, { status: 422, code: "BAD_REQUEST" })
      assert.include(json.detail, detail)
    }).pipe(Effect.provide(webHub()))
  )
})
