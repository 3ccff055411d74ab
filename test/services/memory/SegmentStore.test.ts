import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { Batch } from "../../../src/protocol/Batch.ts"
import type { LogOwner, TopicLimits } from "../../../src/services/MessageLog.ts"
import { HeldBatches } from "../../../src/services/memory/HeldBatches.ts"
import { MemoryTopicLog } from "../../../src/services/memory/MemoryTopicLog.ts"
import { SegmentStore } from "../../../src/services/memory/SegmentStore.ts"
import { ownerOf, placedTexts, textBatch, whole } from "../../contracts/TextBatches.ts"

const wide: TopicLimits = { messages: 1_000_000, bytes: 1_000_000_000, age: 1_000_000_000 }
const KIB = 1024

/** Some publishers, so that they change often and come again. */
const publisherOf = (text: string): string => `${text.length % 3}${text.charAt(0)}`

const logOf = (store: SegmentStore, owner: LogOwner, epoch: number, limits: TopicLimits): MemoryTopicLog => {
  const place = { epoch, nextOffset: 0, lostUntil: 0 }
  const shared = { limits, store, held: new HeldBatches(0), closed: () => {} }
  return store.add((number) => new MemoryTopicLog(number, owner, place, shared))
}

const opened = (store: SegmentStore, name: string, limits: Partial<TopicLimits> = {}) => {
  const owner = ownerOf(name)
  const log = logOf(store, owner, 7, { ...wide, ...limits })
  return {
    log,
    append: (text: string, timestamp = 0): Batch => {
      const { bytes, end } = textBatch(owner, [[text]])
      const batch = new Batch(owner, bytes, 0, end, 1, 0, publisherOf(text))
      batch.timestamp = timestamp
      log.append(batch)
      return batch
    }
  }
}

const read = (log: MemoryTopicLog, offset = 0, maxBytes = 1_000_000_000) =>
  whole(Effect.runSync(log.read(offset, maxBytes)))

const between = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

/** What is done to one of four topics: mostly small batches, sometimes one that gets a buffer of its own. */
const action = Arbitrary.all({
  topic: between(0, 3),
  kind: between(0, 40),
  size: between(1, 6000),
  repeat: between(1, 30)
})

describe("segment store - a model", () => {
  it.effect.prop(
    "segment store - whatever is moved, dropped and closed, a topic reads the newest of what it took, without a gap",
    { actions: Arbitrary.array(action, { minLength: 1, maxLength: 120 }), total: between(1, 700) },
    ({ actions, total }) =>
      Effect.sync(() => {
        const store = new SegmentStore(total * KIB)
        const open = (topic: number) => {
          const texts: Array<string> = []
          const times: Array<number> = []
          const limits = [{}, { messages: 50 }, { bytes: 50_000 }, { age: 40 }][topic]
          return { ...opened(store, `${topic}`, limits), texts, times }
        }
        const topics = [0, 1, 2, 3].map(open)
        let time = 0
        for (const { kind, repeat, size, topic } of actions) {
          time++
          if (kind === 0) {
            topics[topic]!.log.close()
            topics[topic] = open(topic)
          }
          const { append, log, texts, times } = topics[topic]!
          for (let left = repeat; left > 0; left--) {
            const text = `${texts.length}-`.padEnd(kind < 4 ? size * 8 : size, "x")
            texts.push(text)
            times.push(time)
            assert.strictEqual(append(text, time).offset, texts.length - 1)
            if (kind > 30) read(log, log.nextOffset - 2)
            assert.isAtMost(store.bytes, total * KIB)
            assert.isAtMost(store.held, Math.max(total, 256) * KIB)
          }
        }
        for (const { log, texts, times } of topics) {
          assert.strictEqual(log.nextOffset, texts.length)
          const batches = read(log)
          const expected = texts.slice(log.firstOffset).map((text, i) => `${log.firstOffset + i}:${text}`)
          assert.deepStrictEqual(placedTexts(batches), expected)
          assert.deepStrictEqual(
            batches.map((batch) => batch.publisherId),
            texts.slice(log.firstOffset).map(publisherOf)
          )
          assert.strictEqual(
            log.bytes,
            batches.reduce((sum, batch) => sum + batch.size, 0)
          )
          const middle = Math.floor((log.firstOffset + log.nextOffset) / 2)
          for (const offset of [log.firstOffset, log.firstOffset + 1, middle, log.nextOffset - 1])
            if (offset >= log.firstOffset && offset < log.nextOffset)
              assert.strictEqual(read(log, offset, 1)[0]?.offset, offset)
          const since = times[middle] ?? time + 1
          const found = times.findIndex((each, offset) => each >= since && offset >= log.firstOffset)
          assert.strictEqual(Effect.runSync(log.offsetAt(since)), found < 0 ? log.nextOffset : found)
        }
        assert.strictEqual(
          store.bytes,
          topics.reduce((sum, { log }) => sum + log.bytes, 0)
        )
        for (const { log } of topics) log.close()
        assert.strictEqual(store.bytes, 0)
      }),
    { arbitrary: { runs: 150 } }
  )
})

