/**
 * A client of the tests' own over any `Duplex`: it sends frames, keeps all that come, and waits for the next one
 * that matches. It does nothing by itself: no ping, no pong unless told to, no credit, no reconnection.
 */
import { Effect, Schema, type Scope } from "effect"
import { Hub } from "../../src/actors/Hub.ts"
import { ByteWriter, decodeText, encodeText } from "../../src/protocol/Bytes.ts"
import type { CloseReason } from "../../src/protocol/CloseReason.ts"
import { readDeliver } from "../../src/protocol/Deliver.ts"
import type { Duplex } from "../../src/protocol/Duplex.ts"
import { decodeFrame, encodeFrame, type Frame, type FrameOf, magic } from "../../src/protocol/Frame.ts"
import { FrameReader } from "../../src/protocol/FrameReader.ts"
import type { Message } from "../../src/protocol/Message.ts"
import { Features, Op, protocolVersion, unlimitedCredit } from "../../src/protocol/Op.ts"
import type { Overflow, Start } from "../../src/protocol/Position.ts"
import { encodePublish, forEachMessage, topicBytesOf } from "../../src/protocol/Publish.ts"
import { patience } from "../Patience.ts"

/** A message as it was delivered. */
export interface Received extends Message {
  readonly topic: string
  readonly epoch: number
  readonly offset: number
  readonly timestamp: number
  /** For a member of a group: the how manieth delivery this is; 0 for a live subscription. */
  readonly attempt: number
  readonly text: string
}

export interface DeliverFrame {
  readonly _tag: "Deliver"
  readonly session: number
  readonly subscription: number
  readonly messages: ReadonlyArray<Received>
}

export type Incoming = Frame | DeliverFrame
type Tag = Incoming["_tag"]
type Of<K extends Tag> = Extract<Incoming, { readonly _tag: K }>

export class WireClientError extends Schema.TaggedError<WireClientError>()("WireClientError", {
  message: Schema.String
}) {}

export interface SubscribeOptions {
  readonly session?: number
  readonly subscription?: number
  readonly overflow?: Overflow
  readonly echo?: boolean
  readonly creditMessages?: number
  readonly creditBytes?: number
  readonly start?: Start
}

export interface PublishOptions {
  readonly session?: number
  readonly sequence?: number
  readonly receipt?: boolean
  readonly resent?: boolean
  readonly priority?: number
  readonly ttl?: number
  readonly deliverAt?: number
}

export const sessionId = (number: number): string =>
  `00000000-0000-4000-8000-${number.toString(16).padStart(12, "0")}`

export const messagesOf = (texts: ReadonlyArray<string>): ReadonlyArray<Message> =>
  texts.map((text) => ({ payload: encodeText(text) }))

/** The texts `prefix0` to before `prefix<count>`. */
export const numbered = (count: number, prefix = "m", from = 0): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => `${prefix}${from + index}`)

const readMessages = (bytes: Uint8Array, start: number, end: number): DeliverFrame | undefined => {
  const frame = readDeliver(bytes, start, end)
  const name = frame && topicBytesOf(frame.bytes, frame.start, frame.end)
  const topic = name && decodeText(name)
  if (frame === undefined || topic === undefined) return undefined
  const messages: Array<Received> = []
  const { attempt, count, epoch, offset, session, skip, subscription, timestamp } = frame
  const isWhole = forEachMessage(frame.bytes, frame.start, frame.end, skip, count, (message, index) => {
    messages.push({
      ...message,
      payload: message.payload.slice(),
      text: decodeText(message.payload) ?? "(not text)",
      topic,
      epoch,
      offset: offset + index,
      timestamp,
      attempt
    })
  })
  return isWhole ? { _tag: "Deliver", session, subscription, messages } : undefined
}

export class WireClient {
  readonly duplex: Duplex
  /** What came and was not asked for yet, in order. */
  readonly inbox: Array<Incoming> = []
  isClosed = false
  /** Whether pings are answered. */
  answersPings = false
  bytesReceived = 0
  private readonly reader = new FrameReader(0x7fff_ffff)
  private readonly listeners = new Set<() => void>()
  private readonly sequences = new Map<number, number>()
  private requests = 0
  private subscriptions = 0
  private broken: string | undefined

  constructor(duplex: Duplex) {
    this.duplex = duplex
    duplex.listen({
      onData: (chunk) => this.received(chunk),
      onDrain: () => {},
      onClose: () => {
        this.isClosed = true
        this.notify()
      }
    })
  }

  raw(bytes: Uint8Array): void {
    this.duplex.write([bytes])
  }

  send(...frames: ReadonlyArray<Frame>): void {
    for (const frame of frames) this.raw(encodeFrame(frame))
  }

