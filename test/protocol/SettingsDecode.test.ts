import { assert, describe, it } from "@effect/vitest"
import { Schema, Struct } from "effect"
import fc from "fast-check"
import { bytes, choice, flag, host, integer, milliseconds, text } from "../../src/protocol/SettingKinds.ts"
import { decodeSettings, expandVariables, givenIn, schemaOf } from "../../src/protocol/SettingsDecode.ts"
import { SHOWN_LENGTH, settingsError, showFound } from "../../src/protocol/SettingsError.ts"

const description = "A setting."
const table = {
  count: integer({ default: 1, minimum: 0, maximum: 1_000_000, description }),
  pause: milliseconds({ default: 1, minimum: 0, maximum: 10 ** 12, description }),
  size: bytes({ default: 1, minimum: 0, maximum: 10 ** 12, description }),
  isOpen: flag({ default: false, description }),
  colour: choice(["red", "green"], { default: "red", description }),
  where: host({ default: "::1", description }),
  name: text({ description })
}
const schema = Schema.Struct(Struct.map(table, schemaOf))

const decode = (input: object) =>
  decodeSettings({ table, schema, sources: [givenIn(input, "test")], earlier: [], owner: "test" })

describe("settings decoding - properties", () => {
  it("any value of any key is either taken or a problem of one line, and nothing throws", () => {
    const keys = fc.oneof(fc.constantFrom(...Struct.keys(table)), fc.string())
    fc.assert(
      fc.property(fc.dictionary(keys, fc.anything({ withBigInt: true, withDate: true })), (input) => {
        const { values, problems } = decode({ name: "n", ...input })
        if (problems.length === 0) assert.isDefined(values)
        for (const { message } of problems) assert.notMatch(message, /[\p{Cc}\p{Zl}\p{Zp}]/u)
        assert.strictEqual(settingsError(problems).message.split("\n").length, Math.max(1, problems.length))
      })
    )
  })

  it("whole numbers are the same as numbers and as text, in every unit", () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), (n) => {
        const { values } = decode({ count: `${n}`, pause: `${n}s`, size: `${n} KiB`, name: "n" })
        assert.deepInclude(values, { count: n, pause: n * 1000, size: n * 1024 })
        assert.deepInclude(decode({ count: n, pause: `${n} ms`, size: n, name: "n" }).values, {
          count: n,
          pause: n,
          size: n
        })
      })
    )
  })

  it("a duration in thousandths of a second is whole milliseconds", () => {
    fc.assert(
      fc.property(fc.nat(10_000_000), (n) => {
        assert.propertyVal(decode({ pause: `${(n / 1000).toFixed(3)}s`, name: "n" }).values, "pause", n)
      })
    )
  })

  it("text without variables is left as it is; with them it is what they say", () => {
    const words = fc.string().filter((word) => !word.includes("$") && !word.includes("{"))
    fc.assert(
      fc.property(words, words, words, (before, value, after) => {
        const given = (text: unknown) => [{ key: "name", origin: "test", value: text }]
        assert.deepStrictEqual(expandVariables(given(before), {}), { given: given(before), problems: [] })
        const { given: expanded, problems } = expandVariables(given([`${before}\${A}${after}`, 5]), {
          A: value
        })
        assert.deepStrictEqual(problems, [])
        assert.deepStrictEqual(expanded, given([before + value + after, 5]))
      })
    )
  })

  it("no more than 80 characters of a value are shown", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 300 }), (value) => {
        assert.isAtMost(JSON.parse(showFound(value)).length, SHOWN_LENGTH)
      })
    )
  })
})

describe("settings decoding - required", () => {
  it("what is missing is a problem, and there are no values", () => {
    const { values, problems } = decode({ count: 5 })
    assert.isUndefined(values)
    assert.deepStrictEqual(
      problems.map(({ message }) => message),
      ["name (test): found nothing; allowed: text of 1 to 4096 characters"]
    )
  })

  it("what is given badly is not missing as well", () => {
    assert.strictEqual(decode({ name: "" }).problems.length, 1)
  })
})
