/**
 * The PUBLISH frames of one session that were built and have no answer yet, and what the answers say about them.
 */
import type { FrameOf } from "../protocol/Frame.ts"
import { PublishFlags, readdressPublish } from "../protocol/Publish.ts"
import type { PublishCall } from "./PublishCall.ts"
import type { TopicLane } from "./TopicLane.ts"

/** Frames that were given up whose counts are remembered, since a late receipt counts them in. */
const maxAbandoned = 1024

/** Messages `first` to before `first + count` of a call. */
export interface Share {
  readonly call: PublishCall
  readonly first: number
  readonly count: number
}

export interface OutboundFrame {
  readonly lane: TopicLane
  readonly shares: ReadonlyArray<Share>
  readonly count: number
  sequence: number
  /** The whole frame. It was written, so it is never changed: it is copied to be sent again. */
  bytes: Uint8Array
  /** How often it was sent without success. */
  tries: number
  sentAt: number
}

/** A copy of a frame for another connection, or under another sequence. */
export const readdressed = (
  frame: Uint8Array,
  session: number,
  sequence: number,
  resent: boolean
): Uint8Array => {
  const copy = frame.slice()
  readdressPublish(copy, session, sequence)
  if (!resent) copy[5] = copy[5]! & ~PublishFlags.resent
  return copy
}

/** A frame that an answer is about, and what of the answer's messages come before its own. */
export interface Answered {
  readonly frame: OutboundFrame
  readonly before: number
}

export class OutboundFrames {
  bytes = 0
  messages = 0
  /** By sequence, in the order in which they were sent. */
  private readonly inFlight = new Map<number, OutboundFrame>()
  private readonly abandoned = new Map<number, OutboundFrame>()

  get size(): number {
    return this.inFlight.size
  }

  add(frame: OutboundFrame): void {
    this.inFlight.set(frame.sequence, frame)
    this.bytes += frame.bytes.length
    this.messages += frame.count
  }

  values(): Iterable<OutboundFrame> {
    return this.inFlight.values()
  }

  /** Gives a frame up that the hub may still answer. */
  abandon(frame: OutboundFrame): void {
    this.remove(frame)
    this.abandoned.set(frame.sequence, frame)
    if (this.abandoned.size <= maxAbandoned) return
    for (const sequence of this.abandoned.keys()) {
      this.abandoned.delete(sequence)
      break
    }
  }

  /** Removes and answers all, in order: on this connection they will not be answered any more. */
  takeAll(): ReadonlyArray<OutboundFrame> {
    const frames = [...this.inFlight.values()]
    this.inFlight.clear()
    this.abandoned.clear()
    this.bytes = 0
    this.messages = 0
    return frames
  }

  /**
   * Removes and answers the frames that a receipt or a rejection stands for: those of one topic in its range of
   * sequences. Those that were given up are counted and left out.
   */
  takeAnswered(answer: FrameOf<"Receipt"> | FrameOf<"Rejected">): ReadonlyArray<Answered> {
    const { firstSequence, lastSequence } = answer
    if (firstSequence === lastSequence) {
      const frame = this.inFlight.get(firstSequence)
      if (frame === undefined) {
        this.abandoned.delete(firstSequence)
        return []
      }
      this.remove(frame)
      return [{ frame, before: 0 }]
    }
    const ends = this.find(firstSequence) ?? this.find(lastSequence)
    if (ends === undefined) return []
    const frames = this.framesOf(ends.lane, firstSequence, lastSequence)
    const known = frames.reduce((sum, frame) => sum + frame.count, 0)
    // Frames that were forgotten are the oldest, and so the first.
    let before = answer._tag === "Receipt" ? Math.max(0, answer.count - known) : 0
    const answered: Array<Answered> = []
    for (const frame of frames) {
      if (this.inFlight.get(frame.sequence) === frame) {
        this.remove(frame)
        answered.push({ frame, before })
      } else this.abandoned.delete(frame.sequence)
      before += frame.count
    }
    return answered
  }

  private find(sequence: number): OutboundFrame | undefined {
    return this.inFlight.get(sequence) ?? this.abandoned.get(sequence)
  }

  private framesOf(lane: TopicLane, first: number, last: number): Array<OutboundFrame> {
    // Sequences wrap around at 2^32.
    const span = (last - first) >>> 0
    const frames: Array<OutboundFrame> = []
    const collect = (frame: OutboundFrame) => {
      if (frame.lane === lane && (frame.sequence - first) >>> 0 <= span) frames.push(frame)
    }
    for (const frame of this.inFlight.values()) collect(frame)
    if (this.abandoned.size > 0) {
      for (const frame of this.abandoned.values()) collect(frame)
      frames.sort((a, b) => ((a.sequence - first) >>> 0) - ((b.sequence - first) >>> 0))
    }
    return frames
  }

  private remove(frame: OutboundFrame): void {
    if (!this.inFlight.delete(frame.sequence)) return
    this.bytes -= frame.bytes.length
    this.messages -= frame.count
  }
}
