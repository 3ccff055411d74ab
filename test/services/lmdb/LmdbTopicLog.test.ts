import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { MessageLog } from "../../../src/services/MessageLog.ts"
import { ownerOf, placedTexts, textBatch } from "../../contracts/TextBatches.ts"
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
          const a = yield* opened("a")
          assert.deepStrictEqual(
            [a.log.epoch, a.log.nextOffset, a.log.firstOffset, a.log.lastTimestamp, a.log.messages],
            [epoch, 4, 0, 9, 4]
          )
          assert.strictEqual(log.bytes(), a.log.bytes)
          assert.deepStrictEqual(placedTexts(yield* a.log.read(1, everything)), ["1:y", "2:z", "3:w"])
          const batch = yield* append(a, textBatch(ownerOf("a"), [["v"]], 10)).pipe(
            Effect.timeout("1 second"),
            Effect.option
          )
          assert.isDefined(batch)
        })
      )
    })
  )
})
