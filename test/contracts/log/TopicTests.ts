/** One topic and the next: offsets, reading, time, closing, removing. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { MessageLog } from "../../../src/services/MessageLog.ts"
import { placedTexts, textBatch, whole } from "../TextBatches.ts"
import { append, appendBatch, everything, expire, kept, type LogLayer, opened, year } from "./LogKit.ts"

export const topicTests = (layer: LogLayer): void => {
  it.effect("message log - a new topic is empty", () =>
    Effect.gen(function* () {
      const { log } = yield* opened("a")
      assert.deepStrictEqual([log.nextOffset, log.firstOffset, log.messages, log.bytes], [0, 0, 0, 0])
      assert.deepStrictEqual([log.lostUntil, log.lastTimestamp], [0, 0])
      assert.deepStrictEqual(yield* log.read(0, everything), [])
      assert.strictEqual(yield* log.offsetAt(0), 0)
      assert.isTrue(Number.isSafeInteger(log.epoch))
    }).pipe(Effect.provide(layer))
  )

  it.effect("message log - offsets begin at 0 and leave no gap, whatever batches the messages come in", () =>
    Effect.gen(function* () {
      const topic = yield* opened("a")
      const { log } = topic
      let expected = 0
      for (const count of [1, 5, 1, 30, 2]) {
        const texts = Array.from({ length: count }, (_, index) => `${index}`)
        const batch = yield* append(topic, [texts], expected + 7)
        assert.deepStrictEqual([batch.epoch, batch.offset], [log.epoch, expected])
        assert.strictEqual(log.lastTimestamp, expected + 7)
        expected += count
        assert.strictEqual(log.nextOffset, expected)
      }
      assert.deepStrictEqual([log.messages, log.firstOffset, log.lostUntil], [39, 0, 0])
    }).pipe(Effect.provide(layer))
  )

  it.effect("message log - is read from any offset, also from within a batch", () =>
    Effect.gen(function* () {
      const topic = yield* opened("a")
      yield* append(topic, [["a", "b", "c"], ["d"], ["e", "f"]])
      yield* append(topic, [["g", "h"]])
      const all = [..."abcdefgh"].map((text, offset) => `${offset}:${text}`)
      for (let offset = 0; offset <= 9; offset++)
        assert.deepStrictEqual(placedTexts(yield* topic.log.read(offset, everything)), all.slice(offset))
    }).pipe(Effect.provide(layer))
  )

  it.effect("message log - what is read has all that a delivery needs", () =>
    Effect.gen(function* () {
      const topic = yield* opened("a")
      for (const text of ["small", "x".repeat(100_000)]) {
        const batch = textBatch(topic.owner, [[text], [text, "last"]], 1_700_000_000_123)
        batch.expires = 1_900_000_000_456
        batch.records = 255
        yield* appendBatch(topic, batch)
        const read = whole(yield* topic.log.read(batch.offset, everything))[0]!
        assert.isTrue(read.owner === topic.owner, "whose it is")
        for (const field of ["epoch", "offset", "timestamp", "expires", "count", "skip"] as const)
          assert.strictEqual(read[field], batch[field], field)
        assert.deepStrictEqual(
          [read.priority, read.records, read.publisherId, read.size],
          [batch.priority, batch.records, batch.publisherId, batch.size]
        )
        assert.deepStrictEqual([read.publisher, read.held, read.receivedAt], [undefined, undefined, -1])
      }
    }).pipe(Effect.provide(layer))
  )

  it.effect("message log - a read of few bytes still gives something, and goes on where it ended", () =>
    Effect.gen(function* () {
      const topic = yield* opened("a")
      const { log } = topic
      for (let index = 0; index < 20; index++) yield* append(topic, [[`${index}`.repeat(50)]])
      const one = whole(yield* log.read(0, 1))[0]!
      assert.strictEqual((yield* log.read(0, 1)).length, 1)
      const some = yield* log.read(0, one.size * 5)
      assert.isAtLeast(some.length, 5)
      assert.isAtMost(some.length, 7)
      const found: Array<string> = []
      for (let offset = 0; offset < 20; ) {
        const read = yield* log.read(offset, one.size * 3)
        assert.isAbove(read.length, 0)
        found.push(...placedTexts(read))
        offset = found.length
      }
      assert.deepStrictEqual(found, yield* kept(topic))
    }).pipe(Effect.provide(layer))
  )

  it.effect("message log - finds the first offset of a time or later", () =>
    Effect.gen(function* () {
      const topic = yield* opened("a")
      for (const timestamp of [10, 20, 20, 35]) yield* append(topic, [["x", "y"]], timestamp)
      for (const [time, offset] of [
        [0, 0],
        [10, 0],
        [11, 2],
        [20, 2],
        [21, 6],
        [35, 6],
        [36, 8]
      ] as const)
        assert.strictEqual(yield* topic.log.offsetAt(time), offset, `at ${time}`)
    }).pipe(Effect.provide(layer))
  )

  it.effect("message log - what was read stays as it was, whatever becomes of the log", () =>
    Effect.gen(function* () {
      const topic = yield* opened("a")
      yield* append(topic, [["a", "b"]])
      yield* append(topic, [["c".repeat(20_000)]])
      const read = yield* topic.log.read(1, everything)
      for (let index = 0; index < 50; index++) yield* append(topic, [["z".repeat(100)]])
      yield* expire(topic, 2 * year, 0)
      for (let index = 0; index < 50; index++) yield* append(topic, [["z".repeat(1000)]], 2 * year)
      topic.log.close()
      const again = yield* opened("a")
      for (let index = 0; index < 50; index++) yield* append(again, [["y".repeat(1000)]], 2 * year)
      yield* again.log.remove
      assert.deepStrictEqual(placedTexts(read), ["1:b", `2:${"c".repeat(20_000)}`])
    }).pipe(Effect.provide(layer))
  )

  it.effect("message log - what is older than the retention goes, and its place is not given again", () =>
    Effect.gen(function* () {
      const topic = yield* opened("a")
      const { log } = topic
      yield* append(topic, [["a", "b"]], 1000)
      yield* expire(topic, 2 * year, 0)
      assert.deepStrictEqual([log.messages, log.bytes, log.firstOffset, log.nextOffset], [0, 0, 2, 2])
      assert.deepStrictEqual([log.lostUntil, log.lastTimestamp], [1000, 1000])
      assert.deepStrictEqual(yield* kept(topic), [])
      assert.strictEqual(yield* log.offsetAt(0), 2)
      yield* append(topic, [["c"]], 2 * year)
      assert.deepStrictEqual(yield* kept(topic), ["2:c"])
      assert.deepStrictEqual([log.lostUntil, log.lastTimestamp], [1000, 2 * year])
    }).pipe(Effect.provide(layer))
  )

  it.effect("message log - topics do not touch each other", () =>
    Effect.gen(function* () {
      const { bytes } = yield* MessageLog
      const [a, b] = [yield* opened("a"), yield* opened("b")]
      yield* append(a, [["a"]])
      yield* append(b, [["b", "c"]])
      assert.deepStrictEqual(yield* kept(a), ["0:a"])
      assert.deepStrictEqual(yield* kept(b), ["0:b", "1:c"])
      assert.isAbove(a.log.bytes, 0)
      assert.strictEqual(bytes(), a.log.bytes + b.log.bytes)
      yield* a.log.remove
      assert.strictEqual(bytes(), b.log.bytes)
      assert.deepStrictEqual(yield* kept(b), ["0:b", "1:c"])
    }).pipe(Effect.provide(layer))
  )

  it.effect("message log - opened again it goes on where it was, or has another epoch", () =>
    Effect.gen(function* () {
      const epochs = new Set<number>()
      let before = yield* opened("a")
      for (let round = 0; round < 50; round++) {
        epochs.add(before.log.epoch)
        yield* append(before, [["a", "b"]], round + 1)
        const { epoch, nextOffset } = before.log
        before.log.close()
        const after = yield* opened("a")
        const { log } = after
        if (log.epoch === epoch)
          assert.deepStrictEqual([log.nextOffset, log.lastTimestamp], [nextOffset, round + 1])
        else {
          assert.isFalse(epochs.has(log.epoch), "an epoch came back")
          assert.deepStrictEqual([log.nextOffset, log.lastTimestamp], [0, 0])
        }
        assert.strictEqual((yield* kept(after)).length, log.nextOffset - log.firstOffset)
        before = after
      }
    }).pipe(Effect.provide(layer))
  )

  it.effect("message log - a topic that was removed begins anew, with an epoch that it never had", () =>
    Effect.gen(function* () {
      const service = yield* MessageLog
      const epochs = new Set<number>()
      for (let round = 0; round < 20; round++) {
        const topic = yield* opened("a")
        const { log } = topic
        assert.isFalse(epochs.has(log.epoch), "an epoch came back")
        epochs.add(log.epoch)
        assert.deepStrictEqual(
          [log.nextOffset, log.firstOffset, log.messages, log.bytes, log.lastTimestamp, log.lostUntil],
          [0, 0, 0, 0, 0, 0]
        )
        assert.deepStrictEqual(yield* kept(topic), [])
        yield* append(topic, [["a", "b"]], 5)
        yield* append(topic, [["c"]], 6)
        assert.deepStrictEqual(yield* kept(topic), ["0:a", "1:b", "2:c"])
        yield* log.remove
        log.close()
        assert.strictEqual(service.bytes(), 0)
        assert.notInclude([...service.names()], "a")
        assert.isUndefined(service.describe("a"))
      }
    }).pipe(Effect.provide(layer))
  )

  it.effect("message log - what it says of a topic that outlives the process is what the topic says", () =>
    Effect.gen(function* () {
      const service = yield* MessageLog
      const { log, owner } = yield* opened("a")
      yield* append({ log, owner }, [["a", "b"]], 5)
      const { bytes, epoch, firstOffset, messages, nextOffset } = log
      const place = { bytes, epoch, firstOffset, messages, nextOffset }
      const isDurable = [...service.names()].includes("a")
      for (const each of ["open", "closed"]) {
        if (isDurable) assert.deepInclude(service.describe("a"), place, each)
        else assert.isUndefined(service.describe("a"), each)
        log.close()
      }
      assert.strictEqual([...service.names()].includes("a"), isDurable)
      assert.isUndefined(service.describe("another"))
    }).pipe(Effect.provide(layer))
  )
}
