/**
 * How far a reader of several topics has come, in one text: the `id` of an event stream, and the `next` of a poll.
 *
 *     <since>[~<until>[~<topic>[@<epoch>-<offset>]]][,<topic>@<epoch>-<offset>]…
 *
 * Each position is that of the first message that was not received. Topics that are not named go on at the time `since`,
 * in milliseconds since 1970. More topics than the text has room for are read in a round: one after the other in order of
 * name, of each what is older than `until`. Those up to the first topic of the text are through with it, and go on at
 * `until`, but for that topic itself if it has a position; when all are, `until` is the new `since`. So however many topics
 * there are, nothing is left out and nothing comes twice. Instead of `since` a round may have `l<count>`: it is of the
 * last so many messages of each topic.
 *
 * The text is ASCII without white space, so it passes through headers and queries, and is short enough for them. Pure.
 */
import { parsePosition } from "../../protocol/json/MessageId.ts"
import { maxTime } from "../../protocol/json/StartText.ts"
import type { Position, Start } from "../../protocol/Position.ts"
import { checkTopicName, compareTopicNames } from "../../protocol/TopicName.ts"

/** Characters of the text: the head of a request has 16,384, and behind many proxies 8,192. */
export const maxCursorLength = 4096
/** Topics that are named, for the same reason. */
export const maxCursorTopics = 100
/** Digits of a time or a number, at most. */
const digits = 16
/** Of the longest name, each byte of which is written as three characters. */
const longestName = 765
/** Characters of the topics that are named: what is left when a round is at the longest name. */
const maxTopicsLength = maxCursorLength - (digits + 1 + digits + 1 + longestName + 1 + digits + 1 + digits)

export interface Round {
  readonly until: number
  /** The topic that it is at; empty at the beginning. */
  readonly topic: string
  /** If it is not through with that topic. */
  readonly position: Position | undefined
}

export class Cursor {
  since: number
  /** Of each topic the last so many messages are to be read, in a round, and not those from `since` on. */
  last: number | undefined
  /** The round that is under way. */
  round: Round | undefined
  /** In the order in which they were heard of, the latest last. */
  private readonly topics = new Map<string, Named>()
  /** Characters of the topics in the text, at most. */
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

  /** Characters of the text, at most, when there is no round; known without making it. */
  get length(): number {
    return digits + this.topicsLength
  }

  /** Sets where it begins, of several beginnings the earliest. */
  beginsAt(time: number): void {
    this.since = this.since === 0 ? time : Math.min(this.since, time)
  }

  positionOf(topic: string): Position | undefined {
    return this.round?.topic === topic ? this.round.position : this.topics.get(topic)
  }

  /**
   * Takes note that the messages before `offset` were received. `false`: there is no room for the topic. In a round it is
   * the topic that is being read; all before it are through.
   */
  received(topic: string, epoch: number, offset: number): boolean {
    const before = this.positionOf(topic)
    // A message of higher priority may come before its turn.
    const furthest = before?.epoch === epoch ? Math.max(before.offset, offset) : offset
    if (this.round !== undefined) {
      if (compareTopicNames(topic, this.round.topic) < 0) return true
      this.forget(topic)
      this.round = { until: this.round.until, topic, position: { epoch, offset: furthest } }
      return true
    }
    if (!this.hasRoomFor(topic, epoch, furthest)) return false
    this.put(topic, epoch, furthest)
    return true
  }

  /** Whether it can name the topic beside the others. */
  hasRoomFor(topic: string, epoch: number, offset: number): boolean {
    const named = this.topics.get(topic)
    const length = named === undefined ? 0 : lengthOf(named)
    const others = this.topics.size - (named === undefined ? 0 : 1)
    const text = named?.epoch === epoch ? named.text : textOf(topic, epoch)
    return (
      others < maxCursorTopics && this.topicsLength - length + lengthOf({ text, offset }) <= maxTopicsLength
    )
  }

  forget(topic: string): void {
    const named = this.topics.get(topic)
    if (named === undefined) return
    this.topicsLength -= lengthOf(named)
    this.topics.delete(topic)
    this.beforeOffset = undefined
  }

  /** Begins a round, or goes on with the one that is under way; `now` is the hub's time. */
  goRound(now: number): Round {
    const { position = undefined, topic = "", until = now } = this.round ?? {}
    // If the clock was set back meanwhile, some comes twice rather than not at all.
    this.round = { until: Math.max(this.since, Math.min(until, now)), topic, position }
    return this.round
  }

  /**
   * The round is done with its next topic, which goes on at `until`, or at `kept` if that is given: then it stays named,
   * for which there must be room.
   */
  passed(topic: string, until: number, kept?: Position): void {
    if (kept === undefined) this.forget(topic)
    else this.put(topic, kept.epoch, kept.offset)
    this.round = { until, topic, position: undefined }
  }

  /** All topics are through with the round. */
  endRound(until: number): void {
    this.since = until
    this.last = undefined
    this.round = undefined
  }

