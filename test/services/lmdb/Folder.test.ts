import { cpSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { textBatch } from "../../contracts/TextBatches.ts"
import { append, folder, life, opened } from "./TestFolder.ts"

/** What is logged, as `level: text`. */
const lines = Effect.fnUntraced(function* <A, E>(effect: Effect.Effect<A, E>) {
  const found: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => {
    found.push(`${logLevel}: ${String(message)}`)
  })
  yield* Effect.provide(effect, Layer.fresh(Logger.layer([logger])))
  return found
})

const write = Effect.gen(function* () {
  const a = yield* opened("a")
  yield* append(a, textBatch(a.owner, [["x"]], 1))
  return a.log.bytes
})

describe("lmdb folder", () => {
  it.effect("lmdb folder - says in one line what it found, and whether it was closed in order", () =>
    Effect.gen(function* () {
      const path = yield* folder
      const copy = join(yield* folder, "deep", "copy")
      assert.deepStrictEqual(yield* lines(life(path, write)), [], "of a new folder there is nothing to say")
      const inOrder = yield* lines(life(path, write))
      assert.strictEqual(inOrder.length, 1)
      assert.match(inOrder[0]!, /^Info: .*closed in order: 1 topics, \d+ bytes$/)
      const bytes = yield* life(
        path,
        Effect.tap(write, () => Effect.sync(() => cpSync(path, copy, { recursive: true, filter: isFile })))
      )
      const crashed = yield* lines(life(copy, Effect.void))
      assert.strictEqual(crashed.length, 1)
      assert.match(crashed[0]!, new RegExp(`^Warn: .*not closed in order; .*1 topics, ${bytes} bytes$`))
      assert.match((yield* lines(life(copy, Effect.void)))[0]!, /^Info: /)
    })
  )
})

/** A socket cannot be copied. */
const isFile = (path: string): boolean => !path.endsWith(".sock")
