/** Where a topic's log is: its record, together with what its first and its last entry say. */

import { newestEntry } from "./Entries.ts"
import { beforeOf, countOf, offsetOf, sizeOf, timestampOf } from "./EntryKey.ts"
import type { Store } from "./Environment.ts"
import type { TopicRecord } from "./Records.ts"

/** The numbers of a topic's log that a write set moves together. */
export interface Numbers {
  /** By which entries name the topic; 0 until it is on the disk. */
  id: number
  nextOffset: number
  firstOffset: number
  lostUntil: number
  lastTimestamp: number
  /** Bytes ever appended. */
  appended: number
  /** Of those, what retention took. */
  trimmed: number
  savedMessages: number
  savedBytes: number
  compactedTo: number
}

export const newNumbers = (): Numbers => ({
  id: 0,
  nextOffset: 0,
  firstOffset: 0,
  lostUntil: 0,
  lastTimestamp: 0,
  appended: 0,
  trimmed: 0,
  savedMessages: 0,
  savedBytes: 0,
  compactedTo: 0
})

export const messagesOf = (numbers: Numbers): number =>
  numbers.nextOffset - numbers.firstOffset - numbers.savedMessages

export const bytesOf = (numbers: Numbers): number =>
  Math.max(0, numbers.appended - numbers.trimmed - numbers.savedBytes)

/** What a damaged newest entry may have held, at most. */
const mostMessages = 65_536

/** An offset after all that a damaged entry may have had, which comes after `end`. */
const endOfDamaged = (key: Uint8Array, end: number): number => {
  const begin = offsetOf(key)
  const count = countOf(key)
  const isLikely = begin >= end && begin - end < mostMessages
  return (isLikely ? begin : end) + (count > 0 && count < mostMessages ? count : mostMessages)
}

/** The record, but what the newest entry says more; one seek. */
export const numbersOf = (messages: Store, record: TopicRecord): Numbers => {
  const { epoch: _, ...rest } = record
  const numbers: Numbers = { ...rest }
  const { damaged, key } = newestEntry(messages, record.id)
  if (key !== undefined && offsetOf(key) + countOf(key) >= record.nextOffset) {
    numbers.nextOffset = offsetOf(key) + countOf(key)
    numbers.lastTimestamp = timestampOf(key)
    numbers.appended = Math.max(record.appended, beforeOf(key) + sizeOf(key))
  }
  // No offset is given twice.
  if (damaged !== undefined) numbers.nextOffset = endOfDamaged(damaged, numbers.nextOffset)
  return numbers
}

export const recordOf = (numbers: Numbers, epoch: number): TopicRecord => ({ ...numbers, epoch })
