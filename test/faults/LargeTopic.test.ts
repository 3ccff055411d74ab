/**
 * Large logs on disk, which take minutes: run with POLESTAR_LONG=1. A topic of ten million messages, and a folder of a
 * hundred thousand topics; the figures are printed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Console, Effect } from "effect"
import { Batch } from "../../src/protocol/Batch.ts"
import { MessageLog, type TopicLog } from "../../src/services/MessageLog.ts"
import { messageBatch } from "../contracts/TextBatches.ts"
import { folder, life, type Opened, opened } from "../services/lmdb/TestFolder.ts"

const perBatch = 64
const messages = 10_000_000
const topics = 100_000
const wide = { maxBytes: 1e13, topic: { messages: 1e9, bytes: 1e13, age: 1e13 } }

const now = () => performance.now()
const megabytes = () => {
  globalThis.gc?.()
  const { arrayBuffers, external, heapUsed } = process.memoryUsage()
  return Math.round((heapUsed + external + arrayBuffers) / 1_048_576)
}

/** Appends copies of a batch as fast as there is room. */
const fill = Effect.fnUntraced(function* ({ log, owner }: Opened, total: number) {
  const records = Array.from({ length: perBatch }, () => ({ payload: new Uint8Array(128) }))
  const { bytes, end } = messageBatch(owner, [records])
  let left = Math.ceil(total / perBatch)
  let pending = left
  owner.listener = () => {
    owner.told.clear()
    pending--
  }
  while (left > 0) {
    for (let burst = 0; burst < 256 && left > 0; burst++, left--) {
      const batch = new Batch(owner, bytes, 0, end, perBatch, 0, "0b7a4c1e-8d4f-4b7a-9a35-0f3f1d1c2b3a")
      batch.timestamp = 1_000_000 + left
      log.append(batch)
    }
    yield* log.room ?? Effect.yieldNow
  }
  while (pending > 0) yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 1)))
})

/** Messages a second, and the longest read in milliseconds. */
const replay = Effect.fnUntraced(function* (log: TopicLog) {
  const begin = now()
  let longest = 0
  let most = 0
  for (let offset = 0; offset < log.nextOffset; ) {
    const before = now()
    const read = yield* log.read(offset, 262_144)
    longest = Math.max(longest, now() - before)
    for (const batch of read) {
      assert.strictEqual(batch.offset, offset)
      offset += batch.count
    }
    if (offset % (perBatch * 4096) === 0) most = Math.max(most, megabytes())
  }
  return { rate: Math.round((log.nextOffset / (now() - begin)) * 1000), longest: Math.round(longest), most }
})

describe.skipIf(process.env.POLESTAR_LONG !== "1")("large logs (with POLESTAR_LONG=1)", () => {
  it.live(
    "large topic - opening, seeking and replaying ten million messages stay fast, and memory flat",
    () =>
      Effect.gen(function* () {
        const path = yield* folder
        yield* life(
          path,
          Effect.gen(function* () {
            const begin = now()
            yield* fill(yield* opened("large"), messages)
            yield* Console.log(
              `append: ${Math.round((messages / (now() - begin)) * 1000)} messages/s, ${megabytes()} MB`
            )
          }),
          wide
        )
        let begin = now()
        yield* life(
          path,
          Effect.gen(function* () {
            const opening = now() - begin
            begin = now()
            const { log } = yield* opened("large")
            const topic = now() - begin
            assert.isAtLeast(log.nextOffset, messages)
            const { longest, most, rate } = yield* replay(log)
            begin = now()
            for (let index = 0; index < 1000; index++)
              yield* log.read(Math.floor((log.nextOffset / 1000) * index), 1)
            const seek = now() - begin
            begin = now()
            for (let index = 0; index < 1000; index++) yield* log.offsetAt(1_000_000 + index * 100)
            const time = now() - begin
            yield* Console.log(
              `opening: ${opening.toFixed(0)} ms, the topic ${topic.toFixed(1)} ms; replay: ${rate} messages/s, ` +
                `longest read ${longest} ms, ${most} MB; seek ${seek.toFixed(0)} µs, by time ${time.toFixed(0)} µs`
            )
            assert.isBelow(opening, 2000)
            assert.isBelow(topic, 50)
            assert.isAbove(rate, 1_000_000)
            assert.isBelow(most, 300)
            begin = now()
            yield* log.remove
            yield* Console.log(`removed in ${(now() - begin).toFixed(0)} ms`)
            let longestTurn = 0
            for (let turn = 0; turn < 200; turn++) {
              begin = now()
              yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 1)))
              longestTurn = Math.max(longestTurn, now() - begin)
            }
            yield* Console.log(`longest turn while its entries are deleted: ${longestTurn.toFixed(0)} ms`)
          }),
          wide
        )
      }),
    600_000
  )

  it.live(
    "large log - opening a hundred thousand topics takes well under a second",
    () =>
      Effect.gen(function* () {
        const path = yield* folder
        yield* life(
          path,
          Effect.gen(function* () {
            const begin = now()
            for (let from = 0; from < topics; from += 1000) {
              const some = yield* Effect.forEach(
                Array.from({ length: 1000 }, (_, index) => from + index),
                (index) => opened(`topic.number.${index}`)
              )
              for (const { log, owner } of some)
                log.append(messageBatch(owner, [[{ payload: new Uint8Array(128) }]], 1))
              for (const { log, owner } of some) {
                while (owner.told.size === 0)
                  yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
                log.close()
              }
            }
            yield* Console.log(`${topics} topics made in ${(now() - begin).toFixed(0)} ms`)
          }),
          wide
        )
        let begin = now()
        yield* life(
          path,
          Effect.gen(function* () {
            const service = yield* MessageLog
            const opening = now() - begin
            begin = now()
            assert.strictEqual([...service.names()].length, topics)
            const names = now() - begin
            begin = now()
            for (let index = 0; index < 1000; index++) yield* opened(`topic.number.${index * 97}`)
            yield* Console.log(
              `opening: ${opening.toFixed(0)} ms; all names: ${names.toFixed(0)} ms; a topic: ${(now() - begin).toFixed(0)} µs`
            )
            assert.isBelow(opening, 1000)
          }),
          wide
        )
      }),
    600_000
  )
})
