/**
 * Finds a topic by the bytes of its name as they stand in a frame, without making a string: a hash of the bytes,
 * then a comparison. Open addressing; it grows with the number of topics. The names lie together in one buffer,
 * so that with many topics a look touches little memory and no other topic.
 */
import { copyBytes } from "../protocol/Bytes.ts"
import type { Topic } from "./Topic.ts"

const smallest = 64

export class TopicIndex {
  private slots: Array<Topic | undefined> = new Array<Topic | undefined>(smallest).fill(undefined)
  /** For each slot the hash, and where the name is in `names`. */
  private hashes = new Int32Array(smallest)
  private places = new Int32Array(smallest)
  /** A length byte and the name, for each topic. */
  private names = new Uint8Array(1024)
  private namesUsed = 0
  private size = 0

  find(bytes: Uint8Array, start: number, end: number): Topic | undefined {
    const { hashes, names, places, slots } = this
    const mask = slots.length - 1
    const wanted = hash(bytes, start, end)
    for (let at = wanted & mask; ; at = (at + 1) & mask) {
      const topic = slots[at]
      if (topic === undefined) return undefined
      if (hashes[at] === wanted && isAt(names, places[at]!, bytes, start, end)) return topic
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

  /** Places for topics; they change when topics are added or removed. */
  get capacity(): number {
    return this.slots.length
  }

  forEachIn(from: number, to: number, f: (topic: Topic) => void): void {
    for (let at = from; at < to && at < this.slots.length; at++) {
      const topic = this.slots[at]
      if (topic !== undefined) f(topic)
    }
  }

  private rebuild(length: number, topics: ReadonlyArray<Topic | undefined>): void {
    this.slots = new Array<Topic | undefined>(length).fill(undefined)
    this.hashes = new Int32Array(length)
    this.places = new Int32Array(length)
    this.namesUsed = 0
    this.size = 0
    for (const topic of topics) if (topic !== undefined) this.insert(topic)
  }

  private insert(topic: Topic): void {
    const mask = this.slots.length - 1
    const name = topic.nameBytes
    const wanted = hash(name, 0, name.length)
    let at = wanted & mask
    while (this.slots[at] !== undefined) at = (at + 1) & mask
    this.slots[at] = topic
    this.hashes[at] = wanted
    this.places[at] = this.store(name)
    this.size++
  }

  private store(name: Uint8Array): number {
    const at = this.namesUsed
    const end = at + 1 + name.length
    if (end > this.names.length) {
      const grown = new Uint8Array(Math.max(end, this.names.length * 2))
      grown.set(this.names)
      this.names = grown
    }
    this.names[at] = name.length
    copyBytes(name, 0, name.length, this.names, at + 1)
    this.namesUsed = end
    return at
  }
}

const isAt = (names: Uint8Array, place: number, bytes: Uint8Array, start: number, end: number): boolean => {
  if (names[place] !== end - start) return false
  for (let i = start, at = place + 1; i < end; i++, at++) if (names[at] !== bytes[i]) return false
  return true
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
  let at = name.length
  if (at !== end - start) return false
  // From the end: names that are used together mostly begin alike.
  while (--at >= 0) if (name[at] !== bytes[start + at]) return false
  return true
}
