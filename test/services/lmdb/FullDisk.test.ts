/** A disk that is really full: a small file system in memory, where this process may mount one. */
import { closeSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { MessageLog } from "../../../src/services/MessageLog.ts"
import { eventually } from "../../contracts/log/LogKit.ts"
import { placedTexts, textBatch } from "../../contracts/TextBatches.ts"
import { canMount, smallDisk } from "../../faults/Mounts.ts"
import { append, life, type Opened, opened } from "./TestFolder.ts"

const limits = { topic: { messages: 1_000_000, bytes: 1e9, age: 1000 } }

/** Takes all the room that there is. */
const fill = (path: string): void => {
  const file = openSync(path, "w")
  try {
    for (;;) writeSync(file, new Uint8Array(65_536))
  } catch {
    closeSync(file)
  }
}

/** Appends until there is no room. */
const appendAll = (topic: Opened, text: string, time = 10) =>
  Effect.flip(Effect.forever(Effect.suspend(() => append(topic, textBatch(topic.owner, [[text]], time)))))

describe.skipIf(!canMount())("lmdb on a full disk (skipped where nothing can be mounted)", () => {
  it.effect("lmdb full disk - refuses what has no room, keeps what it has, and recovers by itself", () =>
    Effect.gen(function* () {
      const path = yield* smallDisk(16_777_216)
      const folder = join(path, "log")
      const ballast = join(path, "ballast")
      writeFileSync(ballast, new Uint8Array(3_000_000))
      const texts: Array<string> = []
      const text = "x".repeat(20_000)
      yield* life(
        folder,
        Effect.gen(function* () {
          const a = yield* opened("a")
          const fill = Effect.gen(function* () {
            for (let index = 0; index < 1000; index++) {
              const batch = textBatch(a.owner, [[text, `${texts.length}`]], 10)
              const offset = (yield* append(a, batch)).offset
              texts.push(`${offset}:${text}`, `${offset + 1}:${texts.length}`)
            }
          })
          const error = yield* Effect.flip(fill)
          assert.deepStrictEqual([error.reason, error.topic], ["full", "a"])
          const stored = texts.length
          assert.isAbove(stored, 100)
          for (let index = 0; index < 5; index++)
            assert.strictEqual(
              (yield* Effect.flip(append(a, textBatch(a.owner, [[text]], 10)))).reason,
              "full"
            )
          assert.strictEqual(a.log.nextOffset, stored)
          assert.deepStrictEqual(placedTexts(yield* a.log.read(0, 1e9)), texts)
          // Somebody else makes room.
          rmSync(ballast)
          assert.strictEqual((yield* Effect.flip(fill)).reason, "full")
          assert.isAbove(texts.length, stored + 50)
          // Retention does.
          a.log.expire(1_000_000)
          const b = yield* opened("b")
          yield* append(b, textBatch(b.owner, [["first"]], 10)).pipe(Effect.retry({ times: 20 }))
          assert.deepStrictEqual([a.log.messages, a.log.firstOffset], [0, texts.length])
          assert.strictEqual((yield* append(a, textBatch(a.owner, [[text]], 1_000_000))).offset, texts.length)
        }),
        limits
      )
      yield* life(
        folder,
        Effect.gen(function* () {
          assert.sameMembers([...(yield* MessageLog).names()], ["a", "b"])
          const a = yield* opened("a")
          assert.deepStrictEqual(placedTexts(yield* a.log.read(0, 1e9)), [`${texts.length}:${text}`])
        })
      )
    })
  )

  it.effect("lmdb full disk - what is too old goes, in as many sets as there is room for", () =>
    Effect.gen(function* () {
      const path = yield* smallDisk(33_554_432)
      const program = Effect.gen(function* () {
        const topics = yield* Effect.forEach(
          Array.from({ length: 1500 }, (_, index) => `t${index}`),
          opened
        )
        const each = (topic: Opened) => append(topic, textBatch(topic.owner, [["x".repeat(100)]], 10))
        yield* Effect.forEach(topics, each, { concurrency: 100 })
        fill(join(path, "ballast"))
        const [a] = topics
        if (a === undefined) return
        assert.strictEqual((yield* appendAll(a, "y".repeat(20_000), 1_000_000)).reason, "full")
        const kept = a.log.messages - 1
        for (const { log } of topics) log.expire(1_000_000)
        // Whoever publishes meanwhile is answered.
        yield* Effect.result(append(a, textBatch(a.owner, [["y".repeat(20_000)]], 1_000_000)))
        yield* eventually(
          "only what is young is left",
          () => topics.reduce((sum, { log }) => sum + log.messages, 0) <= kept + 1
        )
      })
      yield* life(join(path, "log"), program, limits)
    })
  )

  it.effect("lmdb full disk - a topic is removed, and what is stored is served by the next hub", () =>
    Effect.gen(function* () {
      const path = yield* smallDisk(16_777_216)
      const folder = join(path, "log")
      const program = Effect.gen(function* () {
        const [a, b] = [yield* opened("a"), yield* opened("b")]
        yield* append(b, textBatch(b.owner, [["kept"]], 10))
        fill(join(path, "ballast"))
        assert.strictEqual((yield* appendAll(a, "x".repeat(1000))).reason, "full")
        yield* a.log.remove
        yield* append(b, textBatch(b.owner, [["also"]], 10))
      })
      yield* life(folder, program, limits)
      fill(join(path, "ballast"))
      yield* life(
        folder,
        Effect.gen(function* () {
          const b = yield* opened("b")
          assert.deepStrictEqual(placedTexts(yield* b.log.read(0, 1e9)), ["0:kept", "1:also"])
          yield* append(b, textBatch(b.owner, [["more"]], 10))
        }),
        limits
      )
    })
  )
})
