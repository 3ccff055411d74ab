/**
 * The client's end of one live subscription: a queue, and what it has received, by which it goes on after a
 * reconnection.
 *
 * At most once: what comes again is left out. Nothing is lost silently: what the hub drops or can no longer give
 * is in the reader's hands as `Dropped` or `Gap`. Notices of one topic's drops are put together until they are read.
 *
 * A replay that a lost connection cuts short is asked for again as it was, until the hub has said CAUGHTUP: of the
 * topics that it had not come to yet nothing is known here, so there is nothing to resume them from.
 */
import type { Deliver } from "../../protocol/Deliver.ts"
import type { Frame, FrameOf } from "../../protocol/Frame.ts"
import { isLiteral } from "../../protocol/Pattern.ts"
import type { Position, Start } from "../../protocol/Position.ts"
import type { SubscribeOptions } from "../Client.ts"
import type { Counters } from "./Counters.ts"
import { InboundQueue, type SubscriptionLink, type SubscriptionNotice } from "./InboundQueue.ts"
import { ResumePoint } from "./ResumePoint.ts"

export class InboundSubscription extends InboundQueue {
  readonly operation = "subscribe"
  readonly options: SubscribeOptions
  private readonly point = new ResumePoint()
  /** When the hub first confirmed it, by the hub's clock. */
  private since = 0
  /** Whether all that it started from has come. */
  private isCaughtUp: boolean
  /** When the last so many messages are asked for again: where topics were before that, until they go on. */
  private readonly cutAt = new Map<string, Position>()
  /** Of each topic, where in `items` the notice of its drops is. */
  private readonly drops = new Map<string, number>()

  constructor(
    id: number,
    options: SubscribeOptions,
    limits: { readonly queueSize: number; readonly queueBytes: number },
    link: SubscriptionLink,
    counters: Counters
  ) {
    const messages = options.queueSize ?? limits.queueSize
    const bytes = options.queueBytes ?? limits.queueBytes
    super(id, options.pattern, { messages, bytes }, link, counters)
    this.isCaughtUp = options.start._tag === "Now"
    this.options = options
  }

  request(session: number, request: number, maxBytes: number): Frame {
    const { id, options, pattern } = this
    const credit = this.firstCredit()
    return {
      _tag: "Subscribe",
      session,
      request,
      subscription: id,
      pattern,
      overflow: options.overflow,
      echo: options.echo,
      creditMessages: credit.messages,
      creditBytes: credit.bytes,
      start: this.startFrom(maxBytes)
    }
  }

  answered(answer: Frame): boolean {
    if (answer._tag !== "Subscribed") return false
    this.subscribed(answer)
    return true
  }

  deliver(topic: string, batch: Deliver, urgent: boolean): boolean {
    if (this.hasEnded) return true
    if (!this.spend(batch)) return false
    if (this.cutAt.size > 0 && !urgent) this.tellMissed(topic, batch)
    this.keep(topic, batch, this.point.receive(topic, batch.epoch, batch.offset, batch.count, urgent))
    return true
  }

  notice(frame: SubscriptionNotice): boolean {
    if (this.hasEnded) return true
    switch (frame._tag) {
      case "Dropped":
        return this.dropped(frame)
      case "Recovered":
        return this.tell({ _tag: "Recovered", messages: frame.messages })
      case "CaughtUp":
        this.isCaughtUp = true
        this.cutAt.clear()
        return true
      case "Gap": {
        const { from, to, topic } = frame
        return !this.point.gap(topic, from, to) || this.tell({ _tag: "Gap", topic, from, to })
      }
    }
  }

  detached(): void {}

  protected override taken(): void {
    this.drops.clear()
  }

  /** Where to subscribe from on a new connection; the list of topics takes at most `maxBytes`. */
  private startFrom(maxBytes: number): Start {
    const { start } = this.options
    this.cutAt.clear()
    if (!this.isConfirmed) return start
    if (!this.isCaughtUp) {
      if (start._tag === "Last") {
        for (const { topic, epoch, offset } of this.point.positions())
          this.cutAt.set(topic, { epoch, offset })
      }
      return start
    }
    const since = start._tag === "Time" ? Math.min(start.time, this.since) : this.since
    return { _tag: "Resume", since, topics: this.point.positions(maxBytes) }
  }

  private subscribed({ position, time }: FrameOf<"Subscribed">): void {
    if (this.isConfirmed) return
    this.since = time
    const { start } = this.options
    // Of a replay this is where it ends, not where it begins.
    if (start._tag === "Now" && position !== undefined && isLiteral(this.pattern)) {
      this.point.begin(this.pattern, position)
    }
    this.confirm()
  }

  private dropped({ count, from, to, topic }: FrameOf<"Dropped">): boolean {
    this.counters.dropped += count
    this.point.dropped(topic, from, to, count)
    const index = this.drops.get(topic)
    const known = index === undefined ? undefined : this.items[index]
    if (index !== undefined && known?._tag === "Dropped" && known.from.epoch === from.epoch) {
      this.items[index] = {
        _tag: "Dropped",
        topic,
        from: from.offset < known.from.offset ? from : known.from,
        to: to.offset > known.to.offset ? to : known.to,
        count: known.count + count
      }
      return true
    }
    this.drops.set(topic, this.items.length)
    return this.tell({ _tag: "Dropped", topic, from, to, count })
  }

  /** The last so many messages may be others by now: those between where the replay was cut and these are missed. */
  private tellMissed(topic: string, { epoch, offset }: Deliver): void {
    const from = this.cutAt.get(topic)
    if (from === undefined) return
    this.cutAt.delete(topic)
    if (from.epoch === epoch && offset <= from.offset) return
    this.tell({ _tag: "Gap", topic, from, to: { epoch, offset } })
  }
}
