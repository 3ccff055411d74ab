/** Cursors against a model of what a hub gives to a reader that comes again. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { compareTopicNames } from "../../../src/protocol/TopicName.ts"
import { Cursor, maxCursorLength, maxCursorTopics } from "../../../src/transports/http/Cursor.ts"
import { EventCursor } from "../../../src/transports/http/EventCursor.ts"

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

const epoch = 1_790_000_000_000_000

const eventCursor = () => new EventCursor(new Cursor(1_000_000))

const receive = (cursor: EventCursor, { offset, time, topic }: Sent) =>
  cursor.received(topic, epoch, offset + 1, time)

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

describe("event cursor", () => {
  it.prop("event cursor - whoever is cut off loses nothing, however many topics", [Log], ([given]) => {
    const log = logOf(given)
    const cursor = eventCursor()
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

  it.prop("event cursor - the same of a past that comes topic by topic", [Log], ([given]) => {
    const topics = Map.groupBy(logOf(given), ({ topic }) => topic)
    const log = [...topics.values()].flat()
    const cursor = eventCursor()
    cursor.isBehind = true
    for (const [index, sent] of log.entries()) {
      receive(cursor, sent)
      if (index % 20 > 0) continue
      const isGiven = givenAt(String(cursor))
      const lost = log.slice(index + 1).filter((each) => !isGiven(each))
      assert.deepStrictEqual(lost, [])
    }
  })

  it.prop("event cursor - its text is bounded, is read as it was, and never moves back", [Log], ([given]) => {
    const cursor = eventCursor()
    let before = new Cursor(0)
    for (const [index, sent] of logOf(given).entries()) {
      receive(cursor, sent)
      if (index % 5 > 0) continue
      const text = String(cursor)
      assert.match(text, /^[\x21-\x7e]+$/)
      assert.isAtMost(text.length, maxCursorLength)
      assert.isAtLeast(cursor.length, text.length)
      const read = Cursor.parse(text) ?? new Cursor(0)
      assert.isAtMost(read.positions.size, maxCursorTopics)
      assert.strictEqual(String(read), text)
      assert.strictEqual(String(read.copy()), text)
      assert.isAtLeast(read.since, before.since)
      for (const [topic, { offset }] of read.positions)
        assert.isAtLeast(offset, before.positions.get(topic)?.offset ?? 0)
      before = read
    }
  })

  it("event cursor - forgets no more topics than it has to", () => {
    const cursor = eventCursor()
    for (let n = 0; n < 200; n++) receive(cursor, { topic: `${"x".repeat(165)}.${n}`, offset: 0, time: 1 })
    // Room is left for a round at the longest names.
    assert.isAbove(String(cursor).length, maxCursorLength / 2)
    const some = eventCursor()
    for (let n = 0; n < maxCursorTopics; n++) receive(some, { topic: `t.${n}`, offset: 0, time: 1 })
    assert.strictEqual(Cursor.parse(String(some))?.positions.size, maxCursorTopics)
  })

  it("event cursor - of a round that is not over, all that is not named comes again", () => {
    const cursor = Cursor.parse("5~9~b,a@1-2,c@1-3")
    assert.isDefined(cursor)
    if (cursor !== undefined) assert.strictEqual(String(new EventCursor(cursor)), "5,a@1-2,c@1-3")
  })
})

describe("cursor", () => {
  const longest = 9_007_199_254_740_991
  it("cursor - the longest of all names fit, also in a round", () => {
    const cursor = new Cursor(8_640_000_000_000_000)
    for (const letter of "あいうえ") assert.isTrue(cursor.received(letter.repeat(85), longest, longest))
    assert.isFalse(cursor.received("お".repeat(85), longest, longest))
    assert.strictEqual(String(Cursor.parse(String(cursor))), String(cursor))
    cursor.goRound(8_640_000_000_000_000)
    assert.isTrue(cursor.received("お".repeat(85), longest, longest))
    assert.isAtMost(String(cursor).length, maxCursorLength)
    assert.strictEqual(String(Cursor.parse(String(cursor))), String(cursor))
  })

  it("cursor - in a round, what it is through with is named no longer unless it is kept", () => {
    const cursor = new Cursor(5)
    for (const topic of ["a", "b", "c", "d"]) cursor.received(topic, 1, 1)
    cursor.goRound(9)
    assert.strictEqual(String(cursor), "5~9,a@1-1,b@1-1,c@1-1,d@1-1")
    cursor.passed("a", 9)
    cursor.passed("b", 9, { epoch: 1, offset: 3 })
    cursor.received("a", 1, 7)
    assert.strictEqual(String(cursor), "5~9~b,c@1-1,d@1-1,b@1-3")
    assert.deepStrictEqual(Cursor.parse(String(cursor))?.round, { until: 9, topic: "b", position: undefined })
    cursor.received("c", 1, 2)
    assert.strictEqual(String(cursor), "5~9~c@1-2,d@1-1,b@1-3")
    assert.deepStrictEqual(Cursor.parse(String(cursor))?.positionOf("c"), { epoch: 1, offset: 2 })
    cursor.passed("c", 9)
    cursor.passed("d", 9)
    cursor.endRound(9)
    assert.strictEqual(String(cursor), "9,b@1-3")
  })

  const Kept = Schema.Array(Schema.Struct({ topic: Int(0, 300), isKept: Schema.Boolean }))
  it.prop("cursor - however many topics a round would keep, its text is bounded", [Kept], ([given]) => {
    const cursor = new Cursor(1_000_000)
    for (let n = 0; n < 300; n++) cursor.received(topicName(n), epoch, longest)
    cursor.goRound(8_640_000_000_000_000)
    const topics = [...new Map(given.map((each) => [topicName(each.topic), each.isKept]))]
    for (const [topic, isKept] of topics.sort(([a], [b]) => compareTopicNames(a, b))) {
      cursor.received(topic, epoch, longest)
      assert.isAtMost(String(cursor).length, maxCursorLength)
      assert.strictEqual(String(Cursor.parse(String(cursor))), String(cursor))
      const kept = isKept && cursor.hasRoomFor(topic, epoch, longest) ? { epoch, offset: longest } : undefined
      cursor.passed(topic, 8_640_000_000_000_000, kept)
    }
  })

  it("cursor - another epoch is another log", () => {
    const cursor = new Cursor(0)
    cursor.received("a", 1, 9)
    cursor.received("b", 1, 1)
    cursor.received("a", 22, 3)
    assert.strictEqual(String(cursor), "0,b@1-1,a@22-3")
    cursor.received("a", 1, 4)
    assert.strictEqual(String(cursor), "0,b@1-1,a@1-4")
  })

  const Steps = Schema.Array(Schema.Struct({ topic: Int(0, 4), epoch: Int(1, 2), offset: Int(0, 20) }))
  const cursorOf = (steps: (typeof Steps)["Type"], since: number) => {
    const cursor = new Cursor(since)
    for (const { epoch, offset, topic } of steps) cursor.received(`t.${topic}`, epoch, offset)
    return cursor
  }

  it.prop("cursor - the furthest of two of one time", [Steps, Steps], ([a, b]) => {
    const one = cursorOf(a, 3)
    const other = cursorOf(b, 3)
    const texts = [String(one), String(other)]
    const both = one.furthest(other)
    assert.deepStrictEqual([String(one), String(other)], texts)
    const topics = new Set([...one.positions.keys(), ...other.positions.keys()])
    for (const topic of topics) {
      const mine = one.positions.get(topic)
      const theirs = other.positions.get(topic)
      const isSame = mine?.epoch === theirs?.epoch
      const offset = isSame ? Math.max(mine?.offset ?? 0, theirs?.offset ?? 0) : (theirs ?? mine)?.offset
      assert.strictEqual(both.positions.get(topic)?.epoch, (theirs ?? mine)?.epoch)
      assert.strictEqual(both.positions.get(topic)?.offset, offset)
    }
    assert.strictEqual(both.positions.size, topics.size)
  })

  it("cursor - of the last so many messages, only in a round", () => {
    for (const text of ["l5~9", "l5~9~a", "l5~9~a@1-1,b@1-1"])
      assert.strictEqual(String(Cursor.parse(text)?.copy()), text)
    for (const text of ["l5", "l~9", "lx~9", "l5,a@1-1", "l99999999999~9"])
      assert.isUndefined(Cursor.parse(text))
    const cursor = Cursor.parse("l5~9~a") ?? new Cursor(0)
    cursor.endRound(9)
    assert.strictEqual(String(cursor), "9")
  })

  it("cursor - a round does not go beyond the time of the hub", () => {
    const cursor = Cursor.parse("5~99~a@1-1") ?? new Cursor(0)
    cursor.goRound(20)
    assert.strictEqual(String(cursor), "5~20~a@1-1")
    cursor.goRound(30)
    assert.strictEqual(String(cursor), "5~20~a@1-1")
    cursor.goRound(1)
    assert.strictEqual(String(cursor), "5~5~a@1-1")
  })

  it("cursor - of two that differ in their rounds, the one that has come further", () => {
    const ordered = ["5", "5,a@1-9", "5~9", "5~9~a", "5~9~b@1-1,z@1-1", "5~9~b@1-2", "5~10", "9"]
    for (const [index, text] of ordered.entries()) {
      for (const further of ordered.slice(Math.max(index + 1, 2))) {
        const [one, other] = [Cursor.parse(text) ?? new Cursor(0), Cursor.parse(further) ?? new Cursor(0)]
        assert.strictEqual(String(one.furthest(other)), further)
        assert.strictEqual(String(other.furthest(one)), further)
      }
    }
  })

  const Place = Schema.Array(Int(0, 3)).check(Schema.isMaxLength(4))
  const Rounds = Schema.Struct({
    since: Int(5, 6),
    until: Schema.optionalKey(Int(8, 9)),
    topic: Int(0, 3),
    offset: Schema.optionalKey(Int(1, 3)),
    named: Place
  })
  const roundOf = ({ named, offset, since, topic, until }: (typeof Rounds)["Type"]) => {
    const at = offset === undefined ? "" : `@1-${offset}`
    const round = until === undefined ? "" : topic === 0 ? `~${until}` : `~${until}~t.${topic}${at}`
    const parts = named.map((position, n) => `,t.${n + 1}@1-${position}`)
    return Cursor.parse(`${since}${round}${parts.join("")}`) ?? new Cursor(0)
  }
  /** Whether a reader that goes on there is still to be given the message. */
  const isAhead = (cursor: Cursor, topic: string, offset: number, time: number): boolean => {
    const { round } = cursor
    const order = round === undefined ? 1 : compareTopicNames(topic, round.topic)
    const position =
      order === 0 ? (round?.position ?? cursor.positions.get(topic)) : cursor.positions.get(topic)
    if (position !== undefined) return offset >= position.offset
    return time >= (order > 0 ? cursor.since : (round?.until ?? 0))
  }

  it.prop(
    "cursor - the furthest of two, in rounds too, is not further than what both have read",
    [Rounds, Rounds, Schema.Boolean],
    ([a, b, isOnePlace]) => {
      const [one, other] = [roundOf(a), roundOf(isOnePlace ? { ...a, named: b.named } : b)]
      const texts = [String(one), String(other)]
      const furthest = one.furthest(other)
      assert.deepStrictEqual([String(one), String(other)], texts)
      for (let topic = 1; topic <= 5; topic++)
        for (let offset = 0; offset < 5; offset++)
          for (let time = 4; time < 10; time++) {
            const isAheadOf = (cursor: Cursor) => isAhead(cursor, `t.${topic}`, offset, time)
            if (isAheadOf(one) && isAheadOf(other))
              assert.isTrue(isAheadOf(furthest), `${texts} t.${topic} ${offset} ${time}: ${furthest}`)
          }
    }
  )

  it.prop("cursor - the furthest of one and itself is that one", [Rounds], ([given]) => {
    const cursor = roundOf(given)
    assert.strictEqual(String(cursor.furthest(cursor)), String(cursor))
  })

  it("cursor - the furthest of two at one place of a round is there too", () => {
    const text = "100~200~m,z.last@1-5"
    const cursor = Cursor.parse(text) ?? new Cursor(0)
    assert.strictEqual(String(cursor.furthest(cursor.copy())), text)
  })

  it("cursor - the furthest of two long ones is as short as any", () => {
    const one = new Cursor(0)
    const other = new Cursor(0)
    for (let n = 0; n < 100; n++) {
      one.received(topicName(n), epoch, n)
      other.received(topicName(n + 50), epoch, n)
    }
    assert.isAtMost(String(one.furthest(other)).length, maxCursorLength)
    assert.isAtMost(String(other.furthest(one)).length, maxCursorLength)
  })
})
