/**
 * A client connection: the actor between a stream of bytes and the sessions on it.
 *
 * A chunk is read in the turn in which it comes: what is published is gathered by topic, and each topic is handed
 * one batch. If a topic is full, its batches wait in a bounded backlog; when that is full too, chunks wait in a
 * bounded queue for the connection's fiber, then reading stops, and with it the client.
 */
import { type Cause, Deferred, Effect, Queue, Schedule, type Scope } from "effect"
import type { CloseReason } from "../protocol/CloseReason.ts"
import type { Duplex } from "../protocol/Duplex.ts"
import type { ErrorCode } from "../protocol/ErrorCode.ts"
import { decodeFrame } from "../protocol/Frame.ts"
import { FrameReader } from "../protocol/FrameReader.ts"
import type { JsonCode } from "../protocol/json/Problem.ts"
import { Op } from "../protocol/Op.ts"
import type { Transport } from "../protocol/Transport.ts"
import type { AuthError } from "../services/auth/AuthError.ts"
import type { Identity } from "../services/auth/Identity.ts"
import { type Applicant, Authentication } from "./Authentication.ts"
import { ClientFrames } from "./ClientFrames.ts"
import { ConnectionWriter } from "./ConnectionWriter.ts"
import type { ConnectionOptions } from "./FrameHost.ts"
import { PeerWatch } from "./PeerWatch.ts"
import { PublishFrames, type PublishHost } from "./PublishFrames.ts"
import type { Registry } from "./Registry.ts"
import { RequestQueue } from "./RequestQueue.ts"
import type { Session } from "./Session.ts"

/** Chunks that may wait before the socket is paused; a few may still come after that. */
const pauseAt = 64
/** What is read of a socket at once: a chunk that is as long says that there is more. */
const wholeRead = 65_536
/** The longest frame before WELCOME. */
const longestHello = 131_072

export class Connection implements PublishHost, Applicant {
  readonly id = crypto.randomUUID()
  readonly options: ConnectionOptions
  readonly registry: Registry
  readonly writer: ConnectionWriter
  readonly sessions = new Map<number, Session>()
  readonly inbox: Queue.Queue<Uint8Array, Cause.Done>
  /** Why the connection ends. */
  readonly ending = Deferred.makeUnsafe<CloseReason>()
  readonly gone = Deferred.makeUnsafe<void>()
  readonly hasClientGroups = false
  receivers = 0
  welcomed = false
  isDraining = false
  name = ""
  /** Why it ended. */
  reason: CloseReason = "normal"
  private readonly duplex: Duplex
  private readonly frames: ClientFrames
  private readonly publishes: PublishFrames
  private readonly authentication: Authentication
  private reader: FrameReader
  private readonly watch: PeerWatch
  readonly requests: RequestQueue
  private isPaused = false
  /** Whether frames are read: not from the hello until it is known who the client is, nor once the connection ends. */
  private isReading = true
  /** Chunks that came with the hello. */
  private unread: ReadonlyArray<Uint8Array> = []
  /** Whether the fiber waits for chunks and for nothing else. */
  private isIdle = false

  constructor(
    duplex: Duplex,
    options: ConnectionOptions,
    inbox: Queue.Queue<Uint8Array, Cause.Done>,
    scope: Scope.Scope
  ) {
    this.duplex = duplex
    this.options = options
    this.registry = options.registry
    this.inbox = inbox
    this.writer = new ConnectionWriter(duplex, options.registry, (error) => this.broke(error))
    this.frames = new ClientFrames(this)
    this.watch = new PeerWatch(this.writer)
    this.requests = new RequestQueue(options, this, this.writer, scope)
    this.authentication = new Authentication(this, scope)
    this.publishes = new PublishFrames(this, scope)
    this.reader = new FrameReader(longestHello)
    duplex.listen({
      onData: (chunk) => this.received(chunk),
      onDrain: () => this.writer.drained(),
      onClose: () => {
        Deferred.doneUnsafe(this.gone, Effect.void)
        Queue.endUnsafe(this.inbox)
      }
    })
  }

