/**
 * A log in memory that does what a test says: it fails, keeps batches back until they are released, and outlives a
 * hub, so that a test can end one at any point between an append and its receipt and start another on what was kept.
 */
import { Effect, Layer } from "effect"
import type { Batch } from "../../src/protocol/Batch.ts"
import type { Durability } from "../../src/protocol/Position.ts"
import { MessageLog, type MessageLogError, type TopicLog } from "../../src/services/MessageLog.ts"
import * as MessageLogMemory from "../../src/services/MessageLogMemory.ts"
import { FailingTopicLog, Given, LastingOwner } from "./FailingTopicLog.ts"

/** What waits until it is released: to be appended, or to be held until `at`. */
interface Waiting {
  readonly log: FailingTopicLog
  readonly batch: Batch
  readonly at: number | undefined
}

export class Faults {
  /** Of topics that are named here the next so many appends (or holds) fail, or throw. */
  readonly failures = new Map<string, number>()
  readonly throws = new Map<string, number>()
  /** What is appended to topics that are named here waits until it is released or refused. */
  readonly holdsBack = new Set<string>()
  /** Whether every batch is kept later, though without being released, as on a disk. */
  isLate = false
  /** What the log says of itself. */
  durability: Durability = "accepted"
  isReceiptEarly = false
  room: Effect.Effect<void> | undefined
  /** What the removal of a topic waits for; if that fails, so does the removal. */
  removing: Effect.Effect<void, MessageLogError> | undefined
  /** Whether topics keep their messages when they are closed, as on a disk. */
  outlivesHub = false
  /** Rises with each crash; logs that were opened in an earlier life refuse. */
  life = 0
  private waiting: ReadonlyArray<Waiting> = []
  private isScheduled = false
  private given: ReadonlyArray<Given> = []

  /** How many batches of the topic wait. */
  waitingFor(topic: string): number {
    return this.waiting.filter(({ log }) => log.topic === topic).length
  }

  /** Keeps the first `count` that wait, and tells the topic. Answers how many. */
  release(topic: string, count = Number.POSITIVE_INFINITY): number {
    return this.take(topic, count, (log, each) => log.keep(each.batch, each.at, true))
  }

  /** As `release`, but the topic is never told: as if the hub ended before it was. */
  keepUntold(topic: string, count = Number.POSITIVE_INFINITY): number {
    return this.take(topic, count, (log, each) => log.keep(each.batch, each.at, false))
  }

  /** Refuses the first `count` that wait. */
  refuse(topic: string, count = Number.POSITIVE_INFINITY, reason: MessageLogError["reason"] = "io"): number {
    return this.take(topic, count, (log, { batch }) => log.refuse(batch, reason))
  }

  /**
   * The hub is no more, at once: what waits is lost, and what it still does to the log has no effect. With
   * `outlivesHub` a hub that opens the log now finds all that was kept; a batch that was due and not appended is due
   * again.
   */
  crash(): void {
    this.life++
    this.waiting = []
    const { given } = this
    this.given = []
    for (const each of given) each.holdAgain()
  }

  add(waiting: Waiting): void {
    this.waiting = [...this.waiting, waiting]
    if (!this.isLate || this.isScheduled) return
    this.isScheduled = true
    queueMicrotask(() => {
      this.isScheduled = false
      for (const { log } of this.waiting) if (!this.holdsBack.has(log.topic)) this.release(log.topic)
    })
  }

  gave(given: Given): void {
    this.given = [...this.given.filter((each) => !each.isForgotten), given]
  }

  private take(topic: string, count: number, each: (log: FailingTopicLog, waiting: Waiting) => void): number {
    const taken = this.waiting.filter(({ log }) => log.topic === topic).slice(0, count)
    this.waiting = this.waiting.filter((waiting) => !taken.includes(waiting))
    for (const waiting of taken) each(waiting.log, waiting)
    return taken.length
  }
}

export const noFaults = (): Faults => new Faults()

/** The log as a service, to be given to several hubs one after the other. */
export const makeFailingLog = Effect.fnUntraced(function* (faults: Faults) {
  const limits = { messages: 1000, bytes: 1_000_000, age: 600_000, totalBytes: 10_000_000 }
  const inner = yield* MessageLogMemory.make(limits)
  const topics = new Map<string, LastingOwner>()
  const openInner = (topic: string, owner: LastingOwner): TopicLog => {
    const log = inner.open(topic, owner)
    if (Effect.isEffect(log)) throw new Error("the log in memory opens at once")
    return log
  }
  return MessageLog.of({
    bytes: inner.bytes,
    tidy: () => {},
    names: (after = "") =>
      faults.outlivesHub ? [...topics.keys()].filter((name) => name > after).sort() : [],
    describe: (topic) => (faults.outlivesHub ? topics.get(topic)?.log : undefined),
    nextDue: inner.nextDue,
    due: (now, maxBytes) =>
      Effect.map(inner.due(now, maxBytes), (held) =>
        held.map((each) => {
          const given = new Given(each, (topic) => topics.get(topic))
          faults.gave(given)
          return given
        })
      ),
    open: (topic, to) => {
      const owner = topics.get(topic) ?? new LastingOwner(to)
      owner.to = to
      owner.log ??= openInner(topic, owner)
      topics.set(topic, owner)
      return new FailingTopicLog(owner, owner.log, faults, () => topics.delete(topic))
    }
  })
})

export const failingLog = (faults: Faults): Layer.Layer<MessageLog> =>
  Layer.effect(MessageLog, makeFailingLog(faults))