describe("segment store - room", () => {
  it("segment store - a busy topic does not push out what a quiet one has", () => {
    const store = new SegmentStore(1024 * KIB)
    const quiet = opened(store, "quiet")
    const busy = opened(store, "busy", { messages: 100 })
    for (let i = 0; i < 40_000; i++) {
      busy.append("b".repeat(500))
      if (i % 100 === 0) quiet.append(`${i}`)
      assert.isAtMost(store.held, 1024 * KIB)
    }
    assert.deepStrictEqual([quiet.log.messages, busy.log.messages], [400, 100])
    assert.deepStrictEqual(
      placedTexts(read(quiet.log)),
      Array.from({ length: 400 }, (_, i) => `${i}:${i * 100}`)
    )
    assert.strictEqual(read(quiet.log, 333, 1)[0]?.offset, 333)
  })

  it("segment store - what is no longer wanted is given back long before room is short", () => {
    const store = new SegmentStore(64 * 1024 * KIB)
    const quiet = opened(store, "quiet")
    const busy = opened(store, "busy", { messages: 100 })
    for (let i = 0; i < 40_000; i++) {
      busy.append("b".repeat(2000))
      if (i % 100 === 0) quiet.append(`${i}`)
    }
    assert.strictEqual(quiet.log.messages, 400)
    assert.isAtMost(store.held, 10 * 1024 * KIB)
  })

  it("segment store - when all is wanted, the oldest of all topics goes first", () => {
    const store = new SegmentStore(512 * KIB)
    const [a, b] = [opened(store, "a"), opened(store, "b")]
    for (let i = 0; i < 1000; i++) a.append("a".repeat(1000), i)
    const before = a.log.messages
    assert.isAbove(before, 300)
    for (let i = 0; i < 100; i++) b.append("b".repeat(1000), 1000 + i)
    assert.strictEqual(b.log.messages, 100)
    assert.isBelow(a.log.messages, before - 60)
    assert.strictEqual(a.log.nextOffset, 1000)
    for (let i = 0; i < 1000; i++) b.append("b".repeat(1000), 2000 + i)
    assert.deepStrictEqual([a.log.messages, a.log.firstOffset], [0, 1000])
  })

  it("segment store - little that is kept holds little", () => {
    const store = new SegmentStore(1_000_000 * KIB)
    const { append, log } = opened(store, "a")
    append("x")
    assert.isAtMost(store.held, 16 * KIB)
    while (log.bytes < 1000 * KIB) append("x".repeat(1000))
    assert.isAtMost(store.held, 1300 * KIB)
    log.expire(2_000_000_000)
    assert.strictEqual(log.messages, 0)
    assert.isAtMost(store.held, 300 * KIB)
  })
})

describe("segment store - what was read", () => {
  it("segment store - stays as it was when its segment is long gone", () => {
    const store = new SegmentStore(256 * KIB)
    const { append, log } = opened(store, "a", { messages: 200 })
    const readings: Array<readonly [string, ReadonlyArray<Batch>]> = []
    for (let i = 0; i < 20_000; i++) {
      append(`${i}`.padEnd(200, "x"))
      if (i % 1000 === 500) readings.push([`${i}:${`${i}`.padEnd(200, "x")}`, read(log, i)])
    }
    for (const [text, batches] of readings) assert.deepStrictEqual(placedTexts(batches), [text])
  })

  it("segment store - keeps all that a delivery needs", () => {
    const store = new SegmentStore(1024 * KIB)
    const owner = ownerOf("a")
    const log = logOf(store, owner, 2 ** 50, wide)
    for (const text of ["small", "x".repeat(100_000)]) {
      const batch = textBatch(owner, [[text], [text, "last"]], 1_700_000_000_123)
      batch.expires = 1_900_000_000_456
      batch.records = 255
      log.append(batch)
      const kept = read(log, batch.offset)[0]!
      assert.notStrictEqual(kept, batch)
      for (const field of ["owner", "epoch", "offset", "timestamp", "expires", "count", "skip"] as const)
        assert.strictEqual(kept[field], batch[field], field)
      assert.deepStrictEqual(
        [kept.priority, kept.records, kept.publisherId, kept.size],
        [batch.priority, batch.records, batch.publisherId, batch.size]
      )
    }
  })
})
