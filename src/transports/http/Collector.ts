/**
 * The outlet of one poll or replay: it gathers what its subscriptions bring, up to a number of messages, and says when
 * there is enough to answer. What it does not take is not lost: the answer's cursor stands before it.
 */
import type { LocalConnection, LocalOutlet } from "../../actors/LocalConnection.ts"
import type { Receiver } from "../../actors/Outlet.ts"
import type { Session } from "../../actors/Session.ts"
import type { Batch } from "../../protocol/Batch.ts"
import type { CloseReason } from "../../protocol/CloseReason.ts"
import type { Frame, FrameOf } from "../../protocol/Frame.ts"
import { noTexts, type Texts } from "../../protocol/json/Texts.ts"
import type { Position } from "../../protocol/Position.ts"
import type { Cursor } from "./Cursor.ts"
import { countDelivery } from "./HubClient.ts"
import type { PollBodies } from "./PollAnswer.ts"
import type { PolledTexts } from "./PolledTexts.ts"
import { type Refusal, refusalOfClose, refusalOfError } from "./Refusal.ts"
import type { AnswerRoom } from "./UnreadAnswers.ts"

interface Part {
  readonly topic: string
  readonly epoch: number
  readonly offset: number
  readonly texts: Texts
}

export interface LostMessages {
  readonly topic: string
  readonly from: Position
  readonly to: Position
}

export interface Collected {
  readonly body: Uint8Array
  readonly count: number
}

export interface CollectorOptions {
  readonly texts: PolledTexts
  readonly bodies: PollBodies
  /** What it may hold. */
  readonly room: AnswerRoom
  readonly max: number
  /** Where the reader stands; it is moved on. */
  readonly cursor: Cursor
  /** Whether the subscriptions begin in the past, which is waited for. */
  readonly hasPast: boolean
  /** Whether the cursor begins where the subscriptions do. */
  readonly isNow: boolean
  /** Of the subscriptions 1, 2 and so on. */
  readonly patterns: ReadonlyArray<string>
  /** Of a round: only what is older is taken. */
  readonly until?: number
}

/** Bytes of messages after which an answer is given, however few they are: the rest is for the next one. */
export const enoughBytes = 8 * 1_048_576

export class Collector implements LocalOutlet {
  readonly isWaiting = false
  readonly gaps: Array<LostMessages> = []
  /** Why there will be no answer, if there will be none. */
  failure: Refusal | undefined
  /** Called when there is something to answer, or nothing more to wait for. */
  onReady: () => void = () => {}
  /** Of a round: whether the topic that is read is at messages that are not older than it. */
  isBeyond = false
  /** Of a round: up to where the topic that is read has come, once it has caught up. */
  end: Position | undefined
  private reading = ""
  private readonly options: CollectorOptions
  private readonly parts: Array<Part> = []
  /** Messages that it has; of the last of them, more than are wanted may have come together. */
  count = 0
  /** Whether there is something of a topic that the cursor has no room for. */
  isOutOfNames = false
  /** Of all messages that it has. */
  private bytes = 0
  /** Whether something came for which there was no room. */
  private isCrowded = false
  private isCollected = false
  private left: number
  private connection: LocalConnection | undefined

  constructor(options: CollectorOptions) {
    this.options = options
    this.left = options.hasPast ? options.patterns.length : 0
  }

  /** Of a round: the next subscription, of that topic, begins in the past. */
  expectPast(topic: string): void {
    this.left = 1
    this.isBeyond = false
    this.reading = topic
    this.end = undefined
  }

  /** To be called before it subscribes. */
  begin(connection: LocalConnection): void {
    this.connection = connection
  }

  get isWritable(): boolean {
    if (this.isCollected || this.isCrowded) return false
    return this.count < this.options.max && this.bytes < enoughBytes
  }

  /** Whether all there would be to answer is what there was no room for. */
  get isTooMuch(): boolean {
    return this.isCrowded && this.count === 0
  }

  /** Whether there is nothing to tell. */
  get isEmpty(): boolean {
    return this.parts.length === 0 && this.gaps.length === 0 && this.failure === undefined
  }

