import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import type { MessageLog, TopicLog } from "../../src/services/MessageLog.ts"
import * as MessageLogMemory from "../../src/services/MessageLogMemory.ts"
import { messageLogContract, messageLogRetentionContract } from "../contracts/MessageLogContract.ts"
import { ownerOf, placedTexts, textBatch, whole } from "../contracts/TextBatches.ts"

const wide: MessageLogMemory.MemoryLimits = {
  messages: 1_000_000,
  bytes: 1_000_000_000,
  age: 1_000_000_000,
  totalBytes: 1_000_000_000
}

messageLogContract("memory", MessageLogMemory.layer(wide))
messageLogRetentionContract("memory", (limits) => MessageLogMemory.layer({ ...wide, ...limits }))

const logWith = Effect.fnUntraced(function* (limits: Partial<MessageLogMemory.MemoryLimits>) {
  return yield* MessageLogMemory.make({ ...wide, ...limits })
})

const opened = (log: MessageLog["Service"], topic: string): TopicLog => {
  const open = log.open(topic, ownerOf(topic))
  if (Effect.isEffect(open)) throw new Error("the log in memory opens at once")
  return open
}

const kept = (log: TopicLog) => Effect.map(log.read(0, 1_000_000_000), placedTexts)
const sizeOf = (texts: ReadonlyArray<string>) => textBatch(ownerOf("a"), [texts]).size

