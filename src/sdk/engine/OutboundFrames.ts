/**
 * The PUBLISH frames of one session that were built and have no answer yet, what the answers say about them, and
 * what they are sent to.
 */
import type { FrameOf } from "../../protocol/Frame.ts"
import { PublishFlags, readdressPublish } from "../../protocol/Publish.ts"
import type { ConnectionWindow } from "./ConnectionWindow.ts"
import type { Counters } from "./Counters.ts"
import type { PublishCall } from "./PublishCall.ts"
import type { Timers } from "./Timers.ts"
import type { FrameLimits, TopicLane } from "./TopicLane.ts"

/** Where frames go: a connection on which the session was opened under the number `session`. */
export interface OutboundLink extends FrameLimits {
  readonly session: number
  /** Ends the connection if the hub has been silent for `limit` ms while it owed an answer; answers when to look again. */
  readonly endIfSilent: (since: number, limit: number) => number
  readonly sendBytes: (bytes: Uint8Array) => void
  /** Has `writeTo` called at the end of the turn, or when the connection takes more again. */
  readonly requestTurn: () => void
}

export interface OutboundOptions {
  readonly queueSize: number
  readonly queueBytes: number
  readonly whenFull: "wait" | "fail"
  readonly maxRetries: number
  /** Milliseconds that a silent hub is waited for. */
  readonly writeTimeout: number
  /** Shared by all sessions of the client. */
  readonly window: ConnectionWindow
  readonly timers: Timers
  readonly counters: Counters
}

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
  /** The sequence under which it was first sent: the order in which its topic's messages were published. */
  readonly order: number
  sequence: number
  /** The whole frame. It was written, so it is never changed: it is copied to be sent again. */
  bytes: Uint8Array
  /** How often it was sent without success. */
  tries: number
  sentAt: number
}

/** A frame that is about to be sent; its bytes are not known yet. */
export const newFrame = (
  lane: TopicLane,
  content: Pick<OutboundFrame, "shares" | "count">,
  sequence: number,
  sentAt: number
): OutboundFrame => ({ lane, ...content, order: sequence, sequence, bytes: unset, tries: 0, sentAt })

const unset = new Uint8Array(0)

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
  /** Messages in flight, or to be sent again. */
  messages = 0
  /** By sequence, in the order in which they were sent. */
  private readonly inFlight = new Map<number, OutboundFrame>()
  private readonly window: ConnectionWindow

  constructor(window: ConnectionWindow) {
    this.window = window
  }

  /** Frames that were in flight when their connection was lost. */
  private parked: ReadonlyArray<OutboundFrame> = []

  /** How many are in flight. */
  get size(): number {
    return this.inFlight.size
  }

  add(frame: OutboundFrame): void {
    this.inFlight.set(frame.sequence, frame)
    this.window.add(frame.bytes.length)
    this.messages += frame.count
  }

  /** Those in flight, and those to be sent again. */
  *all(): Iterable<OutboundFrame> {
    yield* this.inFlight.values()
    yield* this.parked
  }

  /** When the frame that has waited longest was sent. */
  get oldest(): number | undefined {
    for (const { sentAt } of this.inFlight.values()) return sentAt
    return undefined
  }

  /**
   * Sets all aside, in order, since on this connection they will not be answered any more. It was a try of each;
   * those that have had more than `maxTries` are removed and answered.
   */
  park(maxTries: number): ReadonlyArray<OutboundFrame> {
    const frames = this.takeAll()
    const spent: Array<OutboundFrame> = []
    const kept: Array<OutboundFrame> = []
    for (const frame of frames) {
      frame.tries++
      if (frame.tries <= maxTries) kept.push(frame)
      else spent.push(frame)
    }
    this.parked = kept
    for (const { count } of kept) this.messages += count
    return spent
  }

  /** Removes and answers what was set aside. */
  takeParked(): ReadonlyArray<OutboundFrame> {
    const frames = this.parked
    this.parked = []
    for (const { count } of frames) this.messages -= count
    return frames
  }

  /** Removes and answers what is in flight, and what was set aside. */
  takeAll(): ReadonlyArray<OutboundFrame> {
    const frames = [...this.inFlight.values()]
    for (const frame of frames) this.remove(frame)
    return [...frames, ...this.takeParked()]
  }

  /**
   * Removes and answers the frames that a receipt or a rejection stands for: those of one topic in its range of
   * sequences.
   */
  takeAnswered(answer: FrameOf<"Receipt"> | FrameOf<"Rejected">): ReadonlyArray<Answered> {
    const { firstSequence, lastSequence } = answer
    const first = this.inFlight.get(firstSequence)
    if (firstSequence === lastSequence) {
      if (first === undefined) return []
      this.remove(first)
      return [{ frame: first, before: 0 }]
    }
    const lane = (first ?? this.inFlight.get(lastSequence))?.lane
    if (lane === undefined) return []
    // Sequences wrap around at 2^32.
    const span = (lastSequence - firstSequence) >>> 0
    const answered: Array<Answered> = []
    let before = 0
    for (const frame of this.between(firstSequence, span)) {
      if (frame.lane !== lane) continue
      this.remove(frame)
      answered.push({ frame, before })
      before += frame.count
    }
    return answered
  }

  /** Those in flight of `span + 1` sequences, in order. */
  private between(first: number, span: number): ReadonlyArray<OutboundFrame> {
    const frames: Array<OutboundFrame> = []
    if (span < this.inFlight.size) {
      for (let i = 0; i <= span; i++) {
        const frame = this.inFlight.get((first + i) >>> 0)
        if (frame !== undefined) frames.push(frame)
      }
    } else {
      for (const frame of this.inFlight.values()) {
        if ((frame.sequence - first) >>> 0 <= span) frames.push(frame)
      }
    }
    return frames
  }

  private remove(frame: OutboundFrame): void {
    if (!this.inFlight.delete(frame.sequence)) return
    this.messages -= frame.count
    this.window.remove(frame.bytes.length)
  }
}

/** Gives the calls of a frame their receipts; `before` messages of the receipt come before the frame's. */
export const settleFrame = ({ shares }: OutboundFrame, receipt: FrameOf<"Receipt">, before: number): void => {
  const { durability, duplicate, position } = receipt
  const held = !duplicate && position.epoch === 0 && position.offset === 0
  let offset = position.offset + before
  for (const { call, count, first } of shares) {
    for (let i = 0; i < count; i++, offset++) {
      const at = duplicate || held ? position : { epoch: position.epoch, offset }
      call.settle(first + i, { topic: call.topic, position: at, durability, duplicate, held })
    }
  }
}
