/**
 * What one session has to publish and is not in frames yet: by topic, bounded in messages and bytes, and the
 * calls that wait for room in order. A call that is larger than the bounds is taken when nothing else is there.
 */
import { CallQueue, type PublishCall } from "./PublishCall.ts"
import { TopicLane } from "./TopicLane.ts"

/** Lanes that may be kept although nothing is in them, so that a topic's name is encoded once. */
const maxIdleLanes = 4096

export class OutboundQueue {
  messages = 0
  bytes = 0
  /** Calls that wait for room. */
  private readonly blocked = new CallQueue()
  private readonly lanes = new Map<string, TopicLane>()
  /** Lanes that may have something to send, in the order of their turns. */
  private listed: Array<TopicLane> = []
  private sweepAt = maxIdleLanes
  private readonly maxMessages: number
  private readonly maxBytes: number

  constructor(maxMessages: number, maxBytes: number) {
    this.maxMessages = maxMessages
    this.maxBytes = maxBytes
  }

  get isEmpty(): boolean {
    return this.messages === 0 && this.blocked.peek() === undefined
  }

  get hasListed(): boolean {
    return this.listed.length > 0
  }

  get fill(): number {
    return Math.max(this.messages / this.maxMessages, this.bytes / this.maxBytes)
  }

  /** Whether something was published to the topic a while ago at most. */
  knows(topic: string): boolean {
    return this.lanes.has(topic)
  }

  /** Bytes that the next frames may take, about. */
  get estimate(): number {
    return this.bytes + 64 * this.listed.length
  }

  /** Takes the call, if there is room for it and no other call waits for room. */
  offer(call: PublishCall): boolean {
    if (!this.hasRoom(call) || this.blocked.peek() !== undefined) return false
    this.enqueue(call)
    return true
  }

  /** Takes the call when there is room. */
  block(call: PublishCall): void {
    this.blocked.push(call)
  }

  /** Takes the calls that waited for room that there is now. */
  admit(): void {
    for (
      let call = this.blocked.peek();
      call !== undefined && this.hasRoom(call);
      call = this.blocked.peek()
    ) {
      this.blocked.shift()
      this.enqueue(call)
    }
  }

  dequeued(messages: number, bytes: number): void {
    this.messages -= messages
    this.bytes -= bytes
  }

  /** Lets go of what a call that is done had in the queue. */
  discard(call: PublishCall): void {
    if (!call.isQueued) this.blocked.wentStale()
    else if (call.left > 0) {
      this.dequeued(call.left, call.bytes)
      this.lanes.get(call.topic)?.waiting.wentStale()
    }
  }

  /** Puts a lane in the list, unless it is there, rests, or has nothing. */
  list(lane: TopicLane): void {
    if (lane.isListed || lane.isResting || lane.isEmpty) return
    lane.isListed = true
    this.listed.push(lane)
  }

  takeListed(): Array<TopicLane> {
    const lanes = this.listed
    this.listed = []
    return lanes
  }

  /** Puts lanes that had no turn before all others. */
  putBack(lanes: ReadonlyArray<TopicLane>): void {
    if (lanes.length > 0) this.listed = lanes.concat(this.listed)
  }

  /** Empties the queue; answers the calls that were in it. */
  clear(): ReadonlyArray<PublishCall> {
    const calls: Array<PublishCall> = []
    for (const queue of [...Array.from(this.lanes.values(), (lane) => lane.waiting), this.blocked]) {
      for (let call = queue.peek(); call !== undefined; call = queue.peek()) {
        calls.push(call)
        queue.shift()
      }
    }
    this.lanes.clear()
    this.listed = []
    this.messages = 0
    this.bytes = 0
    return calls
  }

  private hasRoom(call: PublishCall): boolean {
    if (this.messages === 0) return true
    return (
      this.messages + call.messages.length <= this.maxMessages && this.bytes + call.bytes <= this.maxBytes
    )
  }

  private enqueue(call: PublishCall): void {
    call.isQueued = true
    this.messages += call.left
    this.bytes += call.bytes
    const lane = this.laneOf(call.topic)
    lane.waiting.push(call)
    this.list(lane)
  }

  private laneOf(topic: string): TopicLane {
    const known = this.lanes.get(topic)
    if (known !== undefined) return known
    if (this.lanes.size >= this.sweepAt) this.sweep()
    const lane = new TopicLane(topic)
    this.lanes.set(topic, lane)
    return lane
  }

  private sweep(): void {
    for (const [topic, lane] of this.lanes) {
      if (lane.isEmpty && lane.frames === 0 && !lane.isResting) this.lanes.delete(topic)
    }
    // So that sweeping when all are in use is rare.
    this.sweepAt = Math.max(maxIdleLanes, this.lanes.size * 2)
  }
}
