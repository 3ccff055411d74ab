/** The oldest entries of a topic, some of them read ahead, for its retention. */
import { keysBetween } from "./Entries.ts"
import { beforeOf, isKeyWhole, offsetOf, sizeOf } from "./EntryKey.ts"
import type { ChangeSet, Store } from "./Environment.ts"
import { bytesOf, type Numbers } from "./TopicPlace.ts"

const mostReadAhead = 64

export class Heads {
  private readonly store: Store
  private keys: ReadonlyArray<Uint8Array> = []
  private index = 0
  /** Entries before this offset are in `keys`, or gone. */
  private loadedTo = 0
  /** Keys to read next: few of a topic that only is looked at, more of one that is trimmed all the time. */
  private readAhead = 1
  private isStoreDone = false
  /** Of the set that is formed, which cannot be read yet. */
  private placedKeys: Array<Uint8Array> = []
  private placedIndex = 0
  /** Keys that were passed over, to go together with a whole one. */
  private damaged: Array<Uint8Array> = []

  constructor(store: Store) {
    this.store = store
  }

  /** The key of the oldest entry that is whole. */
  first(numbers: Numbers): Uint8Array | undefined {
    for (;;) {
      for (; this.index < this.keys.length; this.index++) {
        const key = this.keys[this.index]!
        if (isKeyWhole(key)) return key
        this.damaged.push(key)
      }
      if (!this.load(numbers.id)) return undefined
    }
  }

  placed(key: Uint8Array): void {
    this.placedKeys.push(key)
  }

  /** Removes the oldest entry, of which `visible` messages could be read. Answers how many bytes fewer are kept. */
  drop(set: ChangeSet, numbers: Numbers, visible: number): number {
    const key = this.first(numbers)
    if (key === undefined) return 0
    this.index++
    set.remove(this.store, key, sizeOf(key))
    const next = this.first(numbers)
    for (const each of this.damaged) set.remove(this.store, each)
    this.damaged = []
    const firstOffset =
      next === undefined ? numbers.nextOffset : Math.max(offsetOf(next), numbers.firstOffset)
    const missing = firstOffset - numbers.firstOffset - Math.max(visible, 0)
    const trimmed = next === undefined ? numbers.appended : beforeOf(next)
    const passed = trimmed - numbers.trimmed
    const before = bytesOf(numbers)
    if (next === undefined) {
      numbers.savedBytes = 0
      numbers.savedMessages = 0
    } else if (numbers.savedMessages > 0 || numbers.savedBytes !== 0) {
      // What is missing around the entry was compacted away. In a topic that never was, it is damaged, and goes too.
      numbers.savedBytes -= passed - sizeOf(key)
      numbers.savedMessages -= missing
    }
    numbers.trimmed = trimmed
    numbers.firstOffset = firstOffset
    return before - bytesOf(numbers)
  }

  committed(): void {
    this.placedKeys = []
    this.placedIndex = 0
    this.isStoreDone = false
  }

  /** What was read is no longer what is there. */
  rolledBack(): void {
    this.committed()
    this.keys = []
    this.index = 0
    this.loadedTo = 0
    this.damaged = []
  }

  private load(topic: number): boolean {
    this.index = 0
    this.keys = []
    if (!this.isStoreDone) {
      this.keys = keysBetween(this.store, topic, this.loadedTo, Number.POSITIVE_INFINITY, this.readAhead)
      this.isStoreDone = this.keys.length < this.readAhead
      this.readAhead = Math.min(this.readAhead * 4, mostReadAhead)
    }
    if (this.keys.length === 0) {
      this.keys = this.placedKeys.slice(this.placedIndex)
      this.placedIndex = this.placedKeys.length
    }
    const last = this.keys.at(-1)
    if (last === undefined) return false
    this.loadedTo = offsetOf(last) + 1
    return true
  }
}
