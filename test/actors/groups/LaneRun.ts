/** Runs a schedule on a lane and on its model, and compares them after each step. */
import { assert } from "@effect/vitest"
import { type Entry, Lane, type LaneRules } from "../../../src/actors/groups/Lane.ts"
import { type Batch, sliceBatch } from "../../../src/protocol/Batch.ts"
import { Fates } from "../../../src/protocol/Position.ts"
import { firstDying, keyedBatch, textAt, textsOf } from "./LaneLog.ts"
import { LaneModel, type LoggedMessage } from "./LaneModel.ts"

export const StepKinds = [
  "push",
  "give",
  "supply",
  "acknowledge",
  "acknowledgeTo",
  "refuse",
  "leave",
  "advance",
  "crash",
  "forget",
  "skip",
  "release",
  "requeue",
  "bury",
  "stale",
  "reset"
] as const

export interface Step {
  readonly kind: (typeof StepKinds)[number]
  readonly a: number
  readonly b: number
  readonly c: number
}

const members = ["m1", "m2", "m3"]
const states = ["ready", "flying", "waiting", "parked", "dying"] as const
const pickOf = <A>(items: ReadonlyArray<A>, number: number): A => items[number % items.length]!

export class LaneRun {
  readonly rules: LaneRules
  readonly log = new Map<number, LoggedMessage>()
  readonly batches: Array<Batch> = []
  readonly model: LaneModel
  lane: Lane<string>
  now = 1000
  /** Messages that must not be delivered, since they were acknowledged. */
  readonly done = new Set<number>()
  /** Deliveries of messages, for what must happen in the end. */
  readonly given = new Map<number, number>()
  private old: Entry<string> | undefined
  /** Batches that were found to hold what they should; a batch does not change. */
  private readonly read = new WeakSet<Batch>()

  constructor(rules: LaneRules) {
    this.rules = rules
    this.model = new LaneModel(rules, this.log)
    this.lane = new Lane(rules, 1, 0)
  }

  run(steps: ReadonlyArray<Step>): void {
    for (const step of steps) {
      const held = this.lane.peek() ?? firstDying(this.lane)
      this[step.kind](step)
      this.compare()
      if (step.c % 3 === 0) this.old = held
    }
    this.drain()
  }

  /** In the end all is done, and what was pending was delivered or died. */
  drain(): void {
    const { lane, model } = this
    const before = new Map(this.given)
    const pending = model.offsets
    const dead = new Set<number>()
    assert.strictEqual(this.lane.release(), model.release())
    for (let left = 10_000; lane.pending > 0; left--) {
      assert.isAbove(left, 0, "it does not end")
      this.now = Math.max(this.now, lane.nextDue === Infinity ? 0 : lane.nextDue)
      assert.strictEqual(lane.expire(this.now), model.expire(this.now))
      for (let entry = firstDying(lane); entry !== undefined; entry = firstDying(lane)) {
        for (let at = entry.offset; at < entry.offset + entry.count; at++) dead.add(at)
        this.bury()
      }
      while (lane.peek() !== undefined) this.give({ kind: "give", a: left, b: 0, c: 1 })
      this.compare()
      if (left % 3 === 0) this.acknowledge({ kind: "acknowledge", a: 1, b: left, c: 0 })
      if (left % 7 === 0) this.acknowledgeTo({ kind: "acknowledgeTo", a: 1000, b: 0, c: 0 })
    }
    for (const offset of pending)
      assert.isTrue(
        dead.has(offset) ||
          this.done.has(offset) ||
          (this.given.get(offset) ?? 0) > (before.get(offset) ?? 0),
        `${offset} was never delivered`
      )
  }

  push({ a, b, c }: Step): void {
    const offset = this.model.next + (c % 5 === 0 ? 1 + (a % 3) : 0)
    const priority = a % 4 === 0 ? b % 3 : 0
    const frames = Array.from({ length: 1 + (a % 3) }, (_, frame) =>
      Array.from({ length: 1 + ((b + frame) % 4) }, (_, index) => pickOf(["k1", "k2", "", "k3"], c + index))
    )
    const batch = keyedBatch(offset, frames, priority)
    frames.flat().forEach((key, index) => {
      this.log.set(offset + index, { key: key === "" ? undefined : key, priority })
    })
    this.batches.push(batch)
    this.lane.push(batch)
    this.model.push(offset, batch.count)
  }

