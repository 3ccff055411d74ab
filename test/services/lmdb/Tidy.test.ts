import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { MessageLog } from "../../../src/services/MessageLog.ts"
import { textBatch } from "../../contracts/TextBatches.ts"
import { append, folder, life, opened } from "./TestFolder.ts"

const options = { topic: { messages: 1000, bytes: 1_000_000, age: 100 } }

describe("lmdb tidying", () => {
  it.effect("lmdb tidying - a topic that is not open forgets what is older than the retention", () =>
    Effect.gen(function* () {
      yield* life(
        yield* folder,
        Effect.gen(function* () {
          const log = yield* MessageLog
          for (const name of ["a", "b"]) {
            const topic = yield* opened(name)
            yield* append(topic, textBatch(topic.owner, [["old"]], 10))
            yield* append(topic, textBatch(topic.owner, [["new"]], 200))
            topic.log.close()
          }
          const before = log.bytes()
          log.tidy(110)
          // Opened again it waits for what is still to be written of it.
          for (const name of ["a", "b"]) {
            const { log: topic } = yield* opened(name)
            assert.deepStrictEqual([topic.firstOffset, topic.nextOffset, topic.lostUntil], [0, 2, 0], name)
            topic.close()
          }
          log.tidy(250)
          for (const name of ["a", "b"]) {
            const { log: topic } = yield* opened(name)
            assert.deepStrictEqual([topic.firstOffset, topic.nextOffset, topic.lostUntil], [1, 2, 10], name)
          }
          assert.strictEqual(log.bytes(), before / 2)
        }),
        options
      )
    })
  )
})
