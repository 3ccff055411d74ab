/** Batches that wait for their time. */
import { assert, it } from "@effect/vitest"
import { Arbitrary, Effect } from "effect"
import { Batch } from "../../../src/protocol/Batch.ts"
import { type Held, MessageLog } from "../../../src/services/MessageLog.ts"
import { ownerOf, placedTexts, textBatch } from "../TextBatches.ts"
import {
  append,
  appendBatch,
  between,
  due,
  everything,
  heldTexts,
  hold,
  kept,
  type LogLayer,
  nextDue,
  opened
} from "./LogKit.ts"

const never = Number.POSITIVE_INFINITY

export const heldTests = (layer: LogLayer): void => {
  it.effect("message log - a held batch is in no topic, and is given once when its time has come", () =>
    Effect.gen(function* () {
      const topic = yield* opened("a")
      assert.strictEqual(yield* nextDue, never)
      yield* hold(topic, ["later", "and"], 100)
      assert.deepStrictEqual([topic.log.nextOffset, topic.log.messages], [0, 0])
      assert.deepStrictEqual(yield* kept(topic), [])
      assert.strictEqual(yield* nextDue, 100)
      assert.deepStrictEqual(yield* due(99), [])
      const held = yield* due(100)
      assert.deepStrictEqual(
        held.map(({ at, topic }) => [topic, at]),
        [["a", 100]]
      )
      assert.deepStrictEqual(placedTexts([held[0]!.batch(topic.owner)]), ["0:later", "1:and"])
      assert.strictEqual(yield* nextDue, never)
      assert.deepStrictEqual(yield* due(1000), [])
    }).pipe(Effect.provide(layer))
  )

  it.effect("message log - a held batch is as it was, and its topic's", () =>
    Effect.gen(function* () {
      const topic = yield* opened("a")
      const { bytes, end } = textBatch(topic.owner, [["x"], ["y", "z"]])
      const batch = new Batch(topic.owner, bytes, 0, end, 3, 7, "a publisher's uuid")
      batch.expires = 30_000
      batch.incarnation = 4_000_000_000
      batch.firstSequence = 4_294_967_295
      batch.lastSequence = 0
      batch.records = 21
      batch.holdUntil = 100
      if (!topic.log.hold(batch, 100)) yield* topic.owner.outcome(batch)
      const [held] = yield* due(100)
      assert.isDefined(held)
      const owner = ownerOf("a")
      const given = held.batch(owner)
      assert.isTrue(given.owner === owner, "whose it is")
      assert.isTrue(given.held === held, "where it was held")
      for (const field of [
        "priority",
        "publisherId",
        "expires",
        "incarnation",
        "firstSequence",
        "lastSequence",
        "records",
        "count",
        "skip",
        "size"
      ] as const)
        assert.strictEqual(given[field], batch[field], field)
      assert.deepStrictEqual([given.holdUntil, given.publisher, given.receivedAt], [0, undefined, -1])
    }).pipe(Effect.provide(layer))
  )

  it.effect("message log - held batches are given by time, then in the order in which they came", () =>
    Effect.gen(function* () {
      const [a, b] = [yield* opened("a"), yield* opened("b")]
      yield* hold(a, ["a3"], 300)
      yield* hold(b, ["b1"], 100)
      yield* hold(a, ["a1"], 100)
      yield* hold(b, ["b2"], 200)
      yield* hold(a, ["a0"], 0)
      yield* hold(b, ["b1 too"], 100)
      assert.strictEqual(yield* nextDue, 0)
      assert.deepStrictEqual(heldTexts(yield* due(150)), ["a0", "b1", "a1", "b1 too"])
      assert.strictEqual(yield* nextDue, 200)
      assert.deepStrictEqual(heldTexts(yield* due(300)), ["b2", "a3"])
    }).pipe(Effect.provide(layer))
  )

  it.effect("message log - a held batch that is appended is in the log, and is held no longer", () =>
    Effect.gen(function* () {
      const topic = yield* opened("a")
      yield* hold(topic, ["held"], 100)
      yield* append(topic, [["at once"]], 50)
      for (const held of yield* due(100)) {
        const batch = held.batch(topic.owner)
        batch.timestamp = 101
        assert.strictEqual((yield* appendBatch(topic, batch)).offset, 1)
        held.forget()
        held.forget()
      }
      assert.deepStrictEqual(yield* kept(topic), ["0:at once", "1:held"])
      assert.strictEqual(topic.log.lastTimestamp, 101)
      assert.deepStrictEqual([yield* due(everything), yield* nextDue], [[], never])
    }).pipe(Effect.provide(layer))
  )

  it.effect("message log - a batch that another engine held is forgotten there when it is kept here", () =>
    Effect.gen(function* () {
      const topic = yield* opened("a")
      const batch = textBatch(topic.owner, [["x"]])
      let forgotten = 0
      batch.held = { topic: "a", at: 1, forget: () => forgotten++ }
      yield* appendBatch(topic, batch)
      assert.isAbove(forgotten, 0)
      assert.deepStrictEqual(yield* kept(topic), ["0:x"])
    }).pipe(Effect.provide(layer))
  )

  it.effect("message log - what is held is held while its topic is closed, and goes when it is removed", () =>
    Effect.gen(function* () {
      const [a, b] = [yield* opened("a"), yield* opened("b")]
      for (const topic of [a, b]) {
        yield* append(topic, [["x"]])
        yield* hold(topic, [`${topic.owner.name}1`], 100)
        yield* hold(topic, [`${topic.owner.name}2`], 200)
        topic.log.close()
      }
      assert.strictEqual(yield* nextDue, 100)
      assert.deepStrictEqual(heldTexts(yield* due(100)), ["a1", "b1"])
      yield* (yield* opened("a")).log.remove
      assert.deepStrictEqual(heldTexts(yield* due(200)), ["b2"])
    }).pipe(Effect.provide(layer))
  )

  it.effect.prop(
    "message log - holds what a sorted list does",
    {
      times: Arbitrary.array(between(0, 20), { minLength: 1, maxLength: 40 }),
      steps: Arbitrary.array(Arbitrary.all({ wait: between(0, 6), maxBytes: between(1, 600) }), {
        maxLength: 10
      })
    },
    ({ steps, times }) =>
      Effect.gen(function* () {
        const service = yield* MessageLog
        const topics = [yield* opened("a"), yield* opened("b")]
        let model: ReadonlyArray<{ readonly at: number; readonly text: string }> = []
        let now = 0
        const take = Effect.fnUntraced(function* (maxBytes: number) {
          const held = yield* service.due(now, maxBytes)
          const texts = heldTexts(held)
          assert.deepStrictEqual(
            texts,
            model.slice(0, texts.length).map(({ text }) => text)
          )
          assert.isTrue(model.slice(0, texts.length).every(({ at }) => at <= now))
          assert.isAbove(texts.length, (model[0]?.at ?? never) <= now ? 0 : -1)
          model = model.slice(texts.length)
          assert.strictEqual(service.nextDue(), model[0]?.at ?? never)
          return held
        })
        let index = 0
        for (const { maxBytes, wait } of [...steps, { maxBytes: everything, wait: 40 }]) {
          const until = wait === 40 ? times.length : index + 6
          for (const at of times.slice(index, until)) {
            const text = `${index++}`
            yield* hold(topics[index % 2]!, [text], now + at)
            // Sorting is stable.
            model = [...model, { at: now + at, text }].sort((one, other) => one.at - other.at)
          }
          now += wait
          const taken: ReadonlyArray<Held> = yield* take(maxBytes)
          if (maxBytes === 1) assert.isAtMost(taken.length, 1)
        }
        assert.deepStrictEqual(model, [])
      }).pipe(Effect.provide(layer)),
    { arbitrary: { runs: 60 } }
  )
}