  give({ a, b, c }: Step): void {
    const { lane, model } = this
    let entry = lane.peek()
    if (entry !== undefined && entry.batch === undefined) {
      this.supply({ kind: "supply", a: c, b, c: 1 })
      entry = lane.peek()
    }
    if (entry?.batch === undefined) return
    const count = 1 + (a % (entry.count + 1))
    const until = this.now + 1 + (b % 30)
    const { offset } = entry
    const given = Math.min(count, entry.count)
    for (let at = offset; at < offset + given; at++) {
      assert.isFalse(this.done.has(at), "delivered after its acknowledgement")
      assert.isFalse(model.isBlocked(at, true), "delivered out of the order of its key")
      this.given.set(at, (this.given.get(at) ?? 0) + 1)
    }
    const member = pickOf(members, b)
    lane.give(entry, count, member, until)
    model.give(offset, given, member, until)
  }

  /** As a log reads: from before the entry, all of it, less of it, or only what follows the first. */
  supply({ a, c }: Step): void {
    const entry = this.lane.peek()
    if (entry === undefined || entry.batch !== undefined) return
    const { offset, count } = entry
    const whole = this.batches.find((batch) => offset < batch.offset + batch.count)
    if (whole === undefined) return
    const room = whole.count - Math.max(0, offset - whole.offset)
    const from = Math.max(0, offset - whole.offset) + (c % 7 === 0 && room > 1 ? 1 : 0)
    const batch = pickOf(
      [
        whole,
        sliceBatch(whole, from, whole.count),
        sliceBatch(whole, from, from + 1 + (a % (whole.count - from)))
      ],
      c
    )
    const lost = this.lane.supply(entry, batch)
    assert.strictEqual(lost, this.model.supply(offset, count, batch.offset, batch.offset + batch.count))
  }

  acknowledge({ a, b }: Step): void {
    const from = Math.max(0, this.model.floor - 2 + (a % (this.model.next - this.model.floor + 4)))
    this.finish(from, from + (b % 9))
  }

  acknowledgeTo({ a }: Step): void {
    this.finish(0, this.model.floor + (a % 12))
  }

  refuse({ a, b, c }: Step): void {
    const from = Math.max(0, this.model.floor - 1 + (a % (this.model.next - this.model.floor + 2)))
    const to = from + (c % 9)
    const member = pickOf(members, b)
    const fate = pickOf(Fates, c)
    const delay = b % 2 === 0 ? undefined : b % 40
    const error = `error ${c % 4}`
    const refused = this.lane.refuse(from, to, (each) => each === member, fate, this.now, delay, error)
    assert.strictEqual(refused, this.model.refuse(from, to, member, fate, this.now, delay, error))
  }

  leave({ a, b }: Step): void {
    const member = pickOf(members, a)
    const left = this.lane.leave(member, this.now, b % 2 === 0, "gone")
    assert.strictEqual(left, this.model.leave(member, this.now, b % 2 === 0, "gone"))
  }

  advance({ a }: Step): void {
    this.now += a % 25
    assert.strictEqual(this.lane.expire(this.now), this.model.expire(this.now))
  }

  crash(): void {
    const lane = Lane.decode<string>(this.lane.encode(), this.rules)
    assert.isDefined(lane)
    assert.deepStrictEqual(lane.encode(), this.lane.encode())
    this.lane = lane
    this.model.crash()
  }

  forget({ a }: Step): void {
    const offset = this.model.floor + (a % 6)
    assert.strictEqual(this.lane.forget(offset), this.model.acknowledge(0, offset))
  }

  skip({ a }: Step): void {
    this.model.next += a % 3
    this.lane.skipTo(this.model.next - (a % 2))
    this.lane.skipTo(this.model.next)
  }

  release(): void {
    assert.strictEqual(this.lane.release(), this.model.release())
  }

