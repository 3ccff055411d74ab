/** What a topic forgets: messages are bounded exactly, by cutting the oldest batch; bytes and age by whole batches. */

import type { TopicLimits } from "../MessageLog.ts"
import { countOf, offsetOf, timestampOf } from "./EntryKey.ts"
import type { Store } from "./Environment.ts"
import { Heads } from "./Heads.ts"
import { bytesOf, messagesOf, type Numbers } from "./TopicPlace.ts"
import type { WriteSet } from "./Writer.ts"

/** What is too old goes in slices, so that a set is bounded, and the event loop free. */
const sliceEntries = 4096
/** So much goes at once whatever the reason: LMDB lists the pages that become free in one piece. */
export const sliceBytes = 67_108_864

export class Retention {
  /** Told of what is appended, and of what becomes of it. */
  readonly heads: Heads
  /** Nothing older may be kept (ms). */
  oldest = 0
  /** The last set that trimmed left some that is too old. */
  isUnfinished = false
  /** Entries that cannot be walked through are kept: all else goes on. */
  private isStuck = false
  private readonly limits: TopicLimits

  constructor(store: Store, limits: TopicLimits) {
    this.heads = new Heads(store)
    this.limits = limits
  }

  isWithin(numbers: Numbers): boolean {
    return messagesOf(numbers) <= this.limits.messages && bytesOf(numbers) <= this.limits.bytes
  }

  /** Whether something is too old. Not to be called while a set of the topic is under way. */
  isOverdue(numbers: Numbers): boolean {
    try {
      return !this.isStuck && this.isOld(numbers)
    } catch {
      this.isStuck = true
      return false
    }
  }

  /** Adds to the set what is to go, and moves the numbers. Answers whether the topic's record has changed. */
  trim(set: WriteSet, numbers: Numbers, isSparse: boolean): boolean {
    this.isUnfinished = false
    if (this.isStuck) return false
    const length = set.keys.length
    const { bytes } = set.folder
    const before = { ...numbers }
    try {
      return (!this.isWithin(numbers) || this.isOld(numbers)) && this.trimNow(set, numbers, isSparse)
    } catch {
      this.isStuck = true
      this.heads.rolledBack()
      Object.assign(numbers, before)
      set.truncate(length)
      set.folder.bytes = bytes
      return false
    }
  }

  private isOld(numbers: Numbers): boolean {
    if (numbers.firstOffset === numbers.nextOffset || this.oldest <= 0) return false
    const head = this.heads.first(numbers)
    return head !== undefined && timestampOf(head) < this.oldest
  }

  private trimNow(set: WriteSet, numbers: Numbers, isSparse: boolean): boolean {
    const { limits, heads } = this
    let hasChanged = false
    let dropped = 0
    for (let head = heads.first(numbers); head !== undefined; head = heads.first(numbers)) {
      const isOld = timestampOf(head) < this.oldest
      const end = offsetOf(head) + countOf(head)
      if (this.isWithin(numbers) && !isOld && end > numbers.firstOffset) return hasChanged
      this.isUnfinished =
        (dropped++ >= sliceEntries && this.isWithin(numbers)) || set.freedBytes >= sliceBytes
      if (this.isUnfinished) return hasChanged
      const visible = end - Math.max(numbers.firstOffset, offsetOf(head))
      const excess = messagesOf(numbers) - limits.messages
      numbers.lostUntil = Math.max(numbers.lostUntil, timestampOf(head))
      if (!isOld && excess > 0 && excess < visible && bytesOf(numbers) <= limits.bytes) {
        numbers.firstOffset = end - visible + excess
        // The rest of the batch stays. Where it is cut follows from the limit, unless messages were compacted away.
        return hasChanged || isSparse
      }
      set.folder.bytes -= heads.drop(set, numbers, visible)
      hasChanged = true
    }
    numbers.firstOffset = numbers.nextOffset
    return true
  }
}