describe("message log in memory - bounds", () => {
  it.effect("message log in memory - keeps exactly so many messages, cutting a batch", () =>
    Effect.gen(function* () {
      const owner = ownerOf("a")
      const log = opened(yield* logWith({ messages: 4 }), "a")
      log.append(textBatch(owner, [["a", "b", "c"]]))
      assert.deepStrictEqual(yield* kept(log), ["0:a", "1:b", "2:c"])
      log.append(textBatch(owner, [["d"], ["e", "f"]]))
      assert.deepStrictEqual(yield* kept(log), ["2:c", "3:d", "4:e", "5:f"])
      assert.deepStrictEqual([log.messages, log.firstOffset, log.nextOffset], [4, 2, 6])
      log.append(textBatch(owner, [["g", "h", "i", "j", "k", "l"]]))
      assert.deepStrictEqual(yield* kept(log), ["8:i", "9:j", "10:k", "11:l"])
      assert.deepStrictEqual(placedTexts(yield* log.read(10, 1000)), ["10:k", "11:l"])
    })
  )

  it.effect("message log in memory - keeps no more bytes than it may", () =>
    Effect.gen(function* () {
      const owner = ownerOf("a")
      const one = sizeOf(["x"])
      const log = opened(yield* logWith({ bytes: one * 3 }), "a")
      for (const text of ["a", "b", "c", "d", "e"]) log.append(textBatch(owner, [[text]]))
      assert.deepStrictEqual(yield* kept(log), ["2:c", "3:d", "4:e"])
      assert.strictEqual(log.bytes, one * 3)
      log.append(textBatch(owner, [["y".repeat(one * 4)]]))
      assert.deepStrictEqual(yield* kept(log), [])
      assert.deepStrictEqual([log.messages, log.bytes, log.firstOffset, log.nextOffset], [0, 0, 6, 6])
      log.append(textBatch(owner, [["z"]]))
      assert.deepStrictEqual(yield* kept(log), ["6:z"])
    })
  )

  it.effect("message log in memory - forgets what is older than it keeps", () =>
    Effect.gen(function* () {
      const owner = ownerOf("a")
      const log = opened(yield* logWith({ age: 100 }), "a")
      log.append(textBatch(owner, [["a"]], 1000))
      log.append(textBatch(owner, [["b"]], 1050))
      log.append(textBatch(owner, [["c"]], 1100))
      assert.deepStrictEqual(yield* kept(log), ["0:a", "1:b", "2:c"])
      log.append(textBatch(owner, [["d"]], 1101))
      assert.deepStrictEqual(yield* kept(log), ["1:b", "2:c", "3:d"])
      log.expire(1150)
      assert.deepStrictEqual(yield* kept(log), ["1:b", "2:c", "3:d"])
      log.expire(1151)
      assert.deepStrictEqual(yield* kept(log), ["2:c", "3:d"])
      log.expire(5000)
      assert.deepStrictEqual([log.messages, log.bytes, log.firstOffset, log.nextOffset], [0, 0, 4, 4])
    })
  )

  it.effect("message log in memory - all topics together keep no more bytes than they may", () =>
    Effect.gen(function* () {
      const one = sizeOf(["x"])
      const service = yield* logWith({ totalBytes: one * 10 })
      const logs = ["a", "b", "c"].map((name) => ({ log: opened(service, name), owner: ownerOf(name) }))
      for (let round = 0; round < 20; round++) {
        for (const { log, owner } of logs) {
          log.append(textBatch(owner, [["x"]]))
          assert.isAtMost(service.bytes(), one * 10)
        }
      }
      assert.strictEqual(
        service.bytes(),
        logs.reduce((sum, { log }) => sum + log.bytes, 0)
      )
      for (const { log } of logs) log.close()
      assert.strictEqual(service.bytes(), 0)
    })
  )

  for (const limits of [{ messages: 0 }, { bytes: 0 }]) {
    it.effect(
      `message log in memory - that may keep nothing still gives offsets: ${Object.keys(limits)}`,
      () =>
        Effect.gen(function* () {
          const log = opened(yield* logWith(limits), "a")
          const batches = ["a", "b"].map((text) => textBatch(ownerOf("a"), [[text, text]]))
          for (const batch of batches) log.append(batch)
          assert.deepStrictEqual([batches[0]?.offset, batches[1]?.offset, log.firstOffset], [0, 2, 4])
          assert.deepStrictEqual(yield* kept(log), [])
        })
    )
  }

  it.effect(
    "message log in memory - closed and opened again it goes on where it was, without its messages",
    () =>
      Effect.gen(function* () {
        const service = yield* logWith({})
        const first = opened(service, "a")
        first.append(textBatch(ownerOf("a"), [["a"]]))
        first.close()
        const second = opened(service, "a")
        assert.strictEqual(second.epoch, first.epoch)
        assert.deepStrictEqual(
          [second.nextOffset, second.firstOffset, second.messages, service.bytes()],
          [1, 1, 0, 0]
        )
        assert.isAbove(opened(service, "b").epoch, second.epoch)
      })
  )

  it.effect("message log in memory - small messages from large chunks do not pin them", () =>
    Effect.gen(function* () {
      const owner = ownerOf("a")
      const log = opened(yield* logWith({}), "a")
      for (let index = 0; index < 1000; index++) {
        const batch = textBatch(owner, [[`${index}`]])
        const chunk = new Uint8Array(65_536)
        chunk.set(batch.bytes, 100)
        batch.bytes = chunk
        batch.start += 100
        batch.end += 100
        log.append(batch)
      }
      const buffers = new Set(whole(yield* log.read(0, 1_000_000_000)).map((batch) => batch.bytes.buffer))
      const pinned = [...buffers].reduce((sum, buffer) => sum + buffer.byteLength, 0)
      assert.isAtMost(pinned, log.bytes * 4 + 65_536)
    })
  )
})

