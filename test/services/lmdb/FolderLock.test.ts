import { spawn } from "node:child_process"
import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { lockFolder } from "../../../src/services/lmdb/FolderLock.ts"
import { textBatch } from "../../contracts/TextBatches.ts"
import { append, folder, life, opened } from "./TestFolder.ts"

const script = fileURLToPath(new URL("./Appender.ts", import.meta.url))

type Signals = (signal: "SIGSTOP" | "SIGCONT" | "SIGKILL") => void

/** A hub of another process on the folder, which is killed at the end. */
const otherHub = (path: string): Effect.Effect<Signals, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<Signals & { readonly exited: Promise<void> }>((resume) => {
      const child = spawn(process.execPath, [script, path], { stdio: ["ignore", "pipe", "inherit"] })
      const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()))
      const signal = (signal: NodeJS.Signals) => void child.kill(signal)
      child.stdout.on("data", (chunk: Buffer) => {
        if (chunk.toString().includes("ready")) resume(Effect.succeed(Object.assign(signal, { exited })))
      })
    }),
    (signal) =>
      Effect.promise(() => {
        signal("SIGKILL")
        return signal.exited
      })
  )

const isFree = (path: string): Effect.Effect<boolean> =>
  Effect.scoped(lockFolder(path)).pipe(
    Effect.as(true),
    Effect.catch((error) => Effect.succeed(error.reason !== "locked"))
  )

describe("folder lock", () => {
  it.effect("folder lock - a second hub is refused, and may have the folder when the first is gone", () =>
    Effect.gen(function* () {
      const path = yield* folder
      yield* life(
        path,
        Effect.gen(function* () {
          const error = yield* Effect.flip(life(path, Effect.void))
          assert.strictEqual(error.reason, "locked")
          assert.include(String(error.cause), path)
          const a = yield* opened("a")
          yield* append(a, textBatch(a.owner, [["x"]]))
        })
      )
      yield* life(
        path,
        Effect.map(opened("a"), ({ log }) => assert.strictEqual(log.nextOffset, 1))
      )
    })
  )

  it.effect("folder lock - of many that come at the same time one has it, also after a crash", () =>
    Effect.gen(function* () {
      const path = yield* folder
      yield* Effect.scoped(otherHub(path))
      assert.isTrue(existsSync(join(path, "hub.sock")), "the crash left its name")
      let owners = 0
      let most = 0
      const one = Effect.scoped(
        Effect.gen(function* () {
          yield* lockFolder(path)
          most = Math.max(most, ++owners)
          yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))
          owners--
        })
      )
      const results = yield* Effect.forEach(Array.from({ length: 8 }), () => Effect.exit(one), {
        concurrency: "unbounded"
      })
      assert.isAbove(results.filter(({ _tag }) => _tag === "Success").length, 0)
      assert.strictEqual(most, 1)
      assert.isTrue(yield* isFree(path))
    })
  )

  it.effect(
    "folder lock - a hub that is stopped still has it",
    () =>
      Effect.gen(function* () {
        const path = yield* folder
        yield* Effect.scoped(
          Effect.gen(function* () {
            const signal = yield* otherHub(path)
            signal("SIGSTOP")
            for (let index = 0; index < 3; index++) assert.isFalse(yield* isFree(path))
            signal("SIGCONT")
          })
        )
        assert.isTrue(yield* isFree(path))
      }),
    20_000
  )

  it.effect(
    "folder lock - a folder with a long name is locked elsewhere; a mark that was left is no obstacle",
    () =>
      Effect.gen(function* () {
        const path = join(yield* folder, "long".repeat(40))
        mkdirSync(path)
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* lockFolder(path)
            assert.isFalse(existsSync(join(path, "hub.sock")))
            assert.isFalse(yield* isFree(path))
          })
        )
        writeFileSync(join(path, "hub.taking"), "")
        assert.isTrue(yield* isFree(path))
      })
  )
})
