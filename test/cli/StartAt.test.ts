import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { parseDuration, parseStart } from "../../src/cli/StartAt.ts"

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

  it("parseDuration - takes milliseconds without a unit", () => {
    assert.strictEqual(parseDuration("250"), 250)
    assert.strictEqual(parseDuration("30s"), 30_000)
    assert.isUndefined(parseDuration("-1"))
    assert.isUndefined(parseDuration("soon"))
  })
})