describe("message log in memory - held batches", () => {
  it.effect("message log in memory - holds no more bytes than it may, and says so", () =>
    Effect.gen(function* () {
      const service = yield* logWith({ heldBytes: 100_000 })
      const owner = ownerOf("a")
      const log = service.open("a", owner)
      if (Effect.isEffect(log)) throw new Error("the log in memory opens at once")
      const hold = (at: number) => {
        const batch = textBatch(owner, [["x".repeat(1000)]])
        return { batch, isHeld: log.hold(batch, at) }
      }
      let held = 0
      while (hold(held).isHeld) held++
      assert.isAbove(held, 50)
      assert.isBelow(held, 100)
      const [told] = owner.told.values()
      assert.deepInclude(told, { _tag: "refused" })
      assert.strictEqual(owner.told.size, 1)
      if (told?._tag === "refused") assert.deepInclude(told.error, { reason: "full", topic: "a" })
      assert.strictEqual(service.nextDue(), 0)
      assert.strictEqual((yield* service.due(0, 1)).length, 1)
      assert.isTrue(hold(1000).isHeld, "there is room again")
      assert.isFalse(hold(1000).isHeld)
      yield* log.remove
      assert.strictEqual(service.nextDue(), Number.POSITIVE_INFINITY)
      const another = opened(service, "b")
      for (let left = held; left > 0; left--)
        assert.isTrue(another.hold(textBatch(ownerOf("b"), [["x".repeat(1000)]]), 1))
    })
  )

  it.effect("message log in memory - what is held does not pin or share what it came in", () =>
    Effect.gen(function* () {
      const service = yield* logWith({})
      const owner = ownerOf("a")
      const batch = textBatch(owner, [["kept"]])
      assert.isTrue(opened(service, "a").hold(batch, 1))
      batch.bytes.fill(0)
      const [held] = yield* service.due(1, 1)
      assert.isDefined(held)
      const given = held.batch(owner)
      assert.deepStrictEqual(placedTexts([given]), ["0:kept"])
      assert.strictEqual(given.bytes.buffer.byteLength, batch.size)
    })
  )
})

const between = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

describe("message log in memory - bounds together", () => {
  it.effect.prop(
    "message log in memory - keeps the newest, all of them that fit, and counts them truly",
    {
      messages: between(1, 12),
      frames: between(3, 30),
      age: between(5, 40),
      batches: Arbitrary.array(
        Arbitrary.all({
          frames: Arbitrary.array(between(1, 4), { minLength: 1, maxLength: 4 }),
          wait: between(0, 9)
        }),
        { minLength: 1, maxLength: 20 }
      )
    },
    ({ age, batches, frames, messages }) =>
      Effect.gen(function* () {
        const owner = ownerOf("a")
        const bytes = frames * sizeOf(["t"])
        const service = yield* logWith({ messages, bytes, age })
        const log = opened(service, "a")
        const model: Array<{ readonly text: string; readonly timestamp: number }> = []
        let timestamp = 1
        for (const { frames, wait } of batches) {
          timestamp += wait
          log.append(
            textBatch(
              owner,
              frames.map((length) => Array.from({ length }, () => "t")),
              timestamp
            )
          )
          for (let left = frames.reduce((sum, length) => sum + length, 0); left > 0; left--)
            model.push({ text: `${model.length}:t`, timestamp })
          const read = whole(yield* log.read(0, 1_000_000_000))
          const texts = placedTexts(read)
          assert.deepStrictEqual(
            texts,
            model.slice(log.firstOffset).map(({ text }) => text)
          )
          assert.strictEqual(log.nextOffset, model.length)
          assert.strictEqual(log.messages, texts.length)
          assert.strictEqual(
            log.bytes,
            read.reduce((sum, batch) => sum + batch.size, 0)
          )
          assert.strictEqual(service.bytes(), log.bytes)
          assert.isAtMost(log.messages, messages)
          assert.isAtMost(log.bytes, bytes)
          assert.isTrue(read.every((batch) => batch.timestamp >= timestamp - age))
          const oldestKept = model.findIndex((each) => each.timestamp >= timestamp - age)
          const isFullByMessages = log.messages === messages
          const isFullByAge = log.firstOffset === oldestKept
          // By bytes whole batches go, so the room that is left is less than the largest batch.
          const isFullByBytes = log.bytes + 4 * sizeOf(["t", "t", "t", "t"]) > bytes
          assert.isTrue(isFullByMessages || isFullByAge || isFullByBytes)
        }
      }),
    { arbitrary: { runs: 300 } }
  )
})
