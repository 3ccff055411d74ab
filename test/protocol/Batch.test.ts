import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Batch, type BatchOwner, Slab, sliceBatch } from "../../src/protocol/Batch.ts"
import { decodeText, encodeText } from "../../src/protocol/Bytes.ts"
import { forEachMessage } from "../../src/protocol/Publish.ts"
import { concat } from "./Chance.ts"
import { encodeRun } from "./MessageArbitraries.ts"

const newOwner = (): BatchOwner => ({ name: "a.b", slab: new Slab(), delivered: 0, dropped: 0 })

const textsOf = (batch: Batch): ReadonlyArray<string> => {
  const texts: Array<string> = []
  const isWhole = forEachMessage(batch.bytes, batch.start, batch.end, batch.skip, batch.count, (message) => {
    texts.push(decodeText(message.payload)!)
  })
  assert.isTrue(isWhole)
  assert.strictEqual(texts.length, batch.count)
  return texts
}

const framesOf = (lengths: ReadonlyArray<number>, first = 0): ReadonlyArray<ReadonlyArray<string>> => {
  let next = first
  return lengths.map((length) => Array.from({ length }, () => `m${next++}`))
}

const encodeTexts = (frames: ReadonlyArray<ReadonlyArray<string>>) =>
  encodeRun(
    "a.b",
    frames.map((texts) => texts.map((text) => ({ payload: encodeText(text) })))
  )

/** A batch of frames of so many records each, in bytes with something before and after them. */
const batchOf = (lengths: ReadonlyArray<number>, owner = newOwner()) => {
  const frames = framesOf(lengths)
  const { bytes } = encodeTexts(frames)
  const padded = concat([new Uint8Array(11), bytes, new Uint8Array(13)])
  const texts = frames.flat()
  const batch = new Batch(owner, padded, 11, 11 + bytes.length, texts.length, 3, "someone")
  batch.epoch = 5
  batch.offset = 100
  batch.timestamp = 200
  batch.expires = 300
  return { batch, texts }
}

const whole = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const lengths = Schema.Array(whole(1, 5)).check(Schema.isMinLength(1), Schema.isMaxLength(6))
const cut = Schema.Struct({ from: whole(0, 40), length: whole(1, 40) })

describe("batch - slices", () => {
  it.effect.prop(
    "batch - slices of slices are what slices of a list are",
    { lengths, cuts: Schema.Array(cut).check(Schema.isMaxLength(4)) },
    ({ cuts, lengths }) =>
      Effect.sync(() => {
        let { batch, texts } = batchOf(lengths)
        let offset = batch.offset
        for (const { from: wanted, length } of cuts) {
          const from = wanted % texts.length
          const to = Math.min(texts.length, from + length)
          const before = batch.size
          batch = sliceBatch(batch, from, to)
          texts = texts.slice(from, to)
          offset += from
          assert.deepStrictEqual(textsOf(batch), texts)
          assert.strictEqual(batch.offset, offset)
          assert.deepStrictEqual(
            [batch.epoch, batch.timestamp, batch.expires, batch.priority, batch.publisherId],
            [5, 200, 300, 3, "someone"]
          )
          assert.isAtMost(batch.size, before)
        }
      }),
    { arbitrary: { runs: 1000 } }
  )

  it("batch - a slice holds no frame that it does not need", () => {
    const { batch } = batchOf([2, 3, 4])
    const { ends } = encodeTexts(framesOf([2, 3, 4]))
    const frame = (from: number, to: number) => {
      const { end, skip, start } = sliceBatch(batch, from, to)
      return [start - 11, end - 11, skip]
    }
    assert.deepStrictEqual(frame(0, 2), [0, ends[0], 0])
    assert.deepStrictEqual(frame(2, 5), [ends[0], ends[1], 0])
    assert.deepStrictEqual(frame(3, 4), [ends[0], ends[1], 1])
    assert.deepStrictEqual(frame(4, 6), [ends[0], ends[2], 2])
    assert.deepStrictEqual(frame(8, 9), [ends[1], ends[2], 3])
  })
})

