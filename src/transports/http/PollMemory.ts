/**
 * Where the polls without a `client_id` and without a beginning of their own have ended, by whoever asks and what they
 * ask for, so that a loop of polls misses nothing that comes between two of them. Those who cannot be told apart share a
 * place, which only moves on: none of them is given a message twice, and what one was given another may miss, as if it
 * had come later.
 */
import { createHash } from "node:crypto"
import type { Cursor } from "./Cursor.ts"

/** Places and the positions in them, all together; those that were left longest ago are forgotten first. */
const mostPositions = 100_000
/** Characters of a key that is kept as it is. */
const longKey = 200

interface Place {
  readonly cursor: Cursor
  readonly until: number
}

/** The place of one poll. */
export interface PollPlace {
  /** Where it goes on, if such a poll came lately: the poll's own. */
  readonly cursor: Cursor | undefined
  /** It was answered up to there. */
  readonly remember: (cursor: Cursor) => void
}

export class PollMemory {
  private readonly places = new Map<string, Place>()
  private positions = 0
  private readonly now: () => number
  private readonly patience: number

  /** `now` is in milliseconds of any clock that is not set back; a place is remembered for `patience` of them. */
  constructor(now: () => number, patience: number) {
    this.now = now
    this.patience = patience
  }

  /** Of a poll of `who` for the patterns, in whatever order they are. */
  placeOf(who: string, patterns: ReadonlyArray<string>): PollPlace {
    const key = keyOf(who, patterns)
    const place = this.lately(key)
    return {
      cursor: place?.cursor.copy(),
      remember: (cursor) => this.remember(key, place, cursor.copy())
    }
  }

  private lately(key: string): Place | undefined {
    const place = this.places.get(key)
    return place === undefined || place.until < this.now() ? undefined : place
  }

  private remember(key: string, begun: Place | undefined, cursor: Cursor): void {
    const place = this.lately(key)
    // Of several that were answered meanwhile, a slower one is not to set it back.
    const furthest = place === undefined || place === begun ? cursor : furthestOf(place.cursor, cursor, begun)
    this.forget(key)
    this.places.set(key, { cursor: furthest, until: this.now() + this.patience })
    this.positions += weightOf(furthest)
    for (const [oldest, { until }] of this.places) {
      if (this.positions <= mostPositions && until >= this.now()) return
      this.forget(oldest)
    }
  }

  private forget(key: string): void {
    const place = this.places.get(key)
    if (place === undefined) return
    this.places.delete(key)
    this.positions -= weightOf(place.cursor)
  }
}

/**
 * The further of both. If the polls began without a place, each began at its own now: of a topic that neither names,
 * the next poll is given what came since the earlier of the two.
 */
const furthestOf = (some: Cursor, other: Cursor, begun: Place | undefined): Cursor => {
  if (begun === undefined && some.round === undefined && other.round === undefined) {
    const since = Math.min(some.since, other.since)
    some.since = since
    other.since = since
  }
  return some.furthest(other)
}

const weightOf = (cursor: Cursor): number => 1 + cursor.positions.size

const keyOf = (who: string, patterns: ReadonlyArray<string>): string => {
  const key = [who, ...[...patterns].sort()].join("\n")
  return key.length <= longKey ? key : createHash("sha256").update(key).digest("base64url")
}
