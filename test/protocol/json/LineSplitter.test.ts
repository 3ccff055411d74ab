import { assert, describe, it } from "@effect/vitest"
import { type Line, LineSplitter } from "../../../src/protocol/json/LineSplitter.ts"
import { chance } from "../Chance.ts"
import { asText, utf8 } from "./JsonArbitraries.ts"

const shown = (lines: ReadonlyArray<Line>) =>
  lines.map((line) => (typeof line === "string" ? line : `=${asText(line)}`))

/** The same, by the naive way. */
const expected = (text: string, limit: number): ReadonlyArray<string> =>
  text
    .split("\n")
    .map((line) => (utf8(line).length > limit ? "too-long" : `=${line}`))
    .filter((line) => line === "too-long" || /[^\s]/.test(line.slice(1)))

describe("line splitter - chunks of any cut", () => {
  it("line splitter - the lines are the same, however the bytes are cut", () => {
    const random = chance(1)
    const letters = ["a", "b", "ä", "€", "\n", "\n", "\r\n", " ", "0123456789".repeat(3)]
    for (let run = 0; run < 3000; run++) {
      const text = Array.from({ length: random.below(30) }, () => random.pick(letters)).join("")
      const limit = random.pick([1, 5, 30, 100])
      const bytes = utf8(text)
      const splitter = new LineSplitter(limit)
      const lines: Array<Line> = []
      for (let at = 0; at < bytes.length; ) {
        const next = Math.min(bytes.length, at + 1 + random.below(run % 3 === 0 ? 1 : 20))
        lines.push(...splitter.push(bytes.slice(at, next)))
        at = next
      }
      lines.push(...splitter.finish())
      assert.deepStrictEqual(shown(lines), expected(text, limit), JSON.stringify(text))
    }
  })

  it("line splitter - a line is answered with the chunk that ends it", () => {
    const splitter = new LineSplitter(100)
    assert.deepStrictEqual(shown(splitter.push(utf8('{"a":1}\n{"b"'))), ['={"a":1}'])
    assert.deepStrictEqual(shown(splitter.push(utf8(":2}"))), [])
    assert.deepStrictEqual(shown(splitter.push(utf8("\n"))), ['={"b":2}'])
    assert.deepStrictEqual(shown(splitter.finish()), [])
  })

  it("line splitter - what is answered is not written over by what follows", () => {
    const splitter = new LineSplitter(100)
    splitter.push(utf8("fir"))
    const lines = splitter.push(utf8("st\nsecond, not whole"))
    assert.deepStrictEqual(shown(lines), ["=first"])
    splitter.push(utf8(" yet"))
    assert.deepStrictEqual(shown(lines), ["=first"])
  })
})

describe("line splitter - limits", () => {
  it("line splitter - a line without end is answered once, keeps nothing, and the next ones are read", () => {
    const splitter = new LineSplitter(1000)
    const chunk = new Uint8Array(65_536).fill(0x61)
    for (let i = 0; i < 1000; i++) assert.deepStrictEqual(splitter.push(chunk), [])
    assert.isBelow(JSON.stringify(splitter).length, 10_000)
    assert.deepStrictEqual(shown(splitter.push(utf8("aa\nb\n"))), ["too-long", "=b"])
  })

  it("line splitter - the limit itself is taken, in one chunk and in two", () => {
    const splitter = new LineSplitter(4)
    assert.deepStrictEqual(shown(splitter.push(utf8("1234\n12345\n12"))), ["=1234", "too-long"])
    assert.deepStrictEqual(shown(splitter.push(utf8("34\n123"))), ["=1234"])
    assert.deepStrictEqual(shown(splitter.push(utf8("45\n1"))), ["too-long"])
    assert.deepStrictEqual(shown(splitter.finish()), ["=1"])
  })
})
