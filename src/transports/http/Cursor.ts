/**
 * How far a reader of several topics has come, in one text: the `id` of an event stream, and the `next` of a poll.
 *
 *     <ms since 1970>[,<topic>@<epoch>-<offset>]…
 *
 * Each position is that of the first message that was not received; topics that are not named go on at the time. The
 * text is ASCII without white space, so it passes through headers and queries. Pure.
 */
import { parsePosition, positionTextOf } from "../../protocol/json/MessageId.ts"
import { maxTime } from "../../protocol/json/StartText.ts"
import type { Position, Start } from "../../protocol/Position.ts"
import { checkTopicName } from "../../protocol/TopicName.ts"

/** Topics in one cursor. Of a reader of more, those heard of longest ago go on at a time instead. */
export const maxCursorTopics = 100
/** Milliseconds by which a topic that is left out is read again, since topics do not keep one order. */
const overlap = 5000

export class Cursor {
  /** From where topics are read that are not named. */
  since: number
  /** In the order in which they were heard of, the latest last. */
  private readonly topics = new Map<string, Heard>()

  constructor(since: number) {
    this.since = since
  }

  get positions(): ReadonlyMap<string, Position> {
    return this.topics
  }

  /** The messages before `offset` were received, the last of them of the time `timestamp`. */
  received(topic: string, epoch: number, offset: number, timestamp: number): void {
    const before = this.topics.get(topic)
    // A message of higher priority may come before its turn.
    const furthest = before?.epoch === epoch ? Math.max(before.offset, offset) : offset
    this.topics.delete(topic)
    this.topics.set(topic, { epoch, offset: furthest, timestamp })
    if (this.topics.size <= maxCursorTopics) return
    for (const [name, { timestamp: time }] of this.topics) {
      this.topics.delete(name)
      this.since = Math.max(this.since, time - overlap)
      return
    }
  }

  /** Where to go on, in the terms of the hub. */
  get start(): Start {
    const topics = [...this.topics].map(([topic, { epoch, offset }]) => ({ topic, epoch, offset }))
    return { _tag: "Resume", since: this.since, topics }
  }

  toString(): string {
    let text = String(this.since)
    for (const [topic, position] of this.topics) {
      text += `,${encodeURIComponent(topic)}@${positionTextOf(position)}`
    }
    return text
  }

  copy(): Cursor {
    const copy = new Cursor(this.since)
    for (const [topic, heard] of this.topics) copy.topics.set(topic, heard)
    return copy
  }

  /** Reads what `toString` made; `undefined` for anything else. */
  static parse(text: string): Cursor | undefined {
    const [time = "", ...rest] = text.split(",", maxCursorTopics + 2)
    if (!/^\d{1,16}$/.test(time) || Number(time) > maxTime || rest.length > maxCursorTopics) return undefined
    const cursor = new Cursor(Number(time))
    for (const part of rest) {
      const at = part.lastIndexOf("@")
      const topic = decoded(part.slice(0, Math.max(at, 0)))
      const position = parsePosition(part.slice(at + 1))
      if (topic === undefined || position === undefined || checkTopicName(topic) !== undefined)
        return undefined
      cursor.topics.set(topic, { ...position, timestamp: cursor.since })
    }
    return cursor
  }
}

interface Heard extends Position {
  readonly timestamp: number
}

/** An `@` that a client did not encode again is taken as it is. */
const decoded = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
