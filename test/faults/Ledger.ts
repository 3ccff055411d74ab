/**
 * What publishers were told of their messages, and whether a log agrees: every message that has a receipt is there, once,
 * where the receipt says, and the messages of each publisher are in the order in which it published them.
 */
import { assert } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import type { SubscriptionEvent } from "../../src/sdk/Delivery.ts"
import type { Polestar } from "../../src/sdk/Polestar.ts"
import type { PolestarError } from "../../src/sdk/PolestarError.ts"
import * as Topic from "../../src/sdk/Topic.ts"
import { range } from "../contracts/sdk/Kit.ts"
import type { Chance } from "../protocol/Chance.ts"
import { type FaultError, soon } from "./Faults.ts"

/** Who published it, which of its messages it is, and what makes it longer. */
export const Value = Schema.Tuple([Schema.Number, Schema.Number, Schema.String])
export type Value = typeof Value.Type

/** A receipt, and what it is of. */
export interface Told {
  readonly who: number
  readonly n: number
  readonly topic: string
  readonly epoch: number
  readonly offset: number
  readonly duplicate: boolean
}

/** One message of a log, or so many that are lost. */
export type Found =
  | { readonly offset: number; readonly value: Value; readonly timestamp: number }
  | { readonly offset: number; readonly lost: number }

export interface PublishingOptions {
  readonly who: number
  readonly topic: string
  readonly random: Chance
  /** Calls at a time, of up to so many messages each. */
  readonly calls?: number
  readonly perCall?: number
  /** The longest rest of a call after each, in milliseconds. */
  readonly rest?: number
  /** Characters of a message. */
  readonly length?: number
}

export const keyOf = ([who, n]: Value): string => `${who}-${n % 50}`

export class Ledger {
  /** Receipts, as they came. */
  readonly told: Array<Told> = []
  /** Of each publisher, how many it has published or is publishing. */
  readonly published = new Map<number, number>()
  isOver = false

  /** Publishes without a pause until `isOver`, and then waits for all receipts. */
  publish(star: Polestar["Service"], options: PublishingOptions): Effect.Effect<void, PolestarError> {
    const { calls = 3, length = 0, perCall = 12, random, rest = 3, topic, who } = options
    const target = Topic.make(topic, Value)
    const text = "x".repeat(length)
    const one = Effect.gen({ self: this }, function* () {
      while (!this.isOver) {
        const from = this.published.get(who) ?? 0
        const count = 1 + random.below(perCall)
        this.published.set(who, from + count)
        const values = range(count).map((index): Value => [who, from + index, text])
        const receipts = yield* star.publishAll(target, values, { key: keyOf })
        receipts.forEach(({ duplicate, position }, index) => {
          this.told.push({ who, n: from + index, topic, ...position, duplicate })
        })
        yield* Effect.sleep(random.below(rest + 1))
      }
    })
    return Effect.all(
      range(calls).map(() => one),
      { concurrency: "unbounded", discard: true }
    )
  }

  /**
   * Checks that what was found of a damaged topic is right, as far as it goes: no message but where its receipt says, each
   * publisher's in order. Answers how many of the first `count` receipts are of messages that are not said to be lost
   * and are not there either.
   */
  checkPart(topic: string, found: ReadonlyArray<Found>, count = this.told.length): number {
    const at = new Map<number, Value>()
    const last = new Map<number, number>()
    const lost: Array<readonly [from: number, to: number]> = []
    for (const item of found) {
      if ("lost" in item) lost.push([item.offset, item.offset + item.lost])
      else {
        const [who, n] = item.value
        if (n <= (last.get(who) ?? -1))
          assert.fail(`${topic}: message ${n} of publisher ${who} is out of order`)
        last.set(who, n)
        at.set(item.offset, item.value)
      }
    }
    let missing = 0
    for (const told of this.told) {
      const value = told.topic === topic && !told.duplicate ? at.get(told.offset) : undefined
      if (value !== undefined && (value[0] !== told.who || value[1] !== told.n))
        assert.fail(
          `${topic} ${told.offset} is ${value.slice(0, 2)}, and its receipt ${JSON.stringify(told)}`
        )
    }
    for (const { duplicate, offset, topic: its } of this.told.slice(0, count)) {
      if (its !== topic || duplicate || at.has(offset)) continue
      if (!lost.some(([from, to]) => offset >= from && offset < to)) missing++
    }
    return missing
  }

