/**
 * The publisher of one session: what is published gathers by topic and is sent in frames, without a timer. What
 * gathered in a turn, or while as much was in flight as may be, is the next frames.
 *
 * Promises:
 * - Every call is answered once, with its receipts or with an error.
 * - The messages of one topic are sent in the order in which they were published; after a reconnection what was in
 *   flight is sent again in the same order under the same sequences, by which the hub knows what it has. Only when
 *   the hub refuses a batch for a passing reason may batches of that topic that were on their way come before it:
 *   it is sent again, and what was published later waits for it.
 * - What waits is bounded in messages and bytes, what is in flight in frames and bytes.
 */
import { Exit } from "effect"
import { ByteWriter } from "../protocol/Bytes.ts"
import type { CloseReason } from "../protocol/CloseReason.ts"
import { isTransient } from "../protocol/ErrorCode.ts"
import type { FrameOf } from "../protocol/Frame.ts"
import { LaneRests } from "./LaneRests.ts"
import { type OutboundFrame, OutboundFrames, readdressed, type Share } from "./OutboundFrames.ts"
import type { OutboundLink, OutboundOptions } from "./OutboundLink.ts"
import { OutboundQueue } from "./OutboundQueue.ts"
import {
  ConnectionLost,
  PolestarError,
  type PolestarErrorReason,
  QueueFull,
  Rejected,
  Timeout
} from "./PolestarError.ts"
import type { PublishCall } from "./PublishCall.ts"
import { Alarm } from "./Timers.ts"
import { frameBytes, type LaneEvents, type TopicLane } from "./TopicLane.ts"

const maxFramesInFlight = 256
const maxBytesInFlight = 4_194_304

type Failure = Exit.Exit<never, PolestarError>

const failure = (reason: PolestarErrorReason): Failure => Exit.fail(new PolestarError({ reason }))

export class OutboundBatches {
  readonly queue: OutboundQueue
  private readonly options: OutboundOptions
  private readonly frames = new OutboundFrames()
  /** Frames that were in flight when the connection was lost. */
  private toResend: ReadonlyArray<OutboundFrame> = []
  /** Frames that the hub refused for a passing reason and that are not sent again yet. */
  private readonly refused = new Set<OutboundFrame>()
  private readonly rests: LaneRests
  private nextSequence = 1
  private link: OutboundLink | undefined
  private ended: Failure | undefined
  private readonly alarm: Alarm
  private readonly events: LaneEvents
  /** Calls with a message that cannot be sent, answered when the frames are built. */
  private invalid: Array<readonly [PublishCall, Failure]> = []
  private idleListeners: Array<() => void> = []

  constructor(options: OutboundOptions) {
    this.options = options
    this.queue = new OutboundQueue(options.queueSize, options.queueBytes)
    this.rests = new LaneRests(options.timers, (lane) => {
      this.queue.list(lane)
      this.changed()
    })
    this.alarm = new Alarm(options.timers, (now) => this.expire(now))
    this.events = {
      dequeued: (messages, bytes) => this.queue.dequeued(messages, bytes),
      invalid: (call, error) => {
        call.isDone = true
        options.counters.rejected += call.left
        this.queue.discard(call)
        this.invalid.push([call, Exit.fail(error)])
      }
    }
  }

  /** Messages in frames that have no answer. */
  get messagesInFlight(): number {
    return this.toResend.reduce((sum, frame) => sum + frame.count, this.frames.messages)
  }

  /** Calls back once nothing waits to be sent, and nobody for an answer. */
  whenIdle(f: () => void): void {
    if (this.isIdle) f()
    else this.idleListeners.push(f)
  }

  publish(call: PublishCall): void {
    if (this.ended !== undefined) call.fail(this.ended)
    else if (this.queue.offer(call)) this.link?.requestTurn()
    else if (this.options.whenFull === "wait") this.queue.block(call)
    else call.fail(failure(new QueueFull()))
  }

