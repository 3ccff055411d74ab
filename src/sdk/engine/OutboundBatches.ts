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
 * - While the hub is heard nothing is sent again, or fails, for want of an answer: a hub that holds a publisher back
 *   is waited for. A hub that is silent for `writeTimeout` while it owes an answer, though it was asked, is lost, and
 *   with it the connection. What was in flight then, or whenever a connection is lost, has had one try.
 * - What waits is bounded in messages and bytes; what is in flight in frames, and in bytes for all sessions of the
 *   connection together (`ConnectionWindow.ts`).
 */
import { Exit } from "effect"
import { ByteWriter } from "../../protocol/Bytes.ts"
import type { CloseReason } from "../../protocol/CloseReason.ts"
import { isTransient } from "../../protocol/ErrorCode.ts"
import type { FrameOf } from "../../protocol/Frame.ts"
import {
  PolestarError,
  type PolestarErrorReason,
  publishLost,
  QueueFull,
  Rejected
} from "../PolestarError.ts"
import {
  newFrame,
  type OutboundFrame,
  OutboundFrames,
  type OutboundLink,
  type OutboundOptions,
  readdressed,
  settleFrame
} from "./OutboundFrames.ts"
import { OutboundQueue } from "./OutboundQueue.ts"
import type { PublishCall } from "./PublishCall.ts"
import { Alarm } from "./Timers.ts"
import { frameBytes, type LaneEvents, LaneRests, type TopicLane } from "./TopicLane.ts"

const maxFramesInFlight = 256

type Failure = Exit.Exit<never, PolestarError>

const failure = (reason: PolestarErrorReason): Failure => Exit.fail(new PolestarError({ reason }))

export class OutboundBatches {
  readonly queue: OutboundQueue
  private readonly options: OutboundOptions
  private readonly frames: OutboundFrames
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
    this.frames = new OutboundFrames(options.window)
    this.queue = new OutboundQueue(options.queueSize, options.queueBytes)
    this.rests = new LaneRests(options.timers, (lane) => {
      this.queue.list(lane)
      this.changed()
    })
    this.alarm = new Alarm(options.timers, () => this.endIfSilent())
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
    return this.frames.messages
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
    for (const frame of this.frames.takeParked()) this.sendAgain(link, frame, frame.sequence, true)
    this.changed()
  }

  /** The connection, or the session on it, is gone; what was in flight waits for the next one. */
  disconnected(reason: CloseReason): void {
    if (this.link === undefined) return
    this.unlink()
    const lost = Exit.fail(publishLost(reason))
    for (const frame of this.frames.park(this.options.maxRetries)) this.fail(frame, lost)
    this.changed()
  }

  /** Fails everything, now and from now on. */
  end(error: PolestarError): void {
    if (this.ended !== undefined) return
    const ended = Exit.fail(error)
    this.ended = ended
    this.unlink()
    const calls = this.queue.clear()
    const frames = [...this.frames.takeAll(), ...this.refused]
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
    const { window } = this.options
    while (this.hasMore && window.enter(link)) this.writeRound(link)
    if (!this.hasMore) window.leave(link)
    if (this.frames.size > 0) this.setAlarm()
    const invalid = this.invalid
    if (invalid.length === 0) return
    this.invalid = []
    for (const [call, exit] of invalid) call.failLate(exit)
    this.changed()
  }

  receipt(receipt: FrameOf<"Receipt">): void {
    for (const { frame, before } of this.frames.takeAnswered(receipt)) {
      frame.lane.frames--
      this.rests.forget(frame.lane)
      this.options.counters.published += frame.count
      settleFrame(frame, receipt, before)
    }
    this.changed()
  }

  rejected(rejected: FrameOf<"Rejected">): void {
    const { code, message } = rejected
    const mayRetry = isTransient(code)
    for (const { frame } of this.frames.takeAnswered(rejected)) {
      frame.tries++
      if (mayRetry && frame.tries <= this.options.maxRetries) {
        frame.lane.refuse(frame)
        this.refused.add(frame)
        this.rests.begin(frame.lane)
      } else {
        this.rests.forget(frame.lane)
        this.fail(frame, failure(new Rejected({ code, message, about: frame.lane.topic })))
      }
    }
    this.changed()
  }

  private get isIdle(): boolean {
    if (!this.queue.isEmpty) return false
    for (const frames of [this.frames.all(), this.refused]) {
      for (const { shares } of frames) if (shares.some(({ call }) => !call.isDone)) return false
    }
    return true
  }

  /** Whether there is something that may be sent, if the connection has room for it. */
  private get hasMore(): boolean {
    return this.queue.hasListed && this.frames.size < maxFramesInFlight
  }

  /** The lanes' frames in turn, up to about `frameBytes` in all, in one piece of memory. */
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
      const content =
        lane.refused.length > 0
          ? undefined
          : lane.build(writer, link.session, this.nextSequence, link, this.events)
      if (content === undefined || lane.isEmpty) this.queue.list(lane)
      else {
        // It has another turn in this same round.
        lane.isListed = true
        lanes.push(lane)
      }
      if (content === undefined) continue
      lane.frames++
      built.push([newFrame(lane, content, this.takeSequence(), now), start, writer.at])
    }
    this.queue.putBack(lanes.slice(next))
    if (writer.at > 0) link.sendBytes(writer.written())
    for (const [frame, start, end] of built) {
      frame.bytes = writer.bytes.subarray(start, end)
      this.frames.add(frame)
    }
    this.queue.admit()
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
    this.setAlarm()
  }

  /** A refused batch left no trace, so it is a new one to the hub. */
  private sendRefused(link: OutboundLink, lane: TopicLane): void {
    while (lane.refused.length > 0 && this.options.window.hasRoom) {
      const frame = lane.refused.shift()!
      this.refused.delete(frame)
      this.sendAgain(link, frame, this.takeSequence(), false)
    }
  }

  private setAlarm(): void {
    this.alarm.set(this.options.timers.now() + this.options.writeTimeout / 2)
  }

  /** Has a hub asked that owes an answer and is silent, and the connection ended if it stays so. */
  private endIfSilent(): number | undefined {
    const { frames, link } = this
    const { oldest } = frames
    if (link === undefined || oldest === undefined) return undefined
    const again = link.endIfSilent(oldest, this.options.writeTimeout)
    return frames.size === 0 ? undefined : again
  }

  private unlink(): void {
    if (this.link !== undefined) this.options.window.leave(this.link)
    this.link = undefined
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
