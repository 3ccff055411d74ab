/**
 * One connection to a hub, the client's side: hello, frames in and out, pings. It knows nothing of sessions.
 *
 * What is sent in a turn is written at its end, in one call; while the peer takes no more, nothing is written.
 * Whatever arrives is checked; what is not a frame of the protocol ends the connection. It ends once.
 */
import { Deferred, Duration, Effect } from "effect"
import { ByteWriter } from "../../protocol/Bytes.ts"
import { type CloseReason, mayReconnect } from "../../protocol/CloseReason.ts"
import { type Deliver, deliverHeaderBytes, readDeliver } from "../../protocol/Deliver.ts"
import type { Duplex } from "../../protocol/Duplex.ts"
import { decodeFrame, type Frame, type FrameOf, magic, writeFrame } from "../../protocol/Frame.ts"
import { FrameReader } from "../../protocol/FrameReader.ts"
import { Features, Op, protocolVersion } from "../../protocol/Op.ts"
import type { Timers } from "./Timers.ts"

const longestHello = 131_072
const longestDelivery = 262_144
/** Control frames that may wait while the peer takes nothing. */
const maxControlBytes = 1_048_576

/** Bytes that a hub must take in a frame: with less, subscriptions and names do not fit. */
const smallestMaxFrame = 4096

/** How a connection ended. */
export interface ConnectionEnd {
  readonly reason: CloseReason
  readonly message: string
  /** Whether the hub said that connecting again would end the same way. */
  readonly isFinal: boolean
  /** Whether what answered is no hub; `message` then says what it is. */
  readonly isForeign?: boolean
}

export interface ConnectionListener {
  readonly welcomed: (welcome: FrameOf<"Welcome">) => void
  /** Everything but WELCOME, PING, PONG and GOODBYE. Answers `false` if it is not for a client. */
  readonly frame: (frame: Frame) => boolean
  /** Answers `false` if what it holds is not messages. */
  readonly deliver: (deliver: Deliver) => boolean
  readonly ended: (end: ConnectionEnd) => void
}

/** What is asked for bytes when a turn ends. */
export interface TurnSource {
  readonly write: () => void
}

const httpSpoken =
  "what answers there speaks HTTP; give the hub's TCP port (24353 unless set), or connect by WebSocket"

/** Whether an answer begins as every one of HTTP does; read as a frame, it would be one of a gigabyte. */
const isHttp = (chunk: Uint8Array): boolean =>
  chunk.length >= 5 && String.fromCharCode(...chunk.subarray(0, 5)) === "HTTP/"

export class ClientConnection {
  end: ConnectionEnd | undefined
  welcome: FrameOf<"Welcome"> | undefined
  /** The stream of bytes is closed. */
  readonly closed = Deferred.makeUnsafe<void>()
  private readonly duplex: Duplex
  private readonly timers: Timers
  private readonly listener: ConnectionListener
  private reader = new FrameReader(longestHello)
  private lastHeard: number
  /** When the peer last began to take more again, and when it was last asked whether it is there. */
  private lastDrained = 0
  private lastAsked = 0
  private control = new ByteWriter(256)
  private out: Array<Uint8Array> = []
  private sources = new Set<TurnSource>()
  private isScheduled = false
  private blocked = false

  constructor(duplex: Duplex, timers: Timers, listener: ConnectionListener) {
    this.duplex = duplex
    this.timers = timers
    this.listener = listener
    this.lastHeard = timers.now()
    duplex.listen({
      onData: (chunk) => this.received(chunk),
      onDrain: () => {
        this.blocked = false
        this.lastDrained = timers.now()
        this.flush()
      },
      onClose: (error) => {
        Deferred.doneUnsafe(this.closed, Effect.void)
        this.finish({ reason: "connection-lost", message: error?.message ?? "", isFinal: false })
      }
    })
  }

  hello(name: string, token: string): void {
    this.send({
      _tag: "Hello",
      magic,
      minVersion: protocolVersion,
      maxVersion: protocolVersion,
      features: Features.credit | Features.requests,
      name,
      token
    })
  }

  send(frame: Frame): void {
    if (this.end !== undefined) return
    writeFrame(this.control, frame)
    if (this.blocked && this.control.at > maxControlBytes) this.fail("write-timeout", "the hub reads nothing")
    else this.schedule()
  }

  /** Sends whole frames; the bytes are not changed afterwards. */
  sendBytes(bytes: Uint8Array): void {
    if (this.end !== undefined) return
    this.sealControl()
    this.out.push(bytes)
    this.schedule()
  }

  requestTurn(source: TurnSource): void {
    if (this.end !== undefined) return
    this.sources.add(source)
    this.schedule()
  }

  /** Ends the connection from this side, saying why. */
  fail(reason: CloseReason, message: string): void {
    if (this.end !== undefined) return
    const isDead = reason === "ping-timeout" || reason === "write-timeout"
    if (!isDead) {
      writeFrame(this.control, { _tag: "Goodbye", reason, message })
      this.write()
    }
    this.finish({ reason, message, isFinal: false })
    if (isDead) this.duplex.destroy()
    else this.duplex.end()
  }

