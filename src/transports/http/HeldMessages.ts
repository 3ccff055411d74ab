/** Messages that were given to a client, and to no poll of it yet, in the order in which they came. */
import type { Texts } from "../../protocol/json/Texts.ts"
import { matches } from "../../protocol/Pattern.ts"
import { sliceTexts } from "./TextParts.ts"

/** Messages of one topic that follow each other. */
export interface Held {
  readonly topic: string
  readonly epoch: number
  readonly offset: number
  readonly texts: Texts
}

export class HeldMessages {
  /** Messages. */
  count = 0
  /** Of them as JSON. */
  bytes = 0
  private held: Array<Held> = []

  add(held: Held): void {
    this.held.push(held)
    this.count += held.texts.ends.length
    this.bytes += held.texts.bytes.length
  }

  /** Up to `max` of the messages that are there for these patterns, which are then held no longer. */
  take(
    patterns: ReadonlyArray<string>,
    max: number
  ): { readonly parts: ReadonlyArray<Texts>; readonly count: number } {
    const parts: Array<Texts> = []
    const kept: Array<Held> = []
    let left = max
    for (const each of this.held) {
      const isWanted = left > 0 && patterns.some((pattern) => matches(pattern, each.topic))
      const messages = each.texts.ends.length
      const taken = isWanted ? Math.min(left, messages) : 0
      if (taken > 0) parts.push(taken === messages ? each.texts : sliceTexts(each.texts, 0, taken))
      if (taken < messages)
        kept.push({ ...each, offset: each.offset + taken, texts: sliceTexts(each.texts, taken, messages) })
      left -= taken
    }
    this.held = kept
    this.count -= max - left
    this.bytes -= parts.reduce((sum, { bytes }) => sum + bytes.length, 0)
    return { parts, count: max - left }
  }

  /** Whatever meets the offsets from `from` to before `to`. */
  forget(topic: string, epoch: number, from: number, to: number): void {
    this.held = this.held.filter((each) => {
      const messages = each.texts.ends.length
      const isOther = each.topic !== topic || each.epoch !== epoch
      if (isOther || each.offset >= to || each.offset + messages <= from) return true
      this.count -= messages
      this.bytes -= each.texts.bytes.length
      return false
    })
  }
}
