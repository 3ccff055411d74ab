/** Control frames of every kind, with fields over the whole of their ranges. */
import { Arbitrary, Schema } from "effect"
import { type CloseReason, CloseReasons } from "../../src/protocol/CloseReason.ts"
import { type ErrorCode, ErrorCodes } from "../../src/protocol/ErrorCode.ts"
import type { Frame, FrameOf } from "../../src/protocol/Frame.ts"
import { Durabilities, Fates, Orders, Overflows } from "../../src/protocol/Position.ts"

const below = (limit: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: limit - 1 })))

const u8 = below(256)
const u16 = below(65_536)
const u32 = below(4_294_967_296)
const u64 = below(Number.MAX_SAFE_INTEGER)
const bool = Arbitrary.schema(Schema.Boolean)
const letters = Arbitrary.schema(Schema.Literals(["a", "Z", ".", " ", "\u0000", "é", "漢", "🙂", "\ufeff"]))
/** At most 120 bytes, so that `text8` holds it uncut. */
export const text = Arbitrary.map(Arbitrary.array(letters, { maxLength: 30 }), (list) => list.join(""))
const bytes = Arbitrary.map(Arbitrary.array(u8, { maxLength: 40 }), (list) => Uint8Array.from(list))
const uuid = Arbitrary.map(Arbitrary.array(u8, { minLength: 16, maxLength: 16 }), (list) => {
  const hex = list.map((byte) => byte.toString(16).padStart(2, "0")).join("")
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")
})
const closeReason = Arbitrary.schema(Schema.Literals(Object.keys(CloseReasons) as ReadonlyArray<CloseReason>))
const errorCode = Arbitrary.schema(Schema.Literals(Object.keys(ErrorCodes) as ReadonlyArray<ErrorCode>))
const overflow = Arbitrary.schema(Schema.Literals(Overflows))
const order = Arbitrary.schema(Schema.Literals(Orders))
const fate = Arbitrary.schema(Schema.Literals(Fates))
const durability = Arbitrary.schema(Schema.Literals(Durabilities))
const position = Arbitrary.all({ epoch: u64, offset: u64 })
const topicPosition = Arbitrary.all({ topic: text, epoch: u64, offset: u64 })

const oneOf = <A>(choices: ReadonlyArray<Arbitrary.Arbitrary<A>>): Arbitrary.Arbitrary<A> =>
  Arbitrary.flatMap(below(choices.length), (index) => choices[index]!)
const optional = <A>(of: Arbitrary.Arbitrary<A>): Arbitrary.Arbitrary<A | undefined> =>
  oneOf<A | undefined>([Arbitrary.Constant(undefined), of])
const tag = <const T extends string>(name: T) => Arbitrary.Constant(name)

const start = oneOf<FrameOf<"Subscribe">["start"]>([
  Arbitrary.all({ _tag: tag("Now") }),
  Arbitrary.all({ _tag: tag("Last"), count: u32 }),
  Arbitrary.all({ _tag: tag("Position"), position }),
  Arbitrary.all({ _tag: tag("Time"), time: u64 }),
  Arbitrary.all({
    _tag: tag("Resume"),
    since: u64,
    topics: Arbitrary.array(topicPosition, { maxLength: 4 })
  }),
  Arbitrary.all({ _tag: tag("First") })
])
const ranges = Arbitrary.array(Arbitrary.all({ from: u64, to: u64 }), { maxLength: 4 })

