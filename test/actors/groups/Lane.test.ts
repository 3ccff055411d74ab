import { assert, describe, it } from "@effect/vitest"
import { type Entry, Lane, type LaneRules } from "../../../src/actors/groups/Lane.ts"
import { Batch } from "../../../src/protocol/Batch.ts"
import { firstDying, keyedBatch, plainBatch, textsOf } from "./LaneLog.ts"

const rules: LaneRules = { order: "any", maxDeliveries: 3, backoff: 100, maxBackoff: 250 }
const byKey: LaneRules = { ...rules, order: "key" }
const anyone = () => true

const shown = (lane: Lane<string>): ReadonlyArray<string> =>
  [...lane.entries()].map(({ offset, count, state }) => `${offset}+${count} ${state}`)

/** Its dead letters are stored. */
const bury = (lane: Lane<string>): void => {
  const entry = firstDying(lane)
  if (entry !== undefined) lane.acknowledge(entry.offset, entry.offset + entry.count)
}

const peeked = (lane: Lane<string>): Entry<string> => {
  const entry = lane.peek()
  assert.isDefined(entry)
  return entry
}

/** Gives all that may be given; answers the offsets. */
const giveAll = (lane: Lane<string>, member = "m", until = 1000): ReadonlyArray<number> => {
  const offsets: Array<number> = []
  for (let entry = lane.peek(); entry?.batch !== undefined; entry = lane.peek()) {
    offsets.push(entry.offset)
    lane.give(entry, entry.count, member, until)
  }
  return offsets
}

const restored = (lane: Lane<string>): Lane<string> => {
  const copy = Lane.decode<string>(lane.encode(), lane.rules)
  assert.isDefined(copy)
  return copy
}

describe("lane - delivery and acknowledgement", () => {
  it("a batch is given in parts, and acknowledged in others", () => {
    const lane = new Lane<string>(rules, 1, 0)
    lane.push(plainBatch(0, 10))
    lane.give(peeked(lane), 4, "a", 50)
    assert.deepStrictEqual(shown(lane), ["0+4 flying", "4+6 ready"])
    assert.deepStrictEqual(textsOf(peeked(lane).batch!), ["m4", "m5", "m6", "m7", "m8", "m9"])
    assert.strictEqual(lane.acknowledge(1, 2), 1)
    assert.strictEqual(lane.acknowledge(3, 6), 3)
    assert.deepStrictEqual(shown(lane), ["0+1 flying", "2+1 flying", "6+4 ready"])
    assert.strictEqual(lane.acknowledge(0, 3), 2)
    assert.strictEqual(lane.acknowledge(0, 3), 0)
    assert.deepStrictEqual([lane.floor, lane.next, lane.pending], [6, 10, 4])
    assert.strictEqual(lane.acknowledge(0, 1000), 4)
    assert.deepStrictEqual([lane.floor, lane.pending, lane.readyBytes], [10, 0, 0])
  })

  it("what is given holds no bytes", () => {
    const lane = new Lane<string>(rules, 1, 0)
    lane.push(plainBatch(0, 10))
    assert.isAbove(lane.readyBytes, 0)
    const entry = peeked(lane)
    lane.give(entry, 10, "a", 50)
    assert.isUndefined(entry.batch)
    assert.strictEqual(lane.readyBytes, 0)
  })

  it("the urgent first, then the order of the log, also of what came back", () => {
    const lane = new Lane<string>(rules, 1, 0)
    for (const [offset, priority] of [0, 5, 0, 5].entries()) lane.push(plainBatch(offset, 1, priority))
    assert.deepStrictEqual(giveAll(lane), [1, 3, 0, 2])
    lane.leave("m", 0, false, "")
    assert.strictEqual(peeked(lane).offset, 1)
    lane.acknowledge(1, 2)
    assert.strictEqual(peeked(lane).offset, 3)
    lane.acknowledge(3, 4)
    assert.strictEqual(peeked(restored(lane)).offset, 0)
  })

  it("a batch that overlaps what was taken is taken from there; one that does not follow leaves a gap", () => {
    const lane = new Lane<string>(rules, 1, 5)
    lane.push(plainBatch(0, 4))
    lane.push(plainBatch(3, 4))
    lane.push(plainBatch(20, 2))
    assert.deepStrictEqual(shown(lane), ["5+2 ready", "20+2 ready"])
    assert.deepStrictEqual(textsOf(peeked(lane).batch!), ["m5", "m6"])
    lane.skipTo(30)
    lane.skipTo(25)
    assert.deepStrictEqual([lane.floor, lane.next, lane.pending], [5, 30, 4])
  })

  it("an entry without a batch takes what the log has of it", () => {
    const lane = new Lane<string>(rules, 1, 0)
    lane.push(plainBatch(0, 20))
    const copy = restored(lane)
    const entry = peeked(copy)
    assert.isUndefined(entry.batch)
    copy.give(entry, 5, "a", 50)
    assert.strictEqual(copy.inFlight, 0)
    assert.strictEqual(copy.supply(entry, plainBatch(3, 6)), 3)
    assert.deepStrictEqual(shown(copy), ["3+6 ready", "9+11 ready"])
    assert.deepStrictEqual(textsOf(entry.batch!), ["m3", "m4", "m5", "m6", "m7", "m8"])
    assert.strictEqual(copy.supply(entry, plainBatch(0, 20)), 0)
    copy.acknowledge(0, 9)
    assert.strictEqual(copy.supply(entry, plainBatch(0, 20)), 0)
    assert.strictEqual(copy.supply(peeked(copy), plainBatch(30, 1)), 11)
    assert.strictEqual(copy.pending, 0)
  })

  it("one batch of the log serves all ready entries that it has messages of", () => {
    const lane = new Lane<string>(rules, 1, 0)
    lane.push(plainBatch(0, 6))
    giveAll(lane)
    for (const at of [0, 2, 4]) lane.refuse(at, at + 1, anyone, "again", 0, 0, "no")
    lane.supply(peeked(lane), plainBatch(0, 3))
    assert.deepStrictEqual(giveAll(lane), [0, 2])
    assert.deepStrictEqual([peeked(lane).offset, peeked(lane).batch], [4, undefined])
  })
})

