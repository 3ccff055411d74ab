/**
 * What a JSON client has subscribed to. A subscription is live and at most once; in the dialect of `topics`, a
 * `client_id` makes it at least once: the client is a member of the group that stands for it and the topic.
 */
import type { ErrorCode } from "../../protocol/ErrorCode.ts"
import type { Frame, FrameOf } from "../../protocol/Frame.ts"
import type { Ack, RequestId, Subscribe, Unsubscribe } from "../../protocol/json/ClientJson.ts"
import { jsonCodes } from "../../protocol/json/Problem.ts"
import { encodeAck } from "../../protocol/json/ServerJson.ts"
import { maxAckRanges, notGiven, unlimitedCredit } from "../../protocol/Op.ts"
import { isLiteral } from "../../protocol/Pattern.ts"
import type { Position, Start } from "../../protocol/Position.ts"
import { type AckedTopic, ackedTopics } from "../AckedTopics.ts"
import { clientGroupName, groupOwner } from "../ClientGroup.ts"
import { nextNumber, session } from "./HubNumbers.ts"
import type { JsonClient } from "./JsonClient.ts"
import { type Entry, SubscriptionEntries } from "./SubscriptionEntries.ts"

/** Messages that a group may give this client before it gives others theirs: the credit is renewed once they are sent. */
const memberCredit = 256

/** A request of the client's that became several of the hub's. */
interface Call {
  readonly requestId: RequestId | undefined
  left: number
  readonly done: Array<string>
  readonly finish: (done: ReadonlyArray<string>) => void
}

interface Waiting {
  readonly call: Call
  readonly pattern: string
  /** To be forgotten if the hub refuses it. */
  readonly entry: Entry | undefined
}

export class JsonSubscriptions {
  private readonly client: JsonClient
  private readonly entries = new SubscriptionEntries()
  private readonly waiting = new Map<number, Waiting>()
  private lastNumber = 0
  private lastRequest = 0

  constructor(client: JsonClient) {
    this.client = client
  }

  subscribe(request: Subscribe): void {
    const { client } = this
    const { dialect, requestId } = request
    const clientId = dialect === "message" ? request.clientId : undefined
    if (!this.mayBe(clientId, requestId)) return
    const topics = this.allowed(request)
    if (topics.length === 0 || !client.open(requestId)) return
    const call = this.call(requestId, topics.length, (done) =>
      client.say(
        encodeAck(
          dialect === "event"
            ? { _tag: "Subscribed", topic: done[0]! }
            : { _tag: "SubscribedAll", topics: done },
          requestId,
          client.now
        )
      )
    )
    const owner = clientId === undefined ? "" : groupOwner(client.identity)
    for (const pattern of topics) {
      const group = clientId === undefined ? undefined : clientGroupName(clientId, pattern, owner)
      if (this.entries.has(dialect, pattern, group)) this.settle(call, pattern)
      else this.begin(request, call, pattern, group)
    }
  }

  private mayBe(clientId: string | undefined, requestId: RequestId | undefined): boolean {
    const { groups } = this.client.identity
    if (clientId === undefined || groups === undefined || groups.allowsTopic(clientId)) return true
    const message = "this identity may not use that `client_id`"
    this.client.refuse({ code: "FORBIDDEN", message, requestId })
    return false
  }

  /** The topics that may be subscribed; each of the others is refused by an error of its own. */
  private allowed({ refused, requestId, topics }: Subscribe): ReadonlyArray<string> {
    const { client } = this
    const { subscribe } = client.identity
    for (const fault of refused) client.refuse({ ...fault, requestId })
    if (subscribe.isEverything) return topics
    return topics.filter((topic) => {
      if (subscribe.allowsPattern(topic)) return true
      const message = `this identity may not subscribe to '${topic}'`
      client.refuse({ code: "FORBIDDEN", message, requestId, topic })
      return false
    })
  }

  private begin(request: Subscribe, call: Call, pattern: string, group: string | undefined): void {
    const { dialect } = request
    const start = startOf(request, pattern)
    const number = nextNumber(this.lastNumber, dialect)
    this.lastNumber = number
    const position = start._tag === "Resume" ? start.topics[0] : undefined
    const entry: Entry = { number, dialect, pattern, group, position }
    this.entries.add(entry)
    const asked = { session, request: this.wait({ call, pattern, entry }), subscription: number, pattern }
    if (group === undefined) {
      const overflow = request.overflow ?? this.client.overflow
      const credit = { creditMessages: unlimitedCredit, creditBytes: unlimitedCredit }
      this.client.send({
        _tag: "Subscribe",
        ...asked,
        ...credit,
        overflow,
        echo: request.echo ?? true,
        start
      })
    } else {
      this.client.send({ _tag: "Join", ...asked, ...memberOptions, group, start })
    }
  }

