/** The log that other tests lean on, judged as engines are. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { MessageLog } from "../../src/services/MessageLog.ts"
import { append, kept, opened } from "../contracts/log/LogKit.ts"
import { durableLogContract, messageLogContract } from "../contracts/MessageLogContract.ts"
import { textBatch } from "../contracts/TextBatches.ts"
import { type Faults, failingLog, makeFailingLog, noFaults } from "./FailingLog.ts"

const late = (): Faults => Object.assign(noFaults(), { isLate: true })
const lasting = (): Faults => Object.assign(late(), { outlivesHub: true })

messageLogContract(
  "tests, at once",
  Layer.suspend(() => failingLog(noFaults()))
)
messageLogContract(
  "tests, later",
  Layer.suspend(() => failingLog(late()))
)

const folders = new Map<string, Layer.Layer<MessageLog>>()

/** One log for each folder, that goes on after each life. */
const layerOn = (folder: string): Layer.Layer<MessageLog> => {
  const known = folders.get(folder)
  if (known !== undefined) return known
  const faults = lasting()
  const log = Effect.runSync(makeFailingLog(faults))
  const layer = Layer.effect(
    MessageLog,
    Effect.acquireRelease(Effect.succeed(log), () => Effect.sync(() => faults.crash()))
  )
  folders.set(folder, layer)
  return layer
}

durableLogContract("tests", layerOn)

describe("failing log", () => {
  const on = <A, E>(test: (faults: Faults) => Effect.Effect<A, E, MessageLog>) => {
    const faults = noFaults()
    return Effect.provide(test(faults), failingLog(faults))
  }

  it.effect("failing log - what it fails is refused, and what it throws left no trace", () =>
    on((faults) =>
      Effect.gen(function* () {
        const topic = yield* opened("a")
        faults.failures.set("a", 1)
        const error = yield* Effect.flip(append(topic, [["a"]]))
        assert.deepStrictEqual([error.reason, error.topic], ["io", "a"])
        faults.throws.set("a", 1)
        assert.throws(() => topic.log.append(textBatch(topic.owner, [["b"]])))
        yield* append(topic, [["c"]])
        assert.deepStrictEqual(yield* kept(topic), ["0:c"])
      })
    )
  )

  it.effect("failing log - what it keeps back is stored in order when it is released", () =>
    on((faults) =>
      Effect.gen(function* () {
        const { log, owner } = yield* opened("a")
        faults.holdsBack.add("a")
        const batches = ["a", "b", "c", "d"].map((text) => textBatch(owner, [[text]]))
        for (const batch of batches) assert.isFalse(log.append(batch))
        assert.deepStrictEqual([faults.waitingFor("a"), log.nextOffset, owner.told.size], [4, 0, 0])
        assert.strictEqual(faults.refuse("a", 1, "full"), 1)
        assert.strictEqual(faults.release("a", 2), 2)
        assert.deepStrictEqual(
          batches.map((batch) => owner.told.get(batch)?._tag),
          ["refused", "stored", "stored", undefined]
        )
        faults.holdsBack.delete("a")
        const last = textBatch(owner, [["e"]])
        assert.isFalse(log.append(last), "one before it still waits")
        assert.strictEqual(faults.release("a"), 2)
        assert.deepStrictEqual(yield* kept({ log, owner }), ["0:b", "1:c", "2:d", "3:e"])
        assert.isTrue(log.append(textBatch(owner, [["f"]])))
      })
    )
  )

  it.effect("failing log - a crash takes what waits, and leaves what was kept, told of or not", () =>
    on((faults) =>
      Effect.gen(function* () {
        faults.outlivesHub = true
        const before = yield* opened("a")
        faults.holdsBack.add("a")
        const batches = ["a", "b", "c"].map((text) => textBatch(before.owner, [[text]]))
        for (const batch of batches) before.log.append(batch)
        faults.release("a", 1)
        faults.keepUntold("a", 1)
        faults.crash()
        assert.deepStrictEqual(
          batches.map((batch) => before.owner.told.get(batch)?._tag),
          ["stored", undefined, undefined]
        )
        faults.holdsBack.delete("a")
        const after = yield* opened("a")
        assert.strictEqual((yield* Effect.flip(append(before, [["x"]]))).reason, "closed")
        before.log.close()
        yield* append(after, [["d"]])
        assert.deepStrictEqual(yield* kept(after), ["0:a", "1:b", "2:d"])
      })
    )
  )
})
