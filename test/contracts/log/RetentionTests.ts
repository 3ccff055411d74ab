/** What a topic keeps: exactly so many messages, and of bytes and age what whole batches allow. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ownerOf, textBatch } from "../TextBatches.ts"
import { append, eventually, kept, type LogLayer, type Opened, opened } from "./LogKit.ts"

export interface RetentionLimits {
  /** Messages of a topic. */
  readonly messages: number
  /** Bytes of a topic, frames included. */
  readonly bytes: number
  /** Milliseconds. */
  readonly age: number
}

const wide: RetentionLimits = { messages: 1000, bytes: 10_000_000, age: 1_000_000_000 }

/** Lets the engine tidy up until its topic has no more than that. */
const expired = ({ log }: Opened, now: number, holds: () => boolean) =>
  Effect.andThen(
    Effect.sync(() => log.expire(now)),
    eventually(`no more is kept than may be, but ${log.messages} messages, ${log.bytes} bytes`, holds)
  )

/** The engine with these limits for every topic. */
export const messageLogRetentionContract = (
  name: string,
  layerWith: (limits: RetentionLimits) => LogLayer
): void => {
  describe(`message log of ${name}`, () => {
    it.effect("message log - keeps exactly so many messages, cutting a batch", () =>
      Effect.gen(function* () {
        const topic = yield* opened("a")
        const { log } = topic
        yield* append(topic, [["a", "b", "c"]], 10)
        yield* expired(topic, 10, () => log.messages === 3)
        assert.strictEqual(log.lostUntil, 0)
        yield* append(topic, [["d"], ["e", "f"]], 20)
        yield* expired(topic, 20, () => log.messages === 4)
        assert.deepStrictEqual(yield* kept(topic), ["2:c", "3:d", "4:e", "5:f"])
        assert.deepStrictEqual([log.firstOffset, log.nextOffset, log.lostUntil], [2, 6, 10])
        assert.strictEqual(yield* log.offsetAt(0), 2)
        yield* append(topic, [["g", "h", "i", "j", "k", "l"]], 30)
        yield* expired(topic, 30, () => log.messages === 4)
        assert.deepStrictEqual(yield* kept(topic), ["8:i", "9:j", "10:k", "11:l"])
        assert.deepStrictEqual([log.firstOffset, log.nextOffset, log.lostUntil], [8, 12, 30])
        log.close()
        const again = yield* opened("a")
        if (again.log.epoch === log.epoch) assert.isAtLeast(again.log.firstOffset, 8)
      }).pipe(Effect.provide(layerWith({ ...wide, messages: 4 })))
    )

    const one = textBatch(ownerOf("a"), [["x"]]).size
    it.effect("message log - keeps no more bytes than it may", () =>
      Effect.gen(function* () {
        const topic = yield* opened("a")
        const { log } = topic
        for (const text of ["a", "b", "c", "d", "e"]) yield* append(topic, [[text]], 5)
        yield* expired(topic, 5, () => log.bytes <= one * 3)
        const { firstOffset, messages } = log
        assert.isAtLeast(messages, 1)
        assert.deepStrictEqual(
          yield* kept(topic),
          ["0:a", "1:b", "2:c", "3:d", "4:e"].slice(firstOffset),
          "the newest are kept"
        )
        assert.deepStrictEqual([firstOffset + messages, log.nextOffset], [5, 5])
        assert.strictEqual(log.lostUntil, 5)
      }).pipe(Effect.provide(layerWith({ ...wide, bytes: one * 3 })))
    )

    it.effect("message log - forgets what is older than it keeps", () =>
      Effect.gen(function* () {
        const topic = yield* opened("a")
        const { log } = topic
        for (const [index, text] of ["a", "b", "c"].entries())
          yield* append(topic, [[text]], 1000 + index * 50)
        yield* expired(topic, 1100, () => log.messages === 3)
        yield* expired(topic, 1101, () => log.messages === 2)
        assert.deepStrictEqual(yield* kept(topic), ["1:b", "2:c"])
        assert.deepStrictEqual([log.firstOffset, log.nextOffset, log.lostUntil], [1, 3, 1000])
        yield* expired(topic, 1150, () => log.messages === 2)
        yield* expired(topic, 5000, () => log.messages === 0)
        assert.deepStrictEqual([log.bytes, log.firstOffset, log.nextOffset], [0, 3, 3])
        assert.deepStrictEqual([log.lostUntil, log.lastTimestamp], [1100, 1100])
      }).pipe(Effect.provide(layerWith({ ...wide, age: 100 })))
    )
  })
}
