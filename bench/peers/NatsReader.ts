/** Reads what nats-server sends, from chunks that are split anywhere, without making a string or an object for it. */
import type { Counter } from "./System.ts"

const CR = 13
const LF = 10
const SPACE = 32
const MINUS = 45
const H = 72
const M = 77

/** The two subscriptions of a connection: answers to what it asks, and messages. */
export const INBOX = 1
export const MESSAGES = 2

/** Bytes are only valid during the call. */
export interface NatsEvents {
  /** The payload of an answer, `bytes[from, to)`. Answers how many messages it completes. */
  readonly answer: (bytes: Uint8Array, from: number, to: number) => number
  /** A message begins; its reply subject is `bytes[from, to)`. */
  readonly message?: (bytes: Uint8Array, from: number, to: number) => void
  /** The message has come, all of it. */
  readonly received?: () => void
  /** A message without payload but with headers, `bytes[from, to)`: flow control. */
  readonly control?: (reply: string, headers: string) => void
}

/** Counts messages, and what the answers complete. `-ERR` throws. */
export const makeNatsReader = (events: NatsEvents): Counter => {
  const spaces = new Int32Array(8)
  const line = Buffer.alloc(4096) // a line whose end has not come
  let lineLength = 0
  let kind = 0 // what the payload belongs to: INBOX, MESSAGES, or 0 for control
  let left = 0 // what is left of a payload and its line end
  let held: Buffer | undefined // a payload that is gathered, because it did not come in one piece
  let reply = ""

  /** A line `bytes[from, to)` has come, without its LF. Sets what follows it. */
  const read = (bytes: Uint8Array, from: number, to: number): void => {
    const first = bytes[from]
    if (first === MINUS) throw new Error(`nats-server answered ${Buffer.from(bytes.subarray(from, to))}`)
    if (first !== M && first !== H) return
    const end = bytes[to - 1] === CR ? to - 1 : to
    let count = 0
    for (let at = from; at < end; at++) if (bytes[at] === SPACE && count < 8) spaces[count++] = at
    let size = 0
    for (let at = spaces[count - 1]! + 1; at < end; at++) size = size * 10 + bytes[at]! - 48
    const sid = bytes[spaces[1]! + 1]! - 48
    left = size + 2
    const hasReply = count === (first === H ? 5 : 4)
    if (first === H) {
      kind = 0
      reply = hasReply ? Buffer.from(bytes.subarray(spaces[2]! + 1, spaces[3]!)).toString() : ""
    } else {
      kind = sid
      if (kind === MESSAGES) events.message?.(bytes, hasReply ? spaces[2]! + 1 : 0, hasReply ? spaces[3]! : 0)
    }
  }

  /** A payload is in `bytes[from, to)`, or was of no interest. Answers how many messages are done. */
  const complete = (bytes: Uint8Array, from: number, to: number): number => {
    if (kind === MESSAGES) {
      events.received?.()
      return 1
    }
    if (kind === INBOX) return events.answer(bytes, from, to)
    events.control?.(reply, Buffer.from(bytes.subarray(from, to)).toString())
    return 0
  }

  /** Takes what there is of a payload; answers how many bytes that were. */
  const take = (bytes: Uint8Array, at: number, length: number): number => {
    const here = Math.min(left, length - at)
    if (kind !== MESSAGES && (held !== undefined || here < left)) {
      held ??= Buffer.alloc(left)
      held.set(bytes.subarray(at, at + here), held.length - left)
    }
    left -= here
    return here
  }

  return (bytes, length) => {
    let at = 0
    let count = 0
    while (at < length) {
      if (left > 0) {
        const from = at
        at += take(bytes, at, length)
        if (left > 0) return count
        const whole = held
        held = undefined
        count += whole === undefined ? complete(bytes, from, at - 2) : complete(whole, 0, whole.length - 2)
        continue
      }
      let end = at
      while (end < length && bytes[end] !== LF) end++
      if (end < length && lineLength === 0) {
        read(bytes, at, end)
      } else {
        line.set(bytes.subarray(at, end), lineLength)
        lineLength += end - at
        if (end === length) return count
        read(line, 0, lineLength)
        lineLength = 0
      }
      at = end + 1
    }
    return count
  }
}
