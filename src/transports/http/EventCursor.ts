/**
 * The cursor of an event stream. It comes to no end when its text has no room for one more topic: the one that was heard
 * of longest ago is then no longer named, and goes on at a time that is early enough.
 */
import type { Cursor } from "./Cursor.ts"

/** Milliseconds by which a topic that is no longer named is read again, since topics do not keep one order. */
const overlap = 5000

export class EventCursor {
  /**
   * Whether older messages than those that were received may still come, of any topic. Then the time stays where it is,
   * so that of topics that are no longer named much may come twice, but nothing is lost.
   */
  isBehind = false
  private readonly cursor: Cursor
  /** Of the topics that are named, the time of the last message. */
  private readonly times = new Map<string, number>()

  /** What was read in a round that is not over comes again. */
  constructor(cursor: Cursor) {
    this.cursor = cursor.copy()
    this.cursor.last = undefined
    this.cursor.round = undefined
  }

  get since(): number {
    return this.cursor.since
  }

  /** Characters of the text, at most; known without making it. */
  get length(): number {
    return this.cursor.length
  }

  /** Sets where it begins, of several beginnings the earliest. */
  beginsAt(time: number): void {
    this.cursor.beginsAt(time)
  }

  /** The messages before `offset` were received, the last of them of the time `timestamp`. */
  received(topic: string, epoch: number, offset: number, timestamp: number): void {
    const { cursor } = this
    while (!cursor.received(topic, epoch, offset)) {
      const [oldest = topic] = cursor.positions.keys()
      const time = this.times.get(oldest) ?? cursor.since
      if (!this.isBehind) cursor.since = Math.max(cursor.since, time - overlap)
      cursor.forget(oldest)
      this.times.delete(oldest)
    }
    this.times.set(topic, timestamp)
  }

  toString(): string {
    return String(this.cursor)
  }
}
