/** Compaction across lives of the hub, with more keys than are remembered, and with retention beside it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { forEachMessage } from "../../../src/protocol/Publish.ts"
import { MessageLog, type TopicLog } from "../../../src/services/MessageLog.ts"
import { eventually } from "../../contracts/log/LogKit.ts"
import { messageBatch, whole } from "../../contracts/TextBatches.ts"
import { append, folder, life, type Opened, opened } from "./TestFolder.ts"

const topic = "compacted.a"

const keysOf = (log: TopicLog) =>
  Effect.map(log.read(0, 1_000_000_000), (read) => {
    const found: Array<string> = []
    for (const { bytes, count, end, offset, skip, start } of whole(read))
      forEachMessage(bytes, start, end, skip, count, ({ key }, index) => {
        found.push(`${offset + index}:${key ?? ""}`)
      })
    return found
  })

const lastOfEach = (keys: ReadonlyArray<string | undefined>) => {
  const last = new Map(keys.map((key, offset) => [key, offset]))
  return keys.flatMap((key, offset) =>
    key === undefined || last.get(key) === offset ? [`${offset}:${key ?? ""}`] : []
  )
}

const batchOf = ({ owner }: Opened, keys: ReadonlyArray<string | undefined>) =>
  messageBatch(owner, [keys.map((key) => ({ key, payload: new Uint8Array(100) }))], 5)

/** Lets so much time pass that it is compacted. */
const compact = (log: TopicLog, messages: number) =>
  Effect.andThen(
    Effect.sync(() => {
      log.expire(1_000_000)
      log.expire(100_000_000)
    }),
    eventually(`${messages} messages are left`, () => log.messages === messages)
  )

const random = (seed: number) => () => {
  seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff
  return seed / 0x7fffffff
}

describe("lmdb compaction", () => {
  it.effect(
    "lmdb compaction - keeps the last of each key, however many there are, and from life to life",
    () =>
      Effect.gen(function* () {
        const path = yield* folder
        const next = random(1)
        const keys: Array<string | undefined> = []
        let bytes = 0
        for (const round of [1, 2, 3]) {
          yield* life(
            path,
            Effect.gen(function* () {
              const a = yield* opened(topic)
              assert.strictEqual(a.log.bytes, bytes)
              assert.deepStrictEqual(yield* keysOf(a.log), round === 1 ? [] : lastOfEach(keys))
              for (let index = 0; index < 60; index++) {
                const batch = Array.from({ length: 1 + Math.floor(next() * 9) }, () =>
                  next() < 0.1 ? undefined : `k${Math.floor(next() ** 2 * 60)}`
                )
                keys.push(...batch)
                yield* append(a, batchOf(a, batch))
              }
              const left = lastOfEach(keys)
              const before = a.log.bytes
              yield* compact(a.log, left.length)
              assert.deepStrictEqual(yield* keysOf(a.log), left)
              assert.isBelow(a.log.bytes, before)
              assert.deepStrictEqual([a.log.firstOffset, a.log.nextOffset], [0, keys.length])
              assert.strictEqual((yield* MessageLog).bytes(), a.log.bytes)
              bytes = a.log.bytes
            }),
            { compactionKeys: 8 }
          )
        }
      })
  )

  it.effect(
    "lmdb compaction - retention by messages and bytes goes on beside it, and its sums stay true",
    () =>
      Effect.gen(function* () {
        const path = yield* folder
        const options = { topic: { messages: 12, bytes: 1_000_000, age: 1 } }
        const keys = Array.from({ length: 40 }, (_, index) => `k${index % 20}`)
        yield* life(
          path,
          Effect.gen(function* () {
            const a = yield* opened(topic)
            for (let from = 0; from < 12; from += 4) yield* append(a, batchOf(a, keys.slice(from, from + 4)))
            yield* append(a, batchOf(a, ["k1", "k2", "k1"]))
            yield* compact(a.log, 11)
            assert.deepStrictEqual((yield* keysOf(a.log)).slice(0, 3), ["3:k3", "4:k4", "5:k5"])
            for (const key of ["x", "y", "z"]) yield* append(a, batchOf(a, [key]))
            assert.strictEqual(a.log.messages, 12)
            assert.strictEqual((yield* keysOf(a.log)).length, 12)
            assert.strictEqual((yield* MessageLog).bytes(), a.log.bytes)
          }),
          options
        )
        yield* life(
          path,
          Effect.gen(function* () {
            const a = yield* opened(topic)
            assert.deepStrictEqual([a.log.messages, (yield* keysOf(a.log)).length], [12, 12])
            assert.strictEqual((yield* MessageLog).bytes(), a.log.bytes)
            for (let index = 0; index < 12; index++) yield* append(a, batchOf(a, [`n${index}`]))
            assert.deepStrictEqual(
              (yield* keysOf(a.log)).map((each) => each.split(":")[1]),
              Array.from({ length: 12 }, (_, index) => `n${index}`)
            )
            const one = batchOf(a, ["n0"]).size
            assert.isAtMost(Math.abs(a.log.bytes - one * 12), 12)
          }),
          options
        )
      })
  )
})
