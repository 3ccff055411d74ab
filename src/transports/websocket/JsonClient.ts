/**
 * A client that speaks JSON: what it asks is said to the hub in frames, and what the hub answers is said to it in JSON.
 * Both dialects are spoken on one socket; each subscription has that of whoever asked for it. One session, opened when
 * it is first needed.
 */
import { Effect } from "effect"
import type { LocalConnection } from "../../actors/LocalConnection.ts"
import type { CloseReason } from "../../protocol/CloseReason.ts"
import { type ErrorCode, errorMessage } from "../../protocol/ErrorCode.ts"
import type { Frame, FrameOf } from "../../protocol/Frame.ts"
import {
  type ClientRequest,
  decodeClientJson,
  type Publish,
  type RequestId
} from "../../protocol/json/ClientJson.ts"
import type { JsonLimits } from "../../protocol/json/JsonLimits.ts"
import { receiptOf } from "../../protocol/json/MessageJson.ts"
import { jsonCodes, type Problem } from "../../protocol/json/Problem.ts"
import {
  type ErrorText,
  encodeAck,
  encodeConnected,
  encodeDropped,
  encodeError,
  encodeGap,
  encodePong,
  encodeRecovered
} from "../../protocol/json/ServerJson.ts"
import { checkPattern } from "../../protocol/Pattern.ts"
import type { Overflow } from "../../protocol/Position.ts"
import type { Identity } from "../../services/auth/Identity.ts"
import { session } from "./HubNumbers.ts"
import { Hold, type JsonOutlet } from "./JsonOutlet.ts"
import { JsonSubscriptions, refusalText } from "./JsonSubscriptions.ts"

/** Publishes of one client that may wait for their receipts before no more is read from it. */
const maxPublishes = 1000
const maxPublishBytes = 1_048_576

/** Takes so many messages of the client's share, or says why it may not publish them now. */
export type Admission = (messages: number) => Effect.Effect<void, Problem>

export interface JsonClientOptions {
  readonly identity: Identity
  readonly admit: Admission | undefined
  readonly limits: JsonLimits
  /** Of a subscription that does not say. */
  readonly overflow: Overflow
}

export class JsonClient {
  readonly id = crypto.randomUUID()
  readonly identity: Identity
  /** Whether it has said anything. */
  hasSpoken = false
  private readonly outlet: JsonOutlet
  private readonly connection: LocalConnection
  private readonly options: JsonClientOptions
  private readonly subscriptions: JsonSubscriptions
  private publishes = 0
  private publishBytes = 0
  private refusal: FrameOf<"Failure"> | undefined

  constructor(connection: LocalConnection, outlet: JsonOutlet, options: JsonClientOptions) {
    this.connection = connection
    this.outlet = outlet
    this.options = options
    this.identity = options.identity
    this.subscriptions = new JsonSubscriptions(this)
  }

  /** Of a subscription that does not say. */
  get overflow(): Overflow {
    return this.options.overflow
  }

  get now(): number {
    return this.connection.now
  }

  greet(): void {
    this.say(encodeConnected(this.id, this.now))
  }

  say(text: Uint8Array): void {
    this.outlet.say(text)
  }

  fail(error: ErrorText): void {
    this.say(encodeError(error, this.now))
  }

  /** The same for what the hub was never asked: it is counted and logged here. */
  refuse(error: ErrorText): void {
    const { code, topic } = error
    // What is no topic may be anything, also what nobody is to read in a log.
    const what = topic === undefined || checkPattern(topic) !== undefined ? undefined : topic
    this.connection.refused(code, what)
    this.fail(error)
  }

  send(frame: Frame): void {
    this.connection.send(frame)
  }

  /** Does what a text frame asks. */
  take(text: Uint8Array): void {
    this.hasSpoken = true
    const request = decodeClientJson(text, this.options.limits)
    if (request._tag === "Fault") this.refuse(request)
    else this.connection.turn(() => this.handle(request))
  }

  /** The connection is about to be closed: what its close code alone would not tell plainly enough. */
  ended(reason: CloseReason): void {
    if (reason === "token-expired") this.fail({ code: "TOKEN_EXPIRED" })
  }

