/** What an owner is told, and when: a batch that is kept at once and one that is kept later look alike afterwards. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Batch } from "../../../src/protocol/Batch.ts"
import { placedTexts, textBatch, whole } from "../TextBatches.ts"
import { appendBatch, everything, kept, type LogLayer, opened } from "./LogKit.ts"

export const keepingTests = (layer: LogLayer): void => {
  it.effect("message log - batches are kept in the order in which they came, and told of in that order", () =>
    Effect.gen(function* () {
      const { log, owner } = yield* opened("a")
      const told: Array<Batch> = []
      owner.listener = ({ _tag, batch }) => {
        assert.strictEqual(_tag, "stored")
        assert.isAtLeast(log.nextOffset, batch.offset + batch.count, "it can be read when it is told of")
        assert.strictEqual(batch.epoch, log.epoch)
        told.push(batch)
      }
      const later: Array<Batch> = []
      const batches = Array.from({ length: 60 }, (_, index) =>
        textBatch(owner, [[`${index}`, "x"], [`${index}`]], index)
      )
      for (const batch of batches) {
        const before = log.nextOffset
        if (log.append(batch)) {
          assert.isEmpty(later, "at once, although earlier ones still wait")
          assert.deepStrictEqual([batch.epoch, batch.offset], [log.epoch, before])
          assert.strictEqual(log.nextOffset, before + 3)
          continue
        }
        assert.strictEqual(log.nextOffset, before, "the offset after it moved before it was kept")
        later.push(batch)
      }
      for (const batch of later) yield* owner.outcome(batch)
      assert.deepStrictEqual(told, later)
      assert.deepStrictEqual(
        batches.map(({ offset }) => offset),
        batches.map((_, index) => index * 3)
      )
      const texts = batches.flatMap((_, index) => [
        `${index * 3}:${index}`,
        `${index * 3 + 1}:x`,
        `${index * 3 + 2}:${index}`
      ])
      assert.deepStrictEqual(placedTexts(yield* log.read(0, everything)), texts)
    }).pipe(Effect.provide(layer))
  )

  it.effect("message log - what is not kept yet is not read", () =>
    Effect.gen(function* () {
      const { log, owner } = yield* opened("a")
      for (let round = 0; round < 20; round++) {
        const batch = textBatch(owner, [["a", "b"]])
        const isKept = log.append(batch)
        const read = whole(yield* log.read(0, everything))
        const last = read.at(-1)
        assert.isAtMost(last === undefined ? 0 : last.offset + last.count, log.nextOffset)
        if (!isKept) yield* owner.outcome(batch)
        assert.strictEqual(log.nextOffset, round * 2 + 2)
      }
    }).pipe(Effect.provide(layer))
  )

  it.effect("message log - of topics that are appended to at the same time each keeps its own", () =>
    Effect.gen(function* () {
      const topics = yield* Effect.forEach(["a", "b", "a.b", "c"], opened)
      for (let round = 0; round < 30; round++) {
        yield* Effect.forEach(
          topics,
          (topic) => appendBatch(topic, textBatch(topic.owner, [[`${topic.owner.name}${round}`]])),
          { concurrency: "unbounded" }
        )
      }
      for (const topic of topics)
        assert.deepStrictEqual(
          yield* kept(topic),
          Array.from({ length: 30 }, (_, round) => `${round}:${topic.owner.name}${round}`)
        )
    }).pipe(Effect.provide(layer))
  )
}
