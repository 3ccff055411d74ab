/**
 * Finds a topic by the bytes of its name as they stand in a frame, without making a string: a hash of the bytes,
 * then a comparison. Open addressing; it grows with the number of topics.
 */
import type { Topic } from "./Topic.ts"

const smallest = 64

export class TopicIndex {
  private slots: Array<Topic | undefined> = new Array<Topic | undefined>(smallest).fill(undefined)
  /** Beside each slot its topic's hash, so that a probe seldom has to look at a topic that is not the one. */
  private hashes = new Int32Array(smallest)
  private size = 0

  find(bytes: Uint8Array, start: number, end: number): Topic | undefined {
    const { hashes, slots } = this
    const mask = slots.length - 1
    const wanted = hash(bytes, start, end)
    for (let at = wanted & mask; ; at = (at + 1) & mask) {
      const topic = slots[at]
      if (topic === undefined) return undefined
      if (hashes[at] === wanted && isNamed(topic.nameBytes, bytes, start, end)) return topic
    }
  }

  add(topic: Topic): void {
    if ((this.size + 1) * 2 > this.slots.length) this.rebuild(this.slots.length * 2, this.slots)
    this.insert(topic)
  }

  /** Removes many at the cost of one. */
  removeAll(topics: ReadonlySet<Topic>): void {
    if (topics.size === 0) return
    const kept = this.slots.filter((each) => each !== undefined && !topics.has(each))
    this.rebuild(this.slots.length, kept)
  }

  private rebuild(length: number, topics: ReadonlyArray<Topic | undefined>): void {
    this.slots = new Array<Topic | undefined>(length).fill(undefined)
    this.hashes = new Int32Array(length)
    this.size = 0
    for (const topic of topics) if (topic !== undefined) this.insert(topic)
  }

  private insert(topic: Topic): void {
    const mask = this.slots.length - 1
    const wanted = hash(topic.nameBytes, 0, topic.nameBytes.length)
    let at = wanted & mask
    while (this.slots[at] !== undefined) at = (at + 1) & mask
    this.slots[at] = topic
    this.hashes[at] = wanted
    this.size++
  }
}

/** FNV-1a, four bytes at a time, then mixed so that the low bits depend on all of it. */
const hash = (bytes: Uint8Array, start: number, end: number): number => {
  let value = 0x811c9dc5
  let i = start
  for (const whole = end - 3; i < whole; i += 4) {
    const word = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24)
    value = Math.imul(value ^ word, 0x01000193)
    value ^= value >>> 15
  }
  for (; i < end; i++) value = Math.imul(value ^ bytes[i]!, 0x01000193)
  value = Math.imul(value ^ (value >>> 16), 0x45d9f3b)
  return value ^ (value >>> 16)
}

export const isNamed = (name: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean => {
  if (name.length !== end - start) return false
  for (let i = 0; i < name.length; i++) if (name[i] !== bytes[start + i]) return false
  return true
}
