/** Write sets that fail: they leave no trace, their batches are refused, and what comes later is kept. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { encodeText } from "../../../src/protocol/Bytes.ts"
import type { Failure } from "../../../src/services/lmdb/Environment.ts"
import { MessageLog } from "../../../src/services/MessageLog.ts"
import { StateStore, type StateStoreError } from "../../../src/services/StateStore.ts"
import { placedTexts, textBatch } from "../../contracts/TextBatches.ts"
import { append, folder, hold, life, type Opened, opened } from "./TestFolder.ts"

const everything = 1_000_000_000
const noRoom: Failure = { isFull: true, isBroken: false, cause: new Error("no room") }
const broken: Failure = { isFull: false, isBroken: false, cause: new Error("broken") }

const saved = (key: string, value: string) =>
  StateStore.use((store) =>
    Effect.callback<StateStoreError | undefined>((resume) =>
      store.save([[key, encodeText(value)]], (error) => resume(Effect.succeed(error)))
    )
  )

describe("lmdb failure", () => {
  it.effect("lmdb failure - a set that fails gives its offsets back, and the next is kept", () =>
    Effect.gen(function* () {
      const path = yield* folder
      let fault: Failure | undefined
      yield* life(
        path,
        Effect.gen(function* () {
          const service = yield* MessageLog
          const [a, b] = [yield* opened("a"), yield* opened("b")]
          yield* append(a, textBatch(a.owner, [["0"]], 5))
          const bytes = service.bytes()
          for (const [failure, reason] of [
            [noRoom, "full"],
            [broken, "io"]
          ] as const) {
            fault = failure
            const error = yield* Effect.flip(append(a, textBatch(a.owner, [["x"], ["y", "z"]], 6)))
            assert.deepStrictEqual([error.reason, error.topic], [reason, "a"])
            assert.strictEqual((yield* Effect.flip(append(b, textBatch(b.owner, [["x"]])))).reason, reason)
            assert.strictEqual((yield* Effect.flip(hold(b, textBatch(b.owner, [["x"]]), 5))).reason, reason)
            assert.strictEqual((yield* saved("key", reason))?.reason, reason)
            fault = undefined
            assert.deepStrictEqual([a.log.nextOffset, a.log.lastTimestamp, service.bytes()], [1, 5, bytes])
            assert.deepStrictEqual(
              [service.nextDue(), [...service.names()]],
              [Number.POSITIVE_INFINITY, ["a"]]
            )
            assert.deepStrictEqual(yield* (yield* StateStore).entries(""), [])
          }
          assert.strictEqual((yield* append(a, textBatch(a.owner, [["1"]], 7))).offset, 1)
          assert.strictEqual((yield* append(b, textBatch(b.owner, [["b"]], 7))).offset, 0)
          assert.isUndefined(yield* saved("key", "value"))
        }),
        { fault: () => fault }
      )
      yield* life(
        path,
        Effect.gen(function* () {
          const [a, b] = [yield* opened("a"), yield* opened("b")]
          assert.deepStrictEqual(placedTexts(yield* a.log.read(0, everything)), ["0:0", "1:1"])
          assert.deepStrictEqual(placedTexts(yield* b.log.read(0, everything)), ["0:b"])
        })
      )
    })
  )

  it.effect("lmdb failure - what a set has come to is told in order and in one turn", () =>
    Effect.gen(function* () {
      const path = yield* folder
      let turns = 0
      const told: Array<string> = []
      const sets: Array<number> = []
      yield* life(
        path,
        Effect.gen(function* () {
          const topics = [yield* opened("a"), yield* opened("b")]
          const state = yield* StateStore
          for (const { owner } of topics)
            owner.listener = ({ _tag, batch }) => told.push(`${_tag} ${owner.name} ${batch.offset}`)
          for (const { log, owner } of topics) {
            for (let index = 0; index < 3; index++) log.append(textBatch(owner, [["x"]]))
            log.hold(textBatch(owner, [["held"]]), 100)
          }
          yield* Effect.callback<void>((resume) =>
            state.save([["k", encodeText("v")]], () => resume(Effect.void))
          )
          assert.deepStrictEqual(told, [
            ..."012".split("").map((offset) => `stored a ${offset}`),
            "held a 0",
            ..."012".split("").map((offset) => `stored b ${offset}`),
            "held b 0"
          ])
          yield* Effect.yieldNow
          assert.deepStrictEqual([turns, sets], [1, [8]])
        }),
        {
          turn: (work) => {
            turns++
            work()
            sets.push(told.length)
          }
        }
      )
    })
  )

  it.effect("lmdb failure - all topics together keep no more than they may, until retention makes room", () =>
    Effect.gen(function* () {
      const path = yield* folder
      yield* life(
        path,
        Effect.gen(function* () {
          const [a, b] = [yield* opened("a"), yield* opened("b")]
          const text = "x".repeat(1000)
          for (let index = 0; index < 9; index++) yield* append(a, textBatch(a.owner, [[text]], 10))
          assert.strictEqual((yield* Effect.flip(append(b, textBatch(b.owner, [[text]], 20)))).reason, "full")
          assert.strictEqual((yield* Effect.flip(append(a, textBatch(a.owner, [[text]], 20)))).reason, "full")
          a.log.expire(1011)
          yield* append(b, textBatch(b.owner, [["small"]], 20))
          assert.strictEqual(a.log.messages, 0)
          assert.strictEqual((yield* append(b, textBatch(b.owner, [[text]], 20))).offset, 1)
          const held = textBatch(b.owner, [[text]])
          yield* hold(b, held, 100)
          assert.strictEqual((yield* Effect.flip(hold(b, textBatch(b.owner, [[text]]), 100))).reason, "full")
        }),
        { maxBytes: 10_000, maxHeldBytes: 2000, topic: { messages: 1000, bytes: 1_000_000, age: 1000 } }
      )
    })
  )

  it.effect("lmdb failure - who appends is held back while much is queued", () =>
    Effect.gen(function* () {
      const path = yield* folder
      yield* life(
        path,
        Effect.gen(function* () {
          const [a, b] = [yield* opened("a"), yield* opened("b")]
          const batch = () => textBatch(a.owner, [["x".repeat(1_000_000)]])
          const waits = ({ log }: Opened) => log.room !== undefined
          assert.isFalse(waits(a))
          for (let index = 0; index < 9; index++) a.log.append(batch())
          assert.deepStrictEqual([waits(a), waits(b)], [true, false])
          yield* Effect.suspend(() => a.log.room ?? Effect.void)
          assert.isFalse(waits(a))
          assert.isAbove(a.log.nextOffset, 0)
        })
      )
    })
  )
})
