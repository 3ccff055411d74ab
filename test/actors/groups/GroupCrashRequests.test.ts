/** A group across the end of its hub, around dead letters and around what is asked of it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { type HubLives, hubLives } from "../HubLives.ts"
import { numbered } from "../WireClient.ts"
import { attempts, delivered, type GroupClient, memberOf, reborn, texts } from "./GroupClient.ts"

/** How many dead letters there are of `a`. */
const lettersIn = (client: GroupClient) =>
  Effect.map(client.ask("dead.show", { topic: "$dead.g.a" }), (shown) =>
    Array.isArray(shown) ? shown.length : -1
  )

describe("group - a crash in dead-lettering", () => {
  const dying = Effect.fnUntraced(function* () {
    const { all, before, lives } = yield* delivered(["x"], { maxDeliveries: 1 })
    lives.log.holdsBack.add("$dead.g.a")
    yield* before.refuse("g", all)
    yield* before.wire.settled
    assert.strictEqual(lives.log.waitingFor("$dead.g.a"), 1)
    yield* TestClock.adjust(10_000)
    return { lives, before }
  })

  const buriedOnce = Effect.fnUntraced(function* (lives: HubLives) {
    lives.log.holdsBack.clear()
    lives.store.holdsBack = false
    for (let life = 0; life < 2; life++) {
      const after = yield* reborn(lives)
      yield* after.join("g", "a")
      yield* after.wire.settled
      assert.deepStrictEqual(attempts(yield* after.received()), [])
      assert.deepInclude(yield* after.info("g"), { lag: 0 })
      assert.strictEqual(yield* lettersIn(after), 1)
    }
  })

  it.effect("group - before the dead letter is stored: it is stored then", () =>
    Effect.gen(function* () {
      const { lives } = yield* dying()
      yield* buriedOnce(lives)
    })
  )

  it.effect("group - after it is stored, nobody being told: it is there once", () =>
    Effect.gen(function* () {
      const { lives } = yield* dying()
      assert.strictEqual(lives.log.keepUntold("$dead.g.a"), 1)
      yield* buriedOnce(lives)
    })
  )

  it.effect("group - after it is stored, before the group is saved: it is there once", () =>
    Effect.gen(function* () {
      const { before, lives } = yield* dying()
      lives.store.holdsBack = true
      lives.log.release("$dead.g.a")
      yield* before.wire.settled
      assert.strictEqual(lives.store.waitingCount, 1)
      yield* buriedOnce(lives)
    })
  )

  it.effect("group - before the failure itself is saved: it has not died, and dies once", () =>
    Effect.gen(function* () {
      const { all, before, lives } = yield* delivered(["x"], { maxDeliveries: 1 })
      lives.store.holdsBack = true
      before.sendRefusal("g", all)
      yield* before.wire.settled
      yield* TestClock.adjust(10)
      lives.store.holdsBack = false
      const after = yield* reborn(lives)
      yield* after.join("g", "a")
      const again = yield* after.received()
      assert.deepStrictEqual(attempts(again), ["x#1"])
      yield* after.refuse("g", again)
      yield* after.wire.settled
      assert.strictEqual(yield* lettersIn(after), 1)
    })
  )

  it.effect("group - a dead-letter topic that refuses is tried until it takes it", () =>
    Effect.gen(function* () {
      const { before, lives } = yield* dying()
      lives.log.refuse("$dead.g.a", 1, "full")
      yield* TestClock.adjust(1000)
      yield* before.wire.settled
      assert.strictEqual(lives.log.waitingFor("$dead.g.a"), 1)
      assert.deepInclude(yield* before.info("g"), { lag: 1, deadLettered: 0 })
      lives.log.holdsBack.clear()
      lives.log.release("$dead.g.a")
      yield* before.wire.settled
      assert.deepInclude(yield* before.info("g"), { lag: 0, deadLettered: 1 })
      assert.strictEqual(yield* lettersIn(before), 1)
    })
  )
})

