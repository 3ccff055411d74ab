/**
 * A subscription's mailbox in the hub: what was published to a matching topic and waits to be written to the
 * client. At most once.
 *
 * A batch goes straight to the connection when nothing waits, there is credit, and the connection takes more;
 * else into the mailbox, bounded in messages and bytes, in a lane of its priority. When that is full the
 * overflow policy decides; what is dropped is counted, and the client is told before it gets anything else.
 */
import { Effect } from "effect"
import { type Batch, sliceBatch } from "../protocol/Batch.ts"
import { Deque } from "../protocol/Deque.ts"
import { unlimitedCredit } from "../protocol/Op.ts"
import type { Overflow } from "../protocol/Position.ts"
import type { Session } from "./Session.ts"

export interface SubscriptionOptions {
  readonly id: number
  readonly pattern: string
  readonly overflow: Overflow
  /** Whether messages of a session with the same uuid are delivered. */
  readonly echo: boolean
  readonly creditMessages: number
  readonly creditBytes: number
  readonly maxMessages: number
  readonly maxBytes: number
}

interface Drops {
  readonly topic: string
  readonly epoch: number
  from: number
  to: number
  count: number
}

export class Subscription {
  readonly id: number
  readonly pattern: string
  readonly session: Session
  /** What waits. */
  messages = 0
  bytes = 0
  closed = false
  /** The list of a topic that only this one is subscribed to: shared by all such topics, and never changed. */
  readonly alone: ReadonlyArray<Subscription> = [this]
  private readonly options: SubscriptionOptions
  private creditMessages: number
  private creditBytes: number
  /** By priority; most subscriptions only ever use the first. */
  private readonly lanes: Array<Deque<Batch> | undefined> = [new Deque<Batch>()]
  private drops: Map<string, Drops> | undefined
  private roomListeners: Array<() => void> = []

  constructor(session: Session, options: SubscriptionOptions) {
    this.session = session
    this.options = options
    this.id = options.id
    this.pattern = options.pattern
    this.creditMessages = options.creditMessages
    this.creditBytes = options.creditBytes
  }

  /** Whether the client left something unread that the hub holds for it. */
  get isWaiting(): boolean {
    return this.messages > 0
  }

  /** Share of the mailbox that is in use, 0 to 1. */
  get fill(): number {
    return Math.max(this.messages / this.options.maxMessages, this.bytes / this.options.maxBytes)
  }

  /** Whether it gets the batch at all: nothing after it is closed, and what its own client published only with echo. */
  isFor(batch: Batch): boolean {
    return !this.closed && (this.options.echo || batch.publisherId !== this.session.id)
  }

  /** Takes the batch, or what the policy leaves of it; `false` only under `wait`, if there is no room now. */
  deliver(batch: Batch): boolean {
    if (!this.isFor(batch)) return true
    if (this.messages === 0 && this.mayWrite()) {
      this.write(batch)
      return true
    }
    if (this.hasRoom(batch)) {
      this.enqueue(batch)
      return true
    }
    return this.overflow(batch)
  }

