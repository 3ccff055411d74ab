/**
 * Polestar's wire, as far as the benchmark speaks it, written down once more (src/protocol/README.md has the frames), so
 * that what is measured is the hub and not its SDK.
 */
import { randomBytes } from "node:crypto"
import type { Counter } from "./System.ts"

export const Op = {
  Hello: 0x01,
  Open: 0x03,
  Opened: 0x04,
  Closed: 0x06,
  Subscribe: 0x07,
  Subscribed: 0x08,
  Request: 0x0d,
  Response: 0x0e,
  Publish: 0x10,
  Deliver: 0x11,
  Receipt: 0x12,
  Rejected: 0x13,
  Dropped: 0x14,
  Gap: 0x16,
  CaughtUp: 0x17,
  Join: 0x18,
  Joined: 0x19,
  Ack: 0x1a,
  Acked: 0x1c,
  Failure: 0x1f,
  Goodbye: 0x22
} as const

const unwanted: readonly number[] = [Op.Closed, Op.Rejected, Op.Dropped, Op.Gap, Op.Failure, Op.Goodbye]

const refuse = (op: number): void => {
  if (unwanted.includes(op)) throw new Error(`the hub sent a frame of operation 0x${op.toString(16)}`)
}

const u32At = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0

const u64At = (bytes: Uint8Array, at: number): number => u32At(bytes, at) + u32At(bytes, at + 4) * 2 ** 32

export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

export const u64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

export const text8 = (value: string): Buffer => {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from([bytes.length]), bytes])
}

export const frame = (op: number, flags: number, ...fields: readonly Buffer[]): Buffer => {
  const body = Buffer.concat([Buffer.from([op, flags]), ...fields])
  return Buffer.concat([u32(body.length), body])
}

/** The one session of a connection. */
export const SESSION = u32(1)
export const UNLIMITED = u32(0xffff_ffff)
/** The features of HELLO. */
export const NOTHING = 0
export const REQUESTS = 2

/** HELLO and OPEN, answered by OPENED. */
export const encodeConnect = (features: number): Buffer =>
  Buffer.concat([
    frame(
      Op.Hello,
      0,
      Buffer.from("STAR"),
      Buffer.from([1, 1]),
      u32(features),
      text8("bench"),
      Buffer.alloc(2)
    ),
    frame(Op.Open, 0, SESSION, u32(1), randomBytes(16), u32(1), text8("bench"))
  ])

const WAIT = 0

/** A subscription that loses nothing; `start` is as on the wire. */
export const encodeSubscribe = (pattern: string, start: Buffer): Buffer =>
  frame(
    Op.Subscribe,
    0,
    ...[SESSION, u32(2), u32(1), text8(pattern), Buffer.from([WAIT, 1]), UNLIMITED, UNLIMITED, start]
  )

/** The fields of the first whole frame of this operation, if it has come. */
export const fieldsOf = (bytes: Buffer, op: number): Buffer | undefined => {
  for (let at = 0; bytes.length - at >= 6; at += 4 + u32At(bytes, at)) {
    refuse(bytes[at + 4]!)
    const end = at + 4 + u32At(bytes, at)
    if (bytes[at + 4] === op) return end <= bytes.length ? bytes.subarray(at + 6, end) : undefined
  }
  return undefined
}

/** One frame of `count` records; `flags` 1 asks for a receipt. */
export const encodePublish = (topic: string, payload: Buffer, count: number, flags: number): Buffer => {
  const countAndPriority = Buffer.from([count & 255, count >> 8, 0])
  const record = Buffer.concat([u32(1 + payload.length), Buffer.from([0]), payload])
  const records = Array.from({ length: count }, () => record)
  return frame(Op.Publish, flags, SESSION, u32(0), countAndPriority, text8(topic), ...records)
}

const SEQUENCE_AT = 10

/** A session's frames are numbered from 1 on, one higher each. */
export const stamp = (bytes: Buffer, first: number): number => {
  let sequence = first
  for (let at = 0; at < bytes.length; at += 4 + u32At(bytes, at)) {
    bytes[at + SEQUENCE_AT] = sequence
    bytes[at + SEQUENCE_AT + 1] = sequence >>> 8
    bytes[at + SEQUENCE_AT + 2] = sequence >>> 16
    bytes[at + SEQUENCE_AT + 3] = sequence >>> 24
    sequence++
  }
  return sequence
}

