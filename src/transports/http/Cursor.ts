/**
 * How far a reader of several topics has come, in one text: the `id` of an event stream, and the `next` of a poll.
 *
 *     <ms since 1970>[,<topic>@<epoch>-<offset>]…
 *
 * Each position is that of the first message that was not received; topics that are not named go on at the time. The
 * text is ASCII without white space, so it passes through headers and queries, and is short enough for them. Pure.
 */
import { parsePosition } from "../../protocol/json/MessageId.ts"
import { maxTime } from "../../protocol/json/StartText.ts"
import type { Position, Start } from "../../protocol/Position.ts"
import { checkTopicName } from "../../protocol/TopicName.ts"

/** Topics in one cursor. Of a reader of more, those heard of longest ago go on at a time instead. */
export const maxCursorTopics = 100
/** Characters of the text, for the same reason: the head of a request has 16,384, and behind many proxies 8,192. */
export const maxCursorLength = 4096
/** Digits of the time, at most. */
const timeLength = 16
/** Milliseconds by which a topic that is left out is read again, since topics do not keep one order. */
const overlap = 5000

export class Cursor {
  /** From where topics are read that are not named. */
  since: number
  /**
   * Whether older messages than those that were received may still come, of any topic. Then `since` stays where it is,
   * so that of topics which are left out much may come twice, but nothing is lost.
   */
  isBehind = false
  /** In the order in which they were heard of, the latest last. */
  private readonly topics = new Map<string, Heard>()
  /** Characters of the topics in the text. */
  private topicsLength = 0
  private latest = ""
  /** The topics in the text, up to the offset of the latest. */
  private beforeOffset: string | undefined

  constructor(since: number) {
    this.since = since
  }

  get positions(): ReadonlyMap<string, Position> {
    return this.topics
  }

  /** Characters of the text, at most; known without making it. */
  get length(): number {
    return timeLength + this.topicsLength
  }

  /** The messages before `offset` were received, the last of them of the time `timestamp`. */
  received(topic: string, epoch: number, offset: number, timestamp: number): void {
    const before = this.topics.get(topic)
    // A message of higher priority may come before its turn.
    const furthest = before?.epoch === epoch ? Math.max(before.offset, offset) : offset
    this.put(topic, epoch, furthest, timestamp)
    for (const [name, { timestamp: time }] of this.topics) {
      if (this.topics.size <= maxCursorTopics && this.length <= maxCursorLength) return
      this.remove(name)
      if (!this.isBehind) this.since = Math.max(this.since, time - overlap)
    }
  }

  private put(topic: string, epoch: number, offset: number, timestamp: number): void {
    const before = this.topics.get(topic)
    const isSame = before?.epoch === epoch
    const text = isSame ? before.text : `,${encodeURIComponent(topic)}@${epoch}-`
    if (topic !== this.latest || !isSame) this.beforeOffset = undefined
    const heard: Heard = { epoch, offset, timestamp, text }
    if (topic === this.latest && before !== undefined) {
      this.topicsLength -= lengthOf(before)
    } else {
      this.remove(topic)
      this.latest = topic
    }
    this.topicsLength += lengthOf(heard)
    this.topics.set(topic, heard)
  }

  private remove(topic: string): void {
    const heard = this.topics.get(topic)
    if (heard === undefined) return
    this.topicsLength -= lengthOf(heard)
    this.topics.delete(topic)
    this.beforeOffset = undefined
  }

  /** Where to go on, in the terms of the hub. */
  get start(): Start {
    const topics = [...this.topics].map(([topic, { epoch, offset }]) => ({ topic, epoch, offset }))
    return { _tag: "Resume", since: this.since, topics }
  }

  /** At most `maxCursorLength` characters. While it is one topic that moves on, this costs little. */
  toString(): string {
    const latest = this.topics.get(this.latest)
    if (latest === undefined) return String(this.since)
    this.beforeOffset ??= this.textBeforeOffset()
    return `${this.since}${this.beforeOffset}${latest.offset}`
  }

  private textBeforeOffset(): string {
    let text = ""
    for (const [topic, heard] of this.topics)
      text += topic === this.latest ? heard.text : `${heard.text}${heard.offset}`
    return text
  }

  copy(): Cursor {
    const copy = new Cursor(this.since)
    copy.take(this)
    return copy
  }

  /**
   * Of two that have gone on from one place: in each topic the further position, or the other's if its epoch is
   * another; in all that neither names, the later time. Both are left as they are.
   */
  furthest(other: Cursor): Cursor {
    const furthest = this.copy()
    furthest.since = Math.max(this.since, other.since)
    for (const [topic, { epoch, offset, timestamp }] of other.topics)
      furthest.received(topic, epoch, offset, Math.max(timestamp, this.topics.get(topic)?.timestamp ?? 0))
    return furthest
  }

  private take({ topics }: Cursor): void {
    for (const [topic, { epoch, offset, timestamp }] of topics) this.put(topic, epoch, offset, timestamp)
  }

  /** Reads what `toString` made; `undefined` for anything else. A text that is too long is shortened by `received`. */
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
      cursor.put(topic, position.epoch, position.offset, cursor.since)
    }
    return cursor
  }
}

interface Heard extends Position {
  readonly timestamp: number
  /** What stands for it in the cursor's text, but for the offset. */
  readonly text: string
}

const lengthOf = ({ offset, text }: Heard): number => text.length + String(offset).length

/** An `@` that a client did not encode again is taken as it is. */
const decoded = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