  /**
   * The same, waiting for room whatever the policy says. A batch that is larger than the whole mailbox is taken
   * when that is empty.
   */
  deliverWhenRoom(batch: Batch): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!this.isFor(batch)) return Effect.void
      if (this.messages === 0 && this.mayWrite()) {
        this.write(batch)
        return Effect.void
      }
      if (this.messages === 0 || this.hasRoom(batch)) {
        this.enqueue(batch)
        return Effect.void
      }
      return Effect.andThen(this.room, this.deliverWhenRoom(batch))
    })
  }

  addCredit(messages: number, bytes: number): void {
    this.creditMessages = addedCredit(this.creditMessages, messages)
    this.creditBytes = addedCredit(this.creditBytes, bytes)
    if (this.pump()) this.session.outlet.pumpLater(this)
  }

  /** Writes what waits, as far as credit and the connection allow. Answers whether the connection is full. */
  pump(): boolean {
    while (this.messages > 0 && this.mayWrite()) {
      const batch = this.takeNext()
      if (batch === undefined) break
      this.write(batch)
    }
    if (this.drops !== undefined && this.session.outlet.isWritable) this.tellDrops()
    this.announceRoom()
    return this.messages > 0 && !this.session.outlet.isWritable
  }

  /** Drops what waits; whoever waits for room goes on. */
  close(): void {
    this.closed = true
    this.session.hub.counters.messagesDropped.closed += this.messages
    this.lanes.length = 0
    this.count(-this.messages, -this.bytes)
    this.drops = undefined
    this.announceRoom()
  }

  private readonly room: Effect.Effect<void> = Effect.callback<void>((resume) => {
    this.roomListeners.push(() => resume(Effect.void))
  })

  private announceRoom(): void {
    if (this.roomListeners.length === 0) return
    if (!this.closed && this.fill >= 1) return
    const listeners = this.roomListeners
    this.roomListeners = []
    for (const listener of listeners) listener()
  }

  private mayWrite(): boolean {
    return this.creditMessages > 0 && this.creditBytes > 0 && this.session.outlet.isWritable
  }

  private write(batch: Batch): void {
    const hub = this.session.hub
    if (batch.expires > 0 && batch.expires <= hub.system.now()) {
      hub.counters.messagesExpired += batch.count
      return
    }
    if (this.drops !== undefined) this.tellDrops()
    const size = batch.end - batch.start
    if (this.creditMessages !== unlimitedCredit) this.creditMessages -= batch.count
    if (this.creditBytes !== unlimitedCredit) this.creditBytes -= size
    batch.owner.delivered += batch.count
    this.session.outlet.deliver(this.session, this, batch)
  }

  private hasRoom(batch: Batch): boolean {
    const { maxBytes, maxMessages } = this.options
    const { maxQueuedBytes, queuedBytes } = this.session.hub.system
    return (
      this.messages + batch.count <= maxMessages &&
      this.bytes + batch.size <= maxBytes &&
      (queuedBytes + batch.size <= maxQueuedBytes || this.messages === 0)
    )
  }

  private enqueue(batch: Batch): void {
    batch.keep()
    let lane = this.lanes[batch.priority]
    if (lane === undefined) {
      lane = new Deque()
      this.lanes[batch.priority] = lane
    }
    lane.push(batch)
    this.count(batch.count, batch.size)
    if (this.creditMessages > 0 && this.creditBytes > 0) this.session.outlet.pumpLater(this)
  }

  private count(messages: number, bytes: number): void {
    this.messages += messages
    this.bytes += bytes
    this.session.hub.system.queuedBytes += bytes
  }

  private takeNext(): Batch | undefined {
    for (let priority = this.lanes.length - 1; priority >= 0; priority--) {
      const batch = this.lanes[priority]?.shift()
      if (batch !== undefined) return this.taken(batch)
    }
    return undefined
  }

  private taken(batch: Batch): Batch {
    this.count(-batch.count, -batch.size)
    return batch
  }

  private overflow(batch: Batch): boolean {
    switch (this.options.overflow) {
      case "wait":
        return false
      case "drop-newest": {
        const room = this.options.maxMessages - this.messages
        const { maxQueuedBytes, queuedBytes } = this.session.hub.system
        const fits =
          batch.size + this.bytes <= this.options.maxBytes && batch.size + queuedBytes <= maxQueuedBytes
        const kept = fits ? Math.min(room, batch.count) : 0
        if (kept > 0) this.enqueue(sliceBatch(batch, 0, kept))
        this.drop(batch, kept, batch.count)
        return true
      }
      case "drop-oldest":
        this.dropOldest(batch)
        return true
      case "disconnect":
        this.session.hub.counters.messagesDropped.disconnect += batch.count
        this.session.closeSlow(this)
        return true
    }
  }

  /** Makes room by dropping the oldest of the lowest priority, at most of the new batch's own. */
  private dropOldest(batch: Batch): void {
    const { maxBytes, maxMessages } = this.options
    for (let priority = 0; priority <= batch.priority; priority++) {
      const lane = this.lanes[priority]
      while (lane !== undefined && lane.length > 0 && !this.hasRoom(batch)) {
        const oldest = this.taken(lane.shift()!)
        const excess = Math.min(oldest.count, this.messages + oldest.count + batch.count - maxMessages)
        const bytesFit = this.bytes + oldest.size + batch.size <= maxBytes
        const dropped = bytesFit ? Math.max(1, excess) : oldest.count
        this.drop(oldest, 0, dropped)
        if (dropped < oldest.count) {
          const left = sliceBatch(oldest, dropped, oldest.count)
          lane.unshift(left)
          this.count(left.count, left.size)
        }
      }
    }
    const room = Math.min(batch.count, maxMessages - this.messages)
    const kept = this.bytes + batch.size <= maxBytes || this.messages === 0 ? room : 0
    this.drop(batch, 0, batch.count - kept)
    if (kept > 0)
      this.enqueue(kept === batch.count ? batch : sliceBatch(batch, batch.count - kept, batch.count))
  }

  private drop(batch: Batch, from: number, to: number): void {
    const count = to - from
    if (count <= 0) return
    const overflow = this.options.overflow
    if (overflow !== "wait") this.session.hub.counters.messagesDropped[overflow] += count
    batch.owner.dropped += count
    this.drops ??= new Map()
    const known = this.drops.get(batch.topic)
    const first = batch.offset + from
    const after = batch.offset + to
    if (known !== undefined && known.epoch === batch.epoch) {
      known.from = Math.min(known.from, first)
      known.to = Math.max(known.to, after)
      known.count += count
    } else {
      if (known !== undefined) this.tellDrops()
      this.drops ??= new Map()
      this.drops.set(batch.topic, { topic: batch.topic, epoch: batch.epoch, from: first, to: after, count })
    }
    this.session.outlet.pumpLater(this)
  }

  private tellDrops(): void {
    const drops = this.drops
    this.drops = undefined
    for (const { topic, epoch, from, to, count } of drops?.values() ?? []) {
      this.session.outlet.control({
        _tag: "Dropped",
        session: this.session.number,
        subscription: this.id,
        topic,
        from: { epoch, offset: from },
        to: { epoch, offset: to },
        count
      })
    }
  }
}

export const addedCredit = (credit: number, more: number): number =>
  credit === unlimitedCredit || more === unlimitedCredit
    ? unlimitedCredit
    : Math.min(credit + more, unlimitedCredit - 1)
