/**
 * What the members of one group saw and said, kept by the test: what is acknowledged and confirmed must never come
 * again, in order "key" nothing may come before what precedes it with its key is acknowledged.
 */
import type { TopicRange } from "../../src/sdk/Client.ts"

/** Milliseconds after which nothing that was sent before can still be on its way to a member. */
const longestWay = 3000

/** A message's way: delivered, acknowledged, confirmed in a life of the hub at a time. */
interface Seen {
  isDone: boolean
  confirmedIn: number
  confirmedAt: number
}

export class GroupRecord {
  readonly name: string
  /** What must not be. */
  readonly faults: Array<string> = []
  /** Messages that came, and how often they did in all. */
  delivered = 0
  deliveries = 0
  done = 0
  confirmed = 0
  /** Counts the lives of the hub. */
  private readonly lifeOf: () => number
  private readonly topics = new Map<string, Array<Seen | undefined>>()
  /** By topic and key: what was delivered and not acknowledged. */
  private readonly open = new Map<string, Set<number>>()

  constructor(name: string, lifeOf: () => number) {
    this.name = name
    this.lifeOf = lifeOf
  }

  came(topic: string, offset: number, key?: string): void {
    const seen = this.seenOf(topic, offset)
    this.deliveries++
    if (seen.confirmedAt > 0) {
      const since = performance.now() - seen.confirmedAt
      const lives = this.lifeOf() - seen.confirmedIn
      if (lives > 0 || since > longestWay)
        this.faults.push(
          `${this.name}: ${topic} ${offset} came ${Math.round(since)} ms, ${lives} lives after its confirmation`
        )
    }
    if (key !== undefined) this.checkKey(topic, offset, key)
  }

  get redelivered(): number {
    return this.deliveries - this.delivered
  }

  /** The members are about to acknowledge it. */
  acknowledging(topic: string, offset: number, key?: string): void {
    const seen = this.seenOf(topic, offset)
    if (!seen.isDone) this.done++
    seen.isDone = true
    if (key !== undefined) this.open.get(`${topic} ${key}`)?.delete(offset)
  }

  confirmedAll({ from, to, topic }: Pick<TopicRange, "topic" | "from" | "to">, life: number): void {
    for (let offset = from; offset < to; offset++) {
      const seen = this.seenOf(topic, offset)
      if (seen.confirmedAt > 0) continue
      this.confirmed++
      seen.confirmedIn = life
      seen.confirmedAt = performance.now()
    }
  }

  /** Offsets of the first `count` messages of a topic that were never acknowledged. */
  missing(topic: string, count: number): ReadonlyArray<number> {
    const seen = this.topics.get(topic) ?? []
    const missing: Array<number> = []
    for (let offset = 0; offset < count; offset++) if (seen[offset]?.isDone !== true) missing.push(offset)
    return missing
  }

  /** Offsets of a topic whose acknowledgement was confirmed. */
  allConfirmed(topic: string): ReadonlySet<number> {
    const offsets = new Set<number>()
    this.topics.get(topic)?.forEach((seen, offset) => {
      if (seen !== undefined && seen.confirmedAt > 0) offsets.add(offset)
    })
    return offsets
  }

  private seenOf(topic: string, offset: number): Seen {
    let all = this.topics.get(topic)
    if (all === undefined) {
      all = []
      this.topics.set(topic, all)
    }
    const seen = all[offset]
    if (seen !== undefined) return seen
    const made = { isDone: false, confirmedIn: 0, confirmedAt: 0 }
    all[offset] = made
    this.delivered++
    return made
  }

  private checkKey(topic: string, offset: number, key: string): void {
    const name = `${topic} ${key}`
    const open = this.open.get(name) ?? new Set<number>()
    this.open.set(name, open)
    for (const other of open) {
      if (other < offset)
        this.faults.push(`${this.name}: ${topic} ${offset} came before ${other} of its key ${key} was done`)
    }
    open.add(offset)
  }
}
