import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { hubWith } from "../TestHub.ts"
import { Unreadable, unreadableLog } from "../UnreadableLog.ts"
import { numbered } from "../WireClient.ts"
import { attempts, member, texts } from "./GroupClient.ts"

const withFaults = <A, E, R>(test: (faults: Unreadable) => Effect.Effect<A, E, R>) => {
  const faults = new Unreadable()
  return Effect.provide(test(faults), hubWith({}, unreadableLog(faults)))
}

describe("group - a log that cannot be read", () => {
  it.effect("group - a topic that cannot be read holds up no other, and comes later", () =>
    withFaults((faults) =>
      Effect.gen(function* () {
        const client = yield* member()
        yield* client.wire.publishAndWait("a.bad", ["bad"])
        yield* client.wire.publishAndWait("a.good", ["good"])
        faults.unread.add("a.bad")
        yield* client.join("g", "a.*")
        yield* client.wire.settled
        yield* TestClock.adjust(2000)
        assert.deepStrictEqual(texts(yield* client.received()), ["good"])
        faults.unread.clear()
        yield* TestClock.adjust(2000)
        assert.deepStrictEqual(texts(yield* client.received()), ["bad"])
      })
    )
  )

  it.effect("group - nor does one that cannot be opened", () =>
    withFaults((faults) =>
      Effect.gen(function* () {
        const client = yield* member()
        yield* client.join("g", "a.*")
        faults.unopened.add("a.bad")
        client.wire.publish("a.bad", ["bad"], { receipt: true })
        const other = yield* member()
        yield* other.wire.publishAndWait("a.good", numbered(2))
        const request = other.askToJoin("h", "a.*")
        yield* TestClock.adjust(3000)
        assert.deepStrictEqual(texts(yield* client.received()), numbered(2))
        assert.strictEqual(yield* other.failure(request), "topic-failed")
        faults.unopened.clear()
        yield* TestClock.adjust(6000)
        assert.deepStrictEqual(texts(yield* client.received()), ["bad"])
        assert.deepStrictEqual(client.wire.takeAll("Gap"), [])
        yield* other.join("h", "a.*")
      })
    )
  )

  for (const isDamaged of [true, false]) {
    const what = isDamaged ? "damaged are lost, and members are told" : "compacted away are passed over"
    it.effect(`group - messages that are ${what}`, () =>
      withFaults((faults) =>
        Effect.gen(function* () {
          faults.isDamaged = isDamaged
          faults.missing.add(1)
          const client = yield* member()
          yield* client.wire.publishAndWait("a", numbered(6))
          yield* client.join("g", "a")
          assert.deepStrictEqual(texts(yield* client.received()), ["m0", "m2", "m3", "m4", "m5"])
          for (const offset of [3, 4]) faults.missing.add(offset)
          client.wire.unsubscribe(1)
          yield* client.join("g", "a")
          assert.deepStrictEqual(attempts(yield* client.received()), ["m0#1", "m2#1", "m5#1"])
          const gaps = client.wire.takeAll("Gap").map(({ from, to }) => [from.offset, to.offset])
          const damaged = [
            [1, 2],
            [3, 4],
            [4, 5]
          ]
          assert.deepStrictEqual(gaps, isDamaged ? damaged : [])
          assert.deepInclude(yield* client.info("g"), { lost: isDamaged ? 3 : 0, lag: 3 })
        })
      )
    )
  }

  it.effect("group - a dead letter that cannot be made holds up no other", () =>
    withFaults((faults) =>
      Effect.gen(function* () {
        const client = yield* member()
        yield* client.join("g", "a.*", { maxDeliveries: 1 })
        yield* client.wire.publishAndWait("a.bad", ["bad"])
        yield* client.wire.publishAndWait("a.good", ["good"])
        const [bad, good] = yield* client.received()
        faults.unread.add("a.bad")
        yield* client.refuse("g", [bad!])
        yield* client.refuse("g", [good!])
        yield* TestClock.adjust(2000)
        yield* client.wire.settled
        assert.deepInclude(yield* client.info("g"), { deadLettered: 1, lag: 1 })
        faults.unread.clear()
        yield* TestClock.adjust(1000)
        yield* client.wire.settled
        assert.deepInclude(yield* client.info("g"), { deadLettered: 2, lag: 0 })
      })
    )
  )
})
