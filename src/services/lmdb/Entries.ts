/** Finding entries of a topic by offset, without their values where they are not asked for. */
import { countOf, isKeyWhole, maxU48, offsetOf, placeKey, timestampOf, topicOf } from "./EntryKey.ts"
import type { Store } from "./Environment.ts"

export interface Entry {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** How many damaged keys in a row are passed over. */
const maxDamaged = 1024

/** The key of the last whole entry that begins at `offset` or before, if there is one. */
export const entryAtOrBefore = (store: Store, topic: number, offset: number): Uint8Array | undefined => {
  const keys = store.getKeys({ start: placeKey(topic, offset + 1), reverse: true, limit: maxDamaged })
  for (const key of keys) {
    if (topicOf(key) !== topic) return undefined
    if (offsetOf(key) <= offset && isKeyWhole(key)) return key
  }
  return undefined
}

export interface Newest {
  /** The last whole one. */
  readonly key: Uint8Array | undefined
  /** A damaged one after it. */
  readonly damaged: Uint8Array | undefined
}

export const newestEntry = (store: Store, topic: number): Newest => {
  let damaged: Uint8Array | undefined
  for (const key of store.getKeys({ start: placeKey(topic, maxU48), reverse: true, limit: maxDamaged })) {
    if (topicOf(key) !== topic) break
    if (isKeyWhole(key)) return { key, damaged }
    damaged ??= key
  }
  return { key: undefined, damaged }
}

/** Keys of entries that begin from `from` to before `to`, whole or not. */
export const keysBetween = (
  store: Store,
  topic: number,
  from: number,
  to: number,
  limit: number
): ReadonlyArray<Uint8Array> => [
  ...store.getKeys({ start: placeKey(topic, from), end: placeKey(topic, to), limit })
]

/** The first whole key from `from` on. */
export const firstEntry = (store: Store, topic: number, from: number): Uint8Array | undefined => {
  for (const key of store.getKeys({
    start: placeKey(topic, from),
    end: placeKey(topic + 1, 0),
    limit: maxDamaged
  }))
    if (isKeyWhole(key)) return key
  return undefined
}

export const entriesBetween = (store: Store, topic: number, from: number, to: number): Iterable<Entry> =>
  store.getRange({ start: placeKey(topic, from), end: placeKey(topic, to) })

/**
 * The first offset from `first` to before `next` with a timestamp of `time` or later, or `next`: about twenty seeks,
 * by timestamps that do not fall.
 */
export const offsetAtTime = (
  store: Store,
  topic: number,
  first: number,
  next: number,
  time: number
): number => {
  let low = first
  let high = next
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const key = entryAtOrBefore(store, topic, middle) ?? firstEntry(store, topic, middle)
    if (key === undefined) return low
    const begin = offsetOf(key)
    if (timestampOf(key) >= time) {
      // An entry that is only found after a hole is as new as the hole.
      high = Math.min(begin, middle)
    } else {
      low = Math.max(begin + countOf(key), middle + 1)
    }
  }
  return Math.min(Math.max(low, first), next)
}
