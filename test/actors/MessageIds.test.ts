import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { encodeText } from "../../src/protocol/Bytes.ts"
import type { Message } from "../../src/protocol/Message.ts"
import { failingLog, noFaults } from "./FailingLog.ts"
import { type HubLives, hubLives } from "./HubLives.ts"
import { hubWith } from "./TestHub.ts"
import { greeted, type WireClient } from "./WireClient.ts"

/** Messages with these ids as their texts too; `-` has none. */
const of = (...ids: ReadonlyArray<string>): ReadonlyArray<Message> =>
  ids.map((id) => (id === "-" ? { payload: encodeText(id) } : { id, payload: encodeText(id) }))

const kept = (client: WireClient, topic = "a") =>
  Effect.gen(function* () {
    const { subscription } = yield* client.subscribe(topic, { start: { _tag: "First" } })
    yield* client.settled
    const found = client.delivered(subscription).map(({ text }) => text)
    client.unsubscribe(subscription)
    return found.join(" ")
  })

const clientOf = (lives: HubLives) => Effect.tap(lives.connect, (client) => client.begin(1))

describe("message ids - within the window", () => {
  it.effect("message ids - what was published is a duplicate, whoever publishes it again", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* greeted(), yield* greeted()]
      yield* one.publishAndWait("a", of("-", "-"))
      const first = yield* one.publishAndWait("a", of("x"))
      for (const client of [one, other]) {
        const again = yield* client.publishAndWait("a", of("x"))
        assert.deepInclude(again, { duplicate: true, position: first.position, count: 1 })
      }
      assert.strictEqual(yield* kept(one), "- - x")
      assert.isFalse((yield* one.publishAndWait("b", of("x"))).duplicate)
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("message ids - when the window is over it is another message", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.publishAndWait("a", of("x"))
      yield* TestClock.adjust(1000)
      assert.isTrue((yield* client.publishAndWait("a", of("x"))).duplicate)
      yield* TestClock.adjust(1)
      assert.isFalse((yield* client.publishAndWait("a", of("x"))).duplicate)
      assert.strictEqual(yield* kept(client), "x x")
    }).pipe(Effect.provide(hubWith({ deduplicationWindow: 1000 })))
  )

  it.effect("message ids - of a frame in which some are known, the others are stored", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.publishAndWait("a", of("x", "y"))
      const mixed = yield* client.publishAndWait("a", of("p", "x", "-", "y", "q"))
      assert.deepInclude(mixed, { duplicate: false, count: 3 })
      assert.strictEqual(mixed.position.offset, 2)
      assert.strictEqual(yield* kept(client), "x y p - q")
      const all = yield* client.publishAndWait("a", of("q", "x"))
      assert.deepInclude(all, { duplicate: true, count: 2 })
      assert.strictEqual(all.position.offset, 4)
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("message ids - one that stands twice in a frame is stored once", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      const twice = yield* client.publishAndWait("a", of("x", "y", "x", "-", "-"))
      assert.deepInclude(twice, { duplicate: false, count: 4 })
      assert.strictEqual(yield* kept(client), "x y - -")
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("message ids - of frames that came together each gets its answer", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.publishAndWait("a", of("x"))
      const frames = [of("p"), of("x"), of("q", "x"), of("-"), of("p")].map((messages) =>
        client.publishFrame("a", messages, { receipt: true })
      )
      for (const { bytes } of frames) client.duplex.write([bytes])
      yield* client.settled
      const covered = client
        .takeAll("Receipt")
        .flatMap(({ count, duplicate, firstSequence, lastSequence }) =>
          Array.from({ length: lastSequence - firstSequence + 1 }, (_, at) => [
            firstSequence + at,
            duplicate,
            duplicate ? count : 0
          ])
        )
      assert.sameDeepMembers(covered, [
        [2, false, 0],
        [3, true, 1],
        [4, false, 0],
        [5, false, 0],
        [6, true, 1]
      ])
      assert.strictEqual(yield* kept(client), "x p q -")
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("message ids - that of a message still on its way is known already", () => {
    const faults = noFaults()
    return Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.publishAndWait("a", of("-"))
      faults.holdsBack.add("a")
      client.publish("a", of("x"), { receipt: true })
      client.publish("a", of("y", "x"), { receipt: true })
      client.publish("a", of("x"), { receipt: true })
      yield* client.settled
      assert.deepStrictEqual(client.takeAll("Receipt"), [])
      faults.holdsBack.clear()
      faults.release("a")
      yield* client.settled
      faults.release("a")
      yield* client.settled
      const receipts = client.takeAll("Receipt")
      assert.deepStrictEqual(
        receipts.map(({ count, duplicate, position }) => [count, duplicate, position.offset]),
        [
          [1, false, 1],
          [1, false, 2],
          [1, true, 1]
        ]
      )
      assert.strictEqual(yield* kept(client), "- x y")
    }).pipe(Effect.provide(hubWith({}, failingLog(faults))))
  })

  it.effect("message ids - that of a message that was refused is free", () => {
    const faults = noFaults()
    return Effect.gen(function* () {
      const client = yield* greeted()
      faults.holdsBack.add("a")
      client.publish("a", of("x"), { receipt: true })
      client.publish("a", of("x"), { receipt: true })
      yield* client.settled
      faults.refuse("a", 1, "full")
      assert.strictEqual((yield* client.next("Rejected")).firstSequence, 1)
      faults.holdsBack.clear()
      yield* client.settled
      faults.release("a")
      const receipt = yield* client.next("Receipt")
      assert.deepInclude(receipt, { duplicate: false, firstSequence: 2 })
      assert.strictEqual(yield* kept(client), "x")
    }).pipe(Effect.provide(hubWith({}, failingLog(faults))))
  })
})

describe("message ids - held, and across a restart", () => {
  it.effect("message ids - that of a message that is held is known, though it has no place", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.publishAndWait("a", of("-"))
      const held = { deliverAt: 1000 }
      yield* client.publishAndWait("a", of("x"), held)
      const again = yield* client.publishAndWait("a", of("x"), held)
      assert.deepInclude(again, { duplicate: true, position: { epoch: 0, offset: 0 } })
      yield* TestClock.adjust(1000)
      const after = yield* client.publishAndWait("a", of("x"))
      assert.isTrue(after.duplicate)
      assert.strictEqual(after.position.offset, 1)
      assert.strictEqual(yield* kept(client), "- x")
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("message ids - outlive the hub, for as long as their window", () =>
    Effect.gen(function* () {
      const lives = yield* hubLives({ deduplicationWindow: 1000 })
      const before = yield* clientOf(lives)
      yield* before.publishAndWait("a", of("old"))
      yield* TestClock.adjust(600)
      yield* before.publishAndWait("a", of("x", "y"))
      yield* lives.crash
      yield* TestClock.adjust(600)
      yield* lives.start
      const after = yield* clientOf(lives)
      const mixed = yield* after.publishAndWait("a", of("y", "old", "new"), { sequence: 50 })
      assert.deepInclude(mixed, { duplicate: false, count: 2 })
      const again = yield* after.publishAndWait("a", of("y"))
      assert.isTrue(again.duplicate)
      assert.strictEqual(again.position.offset, 2)
      assert.strictEqual(yield* kept(after), "old x y old new")
    })
  )
})
