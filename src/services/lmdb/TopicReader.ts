/** Reading a topic's entries: what is there, and what should be there and cannot be read. */
import { type Batch, sliceBatch } from "../../protocol/Batch.ts"
import { type LogOwner, Lost } from "../MessageLog.ts"
import { entriesBetween, entryAtOrBefore } from "./Entries.ts"
import { batchOf, countOf, isKeyWhole, isValueWhole, offsetOf } from "./EntryKey.ts"
import type { Store } from "./Environment.ts"
import type { Numbers } from "./TopicPlace.ts"

export interface Readable {
  readonly numbers: Numbers
  readonly owner: LogOwner
  readonly epoch: number
  /** Whether messages may be missing because they were compacted away. */
  readonly isSparse: boolean
}

/**
 * Adds what there is from `offset` on, about `maxBytes` of it, to `found`; values are copies. Answers whether something
 * of it is damaged. Throws what LMDB throws.
 */
export const readEntries = (
  store: Store,
  topic: Readable,
  offset: number,
  maxBytes: number,
  found: Array<Batch | Lost>
): boolean => {
  const { firstOffset, id, nextOffset } = topic.numbers
  let expected = Math.max(offset, firstOffset)
  if (expected >= nextOffset) return false
  let isDamaged = false
  // After a damaged key, of which it is not known what it stood for.
  let isUnsure = false
  let size = 0
  const lose = (to: number): void => {
    isDamaged = true
    found.push(new Lost(expected, to - expected))
  }
  for (const { key, value } of entriesBetween(store, id, beginOf(store, id, expected), nextOffset)) {
    if (!isKeyWhole(key)) {
      isUnsure = true
      continue
    }
    const begin = offsetOf(key)
    const end = begin + countOf(key)
    if (end <= expected) continue
    if (begin > expected && (isUnsure || !topic.isSparse)) lose(begin)
    isUnsure = false
    expected = Math.max(begin, expected)
    if (isValueWhole(key, value)) found.push(readBatch(topic, key, value, expected - begin))
    else lose(end)
    expected = end
    size += value.length
    if (size >= maxBytes) return isDamaged
  }
  if (expected < nextOffset && (isUnsure || !topic.isSparse)) lose(nextOffset)
  return isDamaged
}

/** Where the entry begins that holds this offset; the offset itself if none does. */
const beginOf = (store: Store, id: number, offset: number): number => {
  const key = entryAtOrBefore(store, id, offset)
  return key !== undefined && offsetOf(key) + countOf(key) > offset ? offsetOf(key) : offset
}

/** The batch, without its first `from` messages. */
const readBatch = (topic: Readable, key: Uint8Array, value: Uint8Array, from: number): Batch => {
  // A plain view: those of a `Buffer` cost several times as much.
  const bytes = new Uint8Array(value.buffer, value.byteOffset, value.length)
  const batch = batchOf(key, bytes, topic.owner, topic.epoch)
  if (from === 0) return batch
  const cut = sliceBatch(batch, from, batch.count)
  cut.incarnation = batch.incarnation
  cut.firstSequence = batch.firstSequence
  cut.lastSequence = batch.lastSequence
  return cut
}