  /** Checks what was found of a topic against the first `count` receipts; also the order, unless batches were refused. */
  check(
    topic: string,
    epoch: number,
    found: ReadonlyArray<Found>,
    count = this.told.length,
    order: "ordered" | "refused" = "ordered"
  ): void {
    const at = new Map<number, Value>()
    const last = new Map<number, number>()
    for (const item of found) {
      if ("lost" in item) {
        assert.fail(`${item.lost} messages of ${topic} are lost from ${item.offset} on`)
        return
      }
      const [who, n] = item.value
      const before = last.get(who) ?? -1
      if (n <= before && order === "ordered")
        assert.fail(`${topic}: message ${n} of publisher ${who} stands after its ${before}`)
      last.set(who, n)
      at.set(item.offset, item.value)
    }
    const whole = new Map([...at].map(([offset, [who, n]]) => [`${who} ${n}`, offset]))
    assert.strictEqual(whole.size, found.length, `${topic} has messages twice`)
    for (const told of this.told.slice(0, count)) {
      if (told.topic !== topic) continue
      assert.strictEqual(told.epoch, epoch, `the epoch of ${topic}`)
      const offset = whole.get(`${told.who} ${told.n}`)
      // Of what was there already a receipt tells where its publisher's newest message is.
      const isThere = told.duplicate ? offset !== undefined && offset <= told.offset : offset === told.offset
      if (!isThere) assert.fail(`${JSON.stringify(told)} is at ${offset}`)
    }
  }

  /** The same, and nothing that was published is missing: of a log whose publishers have all their receipts. */
  checkWhole(
    topic: string,
    epoch: number,
    found: ReadonlyArray<Found>,
    order: "ordered" | "refused" = "ordered"
  ): void {
    this.check(topic, epoch, found, this.told.length, order)
    const counts = new Map<number, number>()
    for (const item of found) {
      if ("value" in item) counts.set(item.value[0], (counts.get(item.value[0]) ?? 0) + 1)
    }
    for (const [who, count] of counts) assert.strictEqual(count, this.published.get(who), `publisher ${who}`)
    assert.isAbove(counts.size, 0)
  }
}

/** All that a topic's log has, from its beginning. */
export const replay = Effect.fnUntraced(function* (
  star: Polestar["Service"],
  name: string
): Effect.fn.Return<
  { readonly epoch: number; readonly found: ReadonlyArray<Found> },
  PolestarError | FaultError
> {
  const [info] = yield* star.topics(name)
  const found: Array<Found> = []
  if (info === undefined) return { epoch: 0, found }
  const { epoch, firstOffset, nextOffset } = info
  const isEnd = (event: SubscriptionEvent<Value, unknown>): boolean => {
    switch (event._tag) {
      case "Message":
        found.push({ offset: event.position.offset, value: event.value, timestamp: event.timestamp })
        return event.position.offset + 1 >= nextOffset
      case "Gap":
        found.push({ offset: event.from.offset, lost: event.to.offset - event.from.offset })
        return event.to.offset >= nextOffset
      default:
        return assert.fail(`heard ${event._tag}`)
    }
  }
  if (firstOffset === nextOffset) return { epoch, found }
  const events = star.events(Topic.make(name, Value), {
    from: { position: { epoch, offset: firstOffset } },
    overflow: "wait",
    queueSize: 50_000
  })
  yield* soon(
    `the log of ${name}`,
    Stream.runForEachWhile(events, (event) => Effect.sync(() => !isEnd(event))),
    () => `${found.length} of ${nextOffset - firstOffset}`
  )
  return { epoch, found }
})
