/** The names of topics in order, against a plain sort of all of them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Hub } from "../../src/actors/Hub.ts"
import { sliceLength, TopicNames } from "../../src/actors/TopicNames.ts"
import { encodeText } from "../../src/protocol/Bytes.ts"
import { matches } from "../../src/protocol/Pattern.ts"
import { compareTopicNames } from "../../src/protocol/TopicName.ts"
import { Faults, failingLog } from "./FailingLog.ts"
import { hubWith } from "./TestHub.ts"

/** Some that UTF-16 has in another order than UTF-8. */
const segments = ["a", "b", "a-", "$hub", "ü", "\u{1f600}", "\uffee", "zz"]
const Segment = Schema.Literals(segments)
const Name = Schema.Array(Segment).check(Schema.isMinLength(1), Schema.isMaxLength(3))
const Names = Schema.Array(Schema.Struct({ name: Name, isOpen: Schema.Boolean, isStored: Schema.Boolean }))
const Patterns = Schema.Literals([">", "a.*", "a.>", "*.b", "*.*.a", "$hub.>", "a.b.>", "\u{1f600}.*"])

const inOrder = (names: Iterable<string>) => [...new Set(names)].sort(compareTopicNames)

const namesOf = (open: Iterable<string>, stored: ReadonlyArray<string>) => {
  const names = new TopicNames((after) => stored.filter((name) => compareTopicNames(name, after) > 0))
  for (const name of new Set(open)) names.add(name)
  return names
}

const walk = (names: TopicNames, pattern: string, from = "") => {
  const all: Array<string> = []
  for (let after: string | undefined = from; after !== undefined; ) {
    const slice = names.slice(pattern, after)
    assert.isAtMost(slice.names.length, sliceLength)
    all.push(...slice.names)
    after = slice.last
  }
  return all
}

describe("topic names", () => {
  it.prop("topic names - their order is that of their bytes", [Name, Name], ([a, b]) => {
    const [one, other] = [a.join("."), b.join(".")]
    const bytes = Buffer.compare(Buffer.from(one), Buffer.from(other))
    assert.strictEqual(Math.sign(compareTopicNames(one, other)), bytes)
  })

  it.prop(
    "topic names - each that matches once, in order, open or stored",
    [Names, Patterns, Name],
    ([given, pattern, from]) => {
      const named = given.map(({ isOpen, isStored, name }) => ({ isOpen, isStored, name: name.join(".") }))
      const open = named.filter(({ isOpen }) => isOpen).map(({ name }) => name)
      const stored = inOrder(named.filter(({ isStored }) => isStored).map(({ name }) => name))
      const names = namesOf(open, stored)
      const expected = inOrder([...open, ...stored]).filter((name) => matches(pattern, name))
      assert.deepStrictEqual(walk(names, pattern), expected)
      const after = from.join(".")
      assert.deepStrictEqual(
        walk(names, pattern, after),
        expected.filter((name) => compareTopicNames(name, after) > 0)
      )
    }
  )

  it("topic names - of many, in slices, and of a prefix no others are looked at", () => {
    const name = (n: number) => `${n % 3 === 0 ? "x" : "y"}.${n}`
    const all = Array.from({ length: 5000 }, (_, n) => name(n))
    const stored = inOrder(all.filter((_, n) => n % 5 < 3))
    let asked = 0
    const names = new TopicNames(function* (after) {
      for (const each of stored) {
        if (compareTopicNames(each, after) <= 0) continue
        asked++
        yield each
      }
    })
    for (const [n, each] of all.entries()) if (n % 5 > 1) names.add(each)
    assert.deepStrictEqual(walk(names, ">"), inOrder(all))
    for (const [n, each] of all.entries()) if (n % 5 > 2) names.remove(each)
    assert.deepStrictEqual(walk(names, ">"), stored)
    asked = 0
    const last = stored.at(-1) ?? ""
    assert.deepStrictEqual(walk(names, "y.>", last), [])
    assert.deepStrictEqual(walk(names, `${last}.*`), [])
    assert.strictEqual(asked, 0)
    assert.deepStrictEqual(walk(names, "x.3"), ["x.3"])
    assert.deepStrictEqual(walk(names, "x.3", "x.3"), [])
  })
})

/** A client that has nothing to take. */
const quiet = {
  isWritable: true,
  isWaiting: false,
  deliver: () => {},
  control: () => {},
  pumpLater: () => {},
  ended: () => {},
  isTaking: () => true
}

describe("hub topics", () => {
  it.live("hub topics - a page costs what it shows, and nobody waits for a list of all", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const count = 20_000
      for (let n = 0; n < count; n++) yield* hub.createTopic(`t.${(n * 7919) % count}`)
      const looked: Array<string> = []
      const sees = (name: string) => {
        looked.push(name)
        return name !== "t.10"
      }
      const page = yield* hub.topics(">", { after: "t.1", limit: 3, sees })
      assert.deepStrictEqual(
        page.map(({ name }) => name),
        ["t.100", "t.1000", "t.10000"]
      )
      assert.isBelow(looked.length, 10)
      // Others run in between: as often as there are slices, or nearly.
      let turns = 0
      const counting = yield* Effect.forkScoped(
        Effect.forever(
          Effect.andThen(
            Effect.sync(() => turns++),
            Effect.yieldNow
          )
        ),
        { startImmediately: true }
      )
      assert.lengthOf(yield* hub.topics(">"), count)
      assert.strictEqual(yield* hub.topicCount, count)
      assert.isAbove(turns, count / sliceLength)
      counting.interruptUnsafe()
    }).pipe(Effect.scoped, Effect.provide(hubWith({ maxTopics: 50_000 })))
  )

  it.effect("hub topics - of many, what waits for them is looked at once in a second", () => {
    const faults = new Faults()
    return Effect.gen(function* () {
      const hub = yield* Hub
      for (let n = 0; n < 11_000; n++) yield* hub.createTopic(`t.${n}`)
      assert.deepInclude(yield* hub.metrics, { topics: 11_000, queueDepth: 0 })
      faults.room = Effect.never
      const connection = yield* hub.connectLocal(quiet)
      connection.send({
        _tag: "Open",
        session: 1,
        request: 1,
        id: crypto.randomUUID(),
        incarnation: 0,
        name: ""
      })
      const message = { payload: encodeText("x") }
      // The first is on its way to the log; the others wait.
      for (let n = 0; n < 3; n++)
        yield* Effect.forkScoped(connection.publish(1, "t.5", [message]), { startImmediately: true })
      assert.strictEqual((yield* hub.metrics).queueDepth, 0)
      yield* TestClock.adjust(1000)
      assert.strictEqual((yield* hub.metrics).queueDepth, 2)
    }).pipe(Effect.scoped, Effect.provide(hubWith({ maxTopics: 50_000 }, failingLog(faults))))
  })
})
