import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import {
  ByteReader,
  ByteWriter,
  copyBytes,
  decodeText,
  encodeText,
  readU64,
  writeU64
} from "../../src/protocol/Bytes.ts"
import { chance } from "./Chance.ts"

const whole = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))

describe("bytes - numbers", () => {
  it.effect.prop(
    "bytes - numbers are little endian and come back",
    { a: whole(255), b: whole(65_535), c: whole(4_294_967_295), d: whole(Number.MAX_SAFE_INTEGER) },
    ({ a, b, c, d }) =>
      Effect.sync(() => {
        const writer = new ByteWriter(1)
        writer.u8(a)
        writer.u16(b)
        writer.u32(c)
        writer.u64(d)
        const bytes = writer.written()
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
        assert.deepStrictEqual(
          [view.getUint8(0), view.getUint16(1, true), view.getUint32(3, true), view.getBigUint64(7, true)],
          [a, b, c, BigInt(d)]
        )
        const reader = new ByteReader(bytes)
        assert.deepStrictEqual([reader.u8(), reader.u16(), reader.u32(), reader.u64()], [a, b, c, d])
        assert.isFalse(reader.failed)
        assert.strictEqual(reader.at, reader.end)
      })
  )

  it("bytes - 64 bits at the edges of 32", () => {
    const bytes = new Uint8Array(8)
    for (const value of [
      0,
      1,
      2 ** 31,
      2 ** 32 - 1,
      2 ** 32,
      2 ** 32 + 1,
      2 ** 52,
      Number.MAX_SAFE_INTEGER
    ]) {
      writeU64(bytes, 0, value)
      assert.strictEqual(readU64(bytes, 0), value)
    }
  })
})

describe("bytes - reading past the end", () => {
  it("bytes - answers zeros, sets failed and stays failed", () => {
    const reader = new ByteReader(Uint8Array.of(1, 2, 3, 4, 5, 6), 1, 4)
    assert.strictEqual(reader.u32(), 0)
    assert.isTrue(reader.failed)
    assert.deepStrictEqual([reader.u8(), reader.u16(), reader.u64(), reader.text(1)], [0, 0, 0, ""])
    assert.strictEqual(reader.view(2).length, 0)
    assert.strictEqual(reader.rest().length, 0)
    assert.isTrue(reader.failed)
  })

  it("bytes - the end that was given holds, not that of the bytes", () => {
    const reader = new ByteReader(Uint8Array.of(1, 2, 3, 4), 0, 2)
    assert.deepStrictEqual(reader.rest(), Uint8Array.of(1, 2))
    reader.u8()
    assert.isTrue(reader.failed)
  })
})

describe("bytes - text", () => {
  it.effect.prop("bytes - text comes back", { text: Schema.String }, ({ text }) =>
    Effect.sync(() => assert.strictEqual(decodeText(encodeText(text)), text.toWellFormed()))
  )

  it("bytes - a byte order mark is text like any other", () => {
    assert.strictEqual(decodeText(encodeText("\ufeffa")), "\ufeffa")
  })

  it("bytes - what is not UTF-8 is undefined", () => {
    for (const bytes of [[0x80], [0xc3], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf8], [0xff]])
      assert.isUndefined(decodeText(Uint8Array.from(bytes)))
  })
})

describe("bytes - copies", () => {
  it("bytes - any range goes anywhere, short and long", () => {
    const random = chance(3)
    const from = random.bytes(300)
    for (let left = 2000; left > 0; left--) {
      const start = random.below(300)
      const end = start + random.below(301 - start)
      const at = random.below(40)
      const to = new Uint8Array(340)
      copyBytes(from, start, end, to, at)
      assert.deepStrictEqual(to.slice(at, at + end - start), from.slice(start, end))
      assert.isTrue(to.every((byte, index) => (index >= at && index < at + end - start) || byte === 0))
    }
  })

  it("bytes - a writer keeps what it held when it grows", () => {
    const writer = new ByteWriter(1)
    const random = chance(5)
    const parts = Array.from({ length: 50 }, () => random.bytes(random.below(70)))
    for (const part of parts) writer.raw(part)
    assert.deepStrictEqual(
      [...writer.written()],
      parts.flatMap((part) => [...part])
    )
  })
})
