import { assert } from "@effect/vitest"
import { Effect, Fiber, Schema, Stream } from "effect"
import type { SubscriptionEvent } from "../../../src/sdk/Delivery.ts"
import { Polestar } from "../../../src/sdk/Polestar.ts"
import type { PolestarError } from "../../../src/sdk/PolestarError.ts"
import * as Topic from "../../../src/sdk/Topic.ts"
import { ownPrefix, range, reasonOf, type Tests, take } from "./Kit.ts"

/** More than a subscription's mailbox in the hub holds by default, and its client beside it. */
const batches = 50
const batch = 100
const total = batches * batch

const publishTotal = (topic: Topic.LiteralTopic<number>) =>
  Effect.flatMap(Polestar, (star) =>
    Effect.forEach(
      range(batches),
      (round) =>
        star.publishAll(
          topic,
          range(batch).map((index) => round * batch + index)
        ),
      { discard: true }
    )
  )

interface Tally {
  readonly values: Array<number>
  readonly dropped: number
}

/** Reads until every message was either received or said to be dropped. */
const readTotal = <P>(
  events: Stream.Stream<SubscriptionEvent<number, P>, PolestarError>
): Effect.Effect<Tally, PolestarError> =>
  Effect.suspend(() => {
    const values: Array<number> = []
    let dropped = 0
    return events.pipe(
      Stream.takeUntil((event) => {
        if (event._tag === "Message") values.push(event.value)
        if (event._tag === "Dropped") dropped += event.count
        return values.length + dropped >= total
      }),
      Stream.runDrain,
      Effect.map(() => ({ values, dropped }))
    )
  })

const isRising = (values: ReadonlyArray<number>): boolean =>
  values.every((value, index) => index === 0 || value > (values[index - 1] ?? value))

export const overflowTests = (it: Tests): void => {
  for (const overflow of ["drop-oldest", "drop-newest"] as const) {
    it.effect(`sdk - ${overflow}: what is dropped is told, every one of it`, () =>
      Effect.gen(function* () {
        const star = yield* Polestar
        const topic = Topic.make(`${ownPrefix()}.full`, Schema.Number)
        const slow = yield* star.open(topic, { overflow, queueSize: 10 })
        const quick = yield* star.open(topic, { overflow, queueSize: total })
        yield* publishTotal(topic)
        const { values, dropped } = yield* readTotal(slow.events)
        assert.isAbove(dropped, 0)
        assert.strictEqual(values.length + dropped, total)
        assert.isTrue(isRising(values))
        assert.strictEqual(
          overflow === "drop-oldest" ? values.at(-1) : values[0],
          overflow === "drop-oldest" ? total - 1 : 0
        )
        const all = yield* take(quick.messages, total)
        assert.deepStrictEqual(
          all.map(({ value }) => value),
          range(total)
        )
      })
    )
  }

  it.effect("sdk - wait: the publisher is held back and nothing is lost", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      const topic = Topic.make(`${ownPrefix()}.wait`, Schema.Number)
      const { events } = yield* star.open(topic, { overflow: "wait", queueSize: 10 })
      const publisher = yield* Effect.forkChild(publishTotal(topic), { startImmediately: true })
      const { values, dropped } = yield* readTotal(events)
      assert.strictEqual(dropped, 0)
      assert.deepStrictEqual(values, range(total))
      yield* Fiber.join(publisher)
    })
  )

  it.effect("sdk - disconnect: the slow subscription fails, and nothing else", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      const topic = Topic.make(`${ownPrefix()}.strict`, Schema.Number)
      const slow = yield* star.open(topic, { overflow: "disconnect", queueSize: 10, echo: true })
      const other = yield* star.open(topic, { queueSize: total })
      yield* publishTotal(topic)
      const reason = yield* reasonOf(Stream.runDrain(slow.messages))
      assert.strictEqual(reason._tag, "Disconnected")
      if (reason._tag === "Disconnected") assert.strictEqual(reason.closeReason, "slow-consumer")
      assert.strictEqual((yield* take(other.messages, total)).length, total)
      yield* star.publish(topic, 0)
      assert.strictEqual((yield* star.state)._tag, "Connected")
    })
  )

  it.effect("sdk - disconnect: without echo a client still does not hear itself", () =>
    Effect.gen(function* () {
      const star = yield* Polestar
      const other = yield* Polestar.fromClient(star.client)
      const topic = Topic.make(`${ownPrefix()}.strict`, Schema.String)
      const { messages } = yield* star.open(topic, { overflow: "disconnect", echo: false })
      yield* star.publish(topic, "mine")
      yield* other.publish(topic, "theirs")
      const [first] = yield* take(messages, 1)
      assert.strictEqual(first?.value, "theirs")
    })
  )
}
