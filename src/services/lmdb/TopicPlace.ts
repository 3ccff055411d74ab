/** Where a topic's log is: its record, together with what its first and its last entry say. */

import { lastEntry } from "./Entries.ts"
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

/** The record, but what the newest entry says more; one seek. */
export const numbersOf = (messages: Store, record: TopicRecord): Numbers => {
  const { epoch: _, ...numbers } = record
  const last = lastEntry(messages, record.id)
  if (last === undefined) return numbers
  return {
    ...numbers,
    nextOffset: Math.max(record.nextOffset, offsetOf(last) + countOf(last)),
    lastTimestamp: Math.max(record.lastTimestamp, timestampOf(last)),
    appended: Math.max(record.appended, beforeOf(last) + sizeOf(last))
  }
}

export const recordOf = (numbers: Numbers, epoch: number): TopicRecord => ({ ...numbers, epoch })
