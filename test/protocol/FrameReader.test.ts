import { assert, describe, it } from "@effect/vitest"
import { FrameReader } from "../../src/protocol/FrameReader.ts"
import { chance, concat } from "./Chance.ts"

const frameOf = (op: number, body: Uint8Array): Uint8Array => {
  const bytes = concat([Uint8Array.of(0, 0, 0, 0, op, 0), body])
  new DataView(bytes.buffer).setUint32(0, bytes.length - 4, true)
  return bytes
}

const random = chance(17)
/** Bodies of no bytes, of a few, and longer than what the reader first holds. */
const frames = [0, 1, 0, 3, 40, 2, 5000, 7].map((length, op) => frameOf(op, random.bytes(length)))
const shortFrames = frames.filter((frame) => frame.length < 100)

const readAll = (reader: FrameReader, chunks: ReadonlyArray<Uint8Array>): ReadonlyArray<Uint8Array> => {
  const found: Array<Uint8Array> = []
  let came = 0
  let taken = 0
  for (const chunk of chunks) {
    reader.push(chunk)
    came += chunk.length
    while (reader.next()) {
      assert.strictEqual(reader.op, reader.buffer[reader.start + 4])
      const frame = reader.buffer.slice(reader.start, reader.end)
      taken += frame.length
      found.push(frame)
    }
    assert.strictEqual(reader.pending, came - taken)
  }
  return found
}

const cutAt = (bytes: Uint8Array, places: ReadonlyArray<number>): ReadonlyArray<Uint8Array> =>
  [0, ...places].map((place, index) => bytes.subarray(place, places[index] ?? bytes.length))

describe("frame reader - splits", () => {
  it("frame reader - every cut into two gives the same frames", () => {
    const bytes = concat(frames)
    for (let place = 0; place <= bytes.length; place++)
      assert.deepStrictEqual(readAll(new FrameReader(65_536), cutAt(bytes, [place])), frames)
  })

  it("frame reader - every cut into three gives the same frames", () => {
    const bytes = concat(shortFrames)
    for (let first = 0; first <= bytes.length; first++) {
      for (let second = first; second <= bytes.length; second++)
        assert.deepStrictEqual(readAll(new FrameReader(65_536), cutAt(bytes, [first, second])), shortFrames)
    }
  })

  it("frame reader - a byte at a time gives the same frames", () => {
    const bytes = concat(frames)
    const chunks = Array.from(bytes, (byte) => Uint8Array.of(byte))
    assert.deepStrictEqual(readAll(new FrameReader(65_536), chunks), frames)
  })

  it("frame reader - any cuts give the same frames, with one reader throughout", () => {
    const bytes = concat(frames)
    const reader = new FrameReader(65_536)
    for (let round = 0; round < 500; round++) {
      const places = Array.from({ length: random.below(12) }, () => random.below(bytes.length + 1))
      const chunks = cutAt(
        bytes,
        places.sort((a, b) => a - b)
      )
      assert.deepStrictEqual(readAll(reader, chunks), frames)
    }
  })

  it("frame reader - a frame that lies whole in a chunk is not copied", () => {
    const bytes = concat(frames)
    const reader = new FrameReader(65_536)
    reader.push(bytes)
    let count = 0
    while (reader.next()) {
      assert.strictEqual(reader.buffer, bytes)
      count++
    }
    assert.strictEqual(count, frames.length)
  })
})

describe("frame reader - limits", () => {
  const announcing = (length: number): Uint8Array => {
    const bytes = new Uint8Array(4)
    new DataView(bytes.buffer).setUint32(0, length, true)
    return bytes
  }

  for (const [length, error] of [
    [0, "frame-too-short"],
    [1, "frame-too-short"],
    [101, "frame-too-large"],
    [0xffff_ffff, "frame-too-large"]
  ] as const) {
    it(`frame reader - a length of ${length} is ${error}, however it is cut, and ends the reading`, () => {
      for (let place = 0; place <= 4; place++) {
        const reader = new FrameReader(100)
        const bytes = concat([frames[1]!, announcing(length), frames[1]!])
        const found: Array<Uint8Array> = []
        for (const chunk of cutAt(bytes, [frames[1]!.length + place])) {
          reader.push(chunk)
          while (reader.next()) found.push(reader.buffer.slice(reader.start, reader.end))
        }
        assert.deepStrictEqual(found, [frames[1]!])
        assert.isFalse(reader.next())
        assert.strictEqual(reader.error, error)
        reader.push(frames[1]!)
        assert.isFalse(reader.next())
      }
    })
  }

  it("frame reader - the longest frame is taken, one byte more is not", () => {
    const longest = frameOf(1, random.bytes(98))
    assert.deepStrictEqual(readAll(new FrameReader(100), [longest]), [longest])
    const reader = new FrameReader(99)
    reader.push(longest)
    assert.isFalse(reader.next())
    assert.strictEqual(reader.error, "frame-too-large")
  })

  it("frame reader - a limit that is raised between two frames holds for the second", () => {
    const reader = new FrameReader(10)
    reader.push(concat([frames[0]!, frames[4]!]))
    assert.isTrue(reader.next())
    reader.maxFrame = 100
    assert.isTrue(reader.next())
    assert.isUndefined(reader.error)
  })

  it("frame reader - a frame that is only announced costs no more than the bytes that came", () => {
    const reader = new FrameReader(0x4000_0000)
    reader.push(announcing(0x3fff_ffff))
    assert.isFalse(reader.next())
    assert.strictEqual(reader.pending, 4)
    const before = process.memoryUsage().arrayBuffers
    const piece = new Uint8Array(1000)
    for (let left = 100; left > 0; left--) {
      reader.push(piece)
      assert.isFalse(reader.next())
    }
    assert.strictEqual(reader.pending, 100_004)
    // Twice what came for doubling, and what doubling left for the collector.
    assert.isBelow(process.memoryUsage().arrayBuffers - before, 2_000_000)
  })
})
