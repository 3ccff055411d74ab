/**
 * The hub's end of connections in memory, with a script instead of topics. It says WELCOME, OPENED, SUBSCRIBED,
 * UNSUBSCRIBED, JOINED and ACKED by itself; all else a test sends. What a client sent is in `seen`.
 */
import { Effect, type Scope } from "effect"
import { ByteWriter, decodeText } from "../../src/protocol/Bytes.ts"
import { deliverHeaderBytes, writeDeliverHeader } from "../../src/protocol/Deliver.ts"
import type { Duplex } from "../../src/protocol/Duplex.ts"
import { duplexPair } from "../../src/protocol/DuplexPair.ts"
import { decodeFrame, encodeFrame, type Frame, type FrameOf } from "../../src/protocol/Frame.ts"
import { FrameReader } from "../../src/protocol/FrameReader.ts"
import { Op } from "../../src/protocol/Op.ts"
import { encodePublish, forEachMessage, PublishHeader, readPublish } from "../../src/protocol/Publish.ts"
import { ConnectFailed, PolestarError } from "../../src/sdk/PolestarError.ts"

/** A PUBLISH frame that a client sent. */
export interface Published {
  readonly _tag: "Publish"
  readonly session: number
  readonly sequence: number
  readonly flags: number
  readonly priority: number
  readonly ttl: number
  readonly deliverAt: number
  readonly topic: string
  readonly payloads: ReadonlyArray<string>
  readonly bytes: number
}

export type Seen = Frame | Published

export interface Delivery {
  readonly session?: number
  readonly subscription?: number
  readonly topic: string
  readonly epoch?: number
  readonly offset: number
  readonly priority?: number
  /** Of a member of a group. */
  readonly attempt?: number
  readonly payloads: ReadonlyArray<string>
}

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
export const textOf = (bytes: Uint8Array): string => decodeText(bytes) ?? "?"

/** The frames of one DELIVER. */
export const encodeDelivery = (delivery: Delivery): Uint8Array => {
  const writer = new ByteWriter(256)
  writer.reserve(deliverHeaderBytes)
  const { priority, topic, payloads } = delivery
  const messages = payloads.map((payload) => ({ payload: bytesOf(payload) }))
  encodePublish(writer, { session: 77, sequence: 1, topic, priority }, messages)
  const bytes = writer.written()
  const placed = {
    bytes,
    start: deliverHeaderBytes,
    end: bytes.length,
    skip: 0,
    count: payloads.length,
    epoch: delivery.epoch ?? 1,
    offset: delivery.offset,
    timestamp: 0
  }
  writeDeliverHeader(
    bytes,
    0,
    delivery.session ?? 1,
    delivery.subscription ?? 1,
    placed,
    delivery.attempt ?? 0
  )
  return bytes
}

const readPublished = (bytes: Uint8Array, start: number, end: number): Published => {
  const header = new PublishHeader()
  if (!readPublish(bytes, start, end, header)) throw new Error("not a PUBLISH frame")
  const payloads: Array<string> = []
  forEachMessage(bytes, start, end, 0, header.count, (message) => payloads.push(textOf(message.payload)))
  const { deliverAt, flags, priority, sequence, session, ttl } = header
  const topic = textOf(bytes.subarray(header.topicStart, header.topicEnd))
  const fields = { session, sequence, flags, priority, ttl, deliverAt, topic, payloads, bytes: end - start }
  return { _tag: "Publish", ...fields }
}

export class FakeConnection {
  readonly seen: Array<Seen> = []
  isClosed = false
  readonly duplex: Duplex
  private readonly reader = new FrameReader(0xffff_ffff)

  constructor(duplex: Duplex, answer: (connection: FakeConnection, frame: Seen) => void) {
    this.duplex = duplex
    duplex.listen({
      onData: (chunk) => {
        this.reader.push(chunk)
        while (this.reader.next()) {
          const { buffer, end, op, start } = this.reader
          const frame =
            op === Op.Publish ? readPublished(buffer, start, end) : decodeFrame(buffer, start, end)
          if (frame === undefined) throw new Error(`the client sent a frame that is none, operation ${op}`)
          this.seen.push(frame)
          answer(this, frame)
        }
      },
      onDrain: () => {},
      onClose: () => {
        this.isClosed = true
      }
    })
  }

