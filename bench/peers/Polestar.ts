/**
 * Polestar itself, as its command starts it. The wire is written down here once more (src/protocol/README.md has
 * the frames), so that what is measured is the hub and not its SDK.
 */
import { randomBytes } from "node:crypto"
import { existsSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import type { Counter, Launch, System } from "./System.ts"

const HELLO = 0x01
const OPEN = 0x03
const OPENED = 0x04
const CLOSED = 0x06
const SUBSCRIBE = 0x07
const SUBSCRIBED = 0x08
const PUBLISH = 0x10
const DELIVER = 0x11
const REJECTED = 0x13
const DROPPED = 0x14
const GAP = 0x16
const FAILURE = 0x1f
const GOODBYE = 0x22
const unwanted: readonly number[] = [CLOSED, REJECTED, DROPPED, GAP, FAILURE, GOODBYE]

const u32At = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0

const refuse = (op: number): void => {
  if (unwanted.includes(op)) throw new Error(`the hub sent a frame of operation 0x${op.toString(16)}`)
}

/** The parts of a delivery that have a header of their own, and the length of each header. */
const FRAME_HEADER = 6
const DELIVER_HEADER = 40
const PUBLISH_HEADER = 18
const RECORD_HEADER = 4

/** Counts the records in the PUBLISH frames in DELIVER frames, each by its length, and checks the hub's own counts. */
const makeCounter = (): Counter => {
  const held = new Uint8Array(DELIVER_HEADER) // a header whose bytes have not all come
  let heldLength = 0
  let expect = FRAME_HEADER // the header that is next; its length tells which
  let inside = 0 // what is left of a DELIVER frame, before that header
  let records = 0 // records left of a PUBLISH frame
  let promised = 0 // messages that a DELIVER frame has announced, less those of its PUBLISH frames
  let skip = 0 // what is left of a body
  let isRecord = false // whether that body is a record's

  /** Takes the header; answers the length of the body that follows it. */
  const read = (bytes: Uint8Array, at: number): number => {
    if (expect === RECORD_HEADER) {
      const size = u32At(bytes, at)
      inside -= RECORD_HEADER + size
      if (--records === 0) {
        expect = inside > 0 ? PUBLISH_HEADER : FRAME_HEADER
        if (inside < 0 || (inside === 0 && promised !== 0))
          throw new Error("a DELIVER frame's sizes do not add up")
      }
      isRecord = true
      return size
    }
    isRecord = false
    if (expect === PUBLISH_HEADER) {
      records = bytes[at + 14]! | (bytes[at + 15]! << 8)
      const topicLength = bytes[at + 17]!
      promised -= records
      inside -= PUBLISH_HEADER + topicLength
      expect = RECORD_HEADER
      return topicLength
    }
    if (expect === DELIVER_HEADER) {
      if (u32At(bytes, at + 32) !== 0) throw new Error("a DELIVER frame leaves messages out")
      promised = u32At(bytes, at + 36)
      inside -= DELIVER_HEADER
      expect = PUBLISH_HEADER
      return 0
    }
    const op = bytes[at + 4]!
    const size = u32At(bytes, at) - 2
    if (op === DELIVER) {
      inside = size
      expect = DELIVER_HEADER
      return 0
    }
    refuse(op)
    return size
  }

  return (bytes, length) => {
    let at = 0
    let count = 0
    if (skip > 0) {
      if (skip > length) {
        skip -= length
        return 0
      }
      at = skip
      skip = 0
      if (isRecord) count = 1
    }
    for (;;) {
      let body = 0
      if (heldLength === 0 && length - at >= expect) {
        const start = at
        at += expect
        body = read(bytes, start)
      } else {
        while (heldLength < expect && at < length) held[heldLength++] = bytes[at++]!
        if (heldLength < expect) return count
        heldLength = 0
        body = read(held, 0)
      }
      at += body
      if (at > length) {
        skip = at - length
        return count
      }
      if (isRecord) count++
    }
  }
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

const text8 = (value: string): Buffer => {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from([bytes.length]), bytes])
}

const frame = (op: number, ...fields: readonly Buffer[]): Buffer => {
  const body = Buffer.concat([Buffer.from([op, 0]), ...fields])
  return Buffer.concat([u32(body.length), body])
}

const SESSION = u32(1)
const WAIT = 0
const UNLIMITED = u32(0xffff_ffff)

/** Whether a whole frame of this operation has come. */
const received = (bytes: Buffer, op: number): boolean => {
  for (let at = 0; bytes.length - at >= 6; at += 4 + u32At(bytes, at)) {
    refuse(bytes[at + 4]!)
    if (bytes[at + 4] === op) return bytes.length - at >= 4 + u32At(bytes, at)
  }
  return false
}

const encodePublish = (topic: string, payload: Buffer, count: number): Buffer => {
  const countAndPriority = Buffer.from([count & 255, count >> 8, 0])
  const record = Buffer.concat([u32(1 + payload.length), Buffer.from([0]), payload])
  const records = Array.from({ length: count }, () => record)
  return frame(PUBLISH, SESSION, u32(0), countAndPriority, text8(topic), ...records)
}

const SEQUENCE_AT = 10

/** A session's frames are numbered from 1 on, one higher each. */
const stamp = (bytes: Buffer, first: number): number => {
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

const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url))

const launch = (port: number): Launch => ({
  command: process.execPath,
  args: [main, "hub", "--port", String(port)]
})

const version = (): string => {
  const found: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"))
  const number = found !== null && typeof found === "object" && "version" in found ? found.version : "?"
  return `polestar ${number}, node ${process.version}`
}

export const polestar: System = {
  name: "polestar",
  missing: () => (existsSync(main) ? undefined : "src/main.ts is not there"),
  version,
  settings:
    "defaults; subscriptions wait; no receipts; the memory case: see launchQueueing in bench/peers/Polestar.ts",
  launch,
  launchQueueing: (port) => ({
    ...launch(port),
    env: {
      POLESTAR_CLIENT_QUEUE_SIZE: "2000000",
      POLESTAR_CLIENT_QUEUE_BYTES: String(2 ** 30),
      // The stalled subscriber is not to be closed for what it is there for.
      POLESTAR_CLIENT_WRITE_TIMEOUT: "600000",
      POLESTAR_READ_TIMEOUT: "600000"
    }
  }),
  encodeConnect: () =>
    Buffer.concat([
      frame(HELLO, Buffer.from("STAR"), Buffer.from([1, 1]), u32(0), text8("bench"), Buffer.alloc(2)),
      frame(OPEN, SESSION, u32(1), randomBytes(16), u32(1), text8("bench"))
    ]),
  connected: (bytes) => received(bytes, OPENED),
  encodeSubscribe: (pattern) =>
    frame(
      SUBSCRIBE,
      ...[SESSION, u32(2), u32(1), text8(pattern), Buffer.from([WAIT, 1]), UNLIMITED, UNLIMITED],
      Buffer.from([0])
    ),
  subscribed: (bytes) => received(bytes, SUBSCRIBED),
  encodePublish,
  stamp,
  makeCounter
}
