/** What every engine of the message log promises. The layer's limits must be wide: at least 1,000 messages a topic. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, type Layer, Schema } from "effect"
import type { Batch } from "../../src/protocol/Batch.ts"
import { MessageLog, type MessageLogError, type TopicLog } from "../../src/services/MessageLog.ts"
import { ownerOf, placedTexts, textBatch } from "./TextBatches.ts"

const opened = Effect.fnUntraced(function* (topic: string) {
  const log = yield* MessageLog
  const open = log.open(topic)
  return Effect.isEffect(open) ? yield* open : open
})

const append = (log: TopicLog, batch: Batch): Effect.Effect<Batch, MessageLogError> =>
  Effect.as(log.append(batch) ?? Effect.void, batch)

const everything = 1_000_000_000
const between = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

/** Frames of a batch, each so many records, and the milliseconds since the batch before. */
const batches = Arbitrary.array(
  Arbitrary.all({
    frames: Arbitrary.array(between(1, 4), { minLength: 1, maxLength: 3 }),
    wait: between(0, 3)
  }),
  { minLength: 1, maxLength: 12 }
)

interface Kept {
  readonly text: string
  readonly timestamp: number
}

export const messageLogContract = (name: string, layer: Layer.Layer<MessageLog>): void => {
  describe(`message log of ${name}`, () => {
    it.effect("message log - a new topic is empty", () =>
      Effect.gen(function* () {
        const log = yield* opened("a")
        assert.deepStrictEqual([log.nextOffset, log.firstOffset, log.messages, log.bytes], [0, 0, 0, 0])
        assert.deepStrictEqual(yield* log.read(0, everything), [])
        assert.strictEqual(yield* log.offsetAt(0), 0)
        assert.isTrue(Number.isSafeInteger(log.epoch))
      }).pipe(Effect.provide(layer))
    )

    it.effect(
      "message log - offsets begin at 0 and leave no gap, whatever batches the messages come in",
      () =>
        Effect.gen(function* () {
          const owner = ownerOf("a")
          const log = yield* opened("a")
          let expected = 0
          for (const count of [1, 5, 1, 30, 2]) {
            const texts = Array.from({ length: count }, (_, index) => `${index}`)
            const batch = yield* append(log, textBatch(owner, [texts]))
            assert.deepStrictEqual([batch.epoch, batch.offset], [log.epoch, expected])
            expected += count
            assert.strictEqual(log.nextOffset, expected)
          }
          assert.deepStrictEqual([log.messages, log.firstOffset], [39, 0])
        }).pipe(Effect.provide(layer))
    )

    it.effect("message log - is read from any offset, also from within a batch", () =>
      Effect.gen(function* () {
        const owner = ownerOf("a")
        const log = yield* opened("a")
        yield* append(log, textBatch(owner, [["a", "b", "c"], ["d"], ["e", "f"]]))
        yield* append(log, textBatch(owner, [["g", "h"]]))
        const all = [..."abcdefgh"].map((text, offset) => `${offset}:${text}`)
        for (let offset = 0; offset <= 9; offset++)
          assert.deepStrictEqual(placedTexts(yield* log.read(offset, everything)), all.slice(offset))
      }).pipe(Effect.provide(layer))
    )

    it.effect("message log - a read of few bytes still gives something, and goes on where it ended", () =>
      Effect.gen(function* () {
        const owner = ownerOf("a")
        const log = yield* opened("a")
        for (let index = 0; index < 20; index++)
          yield* append(log, textBatch(owner, [[`${index}`.repeat(50)]]))
        const one = (yield* log.read(0, 1))[0]!
        assert.strictEqual((yield* log.read(0, 1)).length, 1)
        const some = yield* log.read(0, one.size * 5)
        assert.isAtLeast(some.length, 5)
        assert.isAtMost(some.length, 7)
        const found: Array<string> = []
        for (let offset = 0; offset < 20; ) {
          const read = yield* log.read(offset, one.size * 3)
          assert.isAbove(read.length, 0)
          found.push(...placedTexts(read))
          offset = found.length
        }
        assert.deepStrictEqual(found, placedTexts(yield* log.read(0, everything)))
      }).pipe(Effect.provide(layer))
    )

    it.effect("message log - finds the first offset of a time or later", () =>
      Effect.gen(function* () {
        const owner = ownerOf("a")
        const log = yield* opened("a")
        for (const timestamp of [10, 20, 20, 35])
          yield* append(log, textBatch(owner, [["x", "y"]], timestamp))
        for (const [time, offset] of [
          [0, 0],
          [10, 0],
          [11, 2],
          [20, 2],
          [21, 6],
          [35, 6],
          [36, 8]
        ] as const)
          assert.strictEqual(yield* log.offsetAt(time), offset, `at ${time}`)
      }).pipe(Effect.provide(layer))
    )

    it.effect("message log - what was read stays as it was while more is appended", () =>
      Effect.gen(function* () {
        const owner = ownerOf("a")
        const log = yield* opened("a")
        yield* append(log, textBatch(owner, [["a", "b"]]))
        const read = yield* log.read(1, everything)
        for (let index = 0; index < 50; index++) yield* append(log, textBatch(owner, [["z".repeat(100)]]))
        assert.deepStrictEqual(placedTexts(read), ["1:b"])
      }).pipe(Effect.provide(layer))
    )

    it.effect("message log - topics do not touch each other", () =>
      Effect.gen(function* () {
        const [a, b] = [yield* opened("a"), yield* opened("b")]
        yield* append(a, textBatch(ownerOf("a"), [["a"]]))
        yield* append(b, textBatch(ownerOf("b"), [["b", "c"]]))
        assert.deepStrictEqual(placedTexts(yield* a.read(0, everything)), ["0:a"])
        assert.deepStrictEqual(placedTexts(yield* b.read(0, everything)), ["0:b", "1:c"])
        assert.strictEqual((yield* MessageLog).bytes(), a.bytes + b.bytes)
        a.close()
        assert.strictEqual((yield* MessageLog).bytes(), b.bytes)
      }).pipe(Effect.provide(layer))
    )

    it.effect("message log - opened again it goes on where it was, or has another epoch", () =>
      Effect.gen(function* () {
        const epochs = new Set<number>()
        let before = yield* opened("a")
        for (let round = 0; round < 50; round++) {
          epochs.add(before.epoch)
          yield* append(before, textBatch(ownerOf("a"), [["a", "b"]]))
          const { epoch, nextOffset } = before
          before.close()
          const after = yield* opened("a")
          if (after.epoch === epoch) assert.strictEqual(after.nextOffset, nextOffset)
          else {
            assert.isFalse(epochs.has(after.epoch), "an epoch came back")
            assert.strictEqual(after.nextOffset, 0)
          }
          before = after
        }
      }).pipe(Effect.provide(layer))
    )

    it.effect.prop(
      "message log - does what a list does",
      { batches, reads: Arbitrary.array(between(0, 150), { minLength: 1, maxLength: 5 }) },
      ({ batches, reads }) =>
        Effect.gen(function* () {
          const owner = ownerOf("a")
          const log = yield* opened("a")
          const model: Array<Kept> = []
          let timestamp = 1
          for (const { frames, wait } of batches) {
            timestamp += wait
            const first = model.length
            let next = first
            const texts = frames.map((length) => Array.from({ length }, () => `t${next++}`))
            for (const text of texts.flat()) model.push({ text, timestamp })
            const batch = yield* append(log, textBatch(owner, texts, timestamp))
            assert.strictEqual(batch.offset, first)
          }
          assert.deepStrictEqual(
            [log.nextOffset, log.messages, log.firstOffset],
            [model.length, model.length, 0]
          )
          for (const read of reads) {
            const offset = read % (model.length + 1)
            assert.deepStrictEqual(
              placedTexts(yield* log.read(offset, everything)),
              model.slice(offset).map(({ text }, index) => `${offset + index}:${text}`)
            )
            const time = read % (timestamp + 2)
            const found = model.findIndex((kept) => kept.timestamp >= time)
            assert.strictEqual(yield* log.offsetAt(time), found < 0 ? model.length : found)
          }
        }).pipe(Effect.provide(layer)),
      { arbitrary: { runs: 200 } }
    )
  })
}
