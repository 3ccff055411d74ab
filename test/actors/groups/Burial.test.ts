/** Many messages of a group that die at once: few saves and few batches, each dead letter once, and none lost. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import type { Message } from "../../../src/protocol/Message.ts"
import { type HubLives, hubLives } from "../HubLives.ts"
import { hubWith } from "../TestHub.ts"
import { Unreadable, unreadableLog } from "../UnreadableLog.ts"
import { numbered } from "../WireClient.ts"
import { type GroupClient, member, memberOf, reborn, texts } from "./GroupClient.ts"

const count = 900
const topic = "$dead.g.a"

const offsetsIn = (client: GroupClient) =>
  Effect.map(client.ask("dead.show", { topic, limit: 1000 }), (shown) =>
    Array.isArray(shown)
      ? shown.map(({ headers }: { headers: Record<string, string> }) => Number(headers["polestar-offset"]))
      : []
  )

const all = Array.from({ length: count }, (_, offset) => offset)

/** Messages of which about 350 fill a frame, each published alone, so that each is an entry of its own. */
const messages: ReadonlyArray<Message> = all.map((offset) => ({
  payload: new Uint8Array(500),
  key: `k${offset % 7}`
}))

/** All of them are with a member, and fail at once. */
const dying = Effect.fnUntraced(function* (lives: HubLives) {
  const client = yield* memberOf(lives)
  yield* client.join("g", "a", { maxDeliveries: 1 })
  for (const message of messages) client.wire.publish("a", [message])
  const found = yield* client.received()
  assert.strictEqual(found.length, count)
  lives.log.holdsBack.add(topic)
  lives.store.saves = 0
  yield* client.refuse("g", found.slice(0, 450))
  yield* client.refuse("g", found.slice(450))
  yield* client.wire.settled
  return client
})

describe("group - many that die at once", () => {
  it.effect("group - they are buried in few batches, in order, and with few saves", () =>
    Effect.gen(function* () {
      const lives = yield* hubLives()
      const client = yield* dying(lives)
      assert.isAtMost(lives.log.waitingFor(topic), 3)
      lives.log.holdsBack.clear()
      lives.log.release(topic)
      const before = (yield* lives.hub.metrics).batchesReceived
      yield* TestClock.adjust(10)
      yield* client.wire.settled
      assert.deepInclude(yield* client.info("g"), { lag: 0, deadLettered: count })
      assert.isAtMost((yield* lives.hub.metrics).batchesReceived - before, 6)
      assert.isAtMost(lives.store.saves, 8)
      assert.deepStrictEqual(yield* offsetsIn(client), all)
    })
  )

  for (const [kept, minutes] of [
    [0, 0],
    [1, 0],
    [3, 0],
    // Longer than the ids of messages are remembered.
    [2, 5],
    [3, 5]
  ] as const) {
    const when = minutes === 0 ? "" : `, and ${minutes} minutes without a hub`
    it.effect(`group - a crash after ${kept} of their batches were stored${when}: each is there once`, () =>
      Effect.gen(function* () {
        const lives = yield* hubLives()
        yield* dying(lives)
        lives.log.keepUntold(topic, kept)
        lives.log.holdsBack.clear()
        yield* lives.crash
        yield* TestClock.adjust(minutes * 60_000)
        for (let life = 0; life < 2; life++) {
          const after = yield* reborn(lives)
          yield* TestClock.adjust(2000)
          for (let turn = 0; turn < 10; turn++) yield* after.wire.settled
          assert.deepInclude(yield* after.info("g"), { lag: 0 })
          assert.deepStrictEqual(yield* offsetsIn(after), all)
        }
      })
    )
  }

  it.effect("group - of those that are refused none is lost, and of the others none is there twice", () =>
    Effect.gen(function* () {
      const lives = yield* hubLives()
      const client = yield* dying(lives)
      const waiting = lives.log.waitingFor(topic)
      lives.log.release(topic, 1)
      lives.log.refuse(topic, 1, "full")
      lives.log.holdsBack.clear()
      lives.log.release(topic)
      assert.isAtLeast(waiting, 2)
      for (let second = 0; second < 4; second++) {
        yield* TestClock.adjust(1000)
        yield* client.wire.settled
      }
      assert.deepInclude(yield* client.info("g"), { lag: 0, deadLettered: count })
      assert.deepStrictEqual(
        (yield* offsetsIn(client)).toSorted((a, b) => a - b),
        all
      )
    })
  )
})

describe("group - many that come again", () => {
  it.effect("group - what is read for one of them is not read again for each", () =>
    Effect.suspend(() => {
      const faults = new Unreadable()
      return Effect.gen(function* () {
        const client = yield* member()
        yield* client.join("g", "a")
        for (const text of numbered(500)) yield* client.wire.publishAndWait("a", [text])
        assert.strictEqual((yield* client.received()).length, 500)
        client.wire.unsubscribe(1)
        faults.reads = 0
        yield* client.join("g", "a")
        assert.deepStrictEqual(texts(yield* client.received()), numbered(500))
        assert.isAtMost(faults.reads, 10)
      }).pipe(Effect.provide(hubWith({}, unreadableLog(faults))))
    })
  )
})
