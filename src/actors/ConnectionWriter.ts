/**
 * The outbound half of a connection. Everything that a turn delivers goes out in one write at its end, or when
 * there is much of it. While the socket does not take more, deliveries stay in the subscriptions' mailboxes.
 */
import { Effect } from "effect"
import type { Batch } from "../protocol/Batch.ts"
import type { Duplex } from "../protocol/Duplex.ts"
import type { Frame } from "../protocol/Frame.ts"
import type { Flushable } from "./ActorSystem.ts"
import { DeliveryMeter } from "./DeliveryMeter.ts"
import { Outbox } from "./Outbox.ts"
import type { Outlet, Receiver } from "./Outlet.ts"
import type { Registry } from "./Registry.ts"
import type { Session } from "./Session.ts"

/** Bytes that wait in the socket before deliveries stay in the mailboxes. */
const highWater = 1_048_576
/** Bytes of control frames that may wait for a peer that does not read. */
const controlLimit = 1_048_576

export class ConnectionWriter implements Outlet, Flushable {
  readonly broke: (error: unknown) => void
  private readonly duplex: Duplex
  private readonly registry: Registry
  private readonly outbox = new Outbox()
  private isPressed = false
  private isDirty = false
  private isClosed = false
  private toPump = new Set<Receiver>()
  private controlBytes = 0
  private sent = 0
  private readonly meter: DeliveryMeter
  private drainListeners: Array<() => void> = []

  /** `broke` is told of an error of the hub's own while writing. */
  constructor(duplex: Duplex, registry: Registry, broke: (error: unknown) => void) {
    this.broke = broke
    this.duplex = duplex
    this.registry = registry
    this.meter = new DeliveryMeter(registry)
  }

  get isWritable(): boolean {
    return !this.isPressed && !this.isClosed
  }

  /** Whether the peer must read before anything more is read from it. */
  get isControlFull(): boolean {
    return this.controlBytes > controlLimit
  }

  /** Bytes that the peer has not taken. */
  get pending(): number {
    return this.outbox.bytes + this.duplex.pending()
  }

  /** Bytes that the peer has taken since the connection began. */
  get taken(): number {
    return this.sent - this.duplex.pending()
  }

  deliver(session: Session, receiver: Receiver, batch: Batch, attempt = 0): void {
    if (this.isClosed) return
    this.meter.delivered(batch, session.id)
    this.outbox.deliver(session.number, receiver.id, batch, attempt)
    this.mark()
    if (this.outbox.isFull) this.write()
  }

  control(frame: Frame): void {
    if (this.isClosed) return
    const before = this.outbox.bytes
    this.outbox.control(frame)
    this.controlBytes += this.outbox.bytes - before
    this.mark()
  }

  pumpLater(receiver: Receiver): void {
    this.toPump.add(receiver)
    if (!this.isPressed) this.mark()
  }

  flush(): void {
    this.isDirty = false
    this.pump()
    this.write()
  }

  /** The socket takes more. */
  drained(): void {
    this.isPressed = false
    this.flush()
    if (!this.isPressed) this.settle()
  }

  /** Waits until control frames may be written again. */
  readonly peerReads: Effect.Effect<void> = Effect.callback<void>((resume) => {
    this.drainListeners.push(() => resume(Effect.void))
  })

  close(): void {
    this.write()
    this.isClosed = true
    this.toPump.clear()
    this.settle()
  }

  private settle(): void {
    this.controlBytes = 0
    if (this.drainListeners.length === 0) return
    const listeners = this.drainListeners
    this.drainListeners = []
    for (const listener of listeners) listener()
  }

  private mark(): void {
    if (this.isDirty) return
    this.isDirty = true
    this.registry.system.markDirty(this)
  }

  /** Every receiver in turn; the one that the socket stopped goes last the next time. */
  private pump(): void {
    if (this.toPump.size === 0 || this.isPressed) return
    const receivers = this.toPump
    this.toPump = new Set()
    for (const receiver of receivers) {
      if (this.isPressed || receiver.pump()) this.toPump.add(receiver)
    }
  }

  private write(): void {
    if (this.outbox.bytes === 0 || this.isClosed) return
    this.sent += this.outbox.bytes
    const chunks = this.outbox.take()
    if (!this.duplex.write(chunks) && this.duplex.pending() > highWater) this.isPressed = true
    if (this.duplex.copies && this.duplex.pending() === 0) this.outbox.reuse()
    if (!this.isPressed) this.settle()
    this.meter.written()
  }
}
