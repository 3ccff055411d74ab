import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Schema, Stream } from "effect"
import type { Polestar } from "../../src/sdk/Polestar.ts"
import * as Topic from "../../src/sdk/Topic.ts"
import { range, take } from "../contracts/sdk/Kit.ts"
import { eventually, isRunning, joined, sdkClient, soon } from "./Faults.ts"
import { memorySettles, startHub } from "./HubProcess.ts"

const MIB = 1_048_576
const text = "x".repeat(1000)
const topic = Topic.make("slow.one", Schema.Struct({ n: Schema.Number, text: Schema.String }))
const total = 20_000
const perCall = 50

const publishMany = (star: Polestar["Service"]) =>
  Effect.forEach(
    range(total / perCall),
    (call) =>
      star.publishAll(
        topic,
        range(perCall).map((index) => ({ n: call * perCall + index, text }))
      ),
    { concurrency: 20, discard: true }
  )

const numberOf = (stats: { readonly [name: string]: unknown }, name: string): number => {
  const value = stats[name]
  return typeof value === "number" ? value : Number.NaN
}

describe("faults - slow subscribers", () => {
  it.live(
    "drop-oldest - others get everything, the slow one is told exactly what it missed, memory is bounded",
    () =>
      Effect.gen(function* () {
        const hub = yield* startHub({ clientQueueSize: 500, hotTierBytes: MIB })
        const [publisher, slow, quick] = yield* Effect.forEach(range(3), () => sdkClient(hub.port))
        const late = yield* slow!.open(topic, { queueSize: 100 })
        const { messages } = yield* quick!.open(topic, { queueSize: total })
        const before = yield* hub.memory
        const reading = yield* Effect.forkChild(take(messages, total), { startImmediately: true })
        const publishing = yield* Effect.forkChild(publishMany(publisher!), { startImmediately: true })
        const all = yield* joined("all messages of the quick subscriber", reading)
        yield* joined("all receipts", publishing)
        assert.deepStrictEqual(
          all.map(({ value }) => value.n),
          range(total)
        )
        // A log of 1 MiB, a mailbox of 500 messages, and what is on its way.
        yield* memorySettles(hub, before + 8 * MIB)

        let dropped = 0
        const received: Array<number> = []
        const counting = Stream.runForEachWhile(late.events, (event) =>
          Effect.sync(() => {
            if (event._tag === "Message") received.push(event.value.n)
            if (event._tag === "Dropped") dropped += event.count
            return received.length + dropped < total
          })
        )
        yield* soon("all to be received or told", counting, () => `${received.length} and ${dropped}`)
        assert.strictEqual(received.length + dropped, total)
        assert.isAbove(dropped, total / 2)
        assert.strictEqual(received.at(-1), total - 1)
        assert.strictEqual(new Set(received).size, received.length)
        assert.deepStrictEqual(
          received,
          received.toSorted((a, b) => a - b)
        )
      })
  )

  it.live("wait - the publisher stops, memory is bounded, and everything arrives in order in the end", () =>
    Effect.gen(function* () {
      const limits = { clientQueueSize: 500, queueSize: 2000, hotTierBytes: MIB }
      // A peer is dead after 1.8 s of silence.
      const hub = yield* startHub({ ...limits, pingInterval: 300, maxMissedPings: 5 })
      const [publisher, slow, watcher] = yield* Effect.forEach(range(3), () =>
        sdkClient(hub.port, { writeTimeout: Duration.seconds(60) })
      )
      const before = yield* hub.memory
      const { events } = yield* slow!.open(topic, { overflow: "wait", queueSize: 100 })
      const publishing = yield* Effect.forkChild(publishMany(publisher!), { startImmediately: true })
      // Nothing is taken any more when the topic's mailbox is full and stays as it is for longer than that.
      let last = -1
      let since = Date.now()
      yield* eventually(
        "the publisher to stop",
        Effect.map(watcher!.stats, (stats) => {
          const taken = numberOf(stats, "messagesReceived")
          if (taken !== last) since = Date.now()
          last = taken
          return taken > 0 && Date.now() - since > 2200
        })
      )
      const stats = yield* watcher!.stats
      const { inFlight, published, queuedMessages } = yield* publisher!.metrics
      // What this client holds, what the hub holds for it, and the batch that the topic waits with.
      assert.isAtMost(published, 100 + limits.clientQueueSize + 300)
      assert.isAtMost(numberOf(stats, "clientQueueDepth"), limits.clientQueueSize)
      assert.isAtMost(numberOf(stats, "queueDepth"), limits.queueSize)
      assert.isAbove(inFlight + queuedMessages, 0)
      assert.isTrue(isRunning(publishing))
      yield* memorySettles(hub, before + 16 * MIB)
      // A connection that the hub itself does not read is not a silent one.
      assert.strictEqual((yield* publisher!.metrics).reconnects, 0)

      const seen: Array<number> = []
      yield* soon(
        "all messages",
        Stream.runForEachWhile(events, (event) =>
          Effect.sync(() => {
            if (event._tag === "Message") seen.push(event.value.n)
            else assert.fail(`heard ${event._tag}`)
            return seen.length < total
          })
        ),
        () => seen.length
      )
      assert.deepStrictEqual(seen, range(total))
      yield* joined("all receipts", publishing)
      assert.strictEqual((yield* watcher!.stats).messagesReceived, total)
    })
  )
})
