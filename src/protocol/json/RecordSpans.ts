/**
 * The records of a run of PUBLISH frames as places in its bytes: what a record has is found, and nothing of it is
 * decoded or copied. One object is filled again and again, since this runs once a message on the way to every reader
 * of JSON.
 */
import { readU16, readU32 } from "../Bytes.ts"
import type { Placed } from "../Deliver.ts"
import { RecordFlags } from "../Message.ts"
import { Op } from "../Op.ts"
import { PublishHeader, readPublish } from "../Publish.ts"

/** A field that is absent has `start` -1. */
export class RecordSpans {
  flags = 0
  idStart = -1
  idEnd = -1
  keyStart = -1
  keyEnd = -1
  typeStart = -1
  typeEnd = -1
  /** The number of headers, then each as in the record. */
  headersStart = -1
  payloadStart = 0
  payloadEnd = 0

  /** Reads the record `bytes[start, end)`. Answers `false` if it is none. */
  read(bytes: Uint8Array, start: number, end: number): boolean {
    const flags = bytes[start + 4]!
    let at = start + 5
    this.flags = flags
    this.idStart = this.keyStart = this.typeStart = this.headersStart = -1
    if ((flags & RecordFlags.id) !== 0) {
      this.idStart = at + 1
      at = this.idEnd = shortEnd(bytes, at, end)
    }
    if ((flags & RecordFlags.key) !== 0) {
      this.keyStart = at + 1
      at = this.keyEnd = shortEnd(bytes, at, end)
    }
    if ((flags & RecordFlags.contentType) !== 0) {
      this.typeStart = at + 1
      at = this.typeEnd = shortEnd(bytes, at, end)
    }
    if ((flags & RecordFlags.headers) !== 0) {
      this.headersStart = at
      at = headersEnd(bytes, at, end)
    }
    this.payloadStart = at
    this.payloadEnd = end
    return at <= end
  }
}

/** The end of a length of one byte and its text; beyond `end` if it does not end before. */
const shortEnd = (bytes: Uint8Array, at: number, end: number): number =>
  at < end ? at + 1 + bytes[at]! : end + 1

const headersEnd = (bytes: Uint8Array, at: number, end: number): number => {
  if (at >= end) return end + 1
  let left = bytes[at++]!
  for (; left > 0 && at <= end; left--) {
    at = shortEnd(bytes, at, end)
    at += at + 2 > end ? end : 2 + readU16(bytes, at)
  }
  return at
}

/**
 * Calls `f` for each message of the batch, with its place among them, `spans` being filled. Answers `false` at the first
 * thing that is not as a batch of the hub is.
 */
export const forEachSpans = (batch: Placed, spans: RecordSpans, f: (index: number) => void): boolean => {
  const { bytes, end, count } = batch
  const header = new PublishHeader()
  let at = batch.start
  let index = -batch.skip
  while (at < end && index < count) {
    if (end - at < 5 || bytes[at + 4] !== Op.Publish) return false
    const frameEnd = at + 4 + readU32(bytes, at)
    if (frameEnd > end || !readPublish(bytes, at, frameEnd, header)) return false
    at = header.records
    // A frame of which nothing is wanted is not looked into.
    const skipsAll = index + header.count <= 0
    if (skipsAll) index += header.count
    for (let left = skipsAll ? 0 : header.count; left > 0 && index < count; left--) {
      if (at + 5 > frameEnd) return false
      const next = at + 4 + readU32(bytes, at)
      if (next > frameEnd || next < at + 5) return false
      if (index >= 0) {
        if (!spans.read(bytes, at, next)) return false
        f(index)
      }
      index++
      at = next
    }
    at = frameEnd
  }
  return index >= count
}
