/** Reads what redis-server answers (RESP 2), from chunks that are split anywhere, without making objects for it. */
import type { Counter } from "./System.ts"

const LF = 10
const CR = 13
const DOLLAR = 36
const PLUS = 43
const MINUS = 45
const COLON = 58
const STAR = 42

/** A bulk string up to this long is told whole. */
const SMALL = 64

export interface RespEvents {
  /** A bulk string of up to 64 bytes, `bytes[from, to)`; only valid during the call. */
  readonly small?: (bytes: Uint8Array, from: number, to: number) => void
  /** A bulk string that is longer. */
  readonly large?: () => void
  /** A whole answer. `value` is what an integer is; that of nil is -1; of anything else how many parts or bytes it has. */
  readonly answer: (type: number, value: number) => number
}

export const Type = { bulk: DOLLAR, integer: COLON, array: STAR, status: PLUS } as const

/** Counts what the answers complete. An error (`-…`) throws. */
export const makeRespReader = (events: RespEvents): Counter => {
  const parts: number[] = [] // what is left of each array that we are in
  const held = Buffer.alloc(SMALL + 2) // a line or a small string whose end has not come
  let heldLength = 0
  let topType = 0 // the type and value of the answer that we are in
  let topValue = 0
  let left = 0 // what is left of a bulk string and its line end
  let size = 0 // its length

  /** A part has come, whole; answers what it completes. */
  const complete = (): number => {
    while (parts.length > 0) {
      const rest = parts[parts.length - 1]! - 1
      parts[parts.length - 1] = rest
      if (rest > 0) return 0
      parts.pop()
    }
    return events.answer(topType, topValue)
  }

  /** A line `bytes[from, to)` has come, without its LF. */
  const read = (bytes: Uint8Array, from: number, to: number): number => {
    const type = bytes[from]!
    const end = bytes[to - 1] === CR ? to - 1 : to
    if (type === MINUS) throw new Error(`redis-server: ${Buffer.from(bytes.subarray(from + 1, end))}`)
    const isNegative = bytes[from + 1] === MINUS
    let value = 0
    for (let at = from + 1; at < end; at++) {
      const digit = bytes[at]! - 48
      if (digit >= 0 && digit <= 9) value = value * 10 + digit
    }
    if (isNegative) value = -value
    if (parts.length === 0) {
      topType = type
      topValue = value
    }
    if (type === DOLLAR && value >= 0) {
      size = value
      left = value + 2
      return 0
    }
    if (type === STAR && value > 0) {
      parts.push(value)
      return 0
    }
    return complete()
  }

  const string = (bytes: Uint8Array, from: number, to: number): number => {
    if (size <= SMALL) events.small?.(bytes, from, to)
    else events.large?.()
    return complete()
  }

  return (bytes, length) => {
    let at = 0
    let count = 0
    while (at < length) {
      if (left > 0) {
        const here = Math.min(left, length - at)
        if (here === left && heldLength === 0) {
          left = 0
          at += here
          count += string(bytes, at - here, at - 2)
          continue
        }
        if (size <= SMALL) held.set(bytes.subarray(at, at + here), heldLength)
        heldLength += here
        at += here
        left -= here
        if (left > 0) return count
        heldLength = 0
        count += string(held, 0, size)
        continue
      }
      let end = at
      while (end < length && bytes[end] !== LF) end++
      if (end < length && heldLength === 0) {
        count += read(bytes, at, end)
      } else {
        held.set(bytes.subarray(at, Math.min(end, at + held.length - heldLength)), heldLength)
        heldLength = Math.min(held.length, heldLength + end - at)
        if (end === length) return count
        const lineLength = heldLength
        heldLength = 0
        count += read(held, 0, lineLength)
      }
      at = end + 1
    }
    return count
  }
}