  /** Whether all that was there already has come. */
  get isCaughtUp(): boolean {
    return this.left === 0
  }

  get isReady(): boolean {
    if (this.failure !== undefined || !this.isWritable) return true
    return this.isCaughtUp && this.count > 0
  }

  deliver(session: Session, _receiver: Receiver, batch: Batch): void {
    const { epoch, offset, timestamp, topic } = batch
    if (this.end !== undefined) this.end = { epoch, offset: Math.max(this.end.offset, offset + batch.count) }
    if (timestamp >= (this.options.until ?? Number.POSITIVE_INFINITY)) {
      this.isBeyond = true
      this.onReady()
      return
    }
    const texts = this.options.texts.of(batch)
    if (this.isCrowded || !this.options.room.take(texts.bytes)) {
      // With all that follows it is read again: the cursor stands before it.
      this.isCrowded = true
      this.parts.push({ topic, epoch, offset, texts: noTexts })
    } else {
      countDelivery(this.connection, session, batch)
      this.parts.push({ topic, epoch, offset, texts })
      this.count += batch.count
      this.bytes += texts.bytes.length
    }
    if (this.isReady) this.onReady()
  }

  control(frame: Frame): void {
    switch (frame._tag) {
      case "Subscribed":
        if (this.options.isNow) this.beginAt(frame)
        return
      case "CaughtUp":
        this.left--
        if (this.reading !== "") this.end = this.endOf(this.reading)
        if (this.isCaughtUp) this.options.room.read()
        break
      case "Gap":
        // One that the cursor cannot stand behind is told again.
        if (this.options.cursor.received(frame.topic, frame.to.epoch, frame.to.offset))
          this.gaps.push({ topic: frame.topic, from: frame.from, to: frame.to })
        else this.isOutOfNames = true
        return
      case "Failure":
        this.failure ??= refusalOfError(frame.code, frame.message)
        break
      case "Closed":
        this.failure ??= refusalOfClose(frame.reason)
        break
      default:
        return
    }
    if (this.isReady || this.isCaughtUp) this.onReady()
  }

  private beginAt({ position, subscription, time }: FrameOf<"Subscribed">): void {
    const { cursor, patterns } = this.options
    cursor.beginsAt(time)
    const pattern = patterns[subscription - 1]
    if (position !== undefined && pattern !== undefined)
      cursor.received(pattern, position.epoch, position.offset)
  }

  private endOf(topic: string): Position | undefined {
    const place = this.connection?.options.registry.placeOf(topic)
    return place === undefined ? undefined : { epoch: place.epoch, offset: place.nextOffset }
  }

  /** Tells what was lost of a topic that was gone when the reader subscribed, and is new since. */
  private tellAnew(topic: string, from: Position | undefined, to: Position): void {
    if (from === undefined || from.epoch === to.epoch) return
    this.gaps.push({ topic, from: { epoch: from.epoch, offset: from.offset }, to })
  }

  pumpLater(): void {}

  ended(reason: CloseReason): void {
    this.failure ??= refusalOfClose(reason)
    this.onReady()
  }

  isTaking(): boolean {
    return true
  }

  /** As many messages as are allowed and the cursor can stand behind, which it then does. Nothing more is taken. */
  collect(): Collected {
    this.isCollected = true
    const { bodies, cursor, max, until } = this.options
    // After a round that is over, it stands behind all that was collected.
    const isStanding = until !== undefined && cursor.round === undefined
    let left = max
    for (const { epoch, offset, texts, topic } of this.parts) {
      const taken = Math.min(left, texts.ends.length)
      left -= taken
      // One of which nothing is taken need not be read from its beginning again.
      if (isStanding || (taken === 0 && cursor.positions.has(topic))) continue
      const before = cursor.positionOf(topic)
      if (cursor.received(topic, epoch, offset + taken)) {
        if (taken > 0) this.tellAnew(topic, before, { epoch, offset })
        continue
      }
      if (taken === 0) continue
      this.isOutOfNames = true
      left += taken
      break
    }
    const count = max - left
    return {
      body: bodies.of(
        this.parts.flatMap(({ texts }) => (texts.ends.length === 0 ? [] : [texts])),
        count
      ),
      count
    }
  }
}
