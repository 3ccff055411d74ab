/**
 * Finds the sampled traces that a run of PUBLISH frames belongs to without decoding its messages: whether there
 * are any is asked of every batch that has headers, and a batch may be a thousand messages. Payloads are not
 * touched. The bytes must have been checked, as the hub's are when it reads them; others give no wrong answer
 * beyond their own, and never an exception.
 */
import { encodeText, readU16, readU32 } from "./Bytes.ts"
import { RecordFlags } from "./Message.ts"
import { PublishHeader, readPublish } from "./Publish.ts"
import { parseTraceparent, type Traceparent } from "./Traceparent.ts"

/** What a batch is, and a slice of one: see `Deliver.ts`. */
export interface MessageRun {
  readonly bytes: Uint8Array
  readonly start: number
  readonly end: number
  readonly skip: number
  readonly count: number
}

const name = encodeText("traceparent")
/** Characters of a header of version 00; later versions only add to it. */
const shortest = 55
const longest = 512
/** Where the last digit of the flags is, whose lowest bit says `sampled`. */
const flagsAt = 54

/** The sampled traces of the run's messages, each once and in their order, at most `limit`. */
export const sampledTraces = (run: MessageRun, limit: number): ReadonlyArray<Traceparent> => {
  const { bytes, count, end, skip, start } = run
  const found: Array<Traceparent> = []
  /** Where they were found. */
  const known: Array<number> = []
  const header = new PublishHeader()
  let left = skip + count
  for (let frame = start; frame + 4 <= end && left > 0; ) {
    const frameEnd = frame + 4 + readU32(bytes, frame)
    if (frameEnd > end || !readPublish(bytes, frame, frameEnd, header)) break
    let at = header.records
    for (let record = 0; record < header.count && left > 0 && at + 5 <= frameEnd; record++, left--) {
      const next = at + 4 + readU32(bytes, at)
      if (next > frameEnd) return found
      if (left <= count && (bytes[at + 4]! & RecordFlags.headers) !== 0) {
        add(found, known, bytes, traceparentAt(bytes, at, next))
        if (found.length >= limit) return found
      }
      at = next
    }
    frame = frameEnd
  }
  return found
}

/** Where the value of the record's header is, if it has one and it says `sampled`; else 0. */
const traceparentAt = (bytes: Uint8Array, start: number, end: number): number => {
  const flags = bytes[start + 4]!
  let at = start + 5
  if ((flags & RecordFlags.id) !== 0) at += 1 + bytes[at]!
  if ((flags & RecordFlags.key) !== 0) at += 1 + bytes[at]!
  if ((flags & RecordFlags.contentType) !== 0) at += 1 + bytes[at]!
  for (let left = bytes[at++]!; left > 0 && at < end; left--) {
    const length = bytes[at]!
    const value = at + length + 3
    const valueEnd = value + readU16(bytes, value - 2)
    if (length === name.length && valueEnd <= end && isName(bytes, at + 1)) {
      const size = valueEnd - value
      return size >= shortest && size <= longest && isOdd(bytes[value + flagsAt]!) ? value : 0
    }
    at = valueEnd
  }
  return 0
}

const isName = (bytes: Uint8Array, at: number): boolean => {
  for (let i = 0; i < name.length; i++) if (bytes[at + i] !== name[i]) return false
  return true
}

/** Whether a lower-case hexadecimal digit is odd. */
const isOdd = (digit: number): boolean => (digit & 1) === (digit >= 0x61 ? 0 : 1)

/** Whether two values name the same trace: that of 32 digits after `00-`. */
const isSameTrace = (bytes: Uint8Array, one: number, other: number): boolean => {
  for (let i = 3; i < 35; i++) if (bytes[one + i] !== bytes[other + i]) return false
  return true
}

const add = (found: Array<Traceparent>, known: Array<number>, bytes: Uint8Array, value: number): void => {
  // A batch that is published at once is in one trace, so most are known.
  if (value === 0 || known.some((other) => isSameTrace(bytes, value, other))) return
  const text = String.fromCharCode(...bytes.subarray(value, value + readU16(bytes, value - 2)))
  const trace = parseTraceparent(text)
  if (trace?.sampled !== true) return
  found.push(trace)
  known.push(value)
}
