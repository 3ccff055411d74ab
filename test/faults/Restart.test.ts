import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import type { Receipt } from "../../src/sdk/Client.ts"
import type { SubscriptionEvent } from "../../src/sdk/Delivery.ts"
import type { Polestar } from "../../src/sdk/Polestar.ts"
import * as Topic from "../../src/sdk/Topic.ts"
import { range } from "../contracts/sdk/Kit.ts"
import { eventually, freePort, joined, sdkClient, watchStates } from "./Faults.ts"
import { startCommand } from "./HubProcess.ts"

const topic = Topic.make("restart.one", Schema.Number)
const perCall = 10

/** Publishes 0, 1, 2, … under load until told to stop. */
class Load {
  next = 0
  isOver = false
  /** Receipts by value. */
  readonly receipts = new Map<number, Receipt>()

  run(star: Polestar["Service"]): Effect.Effect<void, unknown> {
    const worker = Effect.gen({ self: this }, function* () {
      while (!this.isOver) {
        const from = this.next
        this.next += perCall
        const receipts = yield* star.publishAll(
          topic,
          range(perCall).map((index) => from + index)
        )
        for (const [index, receipt] of receipts.entries()) this.receipts.set(from + index, receipt)
      }
    })
    return Effect.all(
      range(20).map(() => worker),
      { concurrency: "unbounded", discard: true }
    )
  }
}

type Event = SubscriptionEvent<number, unknown>

/** Events in the order in which they came. */
const record = Effect.fnUntraced(function* (star: Polestar["Service"], source: Topic.TopicSource<number>) {
  const events: Array<Event> = []
  const subscription = yield* star.open(source, { overflow: "wait", queueSize: 5000 })
  yield* Effect.forkScoped(
    Stream.runForEach(subscription.events, (event) => Effect.sync(() => events.push(event))),
    { startImmediately: true }
  )
  return events
})

const messagesIn = (events: ReadonlyArray<Event>) =>
  events.flatMap((event) => (event._tag === "Message" ? [event] : []))

/** Checks one subscriber's account of a restart against the receipts. */
const checkAccount = (events: ReadonlyArray<Event>, load: Load, isDrained: boolean) => {
  const others = events.filter(({ _tag }) => _tag !== "Message")
  assert.deepStrictEqual(
    others.map(({ _tag }) => _tag),
    ["Gap"]
  )
  const [gap] = others
  if (gap?._tag !== "Gap") return assert.fail("a gap was expected")
  const at = events.indexOf(gap)
  const before = messagesIn(events.slice(0, at))
  const after = messagesIn(events.slice(at))
  const oldEpoch = before[0]?.position.epoch
  const newEpoch = after[0]?.position.epoch
  assert.notStrictEqual(oldEpoch, newEpoch)
  // Within each epoch nothing is missing and nothing comes twice.
  const positionsOf = (messages: typeof before) => messages.map(({ position }) => position)
  assert.deepStrictEqual(
    positionsOf(before),
    range(before.length).map((offset) => ({ epoch: oldEpoch, offset }))
  )
  assert.deepStrictEqual(
    positionsOf(after),
    range(after.length).map((offset) => ({ epoch: newEpoch, offset }))
  )
  // The gap begins behind the last message that came, and ends at the beginning of the new log.
  assert.deepStrictEqual(gap.from, { epoch: oldEpoch, offset: before.length })
  assert.deepStrictEqual(gap.to, { epoch: newEpoch, offset: 0 })
  const delivered = new Map(after.map(({ position, value }) => [position.offset, value]))
  for (const [value, { position }] of load.receipts) {
    if (position.epoch === newEpoch) assert.strictEqual(delivered.get(position.offset), value)
    else if (isDrained) assert.isBelow(position.offset, before.length)
  }
  return after.map(({ value }) => value)
}

const restart = (signal: "SIGTERM" | "SIGKILL") =>
  Effect.gen(function* () {
    const port = yield* freePort
    const flags = [
      "--hot-tier-messages",
      "1000000",
      "--hot-tier-bytes",
      "1GiB",
      "--hot-tier-total-bytes",
      "1GiB"
    ]
    const kill = yield* startCommand(port, flags)
    const publisher = yield* sdkClient(port)
    const consumer = yield* sdkClient(port)
    const states = yield* watchStates(consumer)
    const one = yield* record(consumer, topic)
    const all = yield* record(consumer, Topic.pattern("restart.>", Schema.Number))
    const load = new Load()
    const publishing = yield* Effect.forkChild(load.run(publisher), { startImmediately: true })
    yield* eventually(
      "some messages before",
      Effect.sync(() => messagesIn(one).length > 2000)
    )
    yield* kill(signal)
    yield* startCommand(port, flags)
    const { next } = load
    yield* eventually(
      "messages after",
      Effect.sync(() => load.next > next + 2000)
    )
    load.isOver = true
    yield* joined("all receipts", publishing)
    assert.strictEqual(load.receipts.size, load.next)
    const newest = Math.max(...[...load.receipts].slice(-1000).map(([, { position }]) => position.offset))
    const hasAll = (events: ReadonlyArray<Event>) => {
      const gap = events.findIndex(({ _tag }) => _tag === "Gap")
      return gap >= 0 && messagesIn(events.slice(gap)).length > newest
    }
    yield* eventually(
      "everything after",
      Effect.sync(() => hasAll(one) && hasAll(all)),
      () =>
        `${newest}, ${one.length}, ${all.length} ${JSON.stringify(one.filter(({ _tag }) => _tag !== "Message"))}`
    )
    const tags = states.map(({ _tag }) => _tag)
    assert.strictEqual(tags[0], "Connected")
    assert.strictEqual(tags.at(-1), "Connected")
    assert.deepStrictEqual(new Set(tags.slice(1, -1)), new Set(["Reconnecting"]))
    return { one, all, load }
  })

describe("faults - a hub restarted under load", () => {
  it.live("restart - killed: clients resume, the gap is told, what is published again keeps its order", () =>
    Effect.gen(function* () {
      const { all, load, one } = yield* restart("SIGKILL")
      const values = checkAccount(one, load, false) ?? []
      checkAccount(all, load, false)
      assert.deepStrictEqual(
        values,
        values.toSorted((a, b) => a - b)
      )
    })
  )

  it.live("restart - stopped: what it gave a receipt for is delivered before the end", () =>
    Effect.gen(function* () {
      const { all, load, one } = yield* restart("SIGTERM")
      checkAccount(one, load, true)
      checkAccount(all, load, true)
    })
  )
})
