/**
 * A client of a transport that does not speak frames as bytes: it says the same frames as values, is answered by the
 * same, and gets its batches as they are. So what a client may do, and what it is told, is in one place for all
 * transports; such a transport only translates.
 */
import { Deferred, Effect } from "effect"
import { Batch, type Publisher } from "../protocol/Batch.ts"
import { ByteWriter, encodeText } from "../protocol/Bytes.ts"
import type { CloseReason } from "../protocol/CloseReason.ts"
import type { ErrorCode } from "../protocol/ErrorCode.ts"
import type { Frame, FrameOf } from "../protocol/Frame.ts"
import type { JsonCode } from "../protocol/json/Problem.ts"
import { checkRecords, encodeRecord, type Message } from "../protocol/Message.ts"
import type { Durability } from "../protocol/Position.ts"
import { beginPublish, endPublish, maxRecordsPerFrame } from "../protocol/Publish.ts"
import type { Transport } from "../protocol/Transport.ts"
import { anonymous, type Identity } from "../services/auth/Identity.ts"
import type { Flushable } from "./ActorSystem.ts"
import { ClientFrames } from "./ClientFrames.ts"
import { DeliveryMeter } from "./DeliveryMeter.ts"
import type { ConnectionOptions, FrameHost, Served } from "./FrameHost.ts"
import type { Outlet } from "./Outlet.ts"
import type { Session } from "./Session.ts"

/** A transport's end. `control` and `deliver` of it are called within turns of the hub. */
export interface LocalOutlet extends Outlet {
  /** Whether something that was delivered is still on its way to the client. */
  readonly isWaiting: boolean
  /** The connection has ended; nothing more is delivered. */
  readonly ended: (reason: CloseReason) => void
  /** To be called at intervals: whether the peer has taken something since the last time, or has nothing to take. */
  readonly isTaking: () => boolean
}

export interface LocalPublish {
  readonly priority?: number | undefined
  /** Milliseconds. */
  readonly ttl?: number | undefined
  /** Milliseconds since 1970. */
  readonly deliverAt?: number | undefined
}

export interface LocalReceipt {
  readonly epoch: number
  /** Of the first message; both are 0 if it is held until its time. */
  readonly offset: number
  readonly durability: Durability
  readonly duplicate: boolean
}

/** Who is at the other end of a transport in this process. */
export interface LocalClient {
  readonly transport: Transport
  /** Where it is, for logs. */
  readonly peer: string
  readonly identity: Identity
}

/** In this process, and not asked who it is. */
export const localClient: LocalClient = { transport: "memory", peer: "memory", identity: anonymous }

export class LocalConnection implements FrameHost, Served {
  readonly id = crypto.randomUUID()
  readonly name = ""
  readonly transport: Transport
  readonly peer: string
  /** Why it ended. */
  reason: CloseReason = "normal"
  readonly options: ConnectionOptions
  readonly writer: LocalOutlet
  readonly sessions = new Map<number, Session>()
  readonly gone = Deferred.makeUnsafe<void>()
  readonly hasClientGroups = true
  receivers = 0
  readonly welcomed = true
  readonly identity: Identity
  isDraining = false
  private isEnded = false
  private readonly frames: ClientFrames
  private sequence = 0

  constructor(options: ConnectionOptions, outlet: LocalOutlet, { identity, peer, transport }: LocalClient) {
    this.identity = identity
    this.transport = transport
    this.peer = peer
    this.options = options
    this.writer = outlet
    this.frames = new ClientFrames(this, true)
  }

  get isWaiting(): boolean {
    return this.writer.isWaiting
  }

  /** Milliseconds since 1970. */
  get now(): number {
    return this.options.registry.system.now()
  }

  /** Does `work` as one turn of the hub's. */
  turn(work: () => void): void {
    this.options.registry.system.turn(work)
  }

  /** Has `flush` called at the end of the turn. To be called once until then. */
  flushLater(target: Flushable): void {
    this.options.registry.system.markDirty(target)
  }

  /** Starts a fiber at once; it is interrupted when the hub has ended. */
  fork(work: Effect.Effect<void>): void {
    this.options.registry.system.fork(work)
  }

  /** Counts what is delivered here. */
  meter(): DeliveryMeter {
    return new DeliveryMeter(this.options.registry)
  }

  /** Counts and logs what the transport refused, so that it came to nobody here. */
  refused(code: JsonCode, what: string | undefined): void {
    const { id, identity, peer, transport } = this
    this.options.refusals.add({ id, identity, peer, transport, code, what })
  }

  /** Whether the topic has room for so much now, so that it would not wait with everything before it. */
  hasRoom(topic: string, messages: number, bytes: number): boolean {
    const { settings, topics } = this.options.registry
    const found = topics.get(topic)
    if (found === undefined || found.messages === 0) return true
    return found.messages + messages <= settings.queueSize && found.bytes + bytes <= settings.queueBytes
  }

  /** Does what the frame says, as for any client. The answers come to the outlet. */
  send(frame: Frame): void {
    if (this.isEnded) return
    this.turn(() => {
      const reason = this.frames.handle(frame)
      if (reason !== undefined) this.end(reason)
    })
  }

