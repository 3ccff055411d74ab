import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import {
  checkTopicBytes,
  checkTopicName,
  decodeTopicName,
  isReserved,
  maxNameBytes,
  maxSegments,
  type TopicNameReason
} from "../../src/protocol/TopicName.ts"

const bytesOf = (text: string) => new TextEncoder().encode(text)

/** Any mix of what is allowed and what is not, in UTF-16 units, so that surrogates come alone and in pairs. */
const anyText = Arbitrary.map(
  Arbitrary.array(
    Arbitrary.schema(
      Schema.Literals([
        0x61, 0x62, 0x63, 0x64, 0x2e, 0x2e, 0x24, 0xe9, 0x20ac, 0xd83d, 0xde00, 0x20, 0x2a, 0x3e, 0x7f, 0xfeff
      ])
    ),
    { maxLength: 6 }
  ),
  (units) => String.fromCharCode(...units)
)

/** The rules once more, in the words of regular expressions. */
const isValid = (text: string): boolean =>
  Buffer.byteLength(text) <= maxNameBytes &&
  text.isWellFormed() &&
  !/[\s\p{Cc}*>]/u.test(text) &&
  text.split(".").every((segment) => segment !== "")

describe("topic name - validation", () => {
  const valid: ReadonlyArray<readonly [string, string]> = [
    ["one segment", "weather"],
    ["many segments", "weather.temperature.london"],
    ["one character", "a"],
    ["the hub's own", "$hub.metrics"],
    ["a dollar alone", "$"],
    ["a dollar later", "a.$b"],
    ["punctuation", "a-b_c/d:e+f#g@h{i}"],
    ["other scripts", "wetter.münchen.気温"],
    ["a surrogate pair", "mood.😀"],
    ["the longest", "a".repeat(maxNameBytes)],
    ["the longest, of two bytes each", `${"é".repeat(127)}a`],
    ["the deepest", Array(maxSegments).fill("a").join(".")]
  ]
  for (const [what, name] of valid) {
    it(`topic name - accepts ${what}`, () => {
      assert.isUndefined(checkTopicName(name))
      const bytes = bytesOf(name)
      assert.strictEqual(decodeTopicName(bytes, 0, bytes.length), name)
      assert.isUndefined(checkTopicBytes(bytes, 0, bytes.length))
    })
  }

  const invalid: ReadonlyArray<readonly [TopicNameReason, string, string]> = [
    ["empty", "nothing", ""],
    ["too-long", "256 bytes", "a".repeat(256)],
    ["too-long", "256 bytes in 128 characters", "é".repeat(128)],
    ["too-long", "256 bytes in 64 pairs", "😀".repeat(64)],
    ["too-long", "a million segments", "a.".repeat(1_000_000)],
    ["empty-segment", "a dot alone", "."],
    ["empty-segment", "a dot first", ".a"],
    ["empty-segment", "a dot last", "a."],
    ["empty-segment", "two dots", "a..b"],
    ["white-space", "a space", "a b"],
    ["white-space", "a tab", "a\tb"],
    ["white-space", "a line end", "a\n"],
    ["white-space", "next line, U+0085", "a\u0085b"],
    ["white-space", "a no-break space", "a\u00a0b"],
    ["white-space", "an ideographic space", "a\u3000b"],
    ["white-space", "a line separator", "a\u2028b"],
    ["white-space", "a byte order mark", "\ufeffa"],
    ["control-character", "NUL", "a\u0000"],
    ["control-character", "ESC", "\u001b[31m"],
    ["control-character", "DEL", "a\u007fb"],
    ["control-character", "the first of C1", "a\u0080"],
    ["control-character", "the last of C1", "a\u009f"],
    ["wildcard", "a star", "a.*"],
    ["wildcard", "a star within", "a*b"],
    ["wildcard", "a tail", "a.>"],
    ["wildcard", "a tail within", "a.b>c"]
  ]
  for (const [reason, what, name] of invalid) {
    it(`topic name - refuses ${what} as ${reason}`, () => {
      const bytes = bytesOf(name)
      assert.strictEqual(checkTopicName(name)?.reason, reason)
      assert.strictEqual(checkTopicBytes(bytes, 0, bytes.length)?.reason, reason)
      assert.match(checkTopicName(name)?.message ?? "", /^the topic name \S/)
    })
  }

  const lone: ReadonlyArray<readonly [string, string]> = [
    ["a high surrogate last", "a\ud83d"],
    ["a high surrogate within", "\ud83d.a"],
    ["a low surrogate", "a\ude00b"],
    ["a pair the wrong way round", "\ude00\ud83d"]
  ]
  for (const [what, name] of lone) {
    it(`topic name - refuses ${what} as lone-surrogate`, () => {
      assert.strictEqual(checkTopicName(name)?.reason, "lone-surrogate")
    })
  }

  const broken: ReadonlyArray<readonly [string, ReadonlyArray<number>]> = [
    ["a byte that is none of UTF-8's", [0x61, 0xff]],
    ["a continuation alone", [0x80]],
    ["a sequence cut short", [0x61, 0xe2, 0x82]],
    ["an overlong dot", [0x61, 0xc0, 0xae, 0x62]],
    ["a surrogate in bytes", [0xed, 0xa0, 0xbd]],
    ["a code point above the last", [0xf4, 0x90, 0x80, 0x80]]
  ]
  for (const [what, bytes] of broken) {
    it(`topic name - refuses ${what} as invalid-utf8, and reads the next name`, () => {
      assert.strictEqual(checkTopicBytes(Uint8Array.from(bytes), 0, bytes.length)?.reason, "invalid-utf8")
      assert.strictEqual(decodeTopicName(bytesOf("a.é"), 0, 4), "a.é")
    })
  }

  it("topic name - reads only its own part of the bytes", () => {
    const frame = bytesOf("\u0000 weather.london >")
    assert.strictEqual(decodeTopicName(frame, 2, 16), "weather.london")
    assert.isUndefined(checkTopicBytes(frame, 2, 16))
    assert.strictEqual(checkTopicBytes(frame, 2, 17)?.reason, "white-space")
    assert.strictEqual(checkTopicBytes(frame, 2, 2)?.reason, "empty")
  })

  it("topic name - knows the hub's own", () => {
    assert.deepStrictEqual(["$", "$hub.x", "a.$b", "a$", ""].map(isReserved), [
      true,
      true,
      false,
      false,
      false
    ])
  })

  it("topic name - agrees with Unicode on every code point", () => {
    const differ: Array<string> = []
    for (let code = 0; code <= 0x10ffff; code++) {
      const name = `a${String.fromCodePoint(code)}b`
      if ((checkTopicName(name) === undefined) !== isValid(name)) differ.push(code.toString(16))
    }
    assert.deepStrictEqual(differ, [])
  })

  it.effect.prop(
    "topic name - agrees with the rules in regular expressions, as text and as bytes",
    { text: anyText },
    ({ text }) =>
      Effect.sync(() => {
        assert.strictEqual(checkTopicName(text) === undefined, isValid(text))
        if (!text.isWellFormed()) return
        const bytes = bytesOf(`<${text}>`)
        const inBytes = checkTopicBytes(bytes, 1, bytes.length - 1)
        assert.deepStrictEqual(inBytes, checkTopicName(text))
      }),
    { arbitrary: { runs: 2000 } }
  )
})