  /** The caller waits no more: what is not in a frame is not sent. */
  cancel(call: PublishCall): void {
    if (call.isDone) return
    call.isDone = true
    this.queue.discard(call)
    this.changed()
  }

  /** Sends again what was in flight, then goes on. The session's OPEN must have been sent before. */
  connected(link: OutboundLink): void {
    if (this.ended !== undefined) return
    this.link = link
    const frames = this.toResend
    this.toResend = []
    for (const frame of frames) this.sendAgain(link, frame, frame.sequence, true)
    this.changed()
  }

  /** The connection, or the session on it, is gone; what was in flight waits for the next one. */
  disconnected(reason: CloseReason): void {
    if (this.link === undefined) return
    this.link = undefined
    const frames = this.frames.takeAll()
    for (const frame of frames) frame.tries++
    this.toResend = frames.filter((frame) => frame.tries <= this.options.maxRetries)
    const lost = failure(new ConnectionLost({ closeReason: reason }))
    for (const frame of frames) if (frame.tries > this.options.maxRetries) this.fail(frame, lost)
    this.changed()
  }

  /** Fails everything, now and from now on. */
  end(error: PolestarError): void {
    if (this.ended !== undefined) return
    const ended = Exit.fail(error)
    this.ended = ended
    this.link = undefined
    const calls = this.queue.clear()
    const frames = [...this.frames.takeAll(), ...this.toResend, ...this.refused]
    this.toResend = []
    this.refused.clear()
    for (const frame of frames) this.fail(frame, ended)
    for (const call of calls) {
      if (!call.isDone) this.options.counters.rejected += call.left
      call.fail(ended)
    }
    this.changed()
  }

  /** Writes frames while there is something to send and room in flight. */
  writeTo(link: OutboundLink): void {
    if (link !== this.link) return
    while (this.queue.hasListed && this.hasWindow) this.writeRound(link)
    if (this.frames.size > 0) this.alarm.set(this.options.timers.now() + this.options.writeTimeout)
    const invalid = this.invalid
    if (invalid.length === 0) return
    this.invalid = []
    for (const [call, exit] of invalid) call.failLate(exit)
    this.changed()
  }

  receipt(receipt: FrameOf<"Receipt">): void {
    const { position, durability, duplicate } = receipt
    for (const { frame, before } of this.frames.takeAnswered(receipt)) {
      frame.lane.frames--
      this.rests.forget(frame.lane)
      this.options.counters.published += frame.count
      let offset = position.offset + before
      for (const { call, count, first } of frame.shares) {
        for (let i = 0; i < count; i++, offset++) {
          const at = duplicate ? position : { epoch: position.epoch, offset }
          call.settle(first + i, { topic: call.topic, position: at, durability, duplicate })
        }
      }
    }
    this.changed()
  }

  rejected(rejected: FrameOf<"Rejected">): void {
    const { code, message } = rejected
    const mayRetry = isTransient(code)
    for (const { frame } of this.frames.takeAnswered(rejected)) {
      frame.tries++
      if (mayRetry && frame.tries <= this.options.maxRetries) {
        frame.lane.refused.push(frame)
        this.refused.add(frame)
        this.rests.begin(frame.lane)
      } else {
        this.rests.forget(frame.lane)
        this.fail(frame, failure(new Rejected({ code, message })))
      }
    }
    this.changed()
  }

  private get isIdle(): boolean {
    if (!this.queue.isEmpty) return false
    for (const frames of [this.frames.values(), this.toResend, this.refused]) {
      for (const { shares } of frames) if (shares.some(({ call }) => !call.isDone)) return false
    }
    return true
  }

  private get hasWindow(): boolean {
    return this.frames.size < maxFramesInFlight && this.frames.bytes < maxBytesInFlight
  }