  /** Answers a request as the hub would answer the frame. */
  request(method: string, body: Uint8Array): Effect.Effect<Uint8Array, ErrorCode> {
    return this.options.answer(method, body, this)
  }

  readonly requests = {
    take: (frame: FrameOf<"Request">): void => {
      this.writer.control({
        _tag: "Failure",
        session: 0,
        request: frame.request,
        code: "unsupported",
        message: "requests are asked by value here"
      })
    }
  }

  /**
   * Publishes messages of one topic in the session, in order and together: the receipt stands for all of them. At most
   * 65,535. If it is interrupted they may have been published.
   */
  publish(
    session: number,
    topic: string,
    messages: ReadonlyArray<Message>,
    options: LocalPublish = {}
  ): Effect.Effect<LocalReceipt, ErrorCode> {
    return Effect.callback<LocalReceipt, ErrorCode>((resume) => {
      const refuse = (code: ErrorCode) => {
        this.rejected(code, messages.length, topic)
        resume(Effect.fail(code))
      }
      const opened = this.sessions.get(session)
      if (this.isDraining || this.isEnded) return refuse("shutting-down")
      if (opened === undefined) return refuse("unknown-session")
      const batch = this.batchOf(opened, topic, messages, options)
      if (typeof batch === "string") return refuse(batch)
      batch.publisher = new OncePublisher(opened, {
        stored: (receipt) => resume(Effect.succeed(receipt)),
        refused: refuse
      })
      const found = this.options.registry.topicNamed(topic)
      if (typeof found === "string") return refuse(found)
      this.fork(found.tell(batch))
    })
  }

  private batchOf(
    session: Session,
    topic: string,
    messages: ReadonlyArray<Message>,
    options: LocalPublish
  ): Batch | ErrorCode {
    const { maxMessage, registry } = this.options
    if (messages.length === 0 || messages.length > maxRecordsPerFrame) return "malformed-batch"
    if (!this.identity.publish.allowsTopic(topic)) return "forbidden"
    if (registry.isTooFarOff(options.deliverAt ?? 0)) return "delay-too-long"
    const name = encodeText(topic)
    const found = registry.topicOfBytes(name, 0, name.length)
    if (typeof found === "string") return found
    const writer = new ByteWriter(256)
    const sequence = ++this.sequence
    const start = beginPublish(writer, { ...options, session: 0, sequence, topic: name, receipt: true })
    const records = writer.at
    for (const message of messages) {
      if (message.payload.length > Math.min(maxMessage, this.identity.limits.messageSize ?? maxMessage))
        return "message-too-large"
      if (encodeRecord(writer, message) !== undefined) return "malformed-batch"
    }
    endPublish(writer, start, messages.length)
    const bytes = writer.written()
    const batch = new Batch(found, bytes, 0, bytes.length, messages.length, options.priority ?? 0, session.id)
    batch.records = checkRecords(bytes, records, bytes.length, messages.length, maxMessage)
    batch.incarnation = session.incarnation
    batch.firstSequence = sequence
    batch.lastSequence = sequence
    batch.wantsReceipt = true
    batch.expires = options.ttl ?? 0
    batch.holdUntil = options.deliverAt ?? 0
    batch.receivedAt = registry.system.nowFine()
    return batch
  }

  /** Whoever made the connection has asked already. */
  authenticate(_token: string, accepted: () => void): void {
    accepted()
  }

  welcome(): void {}

  rejected(code: ErrorCode, messages: number, topic: string): void {
    // What requests of HTTP bring is counted where they are answered: a batch of it may be tried again in parts.
    if (this.transport !== "http") this.options.registry.counters.messagesRejected += messages
    this.options.refusals.ofFrame(this, code, topic, messages)
  }

  sessionClosed(session: Session, reason: CloseReason, subscription: number): void {
    if (this.sessions.get(session.number) !== session) return
    this.sessions.delete(session.number)
    this.writer.control({ _tag: "Closed", session: session.number, request: 0, reason, subscription })
  }

  /** Ends its sessions, and tells the transport why. */
  end(reason: CloseReason): void {
    if (this.isEnded) return
    this.isEnded = true
    this.reason = reason
    this.options.registry.counters.closed(reason)
    for (const session of [...this.sessions.values()]) session.close(reason)
    this.writer.ended(reason)
  }

  checkWriting(): void {
    if (!this.writer.isTaking()) this.end("write-timeout")
  }
}

/** Tells one publish what became of it. */
class OncePublisher implements Publisher {
  readonly id: string
  readonly ordinal: number
  readonly producer: string
  private readonly told: {
    readonly stored: (receipt: LocalReceipt) => void
    readonly refused: (code: ErrorCode) => void
  }

  constructor(
    session: Session,
    told: {
      readonly stored: (receipt: LocalReceipt) => void
      readonly refused: (code: ErrorCode) => void
    }
  ) {
    this.id = session.id
    this.ordinal = session.ordinal
    this.producer = session.producer
    this.told = told
  }

  receipt({ epoch, offset }: Batch, durability: Durability, duplicate: boolean): void {
    this.told.stored({ epoch, offset, durability, duplicate })
  }

  reject(_batch: Batch, code: ErrorCode): void {
    this.told.refused(code)
  }
}
