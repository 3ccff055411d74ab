/**
 * One `publish` or `publishAll` on its way: its messages, how many have been put in frames, and the receipts
 * that came. All its messages have one topic and the same options.
 */
import { Duration, Effect, type Exit, Option } from "effect"
import { Deque } from "../../protocol/Deque.ts"
import { type Message, plainRecordBytes } from "../../protocol/Message.ts"
import { maxPriority } from "../../protocol/Publish.ts"
import type { PublishOptions, Receipt } from "../Client.ts"
import { messageInvalid, type PolestarError } from "../PolestarError.ts"

export type PublishResume = (effect: Effect.Effect<ReadonlyArray<Receipt>, PolestarError>) => void

/** The options as they stand on the wire; 0 where there is none. */
export interface Attributes {
  readonly priority: number
  /** Milliseconds. */
  readonly ttl: number
  /** Milliseconds since 1970. */
  readonly deliverAt: number
}

const plain: Attributes = { priority: 0, ttl: 0, deliverAt: 0 }
const longestTtl = 0xffff_ffff

/** Answers an error if the wire cannot carry them. A time to live that is infinite is none. */
export const attributesOf = (options: PublishOptions | undefined): Attributes | PolestarError => {
  if (options === undefined) return plain
  const priority = options.priority ?? 0
  if (!Number.isInteger(priority) || priority < 0 || priority > maxPriority) {
    return messageInvalid(`the priority is not an integer from 0 to ${maxPriority}`)
  }
  const ttl = ttlMillis(options.ttl)
  if (!(ttl >= 0 && ttl <= longestTtl))
    return messageInvalid(`the ttl is not from 1 to ${longestTtl} ms, nor infinity`)
  const deliverAt = Math.ceil(options.deliverAt ?? 0)
  if (!Number.isSafeInteger(deliverAt) || deliverAt < 0) {
    return messageInvalid("deliverAt is not a moment since 1970")
  }
  return priority === 0 && ttl === 0 && deliverAt === 0 ? plain : { priority, ttl, deliverAt }
}

/** 0 for none, `NaN` for what is no time to live. */
const ttlMillis = (ttl: Duration.Input | undefined): number => {
  if (ttl === undefined) return 0
  const duration = Option.getOrUndefined(Duration.fromInput(ttl))
  const millis = duration === undefined ? Number.NaN : Duration.toMillis(duration)
  if (millis === Number.POSITIVE_INFINITY) return 0
  return millis >= 1 ? Math.ceil(millis) : Number.NaN
}

/** Bytes of a message's record, about: exact if its texts are ASCII. */
export const recordBytes = (message: Message): number => {
  let bytes = plainRecordBytes + message.payload.length
  if (message.id !== undefined) bytes += 1 + message.id.length
  if (message.key !== undefined) bytes += 1 + message.key.length
  if (message.contentType !== undefined) bytes += 1 + message.contentType.length
  if (message.headers !== undefined) {
    for (const name in message.headers) bytes += 3 + name.length + message.headers[name]!.length
  }
  return bytes
}

export class PublishCall {
  readonly topic: string
  readonly messages: ReadonlyArray<Message>
  readonly attributes: Attributes
  /** Bytes of the messages that are not in a frame yet. */
  bytes = 0
  /** Messages that are in a frame; they are the first ones. */
  framed = 0
  /** Whether its messages that are not in a frame are in the queue; else it waits for room there. */
  isQueued = false
  /** Whether it was answered, is about to be, or nobody waits for it any more. */
  isDone = false
  private settled = 0
  private readonly receipts: Array<Receipt>
  private readonly resume: PublishResume

  constructor(
    topic: string,
    messages: ReadonlyArray<Message>,
    attributes: Attributes,
    resume: PublishResume
  ) {
    this.topic = topic
    this.messages = messages
    this.attributes = attributes
    this.receipts = new Array(messages.length)
    this.resume = resume
    for (const message of messages) this.bytes += recordBytes(message)
  }

  get left(): number {
    return this.messages.length - this.framed
  }

  settle(index: number, receipt: Receipt): void {
    this.receipts[index] = receipt
    this.settled++
    if (this.settled < this.messages.length || this.isDone) return
    this.isDone = true
    this.resume(Effect.succeed(this.receipts))
  }

  fail(exit: Exit.Exit<never, PolestarError>): void {
    if (this.isDone) return
    this.isDone = true
    this.resume(exit)
  }

  /** Answers a call that was set to be done before. */
  failLate(exit: Exit.Exit<never, PolestarError>): void {
    this.resume(exit)
  }
}

/** Calls in order. Those that are done are passed over, and do not take memory for long. */
export class CallQueue {
  private calls = new Deque<PublishCall>()
  private stale = 0

  push(call: PublishCall): void {
    this.calls.push(call)
  }

  /** The first call that is not done. */
  peek(): PublishCall | undefined {
    for (;;) {
      const call = this.calls.at(0)
      if (call === undefined || !call.isDone) return call
      this.calls.shift()
      if (this.stale > 0) this.stale--
    }
  }

  shift(): void {
    this.calls.shift()
  }

  /** To be told when a call in it is done before its turn. */
  wentStale(): void {
    this.stale++
    if (this.stale < 64 || this.stale * 2 < this.calls.length) return
    const kept = new Deque<PublishCall>()
    for (let i = 0; i < this.calls.length; i++) {
      const call = this.calls.at(i)!
      if (!call.isDone) kept.push(call)
    }
    this.calls = kept
    this.stale = 0
  }
}