  /** One frame of each lane that has something, up to about `frameBytes` in all, in one piece of memory. */
  private writeRound(link: OutboundLink): void {
    const writer = new ByteWriter(Math.min(this.queue.estimate, frameBytes) + 256)
    const built: Array<readonly [frame: OutboundFrame, start: number, end: number]> = []
    const lanes = this.queue.takeListed()
    const now = this.options.timers.now()
    let next = 0
    while (
      next < lanes.length &&
      this.frames.size + built.length < maxFramesInFlight &&
      writer.at < frameBytes
    ) {
      const lane = lanes[next++]!
      lane.isListed = false
      if (lane.isResting) continue
      this.sendRefused(link, lane)
      const start = writer.at
      const content = lane.build(writer, link.session, this.nextSequence, link, this.events)
      if (content !== undefined) built.push([this.newFrame(lane, content, now), start, writer.at])
      this.queue.list(lane)
    }
    this.queue.putBack(lanes.slice(next))
    if (writer.at > 0) link.sendBytes(writer.written())
    for (const [frame, start, end] of built) {
      frame.bytes = writer.bytes.subarray(start, end)
      this.frames.add(frame)
    }
    this.queue.admit()
  }

  private newFrame(
    lane: TopicLane,
    content: { readonly shares: ReadonlyArray<Share>; readonly count: number },
    now: number
  ): OutboundFrame {
    lane.frames++
    const { count, shares } = content
    return { lane, shares, count, sequence: this.takeSequence(), bytes: unset, tries: 0, sentAt: now }
  }

  private takeSequence(): number {
    const sequence = this.nextSequence
    this.nextSequence = (sequence + 1) >>> 0
    return sequence
  }

  private sendAgain(link: OutboundLink, frame: OutboundFrame, sequence: number, resent: boolean): void {
    frame.bytes = readdressed(frame.bytes, link.session, sequence, resent)
    frame.sequence = sequence
    frame.sentAt = this.options.timers.now()
    this.options.counters.retried += frame.count
    this.frames.add(frame)
    link.sendBytes(frame.bytes)
    this.alarm.set(frame.sentAt + this.options.writeTimeout)
  }

  /** A refused batch left no trace, so it is a new one to the hub. */
  private sendRefused(link: OutboundLink, lane: TopicLane): void {
    if (lane.refused.length === 0) return
    for (const frame of lane.refused.splice(0)) {
      this.refused.delete(frame)
      this.sendAgain(link, frame, this.takeSequence(), false)
    }
  }

  /** Deals with frames that have waited for an answer for too long; answers when the next one will have. */
  private expire(now: number): number | undefined {
    const { counters, maxRetries, writeTimeout } = this.options
    let oldest = Number.POSITIVE_INFINITY
    const link = this.link
    for (const frame of [...this.frames.values()]) {
      if (now - frame.sentAt >= writeTimeout) {
        frame.tries++
        if (frame.tries > maxRetries) {
          this.frames.abandon(frame)
          this.fail(frame, failure(new Timeout({ operation: "publish" })))
          continue
        }
        frame.sentAt = now
        if (link !== undefined && !link.isBlocked()) {
          counters.retried += frame.count
          link.sendBytes(readdressed(frame.bytes, link.session, frame.sequence, true))
        }
      }
      oldest = Math.min(oldest, frame.sentAt)
    }
    this.changed()
    return this.frames.size === 0 ? undefined : oldest + writeTimeout
  }

  private fail(frame: OutboundFrame, exit: Failure): void {
    frame.lane.frames--
    this.options.counters.rejected += frame.count
    for (const { call } of frame.shares) {
      if (call.isDone) continue
      call.isDone = true
      if (call.left > 0 && this.ended === undefined) {
        this.options.counters.rejected += call.left
        this.queue.discard(call)
      }
      call.failLate(exit)
    }
  }

  private changed(): void {
    this.queue.admit()
    if (this.queue.hasListed) this.link?.requestTurn()
    if (this.idleListeners.length === 0 || !this.isIdle) return
    const listeners = this.idleListeners
    this.idleListeners = []
    for (const listener of listeners) listener()
  }
}

const unset = new Uint8Array(0)