  /** Takes the first frame of that kind that matches, waiting for it if need be; others stay in the inbox. */
  next<K extends Tag>(
    tag: K,
    matches: (frame: Of<K>) => boolean = () => true
  ): Effect.Effect<Of<K>, WireClientError> {
    return this.until(`a ${tag}`, () => this.take(tag, matches))
  }

  /** Takes the first such frame that is there already. */
  take<K extends Tag>(tag: K, matches: (frame: Of<K>) => boolean = () => true): Of<K> | undefined {
    const isIt = (frame: Incoming): frame is Of<K> => frame._tag === tag
    for (const [index, frame] of this.inbox.entries()) {
      if (!isIt(frame) || !matches(frame)) continue
      this.inbox.splice(index, 1)
      return frame
    }
    return undefined
  }

  takeAll<K extends Tag>(tag: K): ReadonlyArray<Of<K>> {
    const frames: Array<Of<K>> = []
    for (let frame = this.take(tag); frame !== undefined; frame = this.take(tag)) frames.push(frame)
    return frames
  }

  /** Waits for so many messages of a subscription. */
  messages(
    subscription: number,
    count: number,
    session = 1
  ): Effect.Effect<ReadonlyArray<Received>, WireClientError> {
    const found: Array<Received> = []
    const collect = () => {
      found.push(...this.delivered(subscription, session))
      return found.length >= count ? found : undefined
    }
    return this.until(`${count} messages of subscription ${subscription}`, collect, () => found.length)
  }

  /** The messages of a subscription that are there already. */
  delivered(subscription: number, session = 1): ReadonlyArray<Received> {
    const found: Array<Received> = []
    const left = this.inbox.filter((frame) => {
      if (frame._tag !== "Deliver" || frame.session !== session || frame.subscription !== subscription)
        return true
      found.push(...frame.messages)
      return false
    })
    this.inbox.splice(0, this.inbox.length, ...left)
    return found
  }

  /** Waits until the connection is closed; what came before it stays in the inbox. */
  get closed(): Effect.Effect<void, WireClientError> {
    return Effect.asVoid(this.until("the end", () => (this.isClosed ? true : undefined)))
  }

  /** Waits for the goodbye and the end of the connection. */
  get goodbye(): Effect.Effect<CloseReason, WireClientError> {
    return Effect.map(Effect.tap(this.next("Goodbye"), this.closed), (frame) => frame.reason)
  }

  /** When this is done the hub has handled all that was sent before, and what it answered is here. */
  get settled(): Effect.Effect<void, WireClientError> {
    return Effect.gen({ self: this }, function* () {
      for (let round = 0; round < 3; round++) {
        const token = ++this.requests
        this.send({ _tag: "Ping", token })
        yield* this.next("Pong", (pong) => pong.token === token)
        for (let turn = 0; turn < 8; turn++) yield* Effect.yieldNow
      }
    })
  }

  hello(options: Partial<FrameOf<"Hello">> = {}): void {
    this.send({
      _tag: "Hello",
      magic,
      minVersion: protocolVersion,
      maxVersion: protocolVersion,
      features: Features.credit | Features.requests,
      name: "test",
      token: "",
      ...options
    })
  }

  /** Says hello and opens sessions 1 to `count`. */
  begin(count = 1): Effect.Effect<FrameOf<"Welcome">, WireClientError> {
    return Effect.gen({ self: this }, function* () {
      this.hello()
      const welcome = yield* this.next("Welcome")
      for (let number = 1; number <= count; number++) this.open(number)
      for (let number = 1; number <= count; number++)
        yield* this.next("Opened", (opened) => opened.session === number)
      return welcome
    })
  }

  /** Answers the number of the request. */
  open(session: number, id = sessionId(session), incarnation = 1): number {
    const request = ++this.requests
    this.send({ _tag: "Open", session, request, id, incarnation, name: `session ${session}` })
    return request
  }

  close(session: number): number {
    const request = ++this.requests
    this.send({ _tag: "Close", session, request })
    return request
  }

  /** Answers the number of the request, and that of the subscription, which is the next one unless given. */
  askToSubscribe(pattern: string, options: SubscribeOptions = {}) {
    const request = ++this.requests
    const subscription = options.subscription ?? ++this.subscriptions
    this.send({
      _tag: "Subscribe",
      session: options.session ?? 1,
      request,
      subscription,
      pattern,
      overflow: options.overflow ?? "drop-oldest",
      echo: options.echo ?? true,
      creditMessages: options.creditMessages ?? unlimitedCredit,
      creditBytes: options.creditBytes ?? unlimitedCredit,
      start: options.start ?? { _tag: "Now" }
    })
    return { request, subscription }
  }

