/** A group across the end of its hub, around a publish, a delivery, an acknowledgement, a failure. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { hubLives } from "../HubLives.ts"
import { numbered } from "../WireClient.ts"
import { attempts, delivered, memberOf, reborn, texts } from "./GroupClient.ts"

describe("group - a crash around a publish", () => {
  for (const how of ["is sent again", "has an id"] as const) {
    const message = { payload: new TextEncoder().encode("x"), ...(how === "has an id" ? { id: "i" } : {}) }
    const again = { sequence: 1, resent: how === "is sent again" }

    it.effect(`group - after the append, before the receipt: what ${how} is there once`, () =>
      Effect.gen(function* () {
        const lives = yield* hubLives()
        const before = yield* memberOf(lives)
        lives.log.holdsBack.add("a")
        before.wire.publish("a", [message], { receipt: true })
        yield* before.wire.settled
        assert.strictEqual(lives.log.keepUntold("a"), 1)
        assert.isUndefined(before.wire.take("Receipt"))
        lives.log.holdsBack.clear()
        const after = yield* reborn(lives)
        const receipt = yield* after.wire.publishAndWait("a", [message], again)
        assert.deepInclude(receipt, { duplicate: true, count: 1 })
        yield* after.join("g", "a")
        assert.deepStrictEqual(texts(yield* after.received()), ["x"])
      })
    )

    it.effect(`group - before the append: what ${how} is stored then`, () =>
      Effect.gen(function* () {
        const lives = yield* hubLives()
        const before = yield* memberOf(lives)
        lives.log.holdsBack.add("a")
        before.wire.publish("a", [message], { receipt: true })
        yield* before.wire.settled
        lives.log.holdsBack.clear()
        const after = yield* reborn(lives)
        assert.isFalse((yield* after.wire.publishAndWait("a", [message], again)).duplicate)
        yield* after.join("g", "a")
        assert.deepStrictEqual(texts(yield* after.received()), ["x"])
      })
    )
  }
})

describe("group - a crash around a delivery", () => {
  it.effect(
    "group - after the delivery, before the acknowledgement: it comes again, and has not failed",
    () =>
      Effect.gen(function* () {
        const { all, before, lives } = yield* delivered(numbered(3))
        yield* before.ack("g", [all[1]!])
        const after = yield* reborn(lives)
        assert.deepInclude(yield* after.info("g"), { members: 0, lag: 2, inFlight: 0 })
        assert.isFalse((yield* after.join("g", "a")).created)
        assert.deepStrictEqual(attempts(yield* after.received()), ["m0#1", "m2#1"])
      })
  )

  for (const order of ["any", "key"] as const) {
    it.effect(`group - what was delivered before a crash may be acknowledged after it, order ${order}`, () =>
      Effect.gen(function* () {
        const { all, lives } = yield* delivered(numbered(4), { order })
        const after = yield* reborn(lives)
        yield* after.join("g", "a", { order, creditMessages: 0 })
        yield* after.ack("g", [all[1]!, all[3]!])
        after.wire.credit(1, 10)
        assert.deepStrictEqual(attempts(yield* after.received()), ["m0#1", "m2#1"])
        const last = yield* reborn(lives)
        yield* last.join("g", "a", { order })
        yield* last.ack("g", [all[0]!])
        assert.deepInclude(yield* last.info("g"), { lag: 1 })
      })
    )
  }

  it.effect("group - up to a position, after a crash", () =>
    Effect.gen(function* () {
      const { all, lives } = yield* delivered(numbered(4))
      const after = yield* reborn(lives)
      yield* after.join("g", "a", { creditMessages: 0 })
      yield* after.acked(after.sendAckOf("g", all[0]!, [{ from: 0, to: 3 }]))
      after.wire.credit(1, 10)
      assert.deepStrictEqual(attempts(yield* after.received()), ["m3#1"])
    })
  )
})

describe("group - a crash around an acknowledgement", () => {
  it.effect("group - before it is saved it is not confirmed, and what it was for comes again", () =>
    Effect.gen(function* () {
      const { all, before, lives } = yield* delivered(numbered(2))
      lives.store.holdsBack = true
      const request = before.sendAck("g", all)
      yield* before.wire.settled
      assert.isFalse(before.wasAcked(request))
      assert.strictEqual(lives.store.waitingCount, 1)
      lives.store.holdsBack = false
      const after = yield* reborn(lives)
      yield* after.join("g", "a")
      assert.deepStrictEqual(texts(yield* after.received()), numbered(2))
    })
  )

  it.effect("group - after it is saved it does not come again, whether it was confirmed or not", () =>
    Effect.gen(function* () {
      const { all, before, lives } = yield* delivered(numbered(3))
      yield* before.ack("g", [all[0]!])
      lives.store.holdsBack = true
      const request = before.sendAck("g", [all[2]!])
      yield* before.wire.settled
      assert.strictEqual(lives.store.keepUntold(), 1)
      assert.isFalse(before.wasAcked(request))
      lives.store.holdsBack = false
      const after = yield* reborn(lives)
      yield* after.join("g", "a")
      assert.deepStrictEqual(texts(yield* after.received()), ["m1"])
    })
  )

  it.effect("group - a second one for the same message is not confirmed before the first is saved", () =>
    Effect.gen(function* () {
      const { all, before: client, lives } = yield* delivered(["x"])
      lives.store.holdsBack = true
      const requests = [client.sendAck("g", all), client.sendAck("g", all)]
      yield* client.wire.settled
      requests.push(client.sendAck("g", all))
      yield* client.wire.settled
      assert.isFalse(requests.some((request) => client.wasAcked(request)))
      lives.store.release()
      for (const request of requests) yield* client.acked(request)
    })
  )

  it.effect("group - while the disk refuses nothing is confirmed; when it takes again, all is", () =>
    Effect.gen(function* () {
      const { all, before: client, lives } = yield* delivered(numbered(2))
      lives.store.failures = 3
      const first = client.sendAck("g", all.slice(0, 1))
      yield* client.wire.settled
      yield* TestClock.adjust(1000)
      const second = client.sendAck("g", all.slice(1))
      yield* client.wire.settled
      assert.isFalse(client.wasAcked(first) || client.wasAcked(second))
      // Work goes on meanwhile.
      yield* client.wire.publishAndWait("a", ["m2"])
      assert.deepStrictEqual(texts(yield* client.received()), ["m2"])
      yield* TestClock.adjust(2000)
      yield* client.acked(first)
      yield* client.acked(second)
      const after = yield* reborn(lives)
      yield* after.join("g", "a")
      assert.deepStrictEqual(texts(yield* after.received()), ["m2"])
    })
  )

  it.effect("group - what a full disk did not take comes again after a crash", () =>
    Effect.gen(function* () {
      const { all, before, lives } = yield* delivered(["x"])
      lives.store.failures = 10
      before.sendAck("g", all)
      yield* before.wire.settled
      yield* TestClock.adjust(3000)
      lives.store.failures = 0
      const after = yield* reborn(lives)
      yield* after.join("g", "a")
      assert.deepStrictEqual(texts(yield* after.received()), ["x"])
    })
  )
})

describe("group - a crash in redelivery", () => {
  it.effect("group - failures are still counted, and waits still hold", () =>
    Effect.gen(function* () {
      const { all, before, lives } = yield* delivered(numbered(3), {
        backoff: 1000,
        maxDeliveries: 3,
        ackWait: 60_000
      })
      yield* before.refuse("g", [all[0]!])
      yield* before.refuse("g", [all[1]!], { delay: 0 })
      yield* before.refuse("g", [all[2]!], { fate: "park" })
      yield* before.received()
      yield* TestClock.adjust(400)
      const after = yield* reborn(lives)
      assert.deepInclude(yield* after.info("g"), { maxDeliveries: 3, backoff: 1000, waiting: 1, parked: 1 })
      yield* after.join("g", "a")
      const again = yield* after.received()
      assert.deepStrictEqual(attempts(again), ["m1#2"])
      yield* TestClock.adjust(599)
      assert.deepStrictEqual(attempts(yield* after.received()), [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(attempts(yield* after.received()), ["m0#2"])
      yield* after.refuse("g", again, { delay: 0 })
      assert.deepStrictEqual(attempts(yield* after.received()), ["m1#3"])
      const last = yield* reborn(lives)
      yield* last.ask("group.resume", { name: "g" })
      yield* last.join("g", "a")
      assert.deepStrictEqual(attempts(yield* last.received()), ["m0#2", "m1#3", "m2#2"])
    })
  )

  it.effect("group - the failure of a wait that ran out, or of a member that was lost, is counted", () =>
    Effect.gen(function* () {
      const { before, lives } = yield* delivered(["x"], { ackWait: 100, backoff: 10_000 })
      yield* TestClock.adjust(100)
      yield* before.wire.settled
      const between = yield* reborn(lives)
      yield* between.join("g", "a")
      yield* TestClock.adjust(10_000)
      assert.deepStrictEqual(attempts(yield* between.received()), ["x#2"])
      between.wire.duplex.destroy()
      const watcher = yield* memberOf(lives)
      yield* watcher.wire.settled
      const after = yield* reborn(lives)
      yield* after.join("g", "a")
      assert.deepStrictEqual(attempts(yield* after.received()), ["x#3"])
    })
  )
})
