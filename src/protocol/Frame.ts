/**
 * The control frames of the binary protocol: everything but PUBLISH and DELIVER, whose layouts are in
 * `Publish.ts` and `Deliver.ts`. One table gives each frame's operation and fields; types, reading and
 * writing follow from it.
 */
import { ByteReader, ByteWriter, writeU32 } from "./Bytes.ts"
import { CloseReasons, closeReasonOf } from "./CloseReason.ts"
import {
  bool,
  type Codec,
  list,
  numbered,
  oneOf,
  optional,
  rest,
  struct,
  type TypeOf,
  tagged,
  text8,
  text16,
  u8,
  u16,
  u32,
  u64,
  uuid
} from "./Codec.ts"
import { ErrorCodes, errorCodeOf } from "./ErrorCode.ts"
import { Op } from "./Op.ts"
import { Durabilities, Fates, Orders, Overflows } from "./Position.ts"

/** The first four bytes of a HELLO's body: "STAR". */
export const magic = 0x52_41_54_53

const position = struct({ epoch: u64, offset: u64 })
const topicPosition = struct({ topic: text8, epoch: u64, offset: u64 })
const closeReason = numbered(CloseReasons, closeReasonOf)
const errorCode = numbered(ErrorCodes, errorCodeOf)

const start = tagged({
  Now: struct({}),
  Last: struct({ count: u32 }),
  Position: struct({ position }),
  Time: struct({ time: u64 }),
  Resume: struct({ since: u64, topics: list(topicPosition) }),
  First: struct({})
})

const ranges = list(struct({ from: u64, to: u64 }))

const layouts = {
  Hello: struct({ magic: u32, minVersion: u8, maxVersion: u8, features: u32, name: text8, token: text16 }),
  Welcome: struct({
    version: u8,
    features: u32,
    hub: text8,
    maxFrame: u32,
    maxMessage: u32,
    pingInterval: u32
  }),
  Open: struct({ session: u32, request: u32, id: uuid, incarnation: u32, name: text8 }),
  Opened: struct({ session: u32, request: u32 }),
  Close: struct({ session: u32, request: u32 }),
  Closed: struct({ session: u32, request: u32, reason: closeReason, subscription: u32 }),
  Subscribe: struct({
    session: u32,
    request: u32,
    subscription: u32,
    pattern: text8,
    overflow: oneOf(Overflows),
    echo: bool,
    creditMessages: u32,
    creditBytes: u32,
    start
  }),
  Subscribed: struct({
    session: u32,
    request: u32,
    subscription: u32,
    time: u64,
    position: optional(position)
  }),
  Unsubscribe: struct({ session: u32, request: u32, subscription: u32 }),
  Unsubscribed: struct({ session: u32, request: u32 }),
  Credit: struct({ session: u32, subscription: u32, messages: u32, bytes: u32 }),
  Request: struct({ request: u32, method: text8, body: rest }),
  Response: struct({ request: u32, body: rest }),
  Receipt: struct({
    session: u32,
    firstSequence: u32,
    lastSequence: u32,
    position,
    count: u32,
    durability: oneOf(Durabilities),
    duplicate: bool
  }),
  Rejected: struct({ session: u32, firstSequence: u32, lastSequence: u32, code: errorCode, message: text16 }),
  Dropped: struct({
    session: u32,
    subscription: u32,
    topic: text8,
    from: position,
    to: position,
    count: u32
  }),
  Recovered: struct({ session: u32, subscription: u32, messages: u32 }),
  Gap: struct({ session: u32, subscription: u32, topic: text8, from: position, to: position }),
  CaughtUp: struct({ session: u32, subscription: u32, messages: u32 }),
  Join: struct({
    session: u32,
    request: u32,
    subscription: u32,
    group: text8,
    pattern: text8,
    creditMessages: u32,
    creditBytes: u32,
    start,
    order: oneOf(Orders),
    ackWait: u32,
    maxDeliveries: u16,
    maxInFlight: u32,
    backoff: u32,
    maxBackoff: u32
  }),
  Joined: struct({ session: u32, request: u32, subscription: u32, created: bool, ackWait: u32 }),
  Ack: struct({ session: u32, request: u32, group: text8, topic: text8, epoch: u64, ranges }),
  Refuse: struct({
    session: u32,
    request: u32,
    group: text8,
    topic: text8,
    epoch: u64,
    fate: oneOf(Fates),
    delay: u32,
    error: text16,
    ranges
  }),
  Acked: struct({ session: u32, request: u32 }),
  Left: struct({ session: u32, subscription: u32, reason: closeReason }),
  Failure: struct({ session: u32, request: u32, code: errorCode, message: text16 }),
  Ping: struct({ token: u64 }),
  Pong: struct({ token: u64 }),
  Goodbye: struct({ reason: closeReason, message: text16 })
} as const

type Layouts = typeof layouts
type Tag = keyof Layouts

/** One control frame, told apart by `_tag`. */
export type Frame = { [K in Tag]: FrameOf<K> }[Tag]
export type FrameOf<K extends Tag> = { readonly _tag: K } & TypeOf<Layouts[K]>

const byOp = new Map<number, readonly [Tag, Codec<object>]>()
for (const [tag, layout] of Object.entries(layouts))
  byOp.set(Op[tag as Tag], [tag as Tag, layout as Codec<object>])

/** Appends a frame. */
export const writeFrame = (writer: ByteWriter, frame: Frame): void => {
  const at = writer.at
  writer.u32(0)
  writer.u8(Op[frame._tag])
  writer.u8(0)
  const layout = layouts[frame._tag] as Codec<object>
  layout.write(writer, frame)
  writeU32(writer.bytes, at, writer.at - at - 4)
}

export const encodeFrame = (frame: Frame): Uint8Array => {
  const writer = new ByteWriter(64)
  writeFrame(writer, frame)
  return writer.written()
}

/**
 * Reads the whole frame `bytes[start, end)`, its length field included. `undefined` means that it is not a
 * control frame of this version: an unknown operation, a field that is cut off or out of range, bytes left
 * over, or flags.
 */
export const decodeFrame = (bytes: Uint8Array, start: number, end: number): Frame | undefined => {
  const entry = byOp.get(bytes[start + 4]!)
  if (entry === undefined || bytes[start + 5] !== 0) return undefined
  const reader = new ByteReader(bytes, start + 6, end)
  const fields = entry[1].read(reader)
  if (reader.failed || reader.at !== end) return undefined
  return { _tag: entry[0], ...fields } as Frame
}
