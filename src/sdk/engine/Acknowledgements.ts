/**
 * What a member of a group has to tell the hub of the messages it was given: that they are done, or refused.
 *
 * - Acknowledgements of one turn are gathered: as few frames as there are topics and epochs, ranges put together.
 * - What the hub has not confirmed is sent again on the next connection, before the hub is asked for more, so that
 *   what was done here is not given to somebody else once the hub can be told.
 * - A refusal is of a delivery on this connection. The connection's end settles it, as a failed attempt; so it fails
 *   with `ConnectionLost`, and is not sent again.
 * - While the hub is heard it is waited for; a silent one is asked, and given up after `writeTimeout`.
 *
 * Bounded by what the hub has delivered.
 */
import { isTransient } from "../../protocol/ErrorCode.ts"
import type { Frame } from "../../protocol/Frame.ts"
import { maxAckRanges, notGiven } from "../../protocol/Op.ts"
import type { OffsetRange } from "../../protocol/Position.ts"
import type { Refusal } from "../Client.ts"
import { ConnectionLost, PolestarError } from "../PolestarError.ts"
import { cut, RangeGatherer, without } from "./OffsetRanges.ts"
import type { Answer } from "./Requests.ts"
import { Alarm, type Timers } from "./Timers.ts"

/** A connection on which the session has joined the group. */
export interface MemberLink {
  readonly session: number
  readonly maxFrame: number
  readonly send: (frame: Frame) => void
  /** Sends a frame that the hub answers, however late. */
  readonly ask: (frame: (request: number) => Frame, answered: (answer: Answer) => void) => void
  /** Has `write` called at the end of the turn, or when the connection takes more again. */
  readonly requestTurn: (source: { readonly write: () => void }) => void
  /** Ends the connection if the hub has been silent for `limit` ms while it owed an answer; answers when to look again. */
  readonly endIfSilent: (since: number, limit: number) => number
}

/** Told once how it went: `undefined` is well. */
export type Settled = (error: PolestarError | undefined) => void

/** Bytes of a frame besides its ranges and its error, at most; of an error in UTF-8, of a range. */
const headBytes = 600
const characterBytes = 3
const rangeBytes = 16
/** Characters of an error that are sent: the hub keeps no more. */
const maxError = 1024
/** Milliseconds before what the hub refused for a passing reason is sent again. */
const againDelay = 1000

export interface AcknowledgementsHost {
  readonly timers: Timers
  /** Milliseconds. */
  readonly writeTimeout: number
  /** What nobody waits for has failed for good. */
  readonly failed: (error: PolestarError) => void
  /** These are acknowledged or refused, and are not to be handled if they came again. */
  readonly settled: (topic: string, epoch: number, ranges: ReadonlyArray<OffsetRange>) => void
}

interface Gathered {
  readonly topic: string
  readonly epoch: number
  readonly ranges: RangeGatherer
  readonly waiters: Set<Waiter>
}

/** One ACK frame without an answer. */
interface Unconfirmed {
  readonly topic: string
  readonly epoch: number
  readonly ranges: ReadonlyArray<OffsetRange>
  readonly waiters: ReadonlySet<Waiter>
  sentAt: number
}

export class Acknowledgements {
  private readonly group: string
  private readonly host: AcknowledgementsHost
  /** For those that nobody waits for. */
  private readonly nobody: Waiter
  private gathered = new Map<string, Gathered>()
  private newest: Gathered | undefined
  private readonly unconfirmed = new Set<Unconfirmed>()
  private readonly refusals = new Set<Waiter>()
  private idle: Array<() => void> = []
  private link: MemberLink | undefined
  private readonly alarm: Alarm

  constructor(group: string, host: AcknowledgementsHost) {
    this.group = group
    this.host = host
    this.nobody = { left: 0, settled: (error) => error !== undefined && host.failed(error) }
    this.alarm = new Alarm(host.timers, () => this.endIfSilent())
  }

