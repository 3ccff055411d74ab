/**
 * One event stream (Server-Sent Events): the outlet of its subscriptions. An event's `id` is the cursor after it, so a
 * reader that reconnects with `Last-Event-ID` goes on there; what it missed and can no longer have, it is told. Of what
 * one turn brings the last event has an id, unless that is long and little came since the last one, and so has one event
 * in each 4 KB. Who is cut off between two ids loses nothing, and is given again what came after the first of them.
 */
import type { ServerResponse } from "node:http"
import type { LocalConnection, LocalOutlet } from "../../actors/LocalConnection.ts"
import type { Receiver } from "../../actors/Outlet.ts"
import type { Session } from "../../actors/Session.ts"
import type { Batch } from "../../protocol/Batch.ts"
import { type CloseReason, CloseReasons, mayReconnect } from "../../protocol/CloseReason.ts"
import type { Frame, FrameOf } from "../../protocol/Frame.ts"
import type { EventCursor } from "./EventCursor.ts"
import { idInterval } from "./EventRun.ts"
import { countDelivery } from "./HubClient.ts"
import { Pieces } from "./Pieces.ts"
import type { PolledTexts } from "./PolledTexts.ts"
import { type Refusal, refusalOfClose, refusalOfError } from "./Refusal.ts"
import type { Waiting } from "./Web.ts"

/** Milliseconds after which a browser reconnects. */
const retry = 2000
/** Characters of an `id` that is long: it comes once the events since the last one are as long as it is. */
const longId = 1024
/** Bytes that may wait for the peer before deliveries wait in the hub. */
const highWater = 65_536

export interface EventStreamOptions {
  readonly response: ServerResponse
  readonly texts: PolledTexts
  readonly cursor: EventCursor
  /** Whether the cursor begins where the subscriptions do. */
  readonly isNow: boolean
  readonly patterns: ReadonlyArray<string>
  /** Called once, when nothing more is written. */
  readonly onEnd: () => void
}

export class EventStream implements LocalOutlet, Waiting {
  /** Why it was refused, before its response began. */
  failure: Refusal | undefined
  private readonly options: EventStreamOptions
  private readonly response: ServerResponse
  private pending: Array<Receiver> = []
  private readonly out = new Pieces()
  /** Whether the last event still lacks its end, and its `id` if it is to have one. */
  private isOpen = false
  /** Bytes of events since the last `id`. */
  private sinceId = 0
  private isPumping = false
  private isScheduled = false
  private isFull = false
  private isEnded = false
  /** Subscriptions that have not begun yet. */
  private toBegin: number
  /** Subscriptions whose past has not all come yet. */
  private toCatchUp: number
  /** Bytes that the peer had taken when it was last asked for. */
  private taken = 0
  private wasWaiting = false
  private connection: LocalConnection | undefined

  constructor(options: EventStreamOptions) {
    this.options = options
    this.response = options.response
    this.toBegin = options.patterns.length
    this.toCatchUp = options.isNow ? 0 : options.patterns.length
    options.response.on("drain", () => {
      this.isFull = false
      this.flush()
      this.pump()
    })
    options.response.on("close", () => this.finish())
  }

  /** To be called before it subscribes. */
  begin(connection: LocalConnection): void {
    this.connection = connection
  }

  get isWritable(): boolean {
    return !this.isFull && !this.isEnded && this.out.length < highWater
  }

  get isWaiting(): boolean {
    return !this.isEnded && (this.out.length > 0 || this.response.writableLength > 0)
  }

  /** Whether messages wait in the hub. */
  private get isQueued(): boolean {
    return this.isFull || this.isPumping || this.pending.length > 0
  }

  deliver(session: Session, _receiver: Receiver, batch: Batch): void {
    if (this.isEnded) return
    countDelivery(this.connection, session, batch)
    const { cursor } = this.options
    const { epoch, offset, priority, timestamp, topic } = batch
    const { isQueued } = this
    cursor.isBehind = isQueued || this.toCatchUp > 0
    // What is urgent may have overtaken others that wait: the reader's position is not to go beyond those.
    const mayMove = priority === 0 || !isQueued
    for (const { bytes, messages } of this.options.texts.run(batch)) {
      this.endEvent()
      if (mayMove) cursor.received(topic, epoch, offset + messages, timestamp)
      this.out.add(bytes)
      this.sinceId += bytes.length
      this.isOpen = true
    }
    this.schedule()
  }