/** One for each frame: the compiler checks that none is missing. */
export const frameArbitraries: { readonly [K in Frame["_tag"]]: Arbitrary.Arbitrary<FrameOf<K>> } = {
  Hello: Arbitrary.all({
    _tag: tag("Hello"),
    magic: u32,
    minVersion: u8,
    maxVersion: u8,
    features: u32,
    name: text,
    token: text
  }),
  Welcome: Arbitrary.all({
    _tag: tag("Welcome"),
    version: u8,
    features: u32,
    hub: text,
    maxFrame: u32,
    maxMessage: u32,
    pingInterval: u32
  }),
  Open: Arbitrary.all({
    _tag: tag("Open"),
    session: u32,
    request: u32,
    id: uuid,
    incarnation: u32,
    name: text
  }),
  Opened: Arbitrary.all({ _tag: tag("Opened"), session: u32, request: u32 }),
  Close: Arbitrary.all({ _tag: tag("Close"), session: u32, request: u32 }),
  Closed: Arbitrary.all({
    _tag: tag("Closed"),
    session: u32,
    request: u32,
    reason: closeReason,
    subscription: u32
  }),
  Subscribe: Arbitrary.all({
    _tag: tag("Subscribe"),
    session: u32,
    request: u32,
    subscription: u32,
    pattern: text,
    overflow,
    echo: bool,
    creditMessages: u32,
    creditBytes: u32,
    start
  }),
  Subscribed: Arbitrary.all({
    _tag: tag("Subscribed"),
    session: u32,
    request: u32,
    subscription: u32,
    time: u64,
    position: optional(position)
  }),
  Unsubscribe: Arbitrary.all({ _tag: tag("Unsubscribe"), session: u32, request: u32, subscription: u32 }),
  Unsubscribed: Arbitrary.all({ _tag: tag("Unsubscribed"), session: u32, request: u32 }),
  Credit: Arbitrary.all({ _tag: tag("Credit"), session: u32, subscription: u32, messages: u32, bytes: u32 }),
  Request: Arbitrary.all({ _tag: tag("Request"), request: u32, method: text, body: bytes }),
  Response: Arbitrary.all({ _tag: tag("Response"), request: u32, body: bytes }),
  Receipt: Arbitrary.all({
    _tag: tag("Receipt"),
    session: u32,
    firstSequence: u32,
    lastSequence: u32,
    position,
    count: u32,
    durability,
    duplicate: bool
  }),
  Rejected: Arbitrary.all({
    _tag: tag("Rejected"),
    session: u32,
    firstSequence: u32,
    lastSequence: u32,
    code: errorCode,
    message: text
  }),
  Dropped: Arbitrary.all({
    _tag: tag("Dropped"),
    session: u32,
    subscription: u32,
    topic: text,
    from: position,
    to: position,
    count: u32
  }),
  Recovered: Arbitrary.all({ _tag: tag("Recovered"), session: u32, subscription: u32, messages: u32 }),
  CaughtUp: Arbitrary.all({ _tag: tag("CaughtUp"), session: u32, subscription: u32, messages: u32 }),
  Gap: Arbitrary.all({
    _tag: tag("Gap"),
    session: u32,
    subscription: u32,
    topic: text,
    from: position,
    to: position
  }),
  Join: Arbitrary.all({
    _tag: tag("Join"),
    session: u32,
    request: u32,
    subscription: u32,
    group: text,
    pattern: text,
    creditMessages: u32,
    creditBytes: u32,
    start,
    order,
    ackWait: u32,
    maxDeliveries: u16,
    maxInFlight: u32,
    backoff: u32,
    maxBackoff: u32
  }),
  Joined: Arbitrary.all({
    _tag: tag("Joined"),
    session: u32,
    request: u32,
    subscription: u32,
    created: bool,
    ackWait: u32
  }),
  Ack: Arbitrary.all({
    _tag: tag("Ack"),
    session: u32,
    request: u32,
    group: text,
    topic: text,
    epoch: u64,
    ranges
  }),
  Refuse: Arbitrary.all({
    _tag: tag("Refuse"),
    session: u32,
    request: u32,
    group: text,
    topic: text,
    epoch: u64,
    fate,
    delay: u32,
    error: text,
    ranges
  }),
  Acked: Arbitrary.all({ _tag: tag("Acked"), session: u32, request: u32 }),
  Left: Arbitrary.all({ _tag: tag("Left"), session: u32, subscription: u32, reason: closeReason }),
  Failure: Arbitrary.all({
    _tag: tag("Failure"),
    session: u32,
    request: u32,
    code: errorCode,
    message: text
  }),
  Ping: Arbitrary.all({ _tag: tag("Ping"), token: u64 }),
  Pong: Arbitrary.all({ _tag: tag("Pong"), token: u64 }),
  Goodbye: Arbitrary.all({ _tag: tag("Goodbye"), reason: closeReason, message: text })
}

export const frameArbitrary: Arbitrary.Arbitrary<Frame> = oneOf<Frame>(Object.values(frameArbitraries))
