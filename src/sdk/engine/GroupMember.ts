/**
 * The client's end of a member of a group: a queue of what the hub gave it, and what it has to tell of that.
 *
 * After a reconnection it joins again, tells the hub first what is done, and only then asks for more. What was not read
 * yet is let go: the hub gives it to a member again, which may be another.
 */
import { Cause, Exit, Result } from "effect"
import type { Deliver } from "../../protocol/Deliver.ts"
import type { Frame, FrameOf } from "../../protocol/Frame.ts"
import { notGiven } from "../../protocol/Op.ts"
import type { OffsetRange } from "../../protocol/Position.ts"
import type { JoinOptions, TopicRange } from "../Client.ts"
import type { PolestarError } from "../PolestarError.ts"
import { Acknowledgements, type AcknowledgementsHost, type MemberLink } from "./Acknowledgements.ts"
import type { Counters } from "./Counters.ts"
import { InboundQueue, type SubscriptionLink, type SubscriptionNotice } from "./InboundQueue.ts"
import { without } from "./OffsetRanges.ts"

/** Unless told how many, so many messages may wait as are handled in so many milliseconds. */
const prefetchTime = 250
const mostPrefetched = 1024
const firstPrefetched = 32

/** What a member needs of its client. */
export interface MemberHost extends Omit<AcknowledgementsHost, "settled"> {
  readonly counters: Counters
  readonly queueBytes: number
  /** The connection on which the hub has just said JOINED. */
  readonly link: () => MemberLink | undefined
}

export class GroupMember extends InboundQueue {
  /** A group may have tens of thousands of topics to look through first. */
  readonly operation = undefined
  readonly options: JoinOptions
  readonly acknowledgements: Acknowledgements
  /** How often it was cut off: what was given to it before is not its own any more. */
  cuts = 0
  /** Milliseconds; 0 until the hub has told. */
  ackWait = 0
  private readonly host: MemberHost
  /** Whether what waits to be read may have come before. */
  private hasRepeats = false
  /** Messages that the reader has, and since when. */
  private reading = 0
  private readingSince = 0

  constructor(id: number, options: JoinOptions, link: SubscriptionLink, host: MemberHost) {
    const messages = options.prefetch ?? Math.max(firstPrefetched, options.leastPrefetch)
    super(
      id,
      options.pattern,
      { messages, bytes: options.queueBytes ?? host.queueBytes },
      link,
      host.counters
    )
    this.options = options
    this.host = host
    const settled: AcknowledgementsHost["settled"] = (topic, epoch, ranges) =>
      this.forget(topic, epoch, ranges)
    this.acknowledgements = new Acknowledgements(options.group, { ...host, settled })
  }

  request(session: number, request: number): Frame {
    const { id, options, pattern } = this
    const credit = this.acknowledgements.isEmpty ? this.firstCredit() : this.noCredit()
    return {
      _tag: "Join",
      session,
      request,
      subscription: id,
      group: options.group,
      pattern,
      creditMessages: credit.messages,
      creditBytes: credit.bytes,
      start: options.start,
      order: options.order,
      ackWait: options.ackWait ?? notGiven.u32,
      maxDeliveries: options.maxDeliveries ?? notGiven.u16,
      maxInFlight: options.maxInFlight ?? notGiven.u32,
      backoff: options.backoff ?? notGiven.u32,
      maxBackoff: options.maxBackoff ?? notGiven.u32
    }
  }

  answered(answer: Frame): boolean {
    if (answer._tag !== "Joined") return false
    this.joined(answer)
    return true
  }

  deliver(topic: string, batch: Deliver): boolean {
    if (this.hasEnded) return true
    if (!this.spend(batch)) return false
    const { attempt, count, epoch, offset } = batch
    // A hub that was started anew counts its attempts anew.
    const isRepeat = attempt > 1 || this.cuts > 0
    const unknown = isRepeat
      ? this.acknowledgements.unknownOf(topic, epoch, offset, offset + count)
      : undefined
    this.hasRepeats ||= isRepeat
    this.keep(topic, batch, unknown)
    return true
  }

  /** Only what is lost to the group is told to its members. */
  notice(frame: SubscriptionNotice): boolean {
    if (this.hasEnded || frame._tag !== "Gap") return true
    const { from, to, topic } = frame
    return this.tell({ _tag: "Gap", topic, from, to })
  }

  detached(): void {
    this.cuts++
    this.clear()
    this.acknowledgements.detached()
  }

  /** Having left, it may still be told what became of its acknowledgements; having failed, it is not. */
  override finish(exit: Exit.Exit<never, PolestarError | Cause.Done>): void {
    super.finish(exit)
    const error = Exit.isFailure(exit) ? Cause.findError(exit.cause) : undefined
    if (error !== undefined && Result.isSuccess(error) && !Cause.isDone(error.success)) {
      this.acknowledgements.end(error.success)
    }
  }

  /** What waits to be read. */
  get queued(): ReadonlyArray<TopicRange> {
    const ranges: Array<TopicRange> = []
    for (const item of this.items) {
      if (item._tag !== "Messages") continue
      const { count, epoch, offset } = item.batch
      ranges.push({ topic: item.topic, epoch, from: offset, to: offset + count })
    }
    return ranges
  }

  /** The reader has done with what it took: the faster it was, the more may wait for it. */
  protected override returned(): void {
    if (this.hasRepeats) this.acknowledgements.flush()
    const { leastPrefetch, prefetch } = this.options
    const messages = this.reading
    this.reading = 0
    if (prefetch !== undefined || messages === 0) return
    const elapsed = this.host.timers.now() - this.readingSince
    const wanted = elapsed <= 0 ? mostPrefetched : (messages * prefetchTime) / elapsed
    const most = Math.min(this.maxMessages * 4, mostPrefetched)
    this.maxMessages = Math.max(leastPrefetch, Math.floor(Math.min(wanted, most)))
  }

  protected override taken(messages: number): void {
    this.hasRepeats = false
    this.reading = messages
    this.readingSince = this.host.timers.now()
  }

  /** What came again while it was being handled is done with it. */
  private forget(topic: string, epoch: number, ranges: ReadonlyArray<OffsetRange>): void {
    if (!this.hasRepeats) return
    this.narrow((of, batch) =>
      of === topic && batch.epoch === epoch
        ? without(batch.offset, batch.offset + batch.count, ranges)
        : undefined
    )
  }

  private joined({ ackWait }: FrameOf<"Joined">): void {
    this.ackWait = ackWait
    const link = this.host.link()
    if (link !== undefined) this.acknowledgements.joined(link)
    this.grantRoom()
    if (!this.isConfirmed) this.confirm()
  }
}
