import { assert, describe, it } from "@effect/vitest"
import { JsonScan, notJson, tooDeep, utf8Length } from "../../../src/protocol/json/JsonScan.ts"
import { chance, concat, mutated } from "../Chance.ts"
import { asText, jsonText, parsed, utf8 } from "./JsonArbitraries.ts"

const scanned = (bytes: Uint8Array): number => new JsonScan().whole(bytes, 0, bytes.length)

describe("json scan - it takes what JSON.parse takes", () => {
  it("json scan - valid JSON by chance, at any place of a buffer", () => {
    const random = chance(1)
    for (let run = 0; run < 5000; run++) {
      const bytes = utf8(jsonText(random, 5))
      assert.isDefined(parsed(bytes), asText(bytes))
      assert.strictEqual(scanned(bytes), bytes.length, asText(bytes))
      const within = concat([utf8('"['), bytes, utf8('}"')])
      assert.strictEqual(new JsonScan().whole(within, 2, bytes.length + 2), bytes.length + 2)
    }
  })

  it("json scan - JSON with something wrong", () => {
    const random = chance(2)
    let refused = 0
    for (let run = 0; run < 20_000; run++) {
      const bytes = mutated(random, utf8(jsonText(random, 4)))
      const isJson = parsed(bytes) !== undefined
      if (!isJson) refused++
      assert.strictEqual(scanned(bytes) >= 0, isJson, JSON.stringify(new TextDecoder().decode(bytes)))
    }
    assert.isAbove(refused, 5000)
  })

  it("json scan - random bytes, and short texts of the letters that matter", () => {
    const random = chance(3)
    const letters = [...utf8('{}[]",:\\u0123eE+-. \ntruefalsn'), 0xc3, 0xa4, 0x1f, 0x80]
    for (let run = 0; run < 50_000; run++) {
      const length = random.below(9)
      const bytes =
        run % 10 === 0 ? random.bytes(length) : Uint8Array.from({ length }, () => random.pick(letters))
      assert.strictEqual(
        scanned(bytes) >= 0,
        parsed(bytes) !== undefined,
        JSON.stringify(new TextDecoder().decode(bytes))
      )
    }
  })

  for (const text of [
    "01",
    "1.",
    ".5",
    "+1",
    "1e",
    "-",
    "nul",
    "nulll",
    "tru",
    "fals",
    "'a'",
    "[1,]",
    '{"a":1,}'
  ]) {
    it(`json scan - ${text} is refused`, () => assert.strictEqual(scanned(utf8(text)), notJson))
  }

  it("json scan - a byte order mark is refused, as JSON.parse does", () => {
    assert.strictEqual(scanned(utf8("\ufeff{}")), notJson)
  })
})

describe("json scan - limits", () => {
  it("json scan - nesting is counted in objects and lists alike", () => {
    const nested = (depth: number) => utf8('{"a":['.repeat(depth / 2) + "]}".repeat(depth / 2))
    assert.isAtLeast(scanned(nested(128)), 0)
    assert.strictEqual(scanned(nested(130)), tooDeep)
    assert.strictEqual(scanned(utf8("[".repeat(1_000_000))), tooDeep)
    assert.strictEqual(scanned(utf8('{"":'.repeat(1_000_000))), tooDeep)
  })

  it("json scan - line breaks are told where they stand between tokens", () => {
    const scan = new JsonScan()
    const see = (text: string) => {
      scan.sawLineBreak = false
      scan.whole(utf8(text), 0, utf8(text).length)
      return scan.sawLineBreak
    }
    assert.isFalse(see('{"a\\n": 1}'))
    for (const text of [
      "\n1",
      "1\r",
      "[\n]",
      "[1\n,2]",
      "[1,\n2]",
      '{\n"a":1}',
      '{"a"\n:1}',
      '{"a":\n1}',
      '{"a":1\n}'
    ])
      assert.isTrue(see(text), text)
  })
})

describe("json scan - UTF-8", () => {
  it("json scan - sequences are those that a strict decoder takes", () => {
    const random = chance(4)
    const interesting = [
      0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5
    ]
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
    let taken = 0
    for (let run = 0; run < 100_000; run++) {
      const length = 2 + random.below(3)
      const bytes = Uint8Array.from({ length }, () => random.pick(interesting))
      if (bytes[0]! < 0x80) continue
      const found = utf8Length(bytes, 0, length)
      if (found > 0) taken++
      const isValid = (end: number) => {
        try {
          decoder.decode(bytes.subarray(0, end))
          return true
        } catch {
          return false
        }
      }
      const expected = [2, 3, 4].find((end) => end <= length && isValid(end)) ?? 0
      assert.strictEqual(found, expected, bytes.toString())
    }
    assert.isAbove(taken, 1000)
  })
})
