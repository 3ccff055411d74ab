import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeDeadLetters, makeGroups, removeTopic } from "../../src/sdk/Administration.ts"
import type { Client } from "../../src/sdk/Client.ts"
import { makeMemoryClient } from "./MemoryClient.ts"

/** A client whose requests are answered in turn, and kept as they go on the wire. */
const answering = (...answers: ReadonlyArray<unknown>) => {
  const asked: Array<readonly [string, unknown]> = []
  let next = 0
  const client: Client = {
    ...makeMemoryClient(),
    request: (method, body) =>
      Effect.sync(() => {
        asked.push([method, JSON.parse(JSON.stringify(body))])
        return answers[next++] ?? []
      })
  }
  return { asked, client }
}

const group = {
  name: "g",
  pattern: "a.>",
  order: "key",
  paused: false,
  members: 1,
  lag: 2,
  inFlight: 1,
  waiting: 0,
  parked: 0,
  topics: 1,
  acknowledged: 5,
  redelivered: 0,
  deadLettered: 0,
  lost: 0,
  ackWait: 30_000,
  maxDeliveries: 4,
  maxInFlight: 10_000,
  backoff: 1000,
  maxBackoff: 60_000
} as const

describe("administration", () => {
  it.effect("administration - lists of groups are asked for page by page", () =>
    Effect.gen(function* () {
      const { asked, client } = answering([group, { ...group, name: "h" }], [{ ...group, name: "i" }])
      const all = yield* makeGroups(client).list
      assert.deepStrictEqual(
        all.map(({ name }) => name),
        ["g", "h", "i"]
      )
      assert.deepStrictEqual(asked, [
        ["groups", {}],
        ["groups", { after: "h" }],
        ["groups", { after: "i" }]
      ])
    })
  )

  it.effect("administration - a hub that answers the same page again does not hold the client", () =>
    Effect.gen(function* () {
      const { client } = answering([group], [group], [group])
      assert.lengthOf(yield* makeGroups(client).list, 1)
    })
  )

  it.effect("administration - what groups are asked and told", () =>
    Effect.gen(function* () {
      const lane = { topic: "a.x", epoch: 1, floor: 3, next: 5, end: 9 }
      const lag = { lag: 6, inFlight: 1, waiting: 0, parked: 0 }
      const detail = { ...group, lanes: [{ ...lane, ...lag }] }
      const { asked, client } = answering(detail, group, group, group, group, {}, {}, {}, {})
      const groups = makeGroups(client)
      assert.deepStrictEqual(yield* groups.info("g"), detail)
      yield* groups.create("g", "a.>", {
        start: "first",
        order: "key",
        ackWait: "5 seconds",
        maxDeliveries: 2
      })
      yield* groups.reset("g", "now")
      yield* groups.reset("g", { time: new Date(5000) })
      yield* groups.reset("g", { position: { offset: 7 } }, { topic: "a.x" })
      yield* groups.pause("g")
      yield* groups.resume("g")
      yield* groups.remove("g")
      yield* removeTopic(client, "a.x")
      assert.deepStrictEqual(asked, [
        ["group", { name: "g" }],
        [
          "group.create",
          { name: "g", pattern: "a.>", start: "first", order: "key", ackWait: 5000, maxDeliveries: 2 }
        ],
        ["group.reset", { name: "g", to: "now" }],
        ["group.reset", { name: "g", to: { time: 5000 } }],
        ["group.reset", { name: "g", to: { offset: 7 }, topic: "a.x" }],
        ["group.pause", { name: "g" }],
        ["group.resume", { name: "g" }],
        ["group.remove", { name: "g" }],
        ["topic.remove", { name: "a.x" }]
      ])
    })
  )

  it.effect("administration - dead letters are shown as they were, requeued and dropped", () =>
    Effect.gen(function* () {
      const topic = "$dead.g.a.x"
      const letter = {
        epoch: 2,
        offset: 3,
        timestamp: 4,
        key: "k",
        headers: { "polestar-error": "no" },
        payload: "aGk="
      }
      const listed = { topic, group: "g", origin: "a.x", messages: 1 }
      const { asked, client } = answering([listed], [], [letter], { requeued: 1, missing: 0 }, { dropped: 4 })
      const dead = makeDeadLetters(client)
      assert.deepStrictEqual(yield* dead.list({ group: "g" }), [listed])
      assert.deepStrictEqual(yield* dead.show(topic, { limit: 5 }), [
        {
          position: { epoch: 2, offset: 3 },
          timestamp: 4,
          key: "k",
          id: undefined,
          headers: { "polestar-error": "no" },
          contentType: undefined,
          payload: new TextEncoder().encode("hi")
        }
      ])
      assert.deepStrictEqual(yield* dead.requeue(topic, [3]), { requeued: 1, missing: 0 })
      assert.strictEqual(yield* dead.drop(topic), 4)
      assert.deepStrictEqual(asked, [
        ["dead", { group: "g" }],
        ["dead", { group: "g", after: topic }],
        ["dead.show", { topic, limit: 5 }],
        ["dead.requeue", { topic, offsets: [3] }],
        ["dead.drop", { topic }]
      ])
    })
  )

  it.effect("administration - what is wrong is told: an answer that is none, an option that cannot be", () =>
    Effect.gen(function* () {
      const { asked, client } = answering({ name: "g" })
      const groups = makeGroups(client)
      assert.strictEqual((yield* Effect.flip(groups.info("g"))).reason._tag, "DecodeFailed")
      const wrong = yield* Effect.flip(groups.create("g", "a", { backoff: -1 }))
      assert.strictEqual(wrong.reason._tag, "MessageInvalid")
      const nowhere = yield* Effect.flip(groups.reset("g", { position: { offset: 0.5 } }))
      assert.strictEqual(nowhere.reason._tag, "MessageInvalid")
      assert.lengthOf(asked, 1)
    })
  )
})
