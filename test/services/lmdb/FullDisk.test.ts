/** A disk that is really full: a small file system in memory, where this process may mount one. */
import { execFileSync } from "node:child_process"
import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { MessageLog } from "../../../src/services/MessageLog.ts"
import { placedTexts, textBatch } from "../../contracts/TextBatches.ts"
import { append, life, makeFolder, opened } from "./TestFolder.ts"

const mount = (path: string): boolean => {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=16m", "tmpfs", path], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

const unmount = (path: string) => execFileSync("umount", [path], { stdio: "ignore" })

const smallDisk = (): string | undefined => {
  if (process.platform !== "linux") return undefined
  const path = makeFolder()
  if (mount(path)) return path
  rmSync(path, { recursive: true })
  return undefined
}

const path = smallDisk()

describe.skipIf(path === undefined)("lmdb on a full disk (skipped where nothing can be mounted)", () => {
  it.effect("lmdb full disk - refuses what has no room, keeps what it has, and recovers by itself", () =>
    Effect.gen(function* () {
      const folder = join(path ?? "", "log")
      const ballast = join(path ?? "", "ballast")
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
        { topic: { messages: 1_000_000, bytes: 1e9, age: 1000 } }
      )
      yield* life(
        folder,
        Effect.gen(function* () {
          assert.sameMembers([...(yield* MessageLog).names()], ["a", "b"])
          const a = yield* opened("a")
          assert.deepStrictEqual(placedTexts(yield* a.log.read(0, 1e9)), [`${texts.length}:${text}`])
        })
      )
    }).pipe(
      Effect.ensuring(
        Effect.sync(() => {
          unmount(path ?? "")
          rmSync(path ?? "", { recursive: true })
        })
      )
    )
  )
})