  unsubscribe({ dialect, refused, requestId, topics }: Unsubscribe): void {
    const { client } = this
    for (const fault of refused) client.refuse({ ...fault, requestId })
    const found = topics.flatMap((topic) => this.entries.of(dialect, topic))
    for (const topic of topics) {
      if (this.entries.of(dialect, topic).length === 0)
        client.refuse({
          code: "NOT_SUBSCRIBED",
          message: `not subscribed to '${topic}'`,
          requestId,
          topic
        })
    }
    const call = this.call(requestId, found.length, (done) =>
      client.say(
        encodeAck(
          dialect === "event"
            ? { _tag: "Unsubscribed", topic: done[0]! }
            : { _tag: "UnsubscribedAll", topics: [...new Set(done)] },
          requestId,
          client.now
        )
      )
    )
    for (const entry of found) {
      this.entries.forget(entry)
      const request = this.wait({ call, pattern: entry.pattern, entry: undefined })
      client.send({ _tag: "Unsubscribe", session, request, subscription: entry.number })
    }
  }

  /** Ids of messages that no group of this client has delivered are ignored, as the hub ignores them. */
  acknowledge({ messageIds, requestId }: Ack): void {
    const { client } = this
    const acked = ackedTopics(messageIds)
    if ("code" in acked) {
      client.refuse({ ...acked, requestId })
      return
    }
    const frames = acked.flatMap((each) => this.ackFrames(each))
    const finish = (done: ReadonlyArray<string>) => {
      const topics = new Set(done)
      const count = acked.reduce((sum, each) => sum + (topics.has(each.topic) ? each.count : 0), 0)
      client.say(encodeAck({ _tag: "Acknowledged", count }, requestId, client.now))
    }
    // Whoever gives no id of the request waits for no answer.
    const call = requestId === undefined ? undefined : this.call(requestId, frames.length, finish)
    if (call !== undefined && frames.length === 0) finish([])
    for (const frame of frames) {
      const request = call === undefined ? 0 : this.wait({ call, pattern: frame.topic, entry: undefined })
      client.send({ ...frame, request })
    }
  }

  private ackFrames({ epoch, ranges, topic }: AckedTopic): Array<FrameOf<"Ack">> {
    const frames: Array<FrameOf<"Ack">> = []
    for (const group of this.entries.groupsOf(topic)) {
      for (let at = 0; at < ranges.length; at += maxAckRanges) {
        const some = ranges.slice(at, at + maxAckRanges)
        frames.push({ _tag: "Ack", session, request: 0, group, topic, epoch, ranges: some })
      }
    }
    return frames
  }

  /** The hub's answer to one of the requests that were made here. */
  answered(frame: Frame): void {
    switch (frame._tag) {
      case "Subscribed":
      case "Unsubscribed":
      case "Joined":
      case "Acked": {
        const waiting = this.take(frame.request)
        if (waiting !== undefined) this.settle(waiting.call, waiting.pattern)
        return
      }
      case "Failure": {
        const waiting = this.take(frame.request)
        if (waiting === undefined) return
        if (waiting.entry !== undefined) this.entries.forget(waiting.entry)
        this.client.fail({
          code: jsonCodes[frame.code],
          message: refusalText(frame.code, frame.message, waiting.pattern),
          requestId: waiting.call.requestId,
          topic: waiting.pattern
        })
        this.settle(waiting.call)
        return
      }
      case "Left": {
        const entry = this.entries.get(frame.subscription)
        if (entry === undefined) return
        this.entries.forget(entry)
        const { pattern: topic } = entry
        const message = `the group of '${topic}' was removed`
        this.client.fail({ code: "GROUP_NOT_FOUND", message, topic })
        return
      }
      default:
    }
  }

  resumed(number: number): { readonly topic: string; readonly position: Position } | undefined {
    const entry = this.entries.get(number)
    if (entry?.position === undefined) return undefined
    return { topic: entry.pattern, position: entry.position }
  }

  private call(requestId: RequestId | undefined, left: number, finish: Call["finish"]): Call {
    return { requestId, left, done: [], finish }
  }

  private wait(waiting: Waiting): number {
    const request = ++this.lastRequest
    this.waiting.set(request, waiting)
    return request
  }

  private take(request: number): Waiting | undefined {
    const waiting = this.waiting.get(request)
    this.waiting.delete(request)
    return waiting
  }

  /** One part of the call has its answer; `done` is absent if it was refused. */
  private settle(call: Call, done?: string): void {
    if (done !== undefined) call.done.push(done)
    if (--call.left === 0 && call.done.length > 0) call.finish(call.done)
  }
}

/** A line for people; of a topic that there is not, it is the reference's. */
export const refusalText = (code: ErrorCode, message: string, topic: string): string =>
  code === "topic-not-found" ? `Topic '${topic}' not found` : message

/** A position of one topic is gone on from, and the client is told whether anything is missing. */
const startOf = ({ clientId, dialect, start, topics }: Subscribe, pattern: string): Start => {
  if (start === undefined) return { _tag: "Now" }
  const isResumed = start._tag === "Position" && isLiteral(pattern) && topics.length === 1
  if (!isResumed || (dialect === "message" && clientId !== undefined)) return start
  return { _tag: "Resume", since: 0, topics: [{ topic: pattern, ...start.position }] }
}

/** All that is left to the group. */
const memberOptions = {
  creditMessages: memberCredit,
  creditBytes: unlimitedCredit,
  order: "any",
  ackWait: notGiven.u32,
  maxDeliveries: notGiven.u16,
  maxInFlight: notGiven.u32,
  backoff: notGiven.u32,
  maxBackoff: notGiven.u32
} as const