  /** Opens the session if it is not open. Otherwise says why it cannot be, and answers `false`. */
  open(requestId: RequestId | undefined): boolean {
    if (this.connection.sessions.has(session)) return true
    this.refusal = undefined
    this.send({ _tag: "Open", session, request: 0, id: this.id, incarnation: 0, name: "" })
    if (this.connection.sessions.has(session)) return true
    const { code, message } = this.whyNot
    this.fail({ code: jsonCodes[code], message, requestId })
    return false
  }

  private get whyNot(): { readonly code: ErrorCode; readonly message: string | undefined } {
    return this.refusal ?? { code: "shutting-down", message: undefined }
  }

  private handle(request: ClientRequest): void {
    switch (request._tag) {
      case "Subscribe":
        this.subscriptions.subscribe(request)
        break
      case "Unsubscribe":
        this.subscriptions.unsubscribe(request)
        break
      case "Ack":
        this.subscriptions.acknowledge(request)
        break
      case "Publish":
        this.publish(request)
        break
      case "Ping":
        this.say(encodePong(request.requestId, this.now))
        break
    }
  }

  /** What the hub says to the session. */
  control(frame: Frame): void {
    switch (frame._tag) {
      case "Dropped":
        this.say(encodeDropped(frame.topic, frame.count, this.now))
        break
      case "Gap":
        this.say(encodeGap(frame.topic, frame.from, frame.to, this.now))
        break
      case "Recovered": {
        const resumed = this.subscriptions.resumed(frame.subscription)
        if (resumed !== undefined) this.say(encodeRecovered(resumed.topic, resumed.position, this.now))
        break
      }
      case "Closed":
        this.closed(frame.reason)
        break
      case "Failure":
        if (frame.request === 0) this.refusal = frame
        else this.subscriptions.answered(frame)
        break
      default:
        this.subscriptions.answered(frame)
    }
  }

  /** A session that is closed takes its connection with it. */
  private closed(reason: CloseReason): void {
    if (reason === "slow-consumer") this.fail({ code: "BUFFER_OVERFLOW" })
    this.connection.end(reason)
  }

  private publish(request: Publish): void {
    const { message, requestId } = request
    if (!this.open(requestId)) return
    const size = message.payload.length
    this.count(1, size)
    const done = Effect.sync(() => this.count(-1, -size))
    this.connection.fork(Effect.ensuring(this.publishing(request), done))
  }

  private publishing({ deliverAt, message, priority, requestId, topic, ttl }: Publish): Effect.Effect<void> {
    const publishing = Effect.match(
      this.connection.publish(session, topic, [message], { priority, ttl, deliverAt }),
      {
        onSuccess: ({ duplicate, durability, epoch, offset }) => {
          const receipt = receiptOf(topic, { epoch, offset }, durability, duplicate, message.id)
          this.say(encodeAck({ _tag: "Published", topic, receipt }, requestId, this.now))
        },
        onFailure: (code) =>
          this.fail({ code: jsonCodes[code], message: publishRefusal(code, topic), requestId, topic })
      }
    )
    const { admit } = this.options
    if (admit === undefined) return publishing
    return Effect.matchEffect(admit(1), {
      onSuccess: () => publishing,
      onFailure: ({ code, detail, retry_after }) =>
        Effect.sync(() => this.refuse({ code, message: detail, requestId, topic, retryAfter: retry_after }))
    })
  }

  /** So that a client which publishes faster than the hub takes is not read further. */
  private count(publishes: number, bytes: number): void {
    this.publishes += publishes
    this.publishBytes += bytes
    const isFull = this.publishes >= maxPublishes || this.publishBytes >= maxPublishBytes
    if (isFull) this.outlet.hold(Hold.publishes)
    else this.outlet.release(Hold.publishes)
  }
}

const publishRefusal = (code: ErrorCode, topic: string): string =>
  code === "forbidden"
    ? `this identity may not publish to '${topic}'`
    : refusalText(code, errorMessage(code), topic)
