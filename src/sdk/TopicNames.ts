/**
 * Topic names by their bytes: the string of a name that comes often is made once. A table of fixed size in
 * which names displace each other, so a peer that sends many costs time, not memory.
 */
import { decodeText } from "../protocol/Bytes.ts"

const slots = 2048

interface Known {
  readonly bytes: Uint8Array
  readonly name: string
}

export class TopicNames {
  private readonly known: Array<Known | undefined> = new Array(slots)

  /** The text of `bytes[start, end)`, or `undefined` if that is not UTF-8. */
  nameOf(bytes: Uint8Array, start: number, end: number): string | undefined {
    let hash = end - start
    for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + bytes[i]!) | 0
    const slot = (hash ^ (hash >>> 15)) & (slots - 1)
    const entry = this.known[slot]
    if (entry !== undefined && isSameText(entry.bytes, 0, entry.bytes.length, bytes, start, end)) {
      return entry.name
    }
    const copy = bytes.slice(start, end)
    const name = decodeText(copy)
    if (name !== undefined) this.known[slot] = { bytes: copy, name }
    return name
  }
}

/** Whether `a[aStart, aEnd)` and `b[bStart, bEnd)` are the same bytes. */
export const isSameText = (
  a: Uint8Array,
  aStart: number,
  aEnd: number,
  b: Uint8Array,
  bStart: number,
  bEnd: number
): boolean => {
  if (aEnd - aStart !== bEnd - bStart) return false
  for (let i = aStart, j = bStart; i < aEnd; i++, j++) if (a[i] !== b[j]) return false
  return true
}
