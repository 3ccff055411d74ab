/**
 * Finds the traces that a batch's messages are in without decoding them: a batch may be a thousand messages, and
 * whether one of them is sampled is asked of every batch that has headers.
 *
 * It looks for the bytes of a record's header `traceparent`, wherever they are. A payload that is itself a record
 * is taken for one too, which makes a span too many and nothing worse.
 */
import { readU16 } from "../protocol/Bytes.ts"
import { parseTraceparent, type Traceparent } from "../protocol/Traceparent.ts"

const name = "traceparent"
/** Characters of a header of version 00; later versions only add to it. */
const shortest = 55
const longest = 512
/** Where the last digit of the flags is, whose lowest bit says `sampled`. */
const flagsAt = 54
/** Headers that are looked at in one batch. */
const maxLooks = 256

/** The sampled traces in `bytes[start, end)`, each once, in the order of their messages, at most `limit`. */
export const sampledTraces = (
  bytes: Uint8Array,
  start: number,
  end: number,
  limit: number
): ReadonlyArray<Traceparent> => {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start)
  const found: Array<Traceparent> = []
  let looks = 0
  for (let at = view.indexOf(name, 0, "latin1"); at >= 0; at = view.indexOf(name, at, "latin1")) {
    if (++looks > maxLooks) break
    const from = at + name.length + 2
    if (view[at - 1] === name.length && isOdd(view[from + flagsAt])) {
      const length = readU16(view, from - 2)
      const trace =
        length >= shortest && length <= longest && from + length <= view.length
          ? parseTraceparent(view.toString("latin1", from, from + length))
          : undefined
      if (trace?.sampled === true && !found.some(({ traceId }) => traceId === trace.traceId)) {
        found.push(trace)
        if (found.length >= limit) break
      }
    }
    at = from
  }
  return found
}

/** `1`, `3` and so on up to `f`, as lower-case hexadecimal. */
const isOdd = (digit: number | undefined): boolean =>
  digit !== undefined && (digit >= 0x61 ? (digit & 1) === 0 : (digit & 1) === 1)
