import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { encodeText } from "../../src/protocol/Bytes.ts"
import { GroupClient, texts as groupTexts } from "./groups/GroupClient.ts"
import { type HubLives, hubLives } from "./HubLives.ts"
import { hubWith } from "./TestHub.ts"
import { greeted, numbered, type Received, type WireClient } from "./WireClient.ts"

const texts = (messages: ReadonlyArray<Received>) => messages.map(({ text }) => text)
const nowhere = { epoch: 0, offset: 0 }

const clientOf = (lives: HubLives) => Effect.tap(lives.connect, (client) => client.begin(1))
const reborn = (lives: HubLives) => Effect.andThen(lives.restart, clientOf(lives))
const delivered = (client: WireClient) => Effect.map(client.settled, () => texts(client.delivered(1)))
/** All that the log has, as a new subscription sees it. */
const replayed = (client: WireClient) =>
  Effect.gen(function* () {
    const { subscription } = yield* client.subscribe("a", { start: { _tag: "First" } })
    yield* client.settled
    return texts(client.delivered(subscription))
  })

describe("delays - until its time", () => {
  it.effect("delays - a time that is too far off is refused, and nothing is held for it", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.subscribe("a")
      yield* TestClock.adjust(500)
      client.publish("a", ["never"], { deliverAt: 1501, receipt: true })
      client.publish("a", ["then"], { deliverAt: 1500, receipt: true })
      client.publish("a", ["now"], { receipt: true })
      const { code, firstSequence, message } = yield* client.next("Rejected")
      assert.deepStrictEqual([code, firstSequence], ["delay-too-long", 1])
      assert.include(message, "maxDelay")
      assert.deepInclude(yield* client.next("Receipt"), { position: nowhere, firstSequence: 2 })
      assert.deepStrictEqual(yield* delivered(client), ["now"])
      yield* TestClock.adjust(2000)
      assert.deepStrictEqual(yield* delivered(client), ["then"])
    }).pipe(Effect.provide(hubWith({ maxDelay: 1000 })))
  )

  it.effect("delays - a message that is held is neither delivered nor replayed nor a group's", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      const group = new GroupClient(client)
      yield* client.subscribe("a")
      yield* group.join("g", "a", { subscription: 7 })
      const receipt = yield* client.publishAndWait("a", ["x"], { deliverAt: 500 })
      assert.deepInclude(receipt, { position: nowhere, count: 1, duplicate: false })
      yield* TestClock.adjust(499)
      assert.deepStrictEqual(yield* delivered(client), [])
      assert.deepStrictEqual(yield* replayed(client), [])
      assert.deepStrictEqual(groupTexts(yield* group.received(7)), [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* delivered(client), ["x"])
      assert.deepStrictEqual(groupTexts(yield* group.received(7)), ["x"])
      yield* TestClock.adjust(10_000)
      assert.deepStrictEqual(yield* delivered(client), [])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("delays - a time that is past, or now, holds nothing up", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust(1000)
      const client = yield* greeted()
      yield* client.subscribe("a")
      for (const deliverAt of [1, 999, 1000]) {
        const { position } = yield* client.publishAndWait("a", [`${deliverAt}`], { deliverAt })
        assert.isAbove(position.epoch, 0)
      }
      assert.deepStrictEqual(yield* delivered(client), ["1", "999", "1000"])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("delays - in order of their times, and of one time as they were published", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.subscribe(">")
      const times: ReadonlyArray<readonly [string, number]> = [
        ["d", 300],
        ["b", 200],
        ["c", 200],
        ["a", 100],
        ["e", 300]
      ]
      for (const [text, deliverAt] of times) client.publish("a", [text], { deliverAt })
      client.publish("b", ["other"], { deliverAt: 150 })
      yield* client.settled
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(yield* delivered(client), ["a"])
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(yield* delivered(client), ["other", "b", "c"])
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(yield* delivered(client), ["d", "e"])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("delays - a later one that comes first does not keep an earlier one waiting", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.subscribe("a")
      yield* client.publishAndWait("a", ["far"], { deliverAt: 10_000_000 })
      yield* client.publishAndWait("a", ["near"], { deliverAt: 10 })
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(yield* delivered(client), ["near"])
      yield* TestClock.adjust(9_999_989)
      assert.deepStrictEqual(yield* delivered(yield* resubscribed), [])
      yield* TestClock.adjust(1)
      const late = yield* resubscribed
      assert.deepStrictEqual(yield* delivered(late), ["far"])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("delays - the time to live counts from the delivery", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      const group = new GroupClient(client)
      yield* group.join("g", "a", { subscription: 7, creditMessages: 0 })
      yield* client.publishAndWait("a", ["x"], { deliverAt: 1000, ttl: 100 })
      yield* client.publishAndWait("a", ["y"], { deliverAt: 1050, ttl: 100 })
      yield* TestClock.adjust(1100)
      client.credit(7, 10)
      assert.deepStrictEqual(groupTexts(yield* group.received(7)), ["y"])
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("delays - what there is no room for is refused, and leaves no trace", () =>
    Effect.gen(function* () {
      const client = yield* greeted()
      yield* client.subscribe("a")
      yield* client.publishAndWait("a", ["x"], { deliverAt: 10 })
      client.publish("a", ["y".repeat(1000)], { deliverAt: 10 })
      assert.strictEqual((yield* client.next("Rejected")).code, "storage-full")
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(yield* delivered(client), ["x"])
      yield* client.publishAndWait("a", ["z"], { deliverAt: 20 })
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(yield* delivered(client), ["z"])
    }).pipe(Effect.provide(hubWith({ maxHeldBytes: 1000 })))
  )
})

/** A client that sees what came in the last minute, for a connection that was silent too long. */
const resubscribed = Effect.gen(function* () {
  const client = yield* greeted()
  yield* client.subscribe("a", { start: { _tag: "Last", count: 1 } })
  const found = yield* Effect.as(client.settled, client.take("Deliver"))
  if (found?.messages.some(({ text }) => text === "far") === true) client.inbox.push(found)
  return client
})

describe("delays - across the end of a hub", () => {
  it.effect("delays - what is held comes at its time, also when that was while no hub ran", () =>
    Effect.gen(function* () {
      const lives = yield* hubLives()
      const before = yield* clientOf(lives)
      const receipt = yield* before.publishAndWait("a", ["soon"], { deliverAt: 100 })
      assert.deepInclude(receipt, { position: nowhere, durability: "stored" })
      yield* before.publishAndWait("a", ["late"], { deliverAt: 5000 })
      yield* lives.crash
      yield* TestClock.adjust(1000)
      yield* lives.start
      const after = yield* clientOf(lives)
      yield* after.settled
      assert.deepStrictEqual(yield* replayed(after), ["soon"])
      yield* TestClock.adjust(4000)
      yield* after.settled
      assert.deepStrictEqual(yield* replayed(after), ["soon", "late"])
      const last = yield* reborn(lives)
      yield* TestClock.adjust(10_000)
      assert.deepStrictEqual(yield* replayed(last), ["soon", "late"])
    })
  )

  for (const isKept of [true, false]) {
    it.effect(`delays - a crash while it is appended, ${isKept ? "after" : "before"} it is kept`, () =>
      Effect.gen(function* () {
        const lives = yield* hubLives()
        const before = yield* clientOf(lives)
        yield* before.publishAndWait("a", numbered(2), { deliverAt: 100 })
        lives.log.holdsBack.add("a")
        yield* TestClock.adjust(100)
        yield* before.settled
        assert.strictEqual(lives.log.waitingFor("a"), 1)
        if (isKept) lives.log.keepUntold("a")
        lives.log.holdsBack.clear()
        const after = yield* reborn(lives)
        yield* TestClock.adjust(5000)
        yield* after.settled
        assert.deepStrictEqual(yield* replayed(after), numbered(2))
      })
    )
  }

  for (const id of ["i", undefined]) {
    it.effect(`delays - held and no receipt: sent again it comes once, id ${id}`, () =>
      Effect.gen(function* () {
        const lives = yield* hubLives()
        const before = yield* clientOf(lives)
        const message = { payload: encodeText("x"), ...(id === undefined ? {} : { id }) }
        lives.log.holdsBack.add("a")
        before.publish("a", [message], { receipt: true, deliverAt: 100 })
        yield* before.settled
        assert.strictEqual(lives.log.keepUntold("a"), 1)
        lives.log.holdsBack.clear()
        const after = yield* reborn(lives)
        const again = { sequence: 1, resent: true, deliverAt: 100 }
        assert.deepInclude(yield* after.publishAndWait("a", [message], again), { position: nowhere })
        yield* TestClock.adjust(5000)
        yield* after.settled
        assert.deepStrictEqual(yield* replayed(after), ["x"])
      })
    )
  }

  it.effect("delays - what is due while the disk refuses comes when it takes again, once", () =>
    Effect.gen(function* () {
      const lives = yield* hubLives()
      const client = yield* clientOf(lives)
      yield* client.subscribe("a")
      yield* client.publishAndWait("a", ["x"], { deliverAt: 100, ttl: 3000 })
      lives.log.holdsBack.add("a")
      yield* TestClock.adjust(100)
      for (let round = 0; round < 5; round++) {
        yield* client.settled
        assert.strictEqual(lives.log.refuse("a", 1, "full"), 1, `round ${round}`)
        yield* TestClock.adjust(1000)
      }
      lives.log.holdsBack.clear()
      lives.log.release("a")
      assert.deepStrictEqual(yield* delivered(client), ["x"])
      yield* TestClock.adjust(2000)
      assert.deepStrictEqual(yield* replayed(client), ["x"])
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(yield* replayed(client), [])
    })
  )
})
