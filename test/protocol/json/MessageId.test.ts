import { assert, describe, it } from "@effect/vitest"
import { messageIdOf, parseMessageId, parsePosition } from "../../../src/protocol/json/MessageId.ts"
import { parseStart, parseTime, timeText } from "../../../src/protocol/json/StartText.ts"

describe("message id - it leads back", () => {
  for (const topic of ["alerts", "a@1-2", "user@example.com", 'with"quote\\', "wetter.köln", "$channel.a"]) {
    it(`message id - ${topic}`, () => {
      for (const [epoch, offset] of [
        [0, 0],
        [1_790_000_000_000_000, 42],
        [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]
      ] as const) {
        assert.deepStrictEqual(parseMessageId(messageIdOf(topic, epoch, offset)), { topic, epoch, offset })
      }
    })
  }

  const refused = [
    "",
    "@",
    "@1-2",
    "a",
    "a@",
    "a@1",
    "a@1-",
    "a@-1-2",
    "a@01-2",
    "a@1-2 ",
    "a@1.0-2",
    "a@1-99999999999999999"
  ]
  for (const id of [
    ...refused,
    "a@9007199254740992-0",
    "a.*@1-2",
    "a b@1-2",
    "a..b@1-2",
    `${"a".repeat(300)}@1-2`
  ]) {
    it(`message id - ${id.slice(0, 40)} is none`, () => assert.isUndefined(parseMessageId(id)))
  }

  it("message id - positions of an endless text are refused without being looked at", () => {
    assert.isUndefined(parsePosition("1".repeat(10_000_000)))
    assert.isUndefined(parseMessageId("1".repeat(10_000_000)))
  })
})

describe("start - as text", () => {
  it("start - each form", () => {
    assert.deepStrictEqual(parseStart("now"), { _tag: "Now" })
    assert.deepStrictEqual(parseStart("first"), { _tag: "First" })
    assert.deepStrictEqual(parseStart("17-4"), { _tag: "Position", position: { epoch: 17, offset: 4 } })
    assert.deepStrictEqual(parseStart("1704110400000"), { _tag: "Time", time: 1_704_110_400_000 })
    for (const text of ["2024-01-01T12:00:00Z", "2024-01-01T13:00:00.000+01:00", "2024-01-01t12:00:00z"])
      assert.deepStrictEqual(parseStart(text), { _tag: "Time", time: 1_704_110_400_000 }, text)
  })

  for (const text of [
    "",
    "later",
    "-1",
    "1.5",
    "2024-01-01",
    "2024-13-01T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "9".repeat(17)
  ]) {
    it(`start - ${text} is none`, () => assert.isUndefined(parseStart(text)))
  }

  it("start - times are written so that they are read, and any number is written", () => {
    assert.strictEqual(parseTime(timeText(1_704_110_400_123)), 1_704_110_400_123)
    for (const time of [Number.NaN, -1, Number.MAX_SAFE_INTEGER]) assert.isString(timeText(time))
  })
})
