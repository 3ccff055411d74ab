/** Files that are not as they were written: what cannot be read is said to be lost, and nothing else is. */
import { readFileSync, statSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Lost, MessageLog } from "../../../src/services/MessageLog.ts"
import { scatteredTexts, textBatch } from "../../contracts/TextBatches.ts"
import { append, folder, hold, life, opened } from "./TestFolder.ts"

const everything = 1_000_000_000

/** Batches of two messages, `0:t0.., 1:t1..`, long enough to stand on pages of their own or not. */
const write = (path: string, batches: number, length: number) =>
  life(
    path,
    Effect.gen(function* () {
      const topic = yield* opened("a")
      for (let index = 0; index < batches; index++) {
        const texts = [`t${index * 2}`.padEnd(length, "."), `t${index * 2 + 1}`.padEnd(length, ".")]
        yield* append(topic, textBatch(topic.owner, [texts], index + 1))
      }
    })
  )

/** Flips a bit of the byte that stands so far after this, wherever it is. */
const change = (path: string, text: string | Buffer, by: number): void => {
  const file = join(path, "data.mdb")
  const bytes = readFileSync(file)
  let found = 0
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) {
    bytes[at + by]! ^= 4
    found++
  }
  assert.isAbove(found, 0)
  writeFileSync(file, bytes)
}

/** `offset:text` of what is there, and `lost from-to`. */
const found = (offset = 0) =>
  Effect.gen(function* () {
    const { log } = yield* opened("a")
    const read = yield* log.read(offset, everything)
    return read.flatMap((each) =>
      each instanceof Lost
        ? [`lost ${each.offset}-${each.offset + each.count}`]
        : scatteredTexts([each]).map((text) => text.replace(/\.*$/, ""))
    )
  })

const texts = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => `${from + index}:t${from + index}`)

describe("lmdb damage", () => {
  for (const length of [50, 5000])
    it.effect(
      `lmdb damage - a flipped bit in a value of ${length * 2} bytes loses its batch, and only that`,
      () =>
        Effect.gen(function* () {
          const path = yield* folder
          yield* write(path, 10, length)
          change(path, `t6${".".repeat(40)}`, 20)
          assert.deepStrictEqual(yield* life(path, found()), [...texts(0, 6), "lost 6-8", ...texts(8, 20)])
          assert.deepStrictEqual(yield* life(path, found(7)), ["lost 7-8", ...texts(8, 20)])
          yield* life(
            path,
            Effect.gen(function* () {
              const a = yield* opened("a")
              assert.deepStrictEqual(
                [a.log.nextOffset, a.log.messages, yield* a.log.offsetAt(4)],
                [20, 20, 6]
              )
              assert.strictEqual((yield* append(a, textBatch(a.owner, [["t20"]], 20))).offset, 20)
              assert.deepStrictEqual((yield* found(18)).slice(-1), ["20:t20"])
            })
          )
        })
    )

  it.effect("lmdb damage - a flipped bit in a key loses its batch, also the first and the last", () =>
    Effect.gen(function* () {
      for (const batch of [0, 4, 9]) {
        const path = yield* folder
        yield* write(path, 10, 50)
        const place = [0, 0, 0, 1, 0, 0, 0, 0, 0, batch * 2]
        const timestamp = [batch + 1, 0, 0, 0, 0, 0]
        change(path, Buffer.from([...place, ...timestamp]), 11)
        const read = yield* life(path, found())
        assert.deepStrictEqual(
          read.filter((each) => !each.startsWith("lost")),
          texts(0, 20).filter((_, index) => index >> 1 !== batch)
        )
        if (batch < 9) assert.include(read, `lost ${batch * 2}-${batch * 2 + 2}`)
        yield* life(
          path,
          Effect.gen(function* () {
            const a = yield* opened("a")
            const next = a.log.nextOffset
            assert.isAtLeast(next, 20, "an offset would be given twice")
            assert.strictEqual((yield* append(a, textBatch(a.owner, [["new"]], 20))).offset, next)
            a.log.expire(1e12)
            yield* append(a, textBatch(a.owner, [["newest"]], 1e12))
            assert.deepStrictEqual([a.log.messages, a.log.nextOffset], [1, next + 2])
          })
        )
      }
    })
  )

  it.effect("lmdb damage - a damaged batch that is held is left out", () =>
    Effect.gen(function* () {
      const path = yield* folder
      yield* life(
        path,
        Effect.gen(function* () {
          const a = yield* opened("a")
          for (const text of ["first", "second", "third"])
            yield* hold(a, textBatch(a.owner, [[text.padEnd(50, ".")]]), 100)
        })
      )
      change(path, "second.....", 8)
      yield* life(
        path,
        Effect.gen(function* () {
          const service = yield* MessageLog
          const held = yield* service.due(100, everything)
          const { owner } = yield* opened("a")
          assert.deepStrictEqual(
            held
              .flatMap((each) => scatteredTexts([each.batch(owner)]))
              .map((text) => text.replace(/\.*$/, "")),
            ["0:first", "0:third"]
          )
          assert.strictEqual(service.nextDue(), Number.POSITIVE_INFINITY)
        })
      )
    })
  )

  it.effect(
    "lmdb damage - a file that was cut off, or whose tree does not hold together, is refused with an error",
    () =>
      Effect.gen(function* () {
        const path = yield* folder
        yield* write(path, 100, 3000)
        const file = join(path, "data.mdb")
        const bytes = readFileSync(file)
        for (const length of [100, 4096, 20_000, bytes.length >> 1, bytes.length - 65_536]) {
          truncateSync(file, length)
          const error = yield* Effect.flip(life(path, found()))
          assert.strictEqual(error.reason, "damaged", `cut to ${length} of ${statSync(file).size}`)
          writeFileSync(file, bytes)
        }
        assert.strictEqual((yield* life(path, found())).length, 200)
      })
  )
})