  requeue({ a }: Step): void {
    const offset = a % (this.model.next + 2)
    if (offset < this.model.next && !this.log.has(offset)) return
    assert.strictEqual(this.lane.requeue(offset), this.model.requeue(offset))
    if (offset < this.model.next) this.done.delete(offset)
  }

  bury(): void {
    const entry = firstDying(this.lane)
    if (entry === undefined) return
    this.model.acknowledge(entry.offset, entry.offset + entry.count)
    this.lane.acknowledge(entry.offset, entry.offset + entry.count)
  }

  /** What was answered earlier, and is no entry of the lane any more or is of another state, changes nothing. */
  stale(): void {
    const { old, lane } = this
    const first = this.batches[0]
    if (old === undefined || first === undefined) return
    if ([...lane.entries()].includes(old)) {
      if (old.state !== "ready") lane.give(old, 1, "m1", this.now + 1)
    } else {
      lane.give(old, 1, "m1", this.now + 1)
      lane.supply(old, first)
    }
  }

  reset({ a, b }: Step): void {
    if (a % 4 !== 0) return
    const offset = pickOf(this.batches, b)?.offset ?? 0
    this.lane.reset(1, offset)
    this.model.messages.clear()
    this.model.next = offset
    this.done.clear()
    for (const at of [...this.log.keys()]) if (at >= offset) this.log.delete(at)
    this.batches.splice(0, Infinity, ...this.batches.filter((batch) => batch.offset < offset))
  }

  compare(): void {
    const { lane, model } = this
    assert.strictEqual(lane.next, model.next)
    assert.strictEqual(lane.floor, model.floor)
    assert.strictEqual(lane.nextDue, model.nextDue)
    const counts = [lane.ready, lane.inFlight, lane.waiting, lane.parked, lane.dying]
    assert.strictEqual(counts.join(), states.map((state) => model.count(state)).join())
    assert.strictEqual(lane.pending, model.messages.size)
    let bytes = 0
    const seen: Array<number> = []
    for (const entry of lane.entries()) {
      for (let at = entry.offset; at < entry.offset + entry.count; at++) seen.push(at)
      bytes += entry.batch?.size ?? 0
      this.compareEntry(entry)
    }
    assert.strictEqual(seen.join(), model.offsets.join())
    assert.strictEqual(lane.readyBytes, bytes)
    assert.strictEqual(lane.peek()?.offset, model.peek())
    const dying = model.offsets.find((offset) => model.messages.get(offset)!.state === "dying")
    assert.strictEqual(firstDying(lane)?.offset, dying)
  }

  /** Asks plainly before it asserts, since it runs for every message after every step. */
  private compareEntry(entry: Entry<string>): void {
    const { batch, offset, count } = entry
    const { order, maxDeliveries } = this.rules
    for (let at = offset; at < offset + count; at++) {
      const message = this.model.messages.get(at)
      const isSame =
        message !== undefined &&
        entry.state === message.state &&
        entry.failures === message.failures &&
        entry.until === message.until &&
        entry.member === message.member &&
        entry.error === message.error &&
        (batch !== undefined) === message.isAtHand &&
        (order === "any" || !message.isKeyKnown || entry.key === this.log.get(at)?.key)
      if (!isSame) assert.deepStrictEqual({ ...entry, at }, { ...entry, ...message, at })
      const mayFail = maxDeliveries === 0 || entry.state === "dying" || entry.state === "waiting"
      if (!mayFail && entry.failures >= maxDeliveries) assert.fail(`${at} failed too often`)
    }
    if (order === "key" && batch !== undefined) assert.strictEqual(count, 1)
    if (batch === undefined || this.read.has(batch)) return
    this.read.add(batch)
    assert.strictEqual(batch.offset, offset)
    const texts = Array.from({ length: count }, (_, i) => textAt(offset + i))
    assert.deepStrictEqual(textsOf(batch), texts)
  }

  private finish(from: number, to: number): void {
    assert.strictEqual(this.lane.acknowledge(from, to), this.model.acknowledge(from, to))
    for (let at = from; at < Math.min(to, this.model.next); at++) this.done.add(at)
  }
}
