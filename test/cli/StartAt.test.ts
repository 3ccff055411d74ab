import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { parseDuration, parseMoment, parsePoint, parseStart } from "../../src/cli/StartAt.ts"

const now = Date.UTC(2026, 0, 1)
const minute = 60_000

describe("StartAt", () => {
  it("parseStart - reads positions, times and durations", () => {
    const at = (text: string) => Result.getOrThrow(parseStart(text, now))
    assert.deepStrictEqual(at("17:4"), { position: { epoch: 17, offset: 4 } })
    assert.deepStrictEqual(at("1767225600000"), { time: 1_767_225_600_000 })
    assert.deepStrictEqual(at("2025-12-31T23:00:00Z"), { time: now - 60 * minute })
    assert.deepStrictEqual(at("2025-12-31"), { time: now - 24 * 60 * minute })
    assert.deepStrictEqual(at("5m"), { time: now - 5 * minute })
    assert.deepStrictEqual(at("1.5 hours ago"), { time: now - 90 * minute })
  })

  it("parseStart - says what is allowed", () => {
    for (const text of [
      "",
      "yesterday",
      "-5m",
      "1:",
      ":1",
      "1:2:3",
      "5 parsecs",
      "2025-13-01",
      "9".repeat(20)
    ]) {
      const start = parseStart(text, now)
      assert.isTrue(Result.isFailure(start), text)
      if (Result.isFailure(start)) assert.match(start.failure, /^found ".*"; allowed: epoch:offset/)
    }
  })

  it("parsePoint - reads also the first, and an offset without its epoch", () => {
    const at = (text: string) => Result.getOrThrow(parsePoint(text, now))
    assert.strictEqual(at(" first "), "first")
    assert.deepStrictEqual(at("0"), { position: { offset: 0 } })
    assert.deepStrictEqual(at("99999999999"), { position: { offset: 99_999_999_999 } })
    assert.deepStrictEqual(at("100000000000"), { time: 100_000_000_000 })
    assert.deepStrictEqual(at("17:4"), { position: { epoch: 17, offset: 4 } })
    assert.deepStrictEqual(at("5m"), { time: now - 5 * minute })
    assert.deepStrictEqual(at("2025-12-31T23:00:00Z"), { time: now - 60 * minute })
  })

  it("parsePoint - says what is allowed, with the forms of the caller", () => {
    for (const text of ["", "now", "last 3", "-1", "1.5", "1:", "9".repeat(20)]) {
      const point = parsePoint(text, now, "now, ")
      assert.isTrue(Result.isFailure(point), text)
      if (Result.isFailure(point)) assert.match(point.failure, /^found ".*"; allowed: now, first, an offset/)
    }
  })

  it("parseMoment - takes a time, and no offset or duration", () => {
    assert.strictEqual(parseMoment("1767225600000"), 1_767_225_600_000)
    assert.strictEqual(parseMoment("2025-12-31"), now - 24 * 60 * minute)
    for (const text of ["5m", "17:4", "tomorrow", "2025-13-01"]) assert.isUndefined(parseMoment(text))
  })

  it("parseDuration - takes milliseconds without a unit", () => {
    assert.strictEqual(parseDuration("250"), 250)
    assert.strictEqual(parseDuration("30s"), 30_000)
    assert.isUndefined(parseDuration("-1"))
    assert.isUndefined(parseDuration("soon"))
  })
})