describe("group - a crash around requests", () => {
  it.effect("group - who joins a new group is told when it is safe; before that it is none", () =>
    Effect.gen(function* () {
      const lives = yield* hubLives()
      const before = yield* memberOf(lives)
      lives.store.holdsBack = true
      const request = before.askToJoin("g", "a")
      yield* before.wire.settled
      assert.isUndefined(before.wire.take("Joined"))
      lives.store.holdsBack = false
      const between = yield* reborn(lives)
      assert.deepStrictEqual(yield* between.ask("groups"), [])
      lives.store.holdsBack = true
      const again = between.askToJoin("g", "a")
      yield* between.wire.settled
      lives.store.release()
      assert.isTrue((yield* between.wire.next("Joined", (frame) => frame.request === again)).created)
      assert.strictEqual(request, again)
      lives.store.holdsBack = false
      const after = yield* reborn(lives)
      assert.isFalse((yield* after.join("g", "a")).created)
    })
  )

  it.effect("group - options that were given later hold", () =>
    Effect.gen(function* () {
      const lives = yield* hubLives()
      const before = yield* memberOf(lives, 2)
      yield* before.join("g", "a", { backoff: 7 })
      yield* before.join("g", "a", { session: 2, ackWait: 77, maxDeliveries: 0 })
      const after = yield* reborn(lives)
      assert.deepInclude(yield* after.info("g"), { backoff: 7, ackWait: 77, maxDeliveries: 0 })
    })
  )

  it.effect("group - where it starts holds from when it was made, whatever it was told since", () =>
    Effect.gen(function* () {
      const lives = yield* hubLives()
      const before = yield* memberOf(lives)
      yield* before.wire.publishAndWait("a.old", ["old"])
      yield* before.join("g", "a.*", { start: { _tag: "Now" } })
      before.wire.unsubscribe(1)
      yield* before.wire.publishAndWait("a.old", ["x"])
      yield* before.wire.publishAndWait("a.new", ["y"])
      const after = yield* reborn(lives)
      yield* after.wire.publishAndWait("a.newer", ["z"])
      yield* after.join("g", "a.*", { start: { _tag: "Now" } })
      assert.sameMembers([...texts(yield* after.received())], ["x", "y", "z"])
    })
  )

  it.effect("group - that it is paused, reset or removed holds", () =>
    Effect.gen(function* () {
      const { all, before: first, lives } = yield* delivered(numbered(3))
      yield* first.ack("g", all)
      yield* first.ask("group.pause", { name: "g" })
      yield* first.ask("group.reset", { name: "g", to: { offset: 1 } })
      const second = yield* reborn(lives)
      yield* second.join("g", "a")
      assert.deepStrictEqual(attempts(yield* second.received()), [])
      yield* second.ask("group.resume", { name: "g" })
      assert.deepStrictEqual(attempts(yield* second.received()), ["m1#1", "m2#1"])
      yield* second.ask("group.remove", { name: "g" })
      const third = yield* reborn(lives)
      assert.deepStrictEqual(yield* third.ask("groups"), [])
      assert.isTrue((yield* third.join("g", "a")).created)
      assert.strictEqual((yield* third.received()).length, 3)
    })
  )

  it.effect("group - one that is made where one was removed outlives a slow disk", () =>
    Effect.gen(function* () {
      const { all, before: client, lives } = yield* delivered(["x"])
      lives.store.holdsBack = true
      client.sendAck("g", all)
      yield* client.wire.settled
      client.wire.request("group.remove", JSON.stringify({ name: "g" }))
      yield* client.wire.settled
      client.askToJoin("g", "a", { subscription: 2 })
      yield* client.wire.settled
      for (let round = 0; round < 9; round++) {
        lives.store.release()
        yield* client.wire.settled
      }
      yield* client.wire.next("Joined")
      lives.store.holdsBack = false
      const after = yield* reborn(lives)
      assert.isFalse((yield* after.join("g", "a")).created)
    })
  )

  it.effect("group - a requeued dead letter is never in neither place", () =>
    Effect.gen(function* () {
      for (let saves = 0; saves < 5; saves++) {
        const { all, before, lives } = yield* delivered(numbered(2), { maxDeliveries: 1 })
        yield* before.refuse("g", all.slice(0, 1))
        yield* before.wire.settled
        lives.store.holdsBack = true
        // The group is busy saving.
        before.sendAck("g", all.slice(1))
        yield* before.wire.settled
        before.wire.request("dead.requeue", JSON.stringify({ topic: "$dead.g.a" }))
        yield* before.wire.settled
        for (let made = 0; made < saves; made++) {
          lives.store.release(1)
          yield* before.wire.settled
        }
        lives.store.holdsBack = false
        const after = yield* reborn(lives)
        yield* after.join("g", "a")
        const isBack = texts(yield* after.received()).includes("m0")
        assert.isTrue(isBack || (yield* lettersIn(after)) === 1, `after ${saves} saves`)
      }
    })
  )
})
