/**
 * The outbound half of a connection that speaks JSON. What a turn delivers goes out in one write at its end, or when
 * there is much of it; while the socket takes no more, deliveries stay in the subscriptions' mailboxes.
 */
import type { Duplex as NodeDuplex } from "node:stream"
import { Effect } from "effect"
import type { WebSocket } from "ws"
import type { Flushable } from "../../actors/ActorSystem.ts"
import type { DeliveryMeter } from "../../actors/DeliveryMeter.ts"
import type { LocalConnection, LocalOutlet } from "../../actors/LocalConnection.ts"
import type { Receiver } from "../../actors/Outlet.ts"
import type { Session } from "../../actors/Session.ts"
import type { Batch } from "../../protocol/Batch.ts"
import { type CloseReason, CloseReasons } from "../../protocol/CloseReason.ts"
import type { Frame } from "../../protocol/Frame.ts"
import type { EventFrames } from "./EventFrames.ts"
import { FrameRun } from "./FrameRun.ts"
import { dialectOf, session as sessionNumber } from "./HubNumbers.ts"
import { pingFrame, textFrame, textsOf } from "./ServerFrame.ts"

/** Bytes that wait in the socket before deliveries stay in the mailboxes. */
const highWater = 262_144
/** Bytes of a run that are written before the turn ends. */
const flushAt = 65_536
/** Bytes in the socket beyond which nothing is read from a client that does not read its answers. */
const answersLimit = 1_048_576

/** Why a client is not read for a while: it does not read its answers, or too much of what it publishes waits. */
export const Hold = { answers: 1, publishes: 2 } as const

/** Who hears what the hub says but for deliveries. */
export interface FrameListener {
  readonly control: (frame: Frame) => void
  /** The last moment at which something can be said. */
  readonly ended: (reason: CloseReason) => void
}

export class JsonOutlet implements LocalOutlet, Flushable {
  private connection!: LocalConnection
  private meter!: DeliveryMeter
  private listener!: FrameListener
  private readonly ws: WebSocket
  private readonly socket: NodeDuplex
  private readonly events: EventFrames
  private run: FrameRun | undefined
  private isPressed = false
  private isDirty = false
  private isClosed = false
  /** Why nothing is read from the client: bits of `Hold`. */
  private holds = 0
  private toPump: Set<Receiver> | undefined
  private sent = 0
  private pendingAtCheck = 0
  private takenAtCheck = 0
  /** Credit that members of groups get back once what they were given is written. */
  private owed: Array<{ readonly subscription: number; readonly messages: number }> | undefined

  /** `attach` is to be called before anything else. */
  constructor(ws: WebSocket, socket: NodeDuplex, events: EventFrames) {
    this.ws = ws
    this.socket = socket
    this.events = events
    socket.on("drain", this.drained)
  }

  attach(connection: LocalConnection, listener: FrameListener): void {
    this.connection = connection
    this.meter = connection.meter()
    this.listener = listener
  }

  get isWritable(): boolean {
    return !this.isPressed && !this.isClosed
  }

  get isWaiting(): boolean {
    if (this.run !== undefined || this.ws.bufferedAmount > 0) return true
    for (const session of this.connection.sessions.values())
      for (const subscription of session.subscriptions.values()) if (subscription.isWaiting) return true
    return false
  }

  isTaking(): boolean {
    const pending = this.ws.bufferedAmount
    const taken = this.sent - pending
    const isStuck = pending > 0 && this.pendingAtCheck > 0 && taken === this.takenAtCheck
    this.pendingAtCheck = pending
    this.takenAtCheck = taken
    return !isStuck
  }

  deliver(session: Session, receiver: Receiver, batch: Batch, attempt = 0): void {
    if (this.isClosed) return
    this.meter.delivered(batch, session.id)
    if (attempt > 0) {
      this.owed ??= []
      this.owed.push({ subscription: receiver.id, messages: batch.count })
    }
    this.push(this.events.of(batch, dialectOf(receiver.id), attempt))
  }

  control(frame: Frame): void {
    this.listener.control(frame)
  }

  pumpLater(receiver: Receiver): void {
    this.toPump ??= new Set()
    this.toPump.add(receiver)
    if (!this.isPressed) this.mark()
  }

  /** Says something of its own to the client: JSON. */
  say(text: Uint8Array): void {
    if (this.isClosed) return
    this.push(new FrameRun(textFrame(text)))
  }

  ping(): void {
    if (this.ws.extensions === "") this.push(new FrameRun(pingFrame()))
    else if (!this.isClosed) this.ws.ping()
  }

  /** Stops reading until it is released; what was read already still comes. */
  hold(why: number): void {
    if (this.holds === 0 && !this.isClosed) this.ws.pause()
    this.holds |= why
  }

  release(why: number): void {
    if (this.holds === 0) return
    this.holds &= ~why
    if (this.holds === 0 && !this.isClosed) this.ws.resume()
  }

  /** Forgets the socket without closing it. */
  detach(): void {
    this.isClosed = true
    this.run = undefined
    this.toPump = undefined
    this.socket.off("drain", this.drained)
  }

  flush(): void {
    this.isDirty = false
    this.pump()
    this.write()
    const { owed } = this
    this.owed = undefined
    for (const { messages, subscription } of owed ?? [])
      this.connection.send({ _tag: "Credit", session: sessionNumber, subscription, messages, bytes: 0 })
  }

  broke(error: unknown): void {
    this.connection.fork(Effect.logError("a WebSocket connection failed", error))
    this.connection.end("hub-failed")
  }

  ended(reason: CloseReason): void {
    if (this.isClosed) return
    this.listener.ended(reason)
    this.write()
    this.detach()
    if (reason === "ping-timeout" || reason === "write-timeout") this.ws.terminate()
    else this.ws.close(CloseReasons[reason], reason)
    // The answer to the close is read only if the socket is.
    this.ws.resume()
  }

  private push(frames: FrameRun): void {
    if (this.isClosed) return
    const { run } = this
    if (run !== undefined && run.length + frames.length > flushAt) this.write()
    this.run = this.run === undefined ? frames : this.run.followedBy(frames.bytes)
    this.mark()
    if (this.run.length >= flushAt) this.write()
  }

  private mark(): void {
    if (this.isDirty || this.isClosed) return
    this.isDirty = true
    this.connection.flushLater(this)
  }

  /** Every receiver in turn; the one that the socket stopped goes last the next time. */
  private pump(): void {
    const receivers = this.toPump
    if (receivers === undefined || this.isPressed) return
    this.toPump = undefined
    for (const receiver of receivers) {
      if (!this.isPressed && !receiver.pump()) continue
      this.toPump ??= new Set()
      this.toPump.add(receiver)
    }
  }

  private write(): void {
    const { run, socket, ws } = this
    if (run === undefined) return
    this.run = undefined
    if (ws.readyState !== ws.OPEN || !socket.writable) return
    this.sent += run.length
    if (ws.extensions === "") socket.write(run.bytes)
    else for (const payload of textsOf(run.bytes)) ws.send(payload, textMessage, this.compressed)
    const pending = ws.bufferedAmount
    if (pending > highWater) this.isPressed = true
    if (pending > answersLimit) this.hold(Hold.answers)
    this.meter.written()
  }

  private readonly drained = (): void => {
    this.isPressed = false
    this.release(Hold.answers)
    this.flush()
  }

  /** Compressing takes its time, and what waits for it waits outside the socket, which so has no drain to tell of. */
  private readonly compressed = (): void => {
    if (this.isPressed && !this.isClosed && this.ws.bufferedAmount <= highWater / 2) this.drained()
  }
}

const textMessage = { binary: false }
