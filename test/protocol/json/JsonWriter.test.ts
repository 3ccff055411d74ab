import { assert, describe, it } from "@effect/vitest"
import { base64Length, readBase64, writeBase64 } from "../../../src/protocol/json/Base64.ts"
import { JsonWriter, Piece } from "../../../src/protocol/json/JsonWriter.ts"
import { chance } from "../Chance.ts"
import { asText, asValue, utf8 } from "./JsonArbitraries.ts"

describe("json writer - strings", () => {
  it("json writer - any text is read back by JSON.parse", () => {
    const random = chance(1)
    const letters = ["a", '"', "\\", "/", "\n", "\u0000", "\u001f", "\u007f", "ä", "€", "😀", "\u2028", "\b"]
    for (let run = 0; run < 5000; run++) {
      const text = Array.from({ length: random.below(40) }, () => random.pick(letters)).join("")
      const bytes = utf8(text)
      const writer = new JsonWriter(1)
      writer.u8(0x5b)
      assert.isTrue(writer.string(bytes, 0, bytes.length))
      writer.u8(0x5d)
      assert.deepStrictEqual(asValue(writer.written()), [text])
      assert.strictEqual(asText(writer.written()), JSON.stringify([text]))
    }
  })

  it("json writer - bytes that are not UTF-8 leave the writer as it was", () => {
    const random = chance(2)
    let refused = 0
    for (let run = 0; run < 5000; run++) {
      const bytes = random.bytes(random.below(6))
      const writer = new JsonWriter(1)
      writer.u8(7)
      if (writer.string(bytes, 0, bytes.length)) {
        assert.strictEqual(JSON.parse(asText(writer.written().subarray(1))), asText(bytes))
      } else {
        refused++
        assert.deepStrictEqual([...writer.written()], [7])
        assert.throws(() => asText(bytes))
      }
    }
    assert.isAbove(refused, 1000)
  })

  it("json writer - whole numbers up to 2^53 - 1", () => {
    const powers = Array.from({ length: 16 }, (_, index) => 10 ** index)
    for (const value of [0, 9, Number.MAX_SAFE_INTEGER, ...powers, ...powers.map((power) => power - 1)]) {
      const writer = new JsonWriter(1)
      writer.decimal(value)
      assert.strictEqual(asText(writer.written()), String(value))
    }
  })

  it("json writer - text and pieces, plain or not, in a buffer that grows", () => {
    const writer = new JsonWriter(1)
    const piece = new Piece("größer")
    writer.text("plain")
    for (let i = 0; i < 3; i++) writer.piece(piece)
    writer.text("€")
    assert.strictEqual(asText(writer.written()), "plaingrößergrößergrößer€")
  })
})

describe("base64", () => {
  const written = (bytes: Uint8Array): Uint8Array => {
    const to = new Uint8Array(base64Length(bytes.length))
    writeBase64(bytes, 0, bytes.length, to, 0)
    return to
  }

  it("base64 - it is the runtime's, both ways, with padding or without, in either alphabet", () => {
    const random = chance(3)
    for (let run = 0; run < 2000; run++) {
      const bytes = random.bytes(random.below(20))
      const text = asText(written(bytes))
      assert.strictEqual(text, Buffer.from(bytes).toString("base64"))
      for (const form of [text, text.replaceAll("=", ""), Buffer.from(bytes).toString("base64url")]) {
        assert.deepStrictEqual(readBase64(utf8(`"${form}"`), 1, form.length + 1), bytes)
      }
    }
  })

  for (const text of ["a", "aaaaa", "a===", "aa=", "a a=", "ä", "=", "====", "aaa\n", "aa=a"]) {
    it(`base64 - ${JSON.stringify(text)} is refused`, () =>
      assert.isUndefined(readBase64(utf8(text), 0, utf8(text).length)))
  }
})