describe("lane - failures", () => {
  it("the backoff doubles up to its maximum, and then the message dies", () => {
    const lane = new Lane<string>({ ...rules, maxDeliveries: 5 }, 1, 0)
    lane.push(plainBatch(0, 1))
    const waits: Array<number> = []
    let now = 0
    for (let attempt = 1; attempt <= 5; attempt++) {
      const entry = peeked(lane)
      if (entry.batch === undefined) lane.supply(entry, plainBatch(0, 1))
      assert.strictEqual(entry.failures, attempt - 1)
      lane.give(entry, 1, "m", now + 30)
      lane.refuse(0, 1, anyone, "again", now, undefined, `no ${attempt}`)
      if (lane.waiting === 0) break
      waits.push(lane.nextDue - now)
      now = lane.nextDue
      assert.strictEqual(lane.expire(now - 1), 0)
      assert.strictEqual(lane.expire(now), 1)
    }
    assert.deepStrictEqual(waits, [100, 200, 250, 250])
    const entry = firstDying(lane)
    assert.deepInclude(entry, { offset: 0, failures: 5, error: "no 5", state: "dying" })
    assert.strictEqual(lane.nextDue, Infinity)
    bury(lane)
    assert.deepStrictEqual([lane.dying, lane.floor], [0, 1])
  })

  it("the wait for an acknowledgement ends in a failure, which says so", () => {
    const lane = new Lane<string>(rules, 1, 0)
    lane.push(plainBatch(0, 3))
    lane.give(peeked(lane), 3, "m", 30)
    lane.acknowledge(1, 2)
    assert.strictEqual(lane.nextDue, 30)
    assert.strictEqual(lane.expire(29), 0)
    assert.strictEqual(lane.expire(30), 2)
    assert.deepStrictEqual(shown(lane), ["0+1 waiting", "2+1 waiting"])
    const [first] = lane.entries()
    assert.deepInclude(first, { failures: 1, until: 130, error: "the acknowledgement wait ran out" })
  })

  it("each fate does what it says, and only to what the member has", () => {
    const lane = new Lane<string>(rules, 1, 0)
    lane.push(plainBatch(0, 6))
    lane.give(peeked(lane), 5, "a", 50)
    lane.give(peeked(lane), 1, "b", 50)
    const isA = (member: string) => member === "a"
    assert.strictEqual(lane.refuse(5, 6, isA, "dead", 0, undefined, "x"), 0)
    assert.strictEqual(lane.refuse(0, 1, isA, "again", 0, 7, "x"), 1)
    assert.strictEqual(lane.refuse(1, 2, isA, "dead", 0, undefined, "x"), 1)
    assert.strictEqual(lane.refuse(2, 3, isA, "park", 0, undefined, "x"), 1)
    assert.strictEqual(lane.refuse(3, 4, isA, "back", 0, undefined, "x"), 1)
    assert.strictEqual(lane.refuse(0, 100, isA, "hold", 0, 80, "x"), 1)
    assert.deepStrictEqual(
      [...lane.entries()].map(({ state, failures, until }) => [state, failures, until]),
      [
        ["waiting", 1, 7],
        ["dying", 1, 0],
        ["parked", 1, 0],
        ["ready", 0, 0],
        ["flying", 0, 80],
        ["flying", 0, 50]
      ]
    )
    assert.strictEqual(lane.release(), 1)
    assert.strictEqual(lane.ready, 2)
  })

  it("a member that leaves gives all back at once; if it was lost, that counts", () => {
    const lane = new Lane<string>({ ...rules, maxDeliveries: 1 }, 1, 0)
    lane.push(plainBatch(0, 4))
    lane.give(peeked(lane), 2, "a", 50)
    lane.give(peeked(lane), 2, "b", 50)
    assert.strictEqual(lane.leave("a", 0, false, ""), 2)
    assert.strictEqual(lane.leave("a", 0, false, ""), 0)
    assert.strictEqual(lane.leave("b", 0, true, "lost"), 2)
    assert.deepStrictEqual(shown(lane), ["0+2 ready", "2+2 dying"])
    assert.strictEqual(lane.nextDue, Infinity)
  })

  it("a long error is cut, and written once however many have it", () => {
    const lane = new Lane<string>(rules, 1, 0)
    lane.push(plainBatch(0, 100))
    giveAll(lane)
    for (let at = 0; at < 100; at += 2) lane.refuse(at, at + 1, anyone, "again", 0, at + 1, "é".repeat(9000))
    const [first] = lane.entries()
    assert.strictEqual(first?.error.length, 1024)
    assert.isBelow(lane.encode().length, 2 * 1024 + 100 * 10)
    assert.deepStrictEqual([...restored(lane).entries()][98]?.error, first?.error)
  })
})