  get peer(): string {
    return this.duplex.peer
  }

  get identity(): Identity {
    return this.authentication.identity
  }

  get transport(): Transport {
    return this.duplex.transport
  }

  /** Whether something was delivered that the client has not taken. */
  get isWaiting(): boolean {
    return !this.publishes.backlog.isEmpty || this.writer.pending > 0 || this.hasMailboxesWaiting
  }

  private get hasMailboxesWaiting(): boolean {
    for (const session of this.sessions.values()) {
      for (const subscription of session.subscriptions.values()) if (subscription.isWaiting) return true
    }
    return false
  }

  /**
   * Whether the peer cannot be heard, because its publishes must wait and it is not read. One that has messages to
   * take itself does not count: the credit for them may be what is not read, and then only its end helps.
   */
  private get isHeldBack(): boolean {
    return this.isPaused && !this.hasMailboxesWaiting
  }

  /** Says goodbye with a reason and ends; what was delivered before still goes out. */
  end(reason: CloseReason, message: string = reason): void {
    if (!Deferred.doneUnsafe(this.ending, Effect.succeed(reason))) return
    this.reason = reason
    this.isReading = false
    this.registry.counters.closed(reason)
    for (const session of [...this.sessions.values()]) session.close(reason)
    this.writer.control({ _tag: "Goodbye", reason, message })
    this.writer.close()
    this.duplex.end()
  }

  /** The same for one who is not taken, which is counted and logged as a refusal. */
  turnAway(reason: CloseReason): void {
    this.refuse(reason, reason === "shutting-down" ? "SHUTTING_DOWN" : "TOO_MANY_CONNECTIONS")
  }

  refuse(reason: CloseReason, code: JsonCode, error?: AuthError): void {
    const { id, identity, peer, transport } = this
    this.options.refusals.add({ id, identity, peer, transport, code, why: error?.why })
    this.end(reason, error?.message)
  }

  /** An error of the hub's own: this connection ends, and the others go on. */
  broke(cause: unknown): void {
    this.registry.system.fork(Effect.logError(`the connection of ${this.peer} failed`, cause))
    this.end("hub-failed")
    this.duplex.destroy()
  }

  authenticate(token: string, accepted: () => void): void {
    this.isReading = false
    let isLater = false
    this.authentication.ask(token, () => {
      if (Deferred.isDoneUnsafe(this.ending)) return
      this.publishes.identify(this.identity)
      this.isReading = true
      accepted()
      // Nothing more need come from the client: what waits is read now, and before what came after it.
      if (isLater) this.process([])
    })
    isLater = true
  }

  /** After HELLO: frames may now be as long as agreed. */
  welcome(name: string): void {
    this.welcomed = true
    this.name = name
    this.reader.maxFrame = this.options.maxFrame
  }

  rejected(code: ErrorCode, messages: number, topic?: string): void {
    this.registry.counters.messagesRejected += messages
    this.options.refusals.ofFrame(this, code, topic, messages)
  }

  sessionClosed(session: Session, reason: CloseReason, subscription: number): void {
    if (this.sessions.get(session.number) !== session) return
    this.sessions.delete(session.number)
    this.writer.control({ _tag: "Closed", session: session.number, request: 0, reason, subscription })
  }

  /** Reads what comes until the peer is gone or the connection ends. */
  readonly read = Effect.fnUntraced({ self: this }, function* (this: Connection) {
    while (!Deferred.isDoneUnsafe(this.ending)) {
      this.isIdle = true
      const chunks = yield* Queue.takeAll(this.inbox)
      this.isIdle = false
      if (this.publishes.backlog.isFull) yield* this.orGone(this.publishes.backlog.shrinks)
      if (this.writer.isControlFull) yield* this.orGone(this.writer.peerReads)
      if (!this.isReading) yield* this.orGone(this.authentication.answered)
      if (this.isPaused) {
        this.isPaused = false
        this.duplex.resume()
      }
      this.registry.system.turn(() => this.process(chunks))
    }
  })

