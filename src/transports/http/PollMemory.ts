/**
 * Where the polls without a `client_id` that came before have ended, by whoever asks and what they ask for, so that a
 * loop of polls misses nothing that comes between two of them. Those who cannot be told apart share a place, which only
 * moves on: each is told no more than once by it, and what one was given another may miss, as if it had come later.
 */
import type { Cursor } from "./Cursor.ts"

/** Places that are remembered; the one that was left longest ago is forgotten first. */
const maxPlaces = 2000

interface Place {
  readonly cursor: Cursor
  readonly until: number
}

export class PollMemory {
  private readonly places = new Map<string, Place>()
  private readonly now: () => number
  private readonly patience: number

  /** `now` is in milliseconds of any clock that is not set back; a place is remembered for `patience` of them. */
  constructor(now: () => number, patience: number) {
    this.now = now
    this.patience = patience
  }

  /** Where `who` is to go on with the patterns, if it polled them lately. */
  find(who: string, patterns: ReadonlyArray<string>): Cursor | undefined {
    const place = this.places.get(keyOf(who, patterns))
    return place === undefined || place.until < this.now() ? undefined : place.cursor.copy()
  }

  /** `who` has been answered up to there. */
  remember(who: string, patterns: ReadonlyArray<string>, cursor: Cursor): void {
    const key = keyOf(who, patterns)
    const before = this.find(who, patterns)
    this.places.delete(key)
    // Of two that were answered at once the slower one is not to set it back.
    this.places.set(key, { cursor: before?.furthest(cursor) ?? cursor, until: this.now() + this.patience })
    if (this.places.size <= maxPlaces) return
    for (const [oldest] of this.places) {
      this.places.delete(oldest)
      return
    }
  }
}

const keyOf = (who: string, patterns: ReadonlyArray<string>): string =>
  [who, ...[...patterns].sort()].join("\n")