  subscribe(
    pattern: string,
    options: SubscribeOptions = {}
  ): Effect.Effect<FrameOf<"Subscribed">, WireClientError> {
    return Effect.suspend(() => {
      const { request } = this.askToSubscribe(pattern, options)
      return this.next("Subscribed", (frame) => frame.request === request)
    })
  }

  unsubscribe(subscription: number, session = 1): number {
    const request = ++this.requests
    this.send({ _tag: "Unsubscribe", session, request, subscription })
    return request
  }

  credit(subscription: number, messages: number, bytes = unlimitedCredit, session = 1): void {
    this.send({ _tag: "Credit", session, subscription, messages, bytes })
  }

  /** Publishes one frame; answers its sequence, which is the session's next unless given. */
  publish(
    topic: string,
    messages: ReadonlyArray<string> | ReadonlyArray<Message>,
    options: PublishOptions = {}
  ): number {
    const { bytes, sequence } = this.publishFrame(topic, messages, options)
    this.raw(bytes)
    return sequence
  }

  publishFrame(
    topic: string,
    messages: ReadonlyArray<string> | ReadonlyArray<Message>,
    options: PublishOptions = {}
  ): { readonly bytes: Uint8Array; readonly sequence: number } {
    const session = options.session ?? 1
    const sequence = options.sequence ?? (this.sequences.get(session) ?? 0) + 1
    this.sequences.set(session, sequence)
    const writer = new ByteWriter()
    const records = messages.map((message) =>
      typeof message === "string" ? { payload: encodeText(message) } : message
    )
    encodePublish(writer, { ...options, session, sequence, topic }, records)
    return { bytes: writer.written(), sequence }
  }

  /** Publishes and waits for the receipt. */
  publishAndWait(
    topic: string,
    messages: ReadonlyArray<string> | ReadonlyArray<Message>,
    options: PublishOptions = {}
  ): Effect.Effect<FrameOf<"Receipt">, WireClientError> {
    return Effect.suspend(() => {
      const sequence = this.publish(topic, messages, { ...options, receipt: true })
      const session = options.session ?? 1
      return this.next("Receipt", (frame) => frame.session === session && frame.lastSequence === sequence)
    })
  }

  /** Asks one of the hub's methods; answers the request's number. */
  request(method: string, body: string): number {
    const request = ++this.requests
    this.send({ _tag: "Request", request, method, body: encodeText(body) })
    return request
  }

  /** Waits until `find` answers something: it is asked again whenever something came. */
  until<A>(
    what: string,
    find: () => A | undefined,
    detail: () => unknown = () => ""
  ): Effect.Effect<A, WireClientError> {
    return Effect.callback<A, WireClientError>((resume) => {
      const fail = (why: string) => {
        stop()
        const tags = this.inbox.map((frame) => frame._tag).join(" ")
        const message = `waited for ${what} ${detail()}: ${this.broken ?? why}; there is: ${tags || "nothing"}`
        resume(Effect.fail(new WireClientError({ message })))
      }
      const look = () => {
        const found = find()
        if (found === undefined) {
          if (this.isClosed || this.broken !== undefined) fail("the connection is closed")
          return
        }
        stop()
        resume(Effect.succeed(found))
      }
      const timer = setTimeout(() => fail("it did not come"), patience)
      const stop = () => {
        clearTimeout(timer)
        this.listeners.delete(look)
      }
      this.listeners.add(look)
      look()
      return Effect.sync(stop)
    })
  }

  private received(chunk: Uint8Array): void {
    this.bytesReceived += chunk.length
    this.reader.push(chunk)
    while (this.reader.next()) {
      const { buffer, end, op, start } = this.reader
      const frame = op === Op.Deliver ? readMessages(buffer, start, end) : decodeFrame(buffer, start, end)
      if (frame === undefined) this.broken = `the hub sent an op ${op} that is not a frame`
      else if (frame._tag === "Ping" && this.answersPings) this.send({ _tag: "Pong", token: frame.token })
      else this.inbox.push(frame)
    }
    if (this.reader.error !== undefined) this.broken = this.reader.error
    this.notify()
  }

  private notify(): void {
    for (const listener of [...this.listeners]) listener()
  }
}

/** A client in memory of the hub in the context, not yet greeted. */
export const connect: Effect.Effect<WireClient, never, Hub | Scope.Scope> = Effect.gen(function* () {
  const hub = yield* Hub
  return new WireClient(yield* hub.connect)
})

/** The same, welcomed and with sessions 1 to `sessions` open. */
export const greeted = (sessions = 1): Effect.Effect<WireClient, WireClientError, Hub | Scope.Scope> =>
  Effect.tap(connect, (client) => client.begin(sessions))