  /** A peer that is gone is not waited for. */
  private orGone(wait: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.raceFirst(wait, Deferred.await(this.gone))
  }

  /** Sends a PING every interval; a peer from which nothing was heard for `missed` of them is dead. */
  ping(missed: number): Effect.Effect<void> {
    const beat = Effect.sync(() => {
      if (this.watch.beat(this.isHeldBack) >= missed) this.end("ping-timeout")
      else if (this.welcomed) this.writer.control({ _tag: "Ping", token: this.registry.system.now() })
    })
    const interval = this.registry.settings.pingInterval
    return Effect.asVoid(Effect.delay(Effect.repeat(beat, Schedule.spaced(interval)), interval))
  }

  /** To be called at intervals: ends a connection whose peer neither took nor sent anything since the last time. */
  checkWriting(): void {
    if (!this.watch.isStuck()) return
    this.end("write-timeout")
    this.duplex.destroy()
  }

  private received(chunk: Uint8Array): void {
    this.watch.hear()
    if (this.mayReadInPlace) {
      this.readInPlace(chunk)
      return
    }
    if (!Queue.offerUnsafe(this.inbox, chunk)) {
      this.duplex.destroy()
      return
    }
    if (!this.isPaused && Queue.sizeUnsafe(this.inbox) >= pauseAt) {
      this.isPaused = true
      this.duplex.pause()
    }
  }

  /**
   * What comes to an idle connection is read at once: a queue would add to the round trip, and keep megabytes of chunks
   * alive until the garbage collector counts them as old.
   */
  private get mayReadInPlace(): boolean {
    return (
      this.isIdle &&
      this.isReading &&
      Queue.sizeUnsafe(this.inbox) === 0 &&
      !this.publishes.backlog.isFull &&
      !this.writer.isControlFull
    )
  }

  private readInPlace(chunk: Uint8Array): void {
    const { system } = this.registry
    const work = () => this.process([chunk])
    try {
      if (chunk.length >= wholeRead) system.turnOfMany(work)
      else system.turn(work)
    } catch (error) {
      this.broke(error)
    }
  }

  private process(chunks: ReadonlyArray<Uint8Array>): void {
    const reason = this.frameAll(chunks)
    this.publishes.handOver()
    if (reason !== undefined) this.end(reason)
  }

  /** Answers why the connection must end, if it must. */
  private frameAll(chunks: ReadonlyArray<Uint8Array>): CloseReason | undefined {
    const left = this.unread.length === 0 ? chunks : [...this.unread, ...chunks]
    this.unread = []
    for (let at = 0; ; at++) {
      const reason = this.frameChunk()
      if (reason !== undefined) return reason
      if (!this.isReading) {
        this.unread = left.slice(at)
        return undefined
      }
      if (at === left.length) return undefined
      this.reader.push(left[at]!)
    }
  }

  /** Reads the frames that the reader has, as far as they may be read now. */
  private frameChunk(): CloseReason | undefined {
    const reader = this.reader
    while (this.isReading && reader.next()) {
      const reason = this.frame(reader.buffer, reader.start, reader.end)
      if (reason !== undefined) return reason
    }
    if (reader.error === "frame-too-large" && this.welcomed) return "frame-too-large"
    return reader.error === undefined ? undefined : "protocol-error"
  }

  private frame(bytes: Uint8Array, start: number, end: number): CloseReason | undefined {
    if (bytes[start + 4] === Op.Publish && this.welcomed) return this.publishes.handle(bytes, start, end)
    const frame = decodeFrame(bytes, start, end)
    if (frame === undefined) return "protocol-error"
    // What was published before a control frame takes effect before it.
    this.publishes.handOver()
    return this.frames.handle(frame)
  }
}