  /**
   * For one who has waited for an answer since `since`: asks the hub whether it is there when it has been silent for
   * half of `limit` milliseconds, and gives it up when it has been for all of them. Answers when to look again. A
   * peer that takes nothing cannot be asked; that is for `watch` to judge.
   */
  endIfSilent(since: number, limit: number): number {
    const now = this.timers.now()
    const half = limit / 2
    if (this.blocked || this.end !== undefined) return now + half
    const silentSince = Math.max(since, this.lastHeard, this.lastDrained)
    if (now < silentSince + half) return silentSince + half
    if (this.lastAsked < silentSince + half) {
      this.lastAsked = now
      this.send({ _tag: "Ping", token: now })
    }
    const giveUpAt = Math.max(silentSince + limit, this.lastAsked + half)
    if (now >= giveUpAt) this.fail("ping-timeout", "")
    return giveUpAt
  }

  /** Asks a silent hub whether it is there; answers when the connection ends. */
  watch(interval: Duration.Duration): Effect.Effect<void> {
    const millis = Duration.toMillis(interval)
    const { timers } = this
    return Effect.gen({ self: this }, function* () {
      while (this.end === undefined) {
        const idle = timers.now() - this.lastHeard
        if (idle >= 2 * millis) return this.fail("ping-timeout", "")
        if (idle >= millis) this.send({ _tag: "Ping", token: timers.now() })
        yield* Effect.sleep(Duration.millis(millis - (idle % millis)))
      }
    })
  }

  private schedule(): void {
    if (this.isScheduled || this.blocked) return
    this.isScheduled = true
    // What happens in the rest of this turn goes out with it; a timer would add its delay to every message.
    queueMicrotask(() => {
      this.isScheduled = false
      this.flush()
    })
  }

  private flush(): void {
    if (this.end !== undefined || this.blocked) return
    if (this.sources.size > 0) {
      const sources = this.sources
      this.sources = new Set()
      for (const source of sources) source.write()
    }
    this.write()
  }

  private sealControl(): void {
    if (this.control.at === 0) return
    this.out.push(this.control.written())
    this.control = new ByteWriter(256)
  }

  private write(): void {
    this.sealControl()
    const chunks = this.out
    if (chunks.length === 0) return
    this.out = []
    if (!this.duplex.write(chunks)) this.blocked = true
  }

  private finish(end: ConnectionEnd): void {
    if (this.end !== undefined) return
    this.end = end
    this.out = []
    this.sources.clear()
    this.listener.ended(end)
  }

  private received(chunk: Uint8Array): void {
    if (this.end !== undefined) return
    this.lastHeard = this.timers.now()
    const held = this.reader.pending
    this.reader.push(chunk)
    if (this.welcome === undefined && !this.receivedHello(chunk, held)) return
    const { reader } = this
    while (this.end === undefined && reader.next()) {
      if (this.isUnderstood(reader)) continue
      this.fail("protocol-error", `an unexpected or malformed frame, operation ${reader.op}`)
    }
    if (reader.error !== undefined) this.failFraming(reader)
  }

  /** Reads the first frame; answers whether it was WELCOME, and then the reader goes on behind it. */
  private receivedHello(chunk: Uint8Array, held: number): boolean {
    const { reader } = this
    if (!reader.next()) {
      if (held === 0 && isHttp(chunk)) this.endForeign(httpSpoken)
      else if (reader.error !== undefined) this.failFraming(reader)
      return false
    }
    const frame = decodeFrame(reader.buffer, reader.start, reader.end)
    if (frame?._tag === "Goodbye") this.saidGoodbye(frame)
    else if (frame?._tag !== "Welcome" || frame.version !== protocolVersion) {
      this.fail("protocol-error", "the first frame is not WELCOME")
    } else if (frame.maxFrame < smallestMaxFrame) {
      this.fail("protocol-error", "the hub takes no frames of a useful size")
    } else if ((frame.features & Features.credit) === 0) {
      this.fail("unsupported-version", "the hub does not know credit")
    } else {
      this.welcome = frame
      this.reader = new FrameReader(Math.max(frame.maxFrame, longestDelivery) + deliverHeaderBytes)
      this.reader.push(chunk.subarray(reader.end - reader.start - held))
      this.listener.welcomed(frame)
      return true
    }
    return false
  }

  /** Nothing is said to what would not understand it. */
  private endForeign(message: string): void {
    this.finish({ reason: "protocol-error", message, isFinal: false, isForeign: true })
    this.duplex.end()
  }

  private isUnderstood(reader: FrameReader): boolean {
    if (reader.op === Op.Deliver) {
      const deliver = readDeliver(reader.buffer, reader.start, reader.end)
      return deliver !== undefined && this.listener.deliver(deliver)
    }
    const frame = decodeFrame(reader.buffer, reader.start, reader.end)
    if (frame === undefined) return false
    switch (frame._tag) {
      case "Ping":
        this.send({ _tag: "Pong", token: frame.token })
        return true
      case "Pong":
        return true
      case "Goodbye":
        this.saidGoodbye(frame)
        return true
      default:
        return this.listener.frame(frame)
    }
  }

  private saidGoodbye({ message, reason }: FrameOf<"Goodbye">): void {
    this.finish({ reason, message, isFinal: !mayReconnect(reason) })
    this.duplex.end()
  }

  private failFraming(reader: FrameReader): void {
    if (reader.error === "frame-too-large") this.fail("frame-too-large", "a frame is longer than agreed")
    else this.fail("protocol-error", "a frame is shorter than its header")
  }
}
