/** The store that other tests lean on, judged as engines are. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { encodeText } from "../../src/protocol/Bytes.ts"
import { StateStore } from "../../src/services/StateStore.ts"
import { stateStoreContract } from "../contracts/StateStoreContract.ts"
import { makeFailingStore, StoreFaults } from "./FailingStore.ts"

stateStoreContract(
  "tests, at once",
  Layer.sync(StateStore, () => makeFailingStore(new StoreFaults()))
)
stateStoreContract(
  "tests, later",
  Layer.sync(StateStore, () => makeFailingStore(Object.assign(new StoreFaults(), { isLate: true })))
)

describe("failing store", () => {
  it("keeps back, fails and crashes as it is told", () => {
    const faults = new StoreFaults()
    const store = makeFailingStore(faults)
    const told: Array<string> = []
    const save = (key: string, by = store) =>
      by.save([[key, encodeText(key)]], (error) => told.push(`${key} ${error?.reason ?? "saved"}`))
    const keys = (by = store) => Effect.runSync(by.entries("")).map(([key]) => key)
    faults.failures = 1
    save("a")
    faults.holdsBack = true
    for (const key of ["b", "c", "d", "e", "f"]) save(key)
    assert.deepStrictEqual([told, keys()], [["a full"], []])
    assert.deepStrictEqual([faults.release(1), faults.refuse(1, "io"), faults.keepUntold(1)], [1, 1, 1])
    faults.crash()
    assert.deepStrictEqual([faults.waitingCount, faults.release()], [0, 0])
    faults.holdsBack = false
    save("g")
    const after = makeFailingStore(faults)
    save("h", after)
    assert.deepStrictEqual(told, ["a full", "b saved", "c io", "h saved"])
    assert.deepStrictEqual(keys(after), ["b", "d", "h"])
  })
})
