/**
 * Takes a batch apart, in which some messages have ids that the topic knows: runs of frames that are to be stored, and
 * frames that are not, each with an answer of its own. A frame in which only some are known is made anew without them.
 */
import { Batch } from "../protocol/Batch.ts"
import { allocateBytes, copyBytes, writeU16, writeU32 } from "../protocol/Bytes.ts"
import type { PublishHeader } from "../protocol/Publish.ts"
import { forEachFrame, forEachRecord, idOf, type MessageIds, type Part } from "./MessageIds.ts"

/** Where a PUBLISH frame has its count of records. */
const countAt = 14

/** The parts of a batch as it came from its publisher, in order. */
export const splitKnown = (batch: Batch, ids: MessageIds): ReadonlyArray<Part> => {
  const parts: Array<Part> = []
  const own = new Set<string>()
  let run: Batch | undefined
  const isKnown = (id: string) => own.has(id) || ids.find(id, batch.timestamp) !== undefined
  forEachFrame(batch, (header, start, end) => {
    let known: string | undefined
    let kept = 0
    const fresh: Array<readonly [number, number]> = []
    forEachRecord(batch.bytes, header, end, (at, next) => {
      const id = idOf(batch.bytes, at, next)
      if (id !== undefined && isKnown(id)) known ??= id
      else {
        fresh.push([at, next])
        kept += next - at
      }
      if (id !== undefined) own.add(id)
    })
    if (known === undefined) {
      if (run !== undefined) grow(run, header, end)
      else {
        run = partOf(batch, batch.bytes, start, end, header)
        parts.push({ batch: run, duplicateOf: undefined })
      }
      return
    }
    run = undefined
    if (fresh.length === 0) {
      parts.push({ batch: partOf(batch, batch.bytes, start, end, header), duplicateOf: known })
      return
    }
    const bytes = without(batch.bytes, start, header, fresh, kept)
    const part = partOf(batch, bytes, 0, bytes.length, header)
    part.count = fresh.length
    parts.push({ batch: part, duplicateOf: undefined })
  })
  return parts
}

const grow = (run: Batch, header: PublishHeader, end: number): void => {
  run.end = end
  run.count += header.count
  run.lastSequence = header.sequence
}

const partOf = (from: Batch, bytes: Uint8Array, start: number, end: number, header: PublishHeader): Batch => {
  const part = new Batch(from.owner, bytes, start, end, header.count, from.priority, from.publisherId)
  part.publisher = from.publisher
  part.incarnation = from.incarnation
  part.firstSequence = header.sequence
  part.lastSequence = header.sequence
  part.wantsReceipt = from.wantsReceipt
  part.resent = from.resent
  part.records = from.records
  part.timestamp = from.timestamp
  part.receivedAt = from.receivedAt
  part.expires = from.expires
  part.holdUntil = from.holdUntil
  return part
}

/** A frame of some of the records. */
const without = (
  bytes: Uint8Array,
  start: number,
  header: PublishHeader,
  records: ReadonlyArray<readonly [from: number, to: number]>,
  size: number
): Uint8Array => {
  const headerBytes = header.records - start
  const frame = allocateBytes(headerBytes + size)
  copyBytes(bytes, start, header.records, frame, 0)
  let to = headerBytes
  for (const [at, next] of records) {
    copyBytes(bytes, at, next, frame, to)
    to += next - at
  }
  writeU32(frame, 0, frame.length - 4)
  writeU16(frame, countAt, records.length)
  return frame
}