describe("lane - the log's end of it", () => {
  it("what the log forgot is lost, whatever became of it", () => {
    const lane = new Lane<string>(rules, 1, 0)
    lane.push(plainBatch(0, 10))
    lane.give(peeked(lane), 4, "a", 50)
    lane.acknowledge(1, 3)
    assert.strictEqual(lane.forget(6), 4)
    assert.deepStrictEqual([shown(lane), lane.floor], [["6+4 ready"], 6])
    assert.strictEqual(lane.forget(50), 4)
    assert.deepStrictEqual([lane.floor, lane.next], [10, 10])
  })

  it("only what was done is given again by hand, as if it had never failed", () => {
    const lane = new Lane<string>(rules, 1, 0)
    lane.push(plainBatch(0, 4))
    giveAll(lane)
    lane.refuse(2, 3, anyone, "dead", 0, undefined, "x")
    assert.isFalse(lane.requeue(2))
    bury(lane)
    assert.isTrue(lane.requeue(2))
    assert.isFalse(lane.requeue(2))
    for (const offset of [0, 4, -1, 1.5, Number.NaN]) assert.isFalse(lane.requeue(offset))
    assert.deepInclude(peeked(lane), { offset: 2, count: 1, failures: 0, error: "", batch: undefined })
  })

  it("a reset lane is new; what was answered before is nothing to it", () => {
    const lane = new Lane<string>(rules, 1, 0)
    lane.push(plainBatch(0, 4))
    const entry = peeked(lane)
    lane.reset(2, 1)
    assert.deepStrictEqual([lane.epoch, lane.floor, lane.next, lane.pending], [2, 1, 1, 0])
    lane.give(entry, 1, "m", 50)
    assert.deepStrictEqual([lane.pending, lane.readyBytes, lane.nextDue], [0, 0, Infinity])
  })
})

describe("lane - its state", () => {
  it("what flies is ready again without a failure, all else is as it was", () => {
    const lane = new Lane<string>(rules, 7, 100)
    lane.push(plainBatch(100, 10, 3))
    giveAll(lane)
    lane.acknowledge(102, 104)
    lane.refuse(104, 106, anyone, "again", 5, 20, "no")
    lane.refuse(106, 107, anyone, "park", 5, undefined, "no")
    lane.refuse(107, 108, anyone, "dead", 5, undefined, "never")
    lane.skipTo(120)
    const copy = restored(lane)
    assert.deepStrictEqual(
      [...copy.entries()].map((each) => [each.offset, each.count, each.state, each.failures, each.until]),
      [
        [100, 2, "ready", 0, 0],
        [104, 2, "waiting", 1, 25],
        [106, 1, "parked", 1, 0],
        [107, 1, "dying", 1, 5],
        [108, 2, "ready", 0, 0]
      ]
    )
    assert.deepStrictEqual([copy.epoch, copy.floor, copy.next], [7, 100, 120])
    assert.deepStrictEqual([firstDying(copy)?.error, copy.nextDue], ["never", 25])
  })

  it("is small: neighbours that share all are one, and positions take what they need", () => {
    const lane = new Lane<string>(rules, 1, 2 ** 50)
    for (let at = 0; at < 6400; at += 64) lane.push(plainBatch(2 ** 50 + at, 64))
    giveAll(lane)
    assert.isBelow(lane.encode().length, 40)
    const empty = new Lane<string>(rules, 1, 0).encode()
    assert.isAtMost(empty.length, 8)
    assert.isUndefined(Lane.decode(new Uint8Array(0), rules))
    assert.isUndefined(Lane.decode(Uint8Array.of(...empty, 0), rules))
  })
})