  get isEmpty(): boolean {
    return this.gathered.size === 0 && this.unconfirmed.size === 0
  }

  /** Sends what is not confirmed, then what has gathered. */
  joined(link: MemberLink): void {
    this.link = link
    for (const frame of this.unconfirmed) this.send(link, frame)
    this.flush()
  }

  detached(): void {
    this.link = undefined
    const error = new PolestarError({ reason: new ConnectionLost({ closeReason: "connection-lost" }) })
    for (const waiter of [...this.refusals]) fail(waiter, error)
  }

  /** Fails everything that is not confirmed. */
  end(error: PolestarError): void {
    this.detached()
    const left = [...this.gathered.values(), ...this.unconfirmed]
    this.gathered.clear()
    this.newest = undefined
    this.unconfirmed.clear()
    for (const { waiters } of left)
      for (const waiter of waiters) if (waiter !== this.nobody) fail(waiter, error)
    this.tellIdle()
  }

  /** Calls back once everything is confirmed, or has failed, or there is nobody to tell. */
  whenIdle(f: () => void): void {
    if (this.isEmpty || this.link === undefined) f()
    else this.idle.push(f)
  }

  /** Offsets `from` to before `to` are done. */
  acknowledge(topic: string, epoch: number, from: number, to: number): void {
    const { ranges, waiters } = this.gatheredOf(topic, epoch)
    ranges.add(from, to)
    waiters.add(this.nobody)
  }

  acknowledgeAll(topic: string, epoch: number, all: ReadonlyArray<OffsetRange>, settled: Settled): void {
    const { ranges, waiters } = this.gatheredOf(topic, epoch)
    for (const { from, to } of all) ranges.add(from, to)
    waiters.add({ left: 1, settled })
  }

  refuse(
    topic: string,
    epoch: number,
    ranges: ReadonlyArray<OffsetRange>,
    refusal: Refusal,
    settled: Settled
  ): void {
    const waiter: Waiter = {
      left: 0,
      settled: (error) => {
        this.refusals.delete(waiter)
        settled(error)
      }
    }
    const { link } = this
    this.refusals.add(waiter)
    if (link === undefined) {
      this.detached()
      return
    }
    const frames = this.refuseFrames(link, topic, epoch, ranges, refusal)
    waiter.left = frames.length
    for (const frame of frames) {
      link.ask(frame, (answer) => {
        if (answer._tag === "PolestarError") fail(waiter, answer)
        else done(waiter)
      })
    }
  }

  /** Refuses without an answer: with the connection's end it is settled anyway. */
  refuseUnheard(topic: string, epoch: number, ranges: ReadonlyArray<OffsetRange>, refusal: Refusal): void {
    const { link } = this
    if (link === undefined) return
    for (const frame of this.refuseFrames(link, topic, epoch, ranges, refusal)) link.send(frame(0))
  }

  /** Those of a delivery's offsets that are not acknowledged yet, rising; `undefined` stands for all. */
  unknownOf(topic: string, epoch: number, from: number, to: number): ReadonlyArray<OffsetRange> | undefined {
    const known: Array<OffsetRange> = []
    const look = (of: Gathered | Unconfirmed, ranges: ReadonlyArray<OffsetRange>): void => {
      if (of.topic !== topic || of.epoch !== epoch) return
      for (const range of ranges) if (range.from < to && range.to > from) known.push(range)
    }
    for (const gathered of this.gathered.values()) look(gathered, gathered.ranges.all)
    for (const frame of this.unconfirmed) look(frame, frame.ranges)
    return without(from, to, known)
  }

  /** Sends what has gathered. */
  flush(): void {
    const { link } = this
    if (link === undefined || this.gathered.size === 0) return
    const all = this.gathered
    this.gathered = new Map()
    this.newest = undefined
    for (const { epoch, ranges, topic, waiters } of all.values()) {
      const done = ranges.merged()
      this.host.settled(topic, epoch, done)
      const parts = cut(done, mostRanges(link, headBytes))
      for (const waiter of waiters) waiter.left += parts.length - 1
      for (const part of parts) {
        const frame = { topic, epoch, ranges: part, waiters, sentAt: 0 }
        this.unconfirmed.add(frame)
        this.send(link, frame)
      }
    }
  }