  control(frame: Frame): void {
    switch (frame._tag) {
      case "Subscribed":
        this.subscribed(frame)
        return
      case "CaughtUp":
        this.toCatchUp--
        return
      case "Recovered":
        this.event("recovered", { messages: frame.messages })
        return
      case "Gap": {
        const { from, to, topic } = frame
        this.endEvent()
        // It comes before what still waits. What comes after it moves the cursor, too.
        if (!this.isQueued)
          this.options.cursor.received(topic, to.epoch, to.offset, this.options.cursor.since)
        this.event("gap", { topic, from, to })
        return
      }
      case "Dropped":
        this.event("dropped", { topic: frame.topic, count: frame.count })
        return
      case "Failure":
        this.failure ??= refusalOfError(frame.code, frame.message)
        return
      case "Closed":
        this.ended(frame.reason)
        return
      default:
    }
  }

  pumpLater(receiver: Receiver): void {
    if (!this.pending.includes(receiver)) this.pending.push(receiver)
    this.schedule()
  }

  ended(reason: CloseReason): void {
    this.failure ??= refusalOfClose(reason)
    if (this.isEnded || !this.response.headersSent) return
    this.event("close", { reason, code: CloseReasons[reason], reconnect: mayReconnect(reason) })
    this.flush()
    this.finish()
  }

  /** The peer has taken something since the last time, or has not had anything to take since then. */
  isTaking(): boolean {
    const { socket } = this.response
    const taken = (socket?.bytesWritten ?? 0) - (socket?.writableLength ?? 0)
    const { isWaiting } = this
    const isStuck = isWaiting && this.wasWaiting && taken === this.taken
    this.wasWaiting = isWaiting
    this.taken = taken
    return !isStuck
  }

  hubStops(): void {
    const { connection } = this
    if (connection === undefined) this.ended("shutting-down")
    else connection.turn(() => connection.end("shutting-down"))
  }

  /** Says that it is alive; a comment, which readers do not see. */
  beat(): void {
    if (this.response.headersSent && this.out.length === 0) this.add(": ping\n\n")
  }

  /** To be called once all is subscribed, unless that failed. */
  open(): void {
    this.response.writeHead(200, {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      "x-accel-buffering": "no"
    })
    this.response.write(`retry: ${retry}\n\n`)
    this.flush()
  }

  private subscribed({ position, subscription, time }: FrameOf<"Subscribed">): void {
    this.toBegin--
    if (!this.options.isNow) return
    const { cursor, patterns } = this.options
    cursor.beginsAt(time)
    const pattern = patterns[subscription - 1]
    if (position !== undefined && pattern !== undefined)
      cursor.received(pattern, position.epoch, position.offset, time)
    // Where it began, so that a reader which was cut off before the first message misses none.
    if (this.toBegin === 0) this.event("begin", {})
  }

  private event(name: string, data: object): void {
    this.endEvent()
    this.add(`id: ${this.options.cursor}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`)
    this.sinceId = 0
  }

  /** Ends the event that is open, before the cursor moves on: with an `id` if `least` bytes came since the last one. */
  private endEvent(least = idInterval): void {
    if (!this.isOpen) return
    this.isOpen = false
    const isTime = this.sinceId >= least
    if (isTime) this.sinceId = 0
    this.out.add(isTime ? `id: ${this.options.cursor}\n\n` : "\n")
  }

  /** The last event of a turn. */
  private endTurn(): void {
    const { length } = this.options.cursor
    this.endEvent(length < longId ? 0 : Math.min(length, idInterval))
  }

  private add(text: string): void {
    if (this.isEnded) return
    this.out.addText(text)
    this.schedule()
  }

  /** What one turn of the hub brings goes out in one write. */
  private schedule(): void {
    if (this.isScheduled || this.isEnded) return
    this.isScheduled = true
    queueMicrotask(() => {
      this.isScheduled = false
      if (!this.response.headersSent) return
      this.flush()
      this.pump()
    })
  }

  /** In parts, so that of a large event too it can be seen whether the peer takes it. */
  private flush(): void {
    this.endTurn()
    while (!this.isFull && !this.isEnded) {
      const part = this.out.next(highWater)
      if (part === undefined) return
      if (!this.response.write(part)) this.isFull = true
    }
  }

  /** Gets what waits in the hub, as far as there is room. */
  private pump(): void {
    if (!this.isWritable || this.pending.length === 0) return
    const { pending } = this
    this.pending = []
    this.connection?.turn(() => {
      this.isPumping = true
      for (const receiver of pending) if (receiver.pump()) this.pumpLater(receiver)
      this.isPumping = false
    })
  }

  private finish(): void {
    if (this.isEnded) return
    this.isEnded = true
    const { out, response } = this
    if (!response.writableEnded && !response.destroyed) {
      this.endTurn()
      for (let part = out.next(highWater); part !== undefined; part = out.next(highWater))
        response.write(part)
    }
    if (!response.writableEnded) response.end()
    this.options.onEnd()
  }
}