describe("lane - order by key", () => {
  it("a message waits for those of its key, and for no others", () => {
    const lane = new Lane<string>(byKey, 1, 0)
    lane.push(keyedBatch(0, [["a", "b", "a", ""], ["a"], [""]]))
    assert.strictEqual(lane.ready, 6)
    assert.deepStrictEqual(giveAll(lane), [0, 1, 3, 5])
    lane.acknowledge(0, 1)
    assert.deepStrictEqual(giveAll(lane), [2])
    lane.refuse(2, 3, anyone, "again", 0, 10, "no")
    assert.isUndefined(lane.peek())
    lane.expire(10)
    assert.deepInclude(peeked(lane), { offset: 2, key: "a", batch: undefined })
    lane.supply(peeked(lane), keyedBatch(2, [["a"]]))
    giveAll(lane)
    lane.refuse(2, 3, anyone, "park", 10, undefined, "no")
    assert.deepStrictEqual(giveAll(lane), [4])
  })

  it("urgency does not pass an earlier one of the same key", () => {
    const lane = new Lane<string>(byKey, 1, 0)
    lane.push(keyedBatch(0, [["a"]]))
    lane.push(keyedBatch(1, [["b"]]))
    lane.push(keyedBatch(2, [["a", "c"]], 9))
    assert.deepStrictEqual(giveAll(lane), [3, 0, 1])
  })

  it("one that comes back by hand goes before later ones, but not beside one", () => {
    const lane = new Lane<string>(byKey, 1, 0)
    lane.push(keyedBatch(0, [["a", "a", "a"]]))
    giveAll(lane)
    lane.refuse(0, 1, anyone, "park", 0, undefined, "no")
    lane.release()
    assert.strictEqual(peeked(lane).offset, 0)
    lane.supply(peeked(lane), keyedBatch(0, [["a"]]))
    giveAll(lane)
    lane.refuse(0, 1, anyone, "park", 0, undefined, "no")
    assert.deepStrictEqual(giveAll(lane), [1])
    lane.release()
    assert.isUndefined(lane.peek())
    lane.acknowledge(1, 2)
    assert.strictEqual(peeked(lane).offset, 0)
  })

  it("each message is delivered in a frame of its own", () => {
    const lane = new Lane<string>(byKey, 1, 0)
    lane.push(keyedBatch(0, [["a", "b", "c"], ["d"]]))
    const sizes: Array<number> = []
    for (const { batch } of lane.entries()) {
      assert.isDefined(batch)
      assert.strictEqual(batch.count, 1)
      assert.strictEqual(batch.skip, 0)
      sizes.push(batch.size)
    }
    assert.deepStrictEqual(sizes, [sizes[3], sizes[3], sizes[3], sizes[3]])
    assert.strictEqual(lane.readyBytes, 4 * sizes[3]!)
  })

  it("after a restart nothing is delivered past what was not read again", () => {
    const lane = new Lane<string>(byKey, 1, 0)
    lane.push(keyedBatch(0, [["a", "b", "a", "b"]]))
    giveAll(lane)
    lane.refuse(1, 2, anyone, "again", 0, 50, "no")
    const copy = restored(lane)
    copy.push(keyedBatch(4, [["a", "b", "c"]]))
    assert.deepInclude(peeked(copy), { offset: 0, batch: undefined })
    copy.supply(peeked(copy), keyedBatch(0, [["a"]]))
    assert.deepStrictEqual(giveAll(copy), [0])
    assert.deepInclude(peeked(copy), { offset: 2, count: 2, batch: undefined })
    copy.supply(peeked(copy), keyedBatch(2, [["a", "b"]]))
    // 1 waits, and its key came with it: so 3 waits too.
    assert.deepStrictEqual(giveAll(copy), [6])
    copy.acknowledge(0, 1)
    assert.deepStrictEqual(giveAll(copy), [2])
    copy.expire(50)
    assert.strictEqual(peeked(copy).offset, 1)
  })

  it("bytes that cannot be read are one entry without a key", () => {
    const whole = keyedBatch(0, [["a", "b"], ["c"]])
    const { owner, bytes, priority, publisherId } = whole
    const lane = new Lane<string>(byKey, 1, 0)
    lane.push(new Batch(owner, bytes, 0, bytes.length - 3, 3, priority, publisherId))
    assert.deepStrictEqual(
      [...lane.entries()].map(({ offset, count, key }) => [offset, count, key]),
      [
        [0, 1, "a"],
        [1, 1, "b"],
        [2, 1, undefined]
      ]
    )
    assert.strictEqual(lane.acknowledge(0, 3), 3)
  })
})
