/**
 * What one session has to publish to one topic, in order: batches that the hub refused for a passing reason and
 * that go first, then calls whose messages are not in frames yet.
 *
 * A topic that was refused rests before it is sent again: exponentially longer, with jitter and a cap, until the hub
 * takes a batch of it.
 */

import { Effect, Schedule } from "effect"
import { type ByteWriter, encodeText } from "../../protocol/Bytes.ts"
import { encodeRecord, type Message } from "../../protocol/Message.ts"
import { beginPublish, endPublish, maxRecordsPerFrame } from "../../protocol/Publish.ts"
import { messageInvalid, type PolestarError } from "../PolestarError.ts"
import { reconnectSchedule } from "../ReconnectSchedule.ts"
import type { OutboundFrame, Share } from "./OutboundFrames.ts"
import { CallQueue, type PublishCall, recordBytes } from "./PublishCall.ts"
import type { Timers } from "./Timers.ts"

/** A frame is closed when it is as long as this; one message may be longer. */
export const frameBytes = 65_536

export interface FrameLimits {
  /** Bytes after the length field, and bytes of a payload: WELCOME's. */
  readonly maxFrame: number
  readonly maxMessage: number
}

/** What a lane tells its publisher while it builds a frame. */
export interface LaneEvents {
  /** Messages left the queue: they are in a frame, or their call failed. */
  readonly dequeued: (messages: number, bytes: number) => void
  readonly invalid: (call: PublishCall, error: PolestarError) => void
}

export class TopicLane {
  readonly topic: string
  readonly waiting = new CallQueue()
  /** Frames that were refused, in order, waiting for `isResting` to end, and then for room. */
  readonly refused: Array<OutboundFrame> = []
  isResting = false
  /** Whether it is in the list of lanes that have something to send. */
  isListed = false
  /** Frames in flight or to be sent again. */
  frames = 0
  private readonly bytes: Uint8Array

  constructor(topic: string) {
    this.topic = topic
    this.bytes = encodeText(topic)
  }

  get isEmpty(): boolean {
    return this.refused.length === 0 && this.waiting.peek() === undefined
  }

  /** Takes a frame that was refused, before those that were published later and wait here already. */
  refuse(frame: OutboundFrame): void {
    this.refused.push(frame)
    // Sequences wrap around at 2^32.
    this.refused.sort((a, b) => (a.order - b.order) | 0)
  }

  /**
   * Appends one frame with as many of the waiting messages as belong together and fit, and answers whose they are. One
   * with an id is alone in its frame, since a receipt says of a whole frame whether it is a duplicate. Answers
   * `undefined` if there were none that can be sent.
   */
  build(
    writer: ByteWriter,
    session: number,
    sequence: number,
    limits: FrameLimits,
    events: LaneEvents
  ): { readonly shares: ReadonlyArray<Share>; readonly count: number } | undefined {
    const attributes = this.waiting.peek()?.attributes
    if (attributes === undefined) return undefined
    const start = beginPublish(writer, { session, sequence, topic: this.bytes, receipt: true, ...attributes })
    const fullAt = start + Math.min(frameBytes, limits.maxFrame)
    const shares: Array<Share> = []
    let count = 0
    // The first message is always tried, so that one that can never be sent is answered.
    while (count < maxRecordsPerFrame && (count === 0 || writer.at < fullAt)) {
      const call = this.waiting.peek()
      if (call === undefined || !isSame(call.attributes, attributes)) break
      const added = this.fill(writer, start, fullAt, call, count, limits, events)
      if (added > 0) shares.push({ call, first: call.framed - added, count: added })
      count += added
      if (call.isDone) continue
      if (call.left > 0) break
      this.waiting.shift()
      if (added > 0 && call.messages[call.framed - 1]?.id !== undefined) break
    }
    if (count === 0) {
      writer.at = start
      return undefined
    }
    endPublish(writer, start, count)
    return { shares, count }
  }

  /** Appends messages of one call while they fit; answers how many. */
  private fill(
    writer: ByteWriter,
    start: number,
    fullAt: number,
    call: PublishCall,
    before: number,
    limits: FrameLimits,
    events: LaneEvents
  ): number {
    const room = Math.min(call.left, maxRecordsPerFrame - before)
    let bytes = 0
    let added = 0
    while (added < room) {
      const message = call.messages[call.framed]!
      const isFirst = before + added === 0
      if (message.id !== undefined && !isFirst) break
      const at = writer.at
      const error = fault(encodeRecord(writer, message), message, limits)
      if (error === undefined && writer.at > fullAt && !isFirst) {
        writer.at = at
        break
      }
      if (error !== undefined || writer.at - start - 4 > limits.maxFrame) {
        writer.at = at
        events.invalid(call, messageInvalid(error ?? "a message is longer than the hub's largest frame"))
        break
      }
      const size = recordBytes(message)
      bytes += size
      call.bytes -= size
      call.framed++
      added++
      if (message.id !== undefined) break
    }
    events.dequeued(added, bytes)
    return added
  }
}

const fault = (error: string | undefined, message: Message, limits: FrameLimits): string | undefined => {
  if (error !== undefined) return `a message cannot be sent: ${error}`
  if (message.payload.length <= limits.maxMessage) return undefined
  return `a payload is longer than the hub takes: ${message.payload.length} of ${limits.maxMessage} bytes`
}

const isSame = (a: PublishCall["attributes"], b: PublishCall["attributes"]): boolean =>
  a === b || (a.priority === b.priority && a.ttl === b.ttl && a.deliverAt === b.deliverAt)

export class LaneRests {
  /** For each lane that was refused, the sleep for the next delay of its schedule. */
  private readonly delays = new Map<TopicLane, Effect.Effect<void>>()
  private readonly timers: Timers
  private readonly rested: (lane: TopicLane) => void

  constructor(timers: Timers, rested: (lane: TopicLane) => void) {
    this.timers = timers
    this.rested = rested
  }

  begin(lane: TopicLane): void {
    if (lane.isResting) return
    lane.isResting = true
    const rested = Effect.sync(() => {
      lane.isResting = false
      this.rested(lane)
    })
    this.timers.fork(Effect.andThen(this.delays.get(lane) ?? Effect.flatten(this.newDelay(lane)), rested))
  }

  /** The hub took a batch of this topic. */
  forget(lane: TopicLane): void {
    this.delays.delete(lane)
  }

  private newDelay(lane: TopicLane): Effect.Effect<Effect.Effect<void>> {
    return Effect.map(Schedule.toStepWithSleep(reconnectSchedule), (step) => {
      const delay = Effect.ignore(step(undefined))
      this.delays.set(lane, delay)
      return delay
    })
  }
}
