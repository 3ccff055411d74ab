/** Single messages of one turn, published together. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, FiberSet } from "effect"
import type { LocalReceipt } from "../../../src/actors/LocalConnection.ts"
import { encodeText } from "../../../src/protocol/Bytes.ts"
import type { TopicMessage } from "../../../src/protocol/json/MessageJson.ts"
import type { Message } from "../../../src/protocol/Message.ts"
import { unconfirmed } from "../../../src/transports/http/HttpPublisher.ts"
import { PublishGathering } from "../../../src/transports/http/PublishGathering.ts"
import { type Refusal, refusal } from "../../../src/transports/http/Refusal.ts"

const messageOf = (topic: string, text: string, more: Partial<TopicMessage> = {}): TopicMessage => ({
  _tag: "TopicMessage",
  topic,
  ttl: 0,
  priority: 0,
  deliverAt: 0,
  timestamp: undefined,
  message: { payload: encodeText(text) },
  ...more
})

const textsOf = (messages: ReadonlyArray<Message>) =>
  messages.map(({ payload }) => Buffer.from(payload).toString())

/** A publisher that gives places, and refuses a batch that has something in it. */
const makePublisher = (refused: ReadonlyMap<string, Refusal> = new Map()) => {
  const batches: Array<{ readonly topic: string; readonly texts: ReadonlyArray<string> }> = []
  const next = new Map<string, number>()
  const publish = (topic: string, messages: ReadonlyArray<Message>): Effect.Effect<LocalReceipt, Refusal> =>
    Effect.suspend(() => {
      const texts = textsOf(messages)
      batches.push({ topic, texts })
      const wrong = texts.map((text) => refused.get(text)).find((each) => each !== undefined)
      if (wrong !== undefined) return Effect.fail(wrong)
      const offset = next.get(topic) ?? 0
      next.set(topic, offset + messages.length)
      return Effect.succeed({ epoch: 1, offset, durability: "accepted", duplicate: false })
    })
  return { batches, publish }
}

const gatheringOf = (publisher: Pick<ReturnType<typeof makePublisher>, "publish">) =>
  Effect.map(FiberSet.makeRuntime<never>(), (fork) => new PublishGathering(publisher, fork))

const outcome = (gathering: PublishGathering, message: TopicMessage) =>
  Effect.match(gathering.publish(message), {
    onSuccess: ({ offset }) => offset,
    onFailure: ({ problem }) => problem.code
  })

describe("publish gathering", () => {
  it.effect("publish gathering - a batch a topic, in order, and a receipt for each", () =>
    Effect.gen(function* () {
      const publisher = makePublisher()
      const gathering = yield* gatheringOf(publisher)
      const messages = ["a", "b", "c", "d", "e"].map((text, n) => messageOf(n % 2 === 0 ? "x" : "y", text))
      const offsets = yield* Effect.forEach(messages, (message) => outcome(gathering, message), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(publisher.batches, [
        { topic: "x", texts: ["a", "c", "e"] },
        { topic: "y", texts: ["b", "d"] }
      ])
      assert.deepStrictEqual(offsets, [0, 0, 1, 1, 2])
    })
  )

  it.effect("publish gathering - what is wrong with one message refuses no other", () =>
    Effect.gen(function* () {
      const publisher = makePublisher(new Map([["bad", refusal("BAD_REQUEST")]]))
      const gathering = yield* gatheringOf(publisher)
      const outcomes = yield* Effect.forEach(
        ["a", "bad", "c"],
        (text) => outcome(gathering, messageOf("x", text)),
        {
          concurrency: "unbounded"
        }
      )
      assert.deepStrictEqual(outcomes, [0, "BAD_REQUEST", 1])
    })
  )

  it.effect("publish gathering - a topic that has room for some takes some", () =>
    Effect.gen(function* () {
      let room = 2
      const publish = (_topic: string, messages: ReadonlyArray<Message>) =>
        Effect.suspend((): Effect.Effect<LocalReceipt, Refusal> => {
          if (messages.length > room) return Effect.fail(refusal("QUEUE_FULL"))
          room -= messages.length
          return Effect.succeed({ epoch: 1, offset: 1 - room, durability: "accepted", duplicate: false })
        })
      const gathering = yield* gatheringOf({ publish })
      const outcomes = yield* Effect.forEach(
        ["a", "b", "c"],
        (text) => outcome(gathering, messageOf("x", text)),
        {
          concurrency: "unbounded"
        }
      )
      assert.deepStrictEqual(outcomes, [0, 1, "QUEUE_FULL"])
    })
  )

  it.effect("publish gathering - what may still take effect is not published again", () =>
    Effect.gen(function* () {
      const publisher = makePublisher(new Map([["b", unconfirmed]]))
      const gathering = yield* gatheringOf(publisher)
      const outcomes = yield* Effect.forEach(["a", "b"], (text) => outcome(gathering, messageOf("x", text)), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(outcomes, ["QUEUE_FULL", "QUEUE_FULL"])
      assert.lengthOf(publisher.batches, 1)
    })
  )

  it.effect("publish gathering - a topic that waits holds up no other topic, and nothing later", () =>
    Effect.gen(function* () {
      const fast = makePublisher()
      const publish = (topic: string, messages: ReadonlyArray<Message>) =>
        topic === "slow" ? Effect.never : fast.publish(topic, messages)
      const gathering = yield* gatheringOf({ publish })
      const slow = yield* Effect.forkScoped(outcome(gathering, messageOf("slow", "a")), {
        startImmediately: true
      })
      assert.strictEqual(yield* outcome(gathering, messageOf("x", "b")), 0)
      assert.strictEqual(yield* outcome(gathering, messageOf("x", "c")), 1)
      assert.isUndefined(slow.pollUnsafe())
      yield* Fiber.interrupt(slow)
    })
  )
})
