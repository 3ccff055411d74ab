/** Loops of polls that name neither a client nor a beginning: each goes on where the one before it ended. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Hub } from "../../../src/actors/Hub.ts"
import { Cursor } from "../../../src/transports/http/Cursor.ts"
import { PollMemory } from "../../../src/transports/http/PollMemory.ts"
import { ask, publish, type Shown, webHub } from "./WebHub.ts"
import { timely } from "./WebTime.ts"

const range = (count: number) => Array.from({ length: count }, (_, n) => n)
const payloads = (messages: ReadonlyArray<Shown>) => messages.map(({ payload }) => payload)

const at = (offset: number, topic = "a", since = 1) => {
  const cursor = new Cursor(since)
  cursor.received(topic, 1, offset)
  return cursor
}

describe("poll memory", () => {
  it("poll memory - is of one who asks and the same topics, in whatever order, and not for long", () => {
    let now = 1000
    const memory = new PollMemory(() => now, 100)
    memory.placeOf("ann", ["a", "b"]).remember(at(5))
    const found = (who: string, ...patterns: ReadonlyArray<string>) => {
      const { cursor } = memory.placeOf(who, patterns)
      return cursor === undefined ? undefined : String(cursor)
    }
    assert.strictEqual(found("ann", "b", "a"), "1,a@1-5")
    assert.isUndefined(found("ann", "a"))
    assert.isUndefined(found("ben", "a", "b"))
    now += 100
    assert.isDefined(found("ann", "a", "b"))
    now += 1
    assert.isUndefined(found("ann", "a", "b"))
  })

  it("poll memory - a poll's cursor is its own, and a slower poll sets nothing back", () => {
    const memory = new PollMemory(() => 0, 100)
    const [slow, quick] = [memory.placeOf("ann", ["a"]), memory.placeOf("ann", ["a"])]
    const given = at(5)
    quick.remember(given)
    given.received("a", 1, 9)
    memory.placeOf("ann", ["a"]).cursor?.received("a", 1, 9)
    slow.remember(at(3))
    assert.strictEqual(String(memory.placeOf("ann", ["a"]).cursor), "1,a@1-5")
  })

  it("poll memory - of one loop the place is exactly where its poll ended", () => {
    const memory = new PollMemory(() => 0, 100)
    memory.placeOf("ann", [">"]).remember(at(5, "gone"))
    const next = memory.placeOf("ann", [">"])
    next.remember(at(2, "other", 7))
    assert.strictEqual(String(memory.placeOf("ann", [">"]).cursor), "7,other@1-2")
  })

  it("poll memory - is bounded: the place that was left longest ago is forgotten first", () => {
    const memory = new PollMemory(() => 0, 100)
    const wide = (n: number) => {
      const cursor = new Cursor(0)
      for (const topic of range(100)) cursor.received(`t${topic}`, 1, n)
      return cursor
    }
    for (const n of range(1000)) memory.placeOf(`who${n}`, ["a".repeat(300)]).remember(wide(n))
    const known = range(1000).filter((n) => memory.placeOf(`who${n}`, ["a".repeat(300)]).cursor !== undefined)
    assert.isBelow(known.length, 1000)
    assert.isAbove(known.length, 900)
    assert.strictEqual(known.at(-1), 999)
    assert.notInclude(known, 0)
  })
})

/** Polls again and again, as pulsar-proxy's document does, until it has seen `last`. */
const loop = (topics: string, last: unknown) =>
  Effect.gen(function* () {
    const seen: Array<unknown> = []
    while (!seen.includes(last)) {
      const { json, status } = yield* ask(`/api/v1/poll?topics=${topics}&timeout=2`)
      assert.strictEqual(status, 200)
      seen.push(...payloads(json.messages))
      // Meanwhile there are more.
      yield* Effect.sleep(10)
    }
    return seen
  })

const subscribed = (count: number) =>
  Effect.gen(function* () {
    const hub = yield* Hub
    while ((yield* hub.metrics).subscriptions < count) yield* Effect.sleep(2)
  })

describe("http poll memory", () => {
  it.live.each(["m.0,m.1,m.2", "m.*"])("http poll memory - a loop of %s has each of 300 once", (topics) =>
    Effect.gen(function* () {
      const looping = yield* Effect.forkScoped(loop(topics, 299), { startImmediately: true })
      yield* subscribed(1)
      for (const n of range(300)) {
        yield* publish(`m.${n % 3}`, n)
        yield* Effect.sleep(5)
      }
      const seen = yield* Fiber.join(looping)
      assert.deepStrictEqual(
        [...seen].sort((a, b) => Number(a) - Number(b)),
        range(300)
      )
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.live("http poll memory - of two loops of one address neither has a message twice", () =>
    Effect.gen(function* () {
      const both = yield* Effect.forEach([1, 2], () =>
        Effect.forkScoped(Effect.timeoutOption(loop("a", "the end"), 8000), { startImmediately: true })
      )
      yield* subscribed(2)
      for (const n of range(200)) {
        yield* publish("a", n)
        yield* Effect.sleep(2)
      }
      // Both wait by now, so both have the last.
      yield* subscribed(2)
      yield* publish("a", "the end")
      const all = new Set<unknown>()
      for (const each of both) {
        const seen = yield* Fiber.join(each)
        assert.isTrue(seen._tag === "Some")
        if (seen._tag === "None") continue
        assert.strictEqual(new Set(seen.value).size, seen.value.length)
        for (const payload of seen.value) all.add(payload)
      }
      // What one of them was not given, the other was.
      assert.strictEqual(all.size, 201)
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.live("http poll memory - `from=now` is now, and not remembered; nor is a poll of a client", () =>
    Effect.gen(function* () {
      yield* ask("/api/v1/poll?topics=a&timeout=0")
      yield* publish("a", 1)
      assert.lengthOf((yield* ask("/api/v1/poll?topics=a&timeout=0&from=now")).json.messages, 0)
      assert.lengthOf((yield* ask("/api/v1/poll?topics=a&timeout=0&client_id=c")).json.messages, 0)
      assert.deepStrictEqual(payloads((yield* ask("/api/v1/poll?topics=a&timeout=2")).json.messages), [1])
      assert.lengthOf((yield* ask("/api/v1/poll?topics=a&timeout=0")).json.messages, 0)
    }).pipe(Effect.provide(webHub()))
  )

  it.effect("http poll memory - forgets after `httpIdleTimeout`", () =>
    Effect.gen(function* () {
      const poll = timely(ask("/api/v1/poll?topics=a&timeout=0"))
      yield* poll
      yield* publish("a", 1)
      yield* TestClock.adjust(1100)
      assert.lengthOf((yield* poll).json.messages, 0)
    }).pipe(Effect.provide(webHub({ httpIdleTimeout: 1000 })))
  )

  it.live("http poll memory - thousands that go on where they were are answered", () =>
    Effect.gen(function* () {
      const polls = Effect.forEach(range(2000), () => ask("/api/v1/poll?topics=a&timeout=20"), {
        concurrency: 2000
      })
      for (const round of range(2)) {
        const asking = yield* Effect.forkScoped(polls, { startImmediately: true })
        yield* subscribed(2000)
        yield* publish("a", round)
        for (const { json } of yield* Fiber.join(asking))
          assert.deepStrictEqual(payloads(json.messages), [round])
        const hub = yield* Hub
        while ((yield* hub.metrics).subscriptions > 0) yield* Effect.sleep(2)
      }
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )
})
