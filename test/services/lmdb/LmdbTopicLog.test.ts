import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Environment } from "../../../src/services/lmdb/Environment.ts"
import { MessageLog } from "../../../src/services/MessageLog.ts"
import { eventually } from "../../contracts/log/LogKit.ts"
import { placedTexts, textBatch } from "../../contracts/TextBatches.ts"
import { append, folder, life, opened } from "./TestFolder.ts"

const everything = 1_000_000_000

describe("lmdb topic log", () => {
  it.effect("lmdb topic log - goes on where it was when the folder is opened again", () =>
    Effect.gen(function* () {
      const path = yield* folder
      const epoch = yield* life(
        path,
        Effect.gen(function* () {
          const a = yield* opened("a")
          const batch = textBatch(a.owner, [["x", "y"], ["z"]], 7)
          assert.isFalse(a.log.append(batch))
          assert.strictEqual(a.log.nextOffset, 0)
          yield* a.owner.outcome(batch)
          assert.deepStrictEqual([a.log.nextOffset, a.log.bytes], [3, batch.size])
          yield* append(a, textBatch(a.owner, [["w"]], 9))
          return a.log.epoch
        })
      )
      yield* life(
        path,
        Effect.gen(function* () {
          const log = yield* MessageLog
          assert.deepStrictEqual([...log.names()], ["a"])
          assert.deepStrictEqual([[...log.names("A")], [...log.names("a")]], [["a"], []])
          const a = yield* opened("a")
          assert.deepStrictEqual(
            [a.log.epoch, a.log.nextOffset, a.log.firstOffset, a.log.lastTimestamp, a.log.messages],
            [epoch, 4, 0, 9, 4]
          )
          assert.strictEqual(log.bytes(), a.log.bytes)
          assert.deepStrictEqual(placedTexts(yield* a.log.read(1, everything)), ["1:y", "2:z", "3:w"])
          assert.strictEqual((yield* append(a, textBatch(a.owner, [["v"]], 10))).offset, 4)
        })
      )
    })
  )

  it.effect("lmdb topic log - what a limit cut within a batch is cut when it is opened again", () =>
    Effect.gen(function* () {
      const path = yield* folder
      const options = { topic: { messages: 3, bytes: 1_000_000, age: 1_000_000 } }
      yield* life(
        path,
        Effect.gen(function* () {
          const a = yield* opened("a")
          yield* append(a, textBatch(a.owner, [["a", "b", "c", "d", "e"]], 7))
          assert.deepStrictEqual([a.log.firstOffset, a.log.messages, a.log.lostUntil], [2, 3, 7])
        }),
        options
      )
      yield* life(
        path,
        Effect.gen(function* () {
          assert.strictEqual((yield* MessageLog).describe("a")?.nextOffset, 5)
          const { log } = yield* opened("a")
          assert.deepStrictEqual([log.firstOffset, log.messages, log.lostUntil], [2, 3, 7])
          assert.deepStrictEqual(placedTexts(yield* log.read(0, everything)), ["2:c", "3:d", "4:e"])
        }),
        options
      )
      // A smaller limit takes whole batches, too.
      yield* life(
        path,
        Effect.gen(function* () {
          const a = yield* opened("a")
          yield* append(a, textBatch(a.owner, [["f", "g"]], 8))
          assert.deepStrictEqual(placedTexts(yield* a.log.read(0, everything)), ["6:g"])
          assert.strictEqual((yield* MessageLog).bytes(), a.log.bytes)
          assert.isBelow(a.log.bytes, 100)
        }),
        { topic: { ...options.topic, messages: 1 } }
      )
    })
  )

  it.effect("lmdb topic log - dead letters are kept for a time of their own", () =>
    Effect.gen(function* () {
      const path = yield* folder
      yield* life(
        path,
        Effect.gen(function* () {
          const [a, dead] = [yield* opened("a"), yield* opened("$dead.group.a")]
          for (const topic of [a, dead]) {
            yield* append(topic, textBatch(topic.owner, [["x"]], 1000))
            topic.log.expire(1500)
          }
          yield* append(a, textBatch(a.owner, [["y"]], 1500))
          assert.deepStrictEqual([a.log.firstOffset, dead.log.firstOffset], [1, 0])
        }),
        { topic: { messages: 100, bytes: 100_000, age: 100 }, deadLetterAge: 1000 }
      )
    })
  )

  it.effect("lmdb topic log - what is too old goes in slices", () =>
    Effect.gen(function* () {
      yield* life(
        yield* folder,
        Effect.gen(function* () {
          const a = yield* opened("a")
          for (let index = 0; index < 9999; index++) a.log.append(textBatch(a.owner, [["x"]], 1))
          yield* append(a, textBatch(a.owner, [["y"]], 1_000_000))
          const left: Array<number> = []
          a.log.expire(1_000_000)
          yield* eventually("only the last is left", () => {
            if (left.at(-1) !== a.log.messages) left.push(a.log.messages)
            return a.log.messages === 1
          })
          assert.deepStrictEqual(left, [10_000, 10_000 - 4096, 10_000 - 8192, 1])
        }),
        { topic: { messages: 1_000_000, bytes: 1e9, age: 1000 } }
      )
    })
  )

  it.effect("lmdb topic log - the entries of a removed topic are deleted, if need be in the next life", () =>
    Effect.gen(function* () {
      const path = yield* folder
      yield* life(
        path,
        Effect.gen(function* () {
          const [a, b] = [yield* opened("a"), yield* opened("b")]
          for (let index = 0; index < 3000; index++) a.log.append(textBatch(a.owner, [["x"]], 1))
          yield* append(b, textBatch(b.owner, [["y"]], 1))
          yield* a.log.remove
          assert.strictEqual((yield* MessageLog).bytes(), b.log.bytes)
        })
      )
      const left = () => {
        const environment = new Environment(path)
        const count = environment.messages.getKeysCount()
        return Effect.as(
          Effect.promise(() => environment.close()),
          count
        )
      }
      const before = yield* left()
      assert.isAbove(before, 1)
      yield* life(
        path,
        Effect.gen(function* () {
          const b = yield* opened("b")
          for (let index = 0; index < 10; index++) yield* append(b, textBatch(b.owner, [["y"]], 1))
        })
      )
      assert.strictEqual(yield* left(), 11)
    })
  )
})
