import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import type { Receipt } from "../../src/sdk/Client.ts"
import type { SubscriptionEvent } from "../../src/sdk/Delivery.ts"
import * as Topic from "../../src/sdk/Topic.ts"
import { range } from "../contracts/sdk/Kit.ts"
import { chance } from "../protocol/Chance.ts"
import { CutProxy } from "./CutProxy.ts"
import { eventually, joined, sdkClient, seeded } from "./Faults.ts"
import { startHub } from "./HubProcess.ts"

const total = 100_000
const perCall = 50
const retainAll = {
  hotTierMessages: 1_000_000,
  hotTierBytes: 1_073_741_824,
  hotTierTotalBytes: 1_073_741_824
}
const Numbers = Topic.make("cut.numbers", Schema.Struct({ n: Schema.Number, pad: Schema.String }))
const pad = "x".repeat(80)

/** Publishes 0 to before `total`, so many calls at once; answers all receipts in order. */
const publishAll = (star: Effect.Success<ReturnType<typeof sdkClient>>) =>
  Effect.map(
    Effect.forEach(
      range(total / perCall),
      (call) =>
        star.publishAll(
          Numbers,
          range(perCall).map((index) => ({ n: call * perCall + index, pad }))
        ),
      { concurrency: 40 }
    ),
    (receipts): ReadonlyArray<Receipt> => receipts.flat()
  )

interface Heard {
  readonly offsets: Array<number>
  readonly values: Array<number>
  told: number
  gaps: number
  recovered: number
}

const hear = (heard: Heard, event: SubscriptionEvent<{ readonly n: number }, unknown>): void => {
  switch (event._tag) {
    case "Message":
      heard.offsets.push(event.position.offset)
      heard.values.push(event.value.n)
      break
    case "Dropped":
      heard.told += event.count
      break
    case "Gap":
      heard.gaps++
      heard.told += event.to.offset - event.from.offset
      break
    case "Recovered":
      heard.recovered++
      break
    case "Undecodable":
      assert.fail(`undecodable at ${event.position.offset}`)
  }
}

const newHeard = (): Heard => ({ offsets: [], values: [], told: 0, gaps: 0, recovered: 0 })

const cutRun = (seed: number, overflow: "wait" | "drop-oldest", settings: Record<string, number>) =>
  Effect.gen(function* () {
    const random = chance(seed)
    const hub = yield* startHub(settings)
    const proxy = yield* CutProxy.make(hub.port)
    // The first connection of each client is its handshake's; then every few hundred KB.
    proxy.nextBudget = () => 100_000 + random.below(300_000)
    const consumer = yield* sdkClient(proxy.port)
    const publisher = yield* sdkClient(proxy.port)
    const { events } = yield* consumer.open(Numbers, { overflow, queueSize: 5000 })
    const heard = newHeard()
    yield* Effect.forkChild(
      Stream.runForEach(events, (event) => Effect.sync(() => hear(heard, event))),
      { startImmediately: true }
    )
    const publishing = yield* Effect.forkChild(publishAll(publisher), { startImmediately: true })
    const receipts = yield* joined("all receipts", publishing)
    yield* eventually(
      "every message, or that it was dropped",
      Effect.sync(() => heard.values.length + heard.told >= total),
      () => `seed ${seed}: ${heard.values.length} came, ${heard.told} told`
    )
    const stats = yield* publisher.stats
    return { heard, receipts, stats, cuts: proxy.cuts, publisher: yield* publisher.metrics }
  })

const assertOnce = (heard: Heard) => {
  for (let i = 1; i < heard.offsets.length; i++) assert.isAbove(heard.offsets[i]!, heard.offsets[i - 1]!)
}

describe("faults - connections cut every few hundred KB", () => {
  it.live("cuts - wait, all retained: every message once and in order, each with one receipt", () =>
    seeded(20_261, (seed) =>
      Effect.gen(function* () {
        const run = yield* cutRun(seed, "wait", retainAll)
        assert.isAbove(run.cuts, 10)
        assert.strictEqual(run.heard.gaps, 0)
        assert.strictEqual(run.heard.told, 0)
        assert.isAbove(run.heard.recovered, 3)
        assert.isAbove(run.publisher.retried, 0)
        assert.strictEqual(run.publisher.published, total)
        assertOnce(run.heard)
        // Nothing is twice in the log, and a publisher's order is the log's.
        assert.strictEqual(run.stats.messagesReceived, total)
        assert.deepStrictEqual(run.heard.values, range(total))
        assert.strictEqual(run.receipts.length, total)
        for (const [index, { duplicate, position }] of run.receipts.entries()) {
          if (!duplicate) assert.strictEqual(position.offset, index)
          else assert.isAtLeast(position.offset, index)
        }
      }).pipe(Effect.scoped)
    )
  )

  it.live("cuts - drop-oldest, little retained: what did not come was told", () =>
    seeded(77, (seed) =>
      Effect.gen(function* () {
        const run = yield* cutRun(seed, "drop-oldest", { hotTierMessages: 2000, clientQueueSize: 500 })
        assert.isAbove(run.cuts, 10)
        assertOnce(run.heard)
        assert.strictEqual(run.stats.messagesReceived, total)
        assert.strictEqual(run.heard.values.length + run.heard.told, total)
        for (const [index, offset] of run.heard.offsets.entries()) {
          assert.strictEqual(run.heard.values[index], offset)
        }
      }).pipe(Effect.scoped)
    )
  )
})