  private put(topic: string, epoch: number, offset: number): void {
    const before = this.topics.get(topic)
    const text = before?.epoch === epoch ? before.text : textOf(topic, epoch)
    if (topic === this.latest && before?.text === text) this.topicsLength -= lengthOf(before)
    else {
      this.forget(topic)
      this.latest = topic
      this.beforeOffset = undefined
    }
    this.topicsLength += lengthOf({ text, offset })
    this.topics.set(topic, { epoch, offset, text })
  }

  /** Where to go on, in the terms of the hub, when there is no round. */
  get start(): Start {
    const topics = [...this.topics].map(([topic, { epoch, offset }]) => ({ topic, epoch, offset }))
    return { _tag: "Resume", since: this.since, topics }
  }

  /** At most `maxCursorLength` characters. While it is one topic that moves on, this costs little. */
  toString(): string {
    this.beforeOffset ??= this.textBeforeOffset()
    const offset = this.topics.get(this.latest)?.offset ?? ""
    const from = this.last === undefined ? this.since : `l${this.last}`
    return `${from}${this.roundText()}${this.beforeOffset}${offset}`
  }

  private roundText(): string {
    if (this.round === undefined) return ""
    const { position, topic, until } = this.round
    if (topic === "") return `~${until}`
    const name = `~${until}~${encodeURIComponent(topic)}`
    return position === undefined ? name : `${name}@${position.epoch}-${position.offset}`
  }

  private textBeforeOffset(): string {
    let text = ""
    for (const [topic, named] of this.topics)
      if (topic !== this.latest) text += `${named.text}${named.offset}`
    return text + (this.topics.get(this.latest)?.text ?? "")
  }

  copy(): Cursor {
    const copy = new Cursor(this.since)
    copy.last = this.last
    copy.round = this.round
    for (const [topic, { epoch, offset }] of this.topics) copy.put(topic, epoch, offset)
    return copy
  }

  /**
   * Of two that have gone on from one place: in each topic the further position, or the other's if its epoch is
   * another. If there is a round, the one that has come further in it. Both are left as they are.
   */
  furthest(other: Cursor): Cursor {
    const order = compareRounds(this, other)
    if (order < 0) return other.copy()
    const furthest = this.copy()
    // At one place of a round they have read the same; to name more in it would move it on.
    if (order > 0 || this.round !== undefined) return furthest
    for (const [topic, { epoch, offset }] of other.topics) furthest.received(topic, epoch, offset)
    return furthest
  }

  /** Reads what `toString` made; `undefined` for anything else. */
  static parse(text: string): Cursor | undefined {
    if (text.length > maxCursorLength) return undefined
    const [head = "", ...rest] = text.split(",", maxCursorTopics + 2)
    const [, last, since = "0", until, at] = headForm.exec(head) ?? []
    if (!headForm.test(head) || Number(since) > maxTime || rest.length > maxCursorTopics) return undefined
    const cursor = new Cursor(Number(since))
    cursor.last = last === undefined ? undefined : Number(last)
    if (until !== undefined) {
      if (Number(until) > maxTime || Number(until) < cursor.since) return undefined
      const place = at === undefined ? atNone : (placed(at) ?? { topic: named(at), position: undefined })
      if (place.topic === undefined) return undefined
      cursor.round = { until: Number(until), topic: place.topic, position: place.position }
    }
    for (const part of rest) {
      const place = placed(part)
      if (place === undefined) return undefined
      cursor.put(place.topic, place.position.epoch, place.position.offset)
    }
    return cursor
  }
}

/** What stands before the topics: only in a round there is a number of last messages. */
const headForm = /^(?:l(\d{1,10})(?=~)|(\d{1,16}))(?:~(\d{1,16})(?:~(.+))?)?$/

interface Named extends Position {
  /** What stands for it in the cursor's text, but for the offset. */
  readonly text: string
}

const textOf = (topic: string, epoch: number): string => `,${encodeURIComponent(topic)}@${epoch}-`

const lengthOf = ({ offset, text }: Pick<Named, "offset" | "text">): number =>
  text.length + String(offset).length

/** Where a round begins. */
const atNone = { topic: "", position: undefined }

/** A topic and its position. */
const placed = (text: string): { readonly topic: string; readonly position: Position } | undefined => {
  const at = text.lastIndexOf("@")
  const topic = named(text.slice(0, Math.max(at, 0)))
  const position = parsePosition(text.slice(at + 1))
  return topic === undefined || position === undefined ? undefined : { topic, position }
}

/** The name of a topic; also if a client did not encode its characters again. */
const named = (text: string): string | undefined => {
  try {
    const topic = decodeURIComponent(text)
    return checkTopicName(topic) === undefined ? topic : undefined
  } catch {
    return undefined
  }
}

/** By how far they are through with what all topics have. */
const compareRounds = (a: Cursor, b: Cursor): number =>
  a.since - b.since ||
  (a.round?.until ?? 0) - (b.round?.until ?? 0) ||
  compareTopicNames(a.round?.topic ?? "", b.round?.topic ?? "") ||
  (a.round?.position?.offset ?? 0) - (b.round?.position?.offset ?? 0)