/** The parts of a delivery that have a header of their own, and the length of each header. */
const FRAME_HEADER = 6
const DELIVER_HEADER = 40
const PUBLISH_HEADER = 18
const RECORD_HEADER = 4

export interface Events {
  /** Any frame but DELIVER: its fields. */
  readonly frame?: (op: number, fields: Buffer) => void
  /** A DELIVER frame has come, whole: its flags, and where its messages stand. */
  readonly delivery?: (flags: number, epoch: number, offset: number, count: number) => void
}

/**
 * Counts the messages in DELIVER frames: the records in their PUBLISH frames, each by its length, but those that are left
 * out. Throws if a frame holds fewer than the hub says, and on any frame that means that something went wrong.
 */
export const makeReader = (events: Events): Counter => {
  const held = new Uint8Array(DELIVER_HEADER) // a header whose bytes have not all come
  let heldLength = 0
  let expect = FRAME_HEADER // the header that is next; its length tells which
  let inside = 0 // what is left of a DELIVER frame, before that header
  let records = 0 // records left of a PUBLISH frame
  let leftOut = 0 // messages of a DELIVER frame that are still to be left out
  let promised = 0 // and then to be counted
  let [flags, epoch, offset, count] = [0, 0, 0, 0]
  let body = 0 // what is left of a body
  let isMessage = false // whether that body is a record's that counts
  let isLast = false // whether it is the last of a DELIVER frame
  let op = 0
  let fields: Buffer | undefined // of a frame that is gathered

  const record = (size: number): void => {
    inside -= RECORD_HEADER + size
    if (leftOut > 0) leftOut--
    else if (promised > 0) {
      promised--
      isMessage = true
    }
    if (--records > 0) return
    expect = inside > 0 ? PUBLISH_HEADER : FRAME_HEADER
    isLast = inside <= 0
    if (inside < 0 || (isLast && promised !== 0)) throw new Error("a DELIVER frame's sizes do not add up")
  }

  /** Takes the header; answers the length of the body that follows it. */
  const read = (bytes: Uint8Array, at: number): number => {
    if (expect === RECORD_HEADER) {
      const size = u32At(bytes, at)
      record(size)
      return size
    }
    if (expect === PUBLISH_HEADER) {
      if ((bytes[at + 5]! & 6) !== 0) throw new Error("a PUBLISH frame has a time to live, or to wait for")
      records = bytes[at + 14]! | (bytes[at + 15]! << 8)
      const topicLength = bytes[at + 17]!
      inside -= PUBLISH_HEADER + topicLength
      expect = RECORD_HEADER
      return topicLength
    }
    if (expect === DELIVER_HEADER) {
      epoch = u64At(bytes, at + 8)
      offset = u64At(bytes, at + 16)
      leftOut = u32At(bytes, at + 32)
      promised = u32At(bytes, at + 36)
      count = promised
      inside -= DELIVER_HEADER
      expect = PUBLISH_HEADER
      return 0
    }
    op = bytes[at + 4]!
    const size = u32At(bytes, at) - 2
    if (op === Op.Deliver) {
      flags = bytes[at + 5]!
      inside = size
      expect = DELIVER_HEADER
      return 0
    }
    refuse(op)
    fields = Buffer.alloc(size)
    return size
  }

  /** A body has come, whole; answers 1 if it was a message. */
  const complete = (): number => {
    if (fields !== undefined) {
      const whole = fields
      fields = undefined
      events.frame?.(op, whole)
    }
    const one = isMessage ? 1 : 0
    isMessage = false
    if (isLast) {
      isLast = false
      events.delivery?.(flags, epoch, offset, count)
    }
    return one
  }

  return (bytes, length) => {
    let at = 0
    let messages = 0
    for (;;) {
      if (body > 0) {
        const here = Math.min(body, length - at)
        if (fields !== undefined) fields.set(bytes.subarray(at, at + here), fields.length - body)
        at += here
        body -= here
        if (body > 0) return messages
        messages += complete()
      }
      if (heldLength === 0 && length - at >= expect) {
        const start = at
        at += expect
        body = read(bytes, start)
      } else {
        while (heldLength < expect && at < length) held[heldLength++] = bytes[at++]!
        if (heldLength < expect) return messages
        heldLength = 0
        body = read(held, 0)
      }
      if (body === 0) messages += complete()
    }
  }
}
