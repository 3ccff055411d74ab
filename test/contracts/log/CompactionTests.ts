/** Topics of which only the last record of each key is kept. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect } from "effect"
import { forEachMessage } from "../../../src/protocol/Publish.ts"
import type { MessageLogError } from "../../../src/services/MessageLog.ts"
import { patience } from "../../Patience.ts"
import { whole } from "../TextBatches.ts"
import { appendKeys, between, everything, type LogLayer, type Opened, opened, turn } from "./LogKit.ts"

type Key = readonly [offset: number, key: string]

/** Offsets and keys that are kept from an offset on. */
const keysFrom = ({ log }: Opened, offset: number): Effect.Effect<ReadonlyArray<Key>, MessageLogError> =>
  Effect.map(log.read(offset, everything), (read) => {
    const found: Array<Key> = []
    for (const { bytes, count, end, offset, skip, start } of whole(read))
      assert.isTrue(
        forEachMessage(bytes, start, end, skip, count, ({ key }, index) => {
          found.push([offset + index, key ?? ""])
        })
      )
    return found
  })

/** What is left of these keys, one message each. */
const lastOfEach = (keys: ReadonlyArray<string>): ReadonlyArray<Key> =>
  keys.map((key, offset) => [offset, key] as const).filter(([offset, key]) => !keys.includes(key, offset + 1))

/** Time passes, a minute at a time, until so much is left; and a while longer. */
const compactedTo = Effect.fnUntraced(function* (topic: Opened, left: number) {
  let now = topic.log.lastTimestamp
  const end = Date.now() + patience
  let more = 3
  let read = yield* keysFrom(topic, 0)
  while (more > 0 && Date.now() < end) {
    now += 60_000
    topic.log.expire(now)
    yield* turn
    read = yield* keysFrom(topic, 0)
    if (read.length <= left) more--
  }
  return read
})

/** The engine with a rule that topics which match `compacted.>` are compacted, and no others. */
export const messageLogCompactionContract = (name: string, layer: LogLayer): void => {
  describe(`message log of ${name}`, () => {
    it.effect(
      "message log - compaction keeps the last of each key in its place, and says nothing of holes",
      () =>
        Effect.gen(function* () {
          const topic = yield* opened("compacted.a")
          const { log } = topic
          yield* appendKeys(topic, ["a", "b", "a", "c"], 10)
          yield* appendKeys(topic, ["b"], 20)
          yield* appendKeys(topic, ["d", "a"], 30)
          const left = [
            [3, "c"],
            [4, "b"],
            [5, "d"],
            [6, "a"]
          ] as const
          assert.deepStrictEqual(yield* compactedTo(topic, 4), left)
          for (let offset = 0; offset <= 7; offset++)
            assert.deepStrictEqual(
              yield* keysFrom(topic, offset),
              left.filter(([at]) => at >= offset)
            )
          assert.deepStrictEqual([log.nextOffset, log.lastTimestamp, log.lostUntil], [7, 30, 0])
          assert.strictEqual(log.firstOffset, 0, "compaction does not move it")
          assert.strictEqual(yield* log.offsetAt(15), 4)
          yield* appendKeys(topic, ["c"], 100_000)
          assert.strictEqual(log.nextOffset, 8)
        }).pipe(Effect.provide(layer))
    )

    it.effect("message log - a topic without the rule is not compacted", () =>
      Effect.gen(function* () {
        const [with_, without] = [yield* opened("compacted.a"), yield* opened("a")]
        for (const topic of [with_, without]) yield* appendKeys(topic, ["a", "a", "a"], 10)
        without.log.expire(60_000)
        assert.deepStrictEqual(yield* compactedTo(with_, 1), [[2, "a"]])
        without.log.expire(120_000)
        yield* turn
        assert.strictEqual((yield* keysFrom(without, 0)).length, 3)
      }).pipe(Effect.provide(layer))
    )

    it.effect.prop(
      "message log - compaction leaves what a map would have",
      {
        batches: Arbitrary.array(Arbitrary.array(between(0, 5), { minLength: 1, maxLength: 5 }), {
          minLength: 1,
          maxLength: 8
        })
      },
      ({ batches }) =>
        Effect.gen(function* () {
          const topic = yield* opened("compacted.a")
          const keys: Array<string> = []
          for (const [index, numbers] of batches.entries()) {
            const batch = numbers.map((number) => `k${number}`)
            keys.push(...batch)
            yield* appendKeys(topic, batch, index + 1)
          }
          const left = lastOfEach(keys)
          assert.deepStrictEqual(yield* compactedTo(topic, left.length), left)
          assert.strictEqual(topic.log.nextOffset, keys.length)
        }).pipe(Effect.provide(layer)),
      { arbitrary: { runs: 20 } }
    )
  })
}
