import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import * as Topic from "../../src/sdk/Topic.ts"
import { range } from "../contracts/sdk/Kit.ts"
import { chance } from "../protocol/Chance.ts"
import { CutProxy } from "./CutProxy.ts"
import { eventually, joined, sdkClient, seeded } from "./Faults.ts"
import { startHub } from "./HubProcess.ts"

const total = 10_000
const perCall = 10
const topics = 20
const settings = {
  clientQueueSize: 300,
  queueSize: 500,
  hotTierMessages: 1_000_000,
  hotTierBytes: 268_435_456,
  hotTierTotalBytes: 268_435_456
}
const Family = Topic.make("cut.many.{name}", Schema.Struct({ n: Schema.Number, pad: Schema.String }))
const pad = "x".repeat(80)

/** Publishes by chance to the topics, with these priorities, while connections are cut every few KB. */
const run = (seed: number, priorities: number) =>
  Effect.gen(function* () {
    const random = chance(seed)
    const hub = yield* startHub(settings)
    const proxy = yield* CutProxy.make(hub.port)
    proxy.nextBudget = () => 1000 + random.below(120_000)
    proxy.splitBytes = 1 + random.below(5000)
    const consumer = yield* sdkClient(proxy.port)
    const publisher = yield* sdkClient(proxy.port)
    const { events } = yield* consumer.open(Family, { overflow: "wait", queueSize: 500 })
    const numbers: Array<number> = []
    const positions: Array<string> = []
    const notices: Array<string> = []
    yield* Effect.forkChild(
      Stream.runForEach(events, (event) =>
        Effect.sync(() => {
          if (event._tag !== "Message") {
            notices.push(event._tag)
            return
          }
          numbers.push(event.value.n)
          positions.push(`${event.topic} ${event.position.offset}`)
        })
      ),
      { startImmediately: true }
    )
    const publishing = yield* Effect.forkChild(
      Effect.forEach(
        range(total / perCall),
        (call) => {
          const target = Family.at({ name: `${random.below(topics)}` })
          const values = range(perCall).map((index) => ({ n: call * perCall + index, pad }))
          return publisher.publishAll(target, values, { priority: random.below(priorities) })
        },
        { concurrency: 30 }
      ),
      { startImmediately: true }
    )
    yield* joined("the receipts", publishing)
    yield* eventually(
      "every message",
      Effect.sync(() => numbers.length >= total),
      () => `${numbers.length} came`
    )
    assert.isAbove(proxy.cuts, 10)
    assert.deepStrictEqual(new Set(notices), new Set(["Recovered"]))
    assert.strictEqual(new Set(numbers).size, total)
    assert.strictEqual(numbers.length, total)
    assert.strictEqual(new Set(positions).size, total)
    assert.strictEqual((yield* publisher.stats).messagesReceived, total)
  }).pipe(Effect.scoped)

describe("faults - connections cut every few KB", () => {
  it.live("cuts - many topics under one pattern: every message once", () => seeded(5, (seed) => run(seed, 1)))

  it.live("cuts - urgent messages overtake others, and none of those is lost by that", () =>
    Effect.forEach([92, 8, 15], (each) => seeded(each, (seed) => run(seed, 3)), { discard: true })
  )
})
