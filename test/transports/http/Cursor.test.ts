/** Cursors against a model of what a hub gives to a reader that comes again. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Cursor, maxCursorLength, maxCursorTopics } from "../../../src/transports/http/Cursor.ts"

interface Sent {
  readonly topic: string
  readonly offset: number
  readonly time: number
}

const Int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** Which topic, and the milliseconds after the message before it. */
const Log = Schema.Array(Schema.Struct({ topic: Int(0, 150), after: Int(0, 900) })).check(
  Schema.isMinLength(250),
  Schema.isMaxLength(400)
)

/** Long ones, as in the names of devices, and some in letters that take six characters each. */
const topicName = (n: number) => `${(n % 3 === 0 ? "ü" : "x").repeat(1 + ((n * 37) % 120))}.${n}`

const logOf = (given: ReadonlyArray<{ readonly topic: number; readonly after: number }>) => {
  const next = new Map<string, number>()
  let time = 1_000_000
  return given.map((each): Sent => {
    const topic = topicName(each.topic)
    const offset = next.get(topic) ?? 0
    next.set(topic, offset + 1)
    time += each.after
    return { topic, offset, time }
  })
}

const receive = (cursor: Cursor, { offset, time, topic }: Sent) =>
  cursor.received(topic, 1_790_000_000_000_000, offset + 1, time)

/** Whether a hub gives a message to who resumes there. */
const givenAt = (text: string) => {
  const start = Cursor.parse(text)?.start
  if (start?._tag !== "Resume") return () => false
  const positions = new Map(start.topics.map(({ offset, topic }) => [topic, offset]))
  return ({ offset, time, topic }: Sent): boolean => {
    const position = positions.get(topic)
    return position === undefined ? time >= start.since : offset >= position
  }
}

describe("cursor", () => {
  it.prop("cursor - whoever is cut off loses nothing, however many topics", [Log], ([given]) => {
    const log = logOf(given)
    const cursor = new Cursor(1_000_000)
    for (const [index, sent] of log.entries()) {
      receive(cursor, sent)
      if (index % 20 > 0) continue
      const isGiven = givenAt(String(cursor))
      const lost = log.slice(index + 1).filter((each) => !isGiven(each))
      assert.deepStrictEqual(lost, [])
      // Nor does it get the last one again.
      assert.isFalse(isGiven(sent))
    }
  })

  it.prop("cursor - the same of a past that comes topic by topic", [Log], ([given]) => {
    const topics = Map.groupBy(logOf(given), ({ topic }) => topic)
    const log = [...topics.values()].flat()
    const cursor = new Cursor(1_000_000)
    cursor.isBehind = true
    for (const [index, sent] of log.entries()) {
      receive(cursor, sent)
      if (index % 20 > 0) continue
      const isGiven = givenAt(String(cursor))
      const lost = log.slice(index + 1).filter((each) => !isGiven(each))
      assert.deepStrictEqual(lost, [])
    }
  })

  it.prop("cursor - its text is bounded, is read as it was, and never moves back", [Log], ([given]) => {
    const cursor = new Cursor(1_000_000)
    let before = cursor.copy()
    for (const [index, sent] of logOf(given).entries()) {
      receive(cursor, sent)
      if (index % 5 > 0) continue
      const text = String(cursor)
      assert.match(text, /^[\x21-\x7e]+$/)
      assert.isAtMost(text.length, maxCursorLength)
      assert.isAtMost(cursor.positions.size, maxCursorTopics)
      const read = Cursor.parse(text)
      assert.strictEqual(String(read), text)
      assert.deepStrictEqual(read?.start, cursor.start)
      assert.strictEqual(String(cursor.copy()), text)
      assert.isAtLeast(cursor.since, before.since)
      for (const [topic, { offset }] of cursor.positions)
        assert.isAtLeast(offset, before.positions.get(topic)?.offset ?? 0)
      before = cursor.copy()
    }
  })

  it("cursor - forgets no more topics than it has to", () => {
    const cursor = new Cursor(1)
    for (let n = 0; n < 200; n++) receive(cursor, { topic: `${"x".repeat(165)}.${n}`, offset: 0, time: 1 })
    assert.isAbove(String(cursor).length, maxCursorLength - 250)
    const some = new Cursor(1)
    for (let n = 0; n < maxCursorTopics; n++) receive(some, { topic: `t.${n}`, offset: 0, time: 1 })
    assert.strictEqual(some.positions.size, maxCursorTopics)
  })

  it("cursor - the longest of all names fits", () => {
    const cursor = new Cursor(8_640_000_000_000_000)
    for (const letter of "äöü")
      cursor.received(letter.repeat(127), 9_007_199_254_740_991, 9_007_199_254_740_991, 1)
    assert.strictEqual(cursor.positions.size, 3)
    assert.strictEqual(String(Cursor.parse(String(cursor))), String(cursor))
  })

  it("cursor - another epoch is another log", () => {
    const cursor = new Cursor(0)
    cursor.received("a", 1, 9, 0)
    cursor.received("b", 1, 1, 0)
    cursor.received("a", 22, 3, 0)
    assert.strictEqual(String(cursor), "0,b@1-1,a@22-3")
    cursor.received("a", 1, 4, 0)
    assert.strictEqual(String(cursor), "0,b@1-1,a@1-4")
  })

  const Steps = Schema.Array(Schema.Struct({ topic: Int(0, 4), epoch: Int(1, 2), offset: Int(0, 20) }))
  const cursorOf = (steps: (typeof Steps)["Type"], since: number) => {
    const cursor = new Cursor(since)
    for (const { epoch, offset, topic } of steps) cursor.received(`t.${topic}`, epoch, offset, since)
    return cursor
  }

  it.prop("cursor - the furthest of two", [Steps, Int(0, 9), Steps, Int(0, 9)], ([a, sinceA, b, sinceB]) => {
    const one = cursorOf(a, sinceA)
    const other = cursorOf(b, sinceB)
    const texts = [String(one), String(other)]
    const both = one.furthest(other)
    assert.deepStrictEqual([String(one), String(other)], texts)
    assert.strictEqual(both.since, Math.max(sinceA, sinceB))
    for (const topic of new Set([...one.positions.keys(), ...other.positions.keys()])) {
      const mine = one.positions.get(topic)
      const theirs = other.positions.get(topic)
      const isSame = mine?.epoch === theirs?.epoch
      const offset = isSame ? Math.max(mine?.offset ?? 0, theirs?.offset ?? 0) : (theirs ?? mine)?.offset
      assert.strictEqual(both.positions.get(topic)?.epoch, (theirs ?? mine)?.epoch)
      assert.strictEqual(both.positions.get(topic)?.offset, offset)
    }
    assert.strictEqual(
      both.positions.size,
      new Set([...one.positions.keys(), ...other.positions.keys()]).size
    )
  })

  it("cursor - the furthest of two long ones is as short as any", () => {
    const one = new Cursor(0)
    const other = new Cursor(0)
    for (let n = 0; n < 100; n++) {
      receive(one, { topic: topicName(n), offset: n, time: 1000 })
      receive(other, { topic: topicName(n + 50), offset: n, time: 1000 })
    }
    assert.isAtMost(String(one.furthest(other)).length, maxCursorLength)
    assert.isAtMost(String(other.furthest(one)).length, maxCursorLength)
  })
})
