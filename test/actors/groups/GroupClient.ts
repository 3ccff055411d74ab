/** What a client does with groups, beside all else that `WireClient` does. */
import { Effect, Schema } from "effect"
import { decodeText } from "../../../src/protocol/Bytes.ts"
import type { ErrorCode } from "../../../src/protocol/ErrorCode.ts"
import type { FrameOf } from "../../../src/protocol/Frame.ts"
import { notGiven, unlimitedCredit } from "../../../src/protocol/Op.ts"
import type { Fate, OffsetRange, Order, Start } from "../../../src/protocol/Position.ts"
import { type HubLives, hubLives } from "../HubLives.ts"
import { greeted, type Received, type WireClient } from "../WireClient.ts"

export interface JoinOptions {
  readonly session?: number
  readonly subscription?: number
  readonly creditMessages?: number
  readonly creditBytes?: number
  readonly start?: Start
  readonly order?: Order
  readonly ackWait?: number
  readonly maxDeliveries?: number
  readonly maxInFlight?: number
  readonly backoff?: number
  readonly maxBackoff?: number
}

export interface RefuseOptions {
  readonly fate?: Fate
  /** Milliseconds; the group's backoff if absent. */
  readonly delay?: number
  readonly error?: string
  readonly session?: number
}

export const texts = (messages: ReadonlyArray<Received>): ReadonlyArray<string> =>
  messages.map(({ text }) => text)
export const attempts = (messages: ReadonlyArray<Received>): ReadonlyArray<string> =>
  messages.map(({ attempt, text }) => `${text}#${attempt}`)

const rangesOf = (messages: ReadonlyArray<Received>): ReadonlyArray<OffsetRange> =>
  messages.map(({ offset }) => ({ from: offset, to: offset + 1 }))

const decodeJson = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Unknown))
const decodeObject = Schema.decodeUnknownSync(Schema.Record(Schema.String, Schema.Unknown))

/** The hub's answer to a request of the wrong kind. */
export class Failed extends Schema.TaggedError<Failed>()("Failed", { code: Schema.String }) {}

export class GroupClient {
  readonly wire: WireClient
  /** Higher than those of the wire client's own. */
  private requests = 1_000_000

  constructor(wire: WireClient) {
    this.wire = wire
  }

  /** Answers the number of the request. */
  askToJoin(group: string, pattern: string, options: JoinOptions = {}): number {
    const request = ++this.requests
    this.wire.send({
      _tag: "Join",
      session: options.session ?? 1,
      request,
      subscription: options.subscription ?? 1,
      group,
      pattern,
      creditMessages: options.creditMessages ?? unlimitedCredit,
      creditBytes: options.creditBytes ?? unlimitedCredit,
      start: options.start ?? { _tag: "First" },
      order: options.order ?? "any",
      ackWait: options.ackWait ?? notGiven.u32,
      maxDeliveries: options.maxDeliveries ?? notGiven.u16,
      maxInFlight: options.maxInFlight ?? notGiven.u32,
      backoff: options.backoff ?? notGiven.u32,
      maxBackoff: options.maxBackoff ?? notGiven.u32
    })
    return request
  }

  join(group: string, pattern: string, options: JoinOptions = {}) {
    return Effect.suspend(() => {
      const request = this.askToJoin(group, pattern, options)
      return this.wire.next("Joined", (frame) => frame.request === request)
    })
  }

  /** Why it may not join. */
  joinFailure(group: string, pattern: string, options: JoinOptions = {}) {
    return Effect.suspend(() => this.failure(this.askToJoin(group, pattern, options)))
  }

  failure(request: number) {
    return Effect.map(
      this.wire.next("Failure", (frame) => frame.request === request),
      ({ code }): ErrorCode => code
    )
  }

  /** Acknowledges messages of one topic; answers the number of the request. */
  sendAck(group: string, messages: ReadonlyArray<Received>, session = 1): number {
    return this.sendAckOf(group, messages[0]!, rangesOf(messages), session)
  }

  sendAckOf(
    group: string,
    { epoch, topic }: Pick<Received, "topic" | "epoch">,
    ranges: ReadonlyArray<OffsetRange>,
    session = 1
  ): number {
    const request = ++this.requests
    this.wire.send({ _tag: "Ack", session, request, group, topic, epoch, ranges })
    return request
  }

  /** The same, and waits until it is stored. */
  ack(group: string, messages: ReadonlyArray<Received>, session = 1) {
    return Effect.suspend(() => this.acked(this.sendAck(group, messages, session)))
  }

  acked(request: number) {
    return this.wire.next("Acked", (frame) => frame.request === request)
  }

  wasAcked(request: number): boolean {
    return this.wire.take("Acked", (frame) => frame.request === request) !== undefined
  }

  sendRefusal(group: string, messages: ReadonlyArray<Received>, options: RefuseOptions = {}): number {
    const request = ++this.requests
    const { epoch, topic } = messages[0]!
    this.wire.send({
      _tag: "Refuse",
      session: options.session ?? 1,
      request,
      group,
      topic,
      epoch,
      fate: options.fate ?? "again",
      delay: options.delay ?? notGiven.u32,
      error: options.error ?? "",
      ranges: rangesOf(messages)
    })
    return request
  }

  refuse(group: string, messages: ReadonlyArray<Received>, options: RefuseOptions = {}) {
    return Effect.suspend(() => this.acked(this.sendRefusal(group, messages, options)))
  }

  /** What is there when the hub has handled all that was sent. */
  received(subscription = 1, session = 1) {
    return Effect.map(this.wire.settled, () => this.wire.delivered(subscription, session))
  }

  /** Asks one of the hub's methods, and answers the JSON. */
  ask(method: string, body: unknown = {}) {
    return Effect.gen({ self: this }, function* () {
      const request = this.wire.request(method, JSON.stringify(body))
      const isIt = (frame: FrameOf<"Response"> | FrameOf<"Failure">) => frame.request === request
      const answer = yield* this.wire.until(
        `an answer to ${method}`,
        () => this.wire.take("Response", isIt) ?? this.wire.take("Failure", isIt)
      )
      if (answer._tag === "Failure") return yield* new Failed({ code: answer.code })
      return decodeJson(decodeText(answer.body))
    })
  }

  /** What the hub says of a group. */
  info(name: string) {
    return Effect.map(this.ask("group", { name }), decodeObject)
  }

  /** The code with which it is refused. */
  askInVain(method: string, body: unknown = {}) {
    return Effect.flip(this.ask(method, body)).pipe(
      Effect.map((error) => (error._tag === "Failed" ? error.code : error.message))
    )
  }
}

/** A client of the hub in the context, with sessions 1 to `sessions`. */
export const member = (sessions = 1) => Effect.map(greeted(sessions), (wire) => new GroupClient(wire))

/** The same of the hub that runs. */
export const memberOf = Effect.fnUntraced(function* (lives: HubLives, sessions = 1) {
  const wire = yield* lives.connect
  yield* wire.begin(sessions)
  return new GroupClient(wire)
})

/** A client of the next hub, the present one being no more. */
export const reborn = (lives: HubLives) => Effect.andThen(lives.restart, memberOf(lives))

/** A hub's first life, and a member of the group `g` on the topic `a` that was delivered these and said nothing yet. */
export const delivered = Effect.fnUntraced(function* (
  texts: ReadonlyArray<string>,
  options: JoinOptions = {}
) {
  const lives = yield* hubLives()
  const before = yield* memberOf(lives)
  yield* before.join("g", "a", options)
  yield* before.wire.publishAndWait("a", texts)
  return { lives, before, all: yield* before.received() }
})
