/** What a publisher sends again after the hub was killed: stored once if it was there, and not taken for known if it was not. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { temporaryFolder } from "../cli/DurableHub.ts"
import { wireClient } from "./Faults.ts"
import { startHub } from "./HubProcess.ts"

const topic = "resent.one"

describe("faults - sent again after a crash", () => {
  it.live("resent - what was refused before a crash is not taken for a duplicate after it", () =>
    Effect.gen(function* () {
      const dataDir = yield* temporaryFolder
      const small = yield* startHub({ dataDir, dataMaxBytes: 100_000 })
      const before = yield* wireClient(small.port)
      yield* before.begin()
      const large = "x".repeat(200_000)
      yield* before.publishAndWait(topic, ["a"], { sequence: 1 })
      before.publish(topic, [large], { sequence: 2, receipt: true })
      before.publish(topic, ["first"], { sequence: 3, receipt: true })
      assert.strictEqual((yield* before.next("Rejected")).firstSequence, 2)
      assert.strictEqual((yield* before.next("Receipt")).lastSequence, 3)
      // As if neither answer had come.
      yield* small.child.kill("SIGKILL")
      const hub = yield* startHub({ dataDir })
      const after = yield* wireClient(hub.port)
      yield* after.begin()
      const receipt2 = yield* after.publishAndWait(topic, [large], { sequence: 2, resent: true })
      const receipt3 = yield* after.publishAndWait(topic, ["first"], { sequence: 3, resent: true })
      assert.deepStrictEqual([receipt2.duplicate, receipt3.duplicate], [false, true])
      yield* after.subscribe(topic, { start: { _tag: "First" } })
      const texts = (yield* after.messages(1, 3)).map(({ text }) => text)
      assert.deepStrictEqual(texts, ["a", "first", large])
    })
  )

  it.live("resent - what was refused is not known either if it came before all that was stored", () =>
    Effect.gen(function* () {
      const dataDir = yield* temporaryFolder
      const small = yield* startHub({ dataDir, dataMaxBytes: 100_000 })
      const before = yield* wireClient(small.port)
      yield* before.begin()
      const large = "x".repeat(200_000)
      before.publish(topic, [large], { sequence: 1, receipt: true })
      yield* before.publishAndWait(topic, ["first"], { sequence: 2 })
      yield* small.child.kill("SIGKILL")
      const hub = yield* startHub({ dataDir })
      const after = yield* wireClient(hub.port)
      yield* after.begin()
      const receipt1 = yield* after.publishAndWait(topic, [large], { sequence: 1, resent: true })
      const receipt2 = yield* after.publishAndWait(topic, ["first"], { sequence: 2, resent: true })
      assert.deepStrictEqual([receipt1.duplicate, receipt2.duplicate], [false, true])
    })
  )
})
