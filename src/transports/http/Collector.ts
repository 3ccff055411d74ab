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
  readonly timestamp: number
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
  private readonly options: CollectorOptions
  private readonly parts: Array<Part> = []
  private count = 0
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
    const texts = this.options.texts.of(batch)
    if (this.isCrowded || !this.options.room.take(texts.bytes)) {
      // With all that follows it is read again: the cursor stands before it.
      this.isCrowded = true
      this.parts.push({ topic, epoch, offset, timestamp, texts: noTexts })
    } else {
      countDelivery(this.connection, session, batch)
      this.parts.push({ topic, epoch, offset, timestamp, texts })
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
        if (this.isCaughtUp) this.options.room.read()
        break
      case "Gap":
        this.gaps.push({ topic: frame.topic, from: frame.from, to: frame.to })
        this.options.cursor.received(frame.topic, frame.to.epoch, frame.to.offset, this.options.cursor.since)
        return
      case "Failure":
        this.failure = refusalOfError(frame.code, frame.message)
        break
      case "Closed":
        this.failure = refusalOfClose(frame.reason)
        break
      default:
        return
    }
    if (this.isReady || this.isCaughtUp) this.onReady()
  }

  private beginAt({ position, subscription, time }: FrameOf<"Subscribed">): void {
    const { cursor, patterns } = this.options
    cursor.since = time
    const pattern = patterns[subscription - 1]
    if (position !== undefined && pattern !== undefined)
      cursor.received(pattern, position.epoch, position.offset, time)
  }

  pumpLater(): void {}

  ended(reason: CloseReason): void {
    this.failure ??= refusalOfClose(reason)
    this.onReady()
  }

  isTaking(): boolean {
    return true
  }

  /** As many messages as are allowed; the cursor stands after them. Nothing more is taken. */
  collect(): Collected {
    this.isCollected = true
    const { bodies, cursor, max } = this.options
    cursor.isBehind = !this.isCaughtUp
    let left = max
    for (const { epoch, offset, texts, timestamp, topic } of this.parts) {
      const taken = Math.min(left, texts.ends.length)
      left -= taken
      if (taken > 0 || !cursor.positions.has(topic)) cursor.received(topic, epoch, offset + taken, timestamp)
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