  private gatheredOf(topic: string, epoch: number): Gathered {
    if (this.newest?.topic === topic && this.newest.epoch === epoch) return this.newest
    if (this.gathered.size === 0) this.link?.requestTurn({ write: () => this.flush() })
    const key = `${epoch} ${topic}`
    const gathered = this.gathered.get(key) ?? {
      topic,
      epoch,
      ranges: new RangeGatherer(),
      waiters: new Set<Waiter>()
    }
    this.gathered.set(key, gathered)
    this.newest = gathered
    return gathered
  }

  private send(link: MemberLink, frame: Unconfirmed): void {
    const { epoch, ranges, topic } = frame
    frame.sentAt = this.host.timers.now()
    this.alarm.set(frame.sentAt + this.host.writeTimeout / 2)
    link.ask(
      (request) => ({ _tag: "Ack", session: link.session, request, group: this.group, topic, epoch, ranges }),
      (answer) => {
        // Of a connection that is gone: the frame is sent again on the next.
        if (link === this.link && this.unconfirmed.has(frame)) this.answered(link, frame, answer)
      }
    )
  }

  private answered(link: MemberLink, frame: Unconfirmed, answer: Answer): void {
    const error = answer._tag === "PolestarError" ? answer : undefined
    if (error?.reason._tag === "Rejected" && isTransient(error.reason.code)) {
      this.host.timers.after(againDelay, () => {
        if (link === this.link && this.unconfirmed.has(frame)) this.send(link, frame)
      })
      return
    }
    this.unconfirmed.delete(frame)
    for (const waiter of frame.waiters) {
      if (error !== undefined) fail(waiter, error)
      else if (waiter !== this.nobody) done(waiter)
    }
    this.tellIdle()
  }

  private refuseFrames(
    { maxFrame, session }: MemberLink,
    topic: string,
    epoch: number,
    all: ReadonlyArray<OffsetRange>,
    { delay, error, fate }: Refusal
  ): ReadonlyArray<(request: number) => Frame> {
    const { group } = this
    if (fate !== "hold") this.host.settled(topic, epoch, all)
    const text = error.slice(0, maxError)
    const parts = cut(all, mostRanges({ maxFrame }, headBytes + text.length * characterBytes))
    return parts.map(
      (ranges) =>
        (request): Frame => ({
          _tag: "Refuse",
          session,
          request,
          group,
          topic,
          epoch,
          fate,
          delay: delay ?? notGiven.u32,
          error: text,
          ranges
        })
    )
  }

  private endIfSilent(): number | undefined {
    const [oldest] = this.unconfirmed
    if (this.link === undefined || oldest === undefined) return undefined
    const again = this.link.endIfSilent(oldest.sentAt, this.host.writeTimeout)
    return this.unconfirmed.size === 0 ? undefined : again
  }

  private tellIdle(): void {
    if (this.idle.length === 0 || !this.isEmpty) return
    const idle = this.idle
    this.idle = []
    for (const f of idle) f()
  }
}

/** Ranges that one frame holds. */
const mostRanges = ({ maxFrame }: { readonly maxFrame: number }, head: number): number =>
  Math.max(1, Math.min(maxAckRanges, Math.floor((maxFrame - head) / rangeBytes)))

/** Who waits for frames, and how many of them have no answer. */
interface Waiter {
  left: number
  readonly settled: Settled
}

const done = (waiter: Waiter): void => {
  waiter.left--
  if (waiter.left === 0) waiter.settled(undefined)
}

const fail = (waiter: Waiter, error: PolestarError): void => {
  if (waiter.left === Number.NEGATIVE_INFINITY) return
  waiter.left = Number.NEGATIVE_INFINITY
  waiter.settled(error)
}