describe("batch - frames that are added", () => {
  it.effect.prop(
    "batch - any frames from any bytes make the batch of all of them, also when others use the slab between",
    {
      pieces: Schema.Array(
        Schema.Struct({ records: whole(1, 3), chunk: whole(0, 2), between: whole(0, 400) })
      ).check(Schema.isMinLength(1), Schema.isMaxLength(12))
    },
    ({ pieces }) =>
      Effect.sync(() => {
        const owner = newOwner()
        const slab = new Slab()
        const frames = framesOf(pieces.map((piece) => piece.records))
        const { bytes, ends } = encodeTexts(frames)
        // The same bytes in several chunks: a frame follows the one before it only within a chunk.
        const chunks = [0, 1, 2].map((pad) => concat([new Uint8Array(pad), bytes]))
        let batch: Batch | undefined
        pieces.forEach(({ between, chunk, records }, index) => {
          const start = chunk + (ends[index - 1] ?? 0)
          const end = chunk + ends[index]!
          if (batch === undefined) batch = new Batch(owner, chunks[chunk]!, start, end, records, 0, "")
          else batch.extend(slab, chunks[chunk]!, start, end, records)
          const at = slab.reserve(between)
          slab.bytes.fill(255, at, at + between)
        })
        assert.deepStrictEqual(textsOf(batch!), frames.flat())
      }),
    { arbitrary: { runs: 500 } }
  )

  it("batch - frames that follow each other are not copied", () => {
    const { bytes, ends } = encodeTexts(framesOf([1, 1]))
    const slab = new Slab()
    const batch = new Batch(newOwner(), bytes, 0, ends[0]!, 1, 0, "")
    assert.isTrue(batch.isFollowedBy(bytes, ends[0]!))
    batch.extend(slab, bytes, ends[0]!, ends[1]!, 1)
    assert.strictEqual(batch.bytes, bytes)
    assert.strictEqual(slab.bytes.length, 0)
    assert.deepStrictEqual(textsOf(batch), ["m0", "m1"])
  })
})

describe("batch - what is kept", () => {
  it.effect.prop("batch - keeping changes no message", { lengths }, ({ lengths }) =>
    Effect.sync(() => {
      const { batch, texts } = batchOf(lengths)
      const chunk = new Uint8Array(65_536)
      chunk.set(batch.bytes, 1000)
      batch.bytes = chunk
      batch.start += 1000
      batch.end += 1000
      batch.keep()
      assert.notStrictEqual(batch.bytes, chunk)
      chunk.fill(255)
      assert.deepStrictEqual(textsOf(batch), texts)
      assert.deepStrictEqual(textsOf(sliceBatch(batch, 0, 1)), texts.slice(0, 1))
    })
  )

  it("batch - a thousand small ones from chunks of 64 KiB pin about their own bytes", () => {
    const owner = newOwner()
    const buffers = new Set<ArrayBufferLike>()
    let size = 0
    for (let left = 1000; left > 0; left--) {
      const { batch } = batchOf([1], owner)
      const chunk = new Uint8Array(65_536)
      chunk.set(batch.bytes)
      batch.bytes = chunk
      batch.keep()
      buffers.add(batch.bytes.buffer)
      size += batch.size
    }
    const pinned = [...buffers].reduce((sum, buffer) => sum + buffer.byteLength, 0)
    assert.isAtMost(pinned, size * 4 + 65_536)
  })

  for (const size of [100, 60_000, 70_000, 300_000]) {
    it(`batch - ${size} bytes within a megabyte pin at most four times as much, or a slab`, () => {
      const owner = newOwner()
      const chunk = new Uint8Array(1_048_576)
      chunk[9] = 42
      const batch = new Batch(owner, chunk, 9, 9 + size, 1, 0, "")
      batch.keep()
      assert.isAtMost(batch.bytes.buffer.byteLength, Math.max(size * 4, 1024))
      assert.strictEqual(batch.size, size)
      assert.strictEqual(batch.bytes[batch.start], 42)
    })
  }

  it("batch - one that is most of its bytes is left where it is", () => {
    const chunk = new Uint8Array(1000)
    const batch = new Batch(newOwner(), chunk, 100, 700, 1, 0, "")
    batch.keep()
    assert.strictEqual(batch.bytes, chunk)
  })
})