  send(...frames: ReadonlyArray<Frame>): void {
    this.duplex.write(frames.map(encodeFrame))
  }

  deliver(...deliveries: ReadonlyArray<Delivery>): void {
    this.duplex.write(deliveries.map(encodeDelivery))
  }

  receipt(fields: Partial<FrameOf<"Receipt">> & { readonly firstSequence: number }): void {
    this.send({
      _tag: "Receipt",
      session: 1,
      lastSequence: fields.firstSequence,
      position: { epoch: 1, offset: 0 },
      count: 1,
      durability: "accepted",
      duplicate: false,
      ...fields
    })
  }

  /** What the client sent of one kind. */
  of<T extends Seen["_tag"]>(tag: T): ReadonlyArray<Extract<Seen, { readonly _tag: T }>> {
    return this.seen.filter((frame): frame is Extract<Seen, { readonly _tag: T }> => frame._tag === tag)
  }

  /** The socket breaks. */
  cut(): void {
    this.duplex.destroy()
  }
}

export class FakeHub {
  readonly connections: Array<FakeConnection> = []
  /** Whether there is somebody to connect to. */
  isUp = true
  dials = 0
  /** The client's end of the newest connection. */
  clientEnd: Duplex | undefined
  welcome: Omit<FrameOf<"Welcome">, "_tag"> | undefined = {
    version: 1,
    features: 3,
    hub: "fake",
    maxFrame: 1_048_576,
    maxMessage: 262_144,
    pingInterval: 15_000
  }
  /** The time and the position that SUBSCRIBED tells. */
  time = 5000
  position: { readonly epoch: number; readonly offset: number } | undefined
  /** The acknowledgement wait that JOINED tells, in milliseconds. */
  ackWait = 30_000
  /** Frames that are not answered by themselves. */
  readonly ignored = new Set<Seen["_tag"]>()
  /** Sees each frame before the answers that come by themselves. */
  onFrame: (connection: FakeConnection, frame: Seen) => void = () => {}

  readonly dial: Effect.Effect<Duplex, PolestarError, Scope.Scope> = Effect.acquireRelease(
    Effect.suspend(() => {
      this.dials++
      if (!this.isUp) {
        return Effect.fail(new PolestarError({ reason: new ConnectFailed({ cause: new Error("refused") }) }))
      }
      const [near, far] = duplexPair()
      this.clientEnd = near
      this.connections.push(new FakeConnection(far, (connection, frame) => this.answer(connection, frame)))
      return Effect.succeed(near)
    }),
    (duplex) => Effect.sync(() => duplex.destroy())
  )

  /** The newest connection. */
  get last(): FakeConnection {
    const last = this.connections.at(-1)
    if (last === undefined) throw new Error("nobody has connected")
    return last
  }

  private answer(connection: FakeConnection, frame: Seen): void {
    this.onFrame(connection, frame)
    if (this.ignored.has(frame._tag)) return
    if (frame._tag === "Hello" && this.welcome !== undefined) {
      connection.send({ _tag: "Welcome", ...this.welcome })
    } else if (frame._tag === "Open") {
      connection.send({ _tag: "Opened", session: frame.session, request: frame.request })
    } else if (frame._tag === "Subscribe") {
      const { request, session, subscription } = frame
      const { position, time } = this
      connection.send({ _tag: "Subscribed", session, request, subscription, time, position })
    } else if (frame._tag === "Unsubscribe") {
      connection.send({ _tag: "Unsubscribed", session: frame.session, request: frame.request })
    } else if (frame._tag === "Join") {
      const { request, session, subscription } = frame
      const { ackWait } = this
      connection.send({ _tag: "Joined", session, request, subscription, created: true, ackWait })
    } else if (frame._tag === "Ack" || frame._tag === "Refuse") {
      const { request, session } = frame
      if (request !== 0) connection.send({ _tag: "Acked", session, request })
    } else if (frame._tag === "Goodbye") connection.duplex.end()
  }
}

/** Lets everything happen that needs no time to pass. */
export const settle: Effect.Effect<void> = Effect.promise(async () => {
  for (let i = 0; i < 5; i++) await new Promise<void>((resolve) => setImmediate(resolve))
})
