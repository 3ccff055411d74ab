/** A process that writes is killed, again and again: what it was told is stored is there, in order and once. */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { MessageLog } from "../../../src/services/MessageLog.ts"
import { placedTexts } from "../../contracts/TextBatches.ts"
import { folder, life, opened } from "./TestFolder.ts"

const script = fileURLToPath(new URL("./Appender.ts", import.meta.url))

/** Lets it write for a while and kills it; answers how far each topic was said to be stored. */
const killed = (path: string, milliseconds: number): Effect.Effect<ReadonlyMap<string, number>, Error> =>
  Effect.callback((resume) => {
    const child = spawn(process.execPath, [script, path], { stdio: ["ignore", "pipe", "pipe"] })
    let out = ""
    let errors = ""
    child.stdout.on("data", (chunk: Buffer) => {
      if (out === "") setTimeout(() => child.kill("SIGKILL"), milliseconds)
      out += chunk.toString()
    })
    child.stderr.on("data", (chunk: Buffer) => {
      errors += chunk.toString()
    })
    child.once("exit", (_code, signal) => {
      const stored = new Map<string, number>()
      // The last line may be cut.
      for (const line of out.split("\n").slice(0, -1)) {
        const [topic, offset, count] = line.split(" ")
        if (topic!.length !== 1 || count === undefined) continue
        const end = Number(offset) + Number(count)
        if (end <= (stored.get(topic!) ?? 0)) errors += `out of order: ${line}`
        stored.set(topic!, end)
      }
      if (signal === "SIGKILL" && errors === "") resume(Effect.succeed(stored))
      else resume(Effect.fail(new Error(`it ended by itself: ${errors}`)))
    })
  })

/** That nothing is missing, and nothing is twice. */
const check = Effect.fnUntraced(function* (topic: string, least: number) {
  const { log } = yield* opened(topic)
  assert.isAtLeast(log.nextOffset, least, "what was stored is not there")
  let expected = 0
  while (expected < log.nextOffset) {
    for (const text of placedTexts(yield* log.read(expected, 1_000_000))) {
      const [offset, rest] = text.split(":")
      assert.deepStrictEqual([offset, rest?.replace(/\.*$/, "")], [`${expected}`, `${expected}`])
      expected++
    }
  }
  assert.strictEqual(log.messages, expected)
  return log.bytes
})

describe("lmdb crash", () => {
  it.effect(
    "lmdb crash - what was stored is there after kill -9, in order, once",
    () =>
      Effect.gen(function* () {
        const path = yield* folder
        const stored = new Map<string, number>()
        for (let round = 0; round < 25; round++) {
          for (const [topic, end] of yield* killed(path, 60 + (round % 5) * 60)) stored.set(topic, end)
          assert.strictEqual(stored.size, 3)
          yield* life(
            path,
            Effect.gen(function* () {
              let bytes = 0
              for (const [topic, end] of stored) bytes += yield* check(topic, end)
              assert.strictEqual((yield* MessageLog).bytes(), bytes)
            })
          )
        }
      }),
    300_000
  )
})
