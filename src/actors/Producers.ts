/**
 * What a topic remembers of its publishers, so that a frame which is sent again after a lost connection is not
 * stored twice: for each publisher the last sequence it has of it, and those it refused, for a window of time.
 * A session's sequences rise, so one number stands for all before it. What an old connection still brings after its
 * publisher began to send again on a new one is told apart by the session that it comes from.
 */
import type { Batch } from "../protocol/Batch.ts"

/** The sequences of a batch that failed. */
interface Refused {
  readonly first: number
  readonly last: number
}

interface Produced {
  sequence: number
  /** The offset of the newest message. */
  offset: number
  at: number
  /** What failed, and so is not here although later ones are. */
  refused: ReadonlyArray<Refused> | undefined
  /** The latest session that sent again; 0 if none did. */
  resumedBy: number
}

/** Publishers that are remembered; the one that was quiet longest is forgotten first. */
const maxProducers = 4096
/** More than a client has in flight. */
const maxRefused = 1024

/** Sequences before one that count as earlier, and not as later: fewer than half of all. */
const longestPast = 1_073_741_824

/** Whether `sequence` came before or is `last`, in numbers that begin again after 2^32. */
const isUpTo = (sequence: number, last: number): boolean => ((sequence - last) | 0) <= 0

const isAmong = (sequence: number, { first, last }: Refused): boolean =>
  isUpTo(first, sequence) && isUpTo(sequence, last)

/** What is still refused when those sequences have come after all. */
const without = (refused: Refused, first: number, last: number): ReadonlyArray<Refused> => {
  if (!isUpTo(first, refused.last) || !isUpTo(refused.first, last)) return [refused]
  const before = { first: refused.first, last: (first - 1) >>> 0 }
  const after = { first: (last + 1) >>> 0, last: refused.last }
  return [before, after].filter((each) => isUpTo(each.first, each.last))
}

export class Producers {
  private readonly known = new Map<string, Produced>()
  private readonly window: number
  /** Whether any publisher sent again. */
  private hasResumed = false

  constructor(window: number) {
    this.window = window
  }

  get isEmpty(): boolean {
    return this.known.size === 0
  }

  /** The batch of this producer was stored. */
  remember(batch: Batch, producer = batch.publisher?.producer): void {
    if (producer === undefined) return
    const known = this.known.get(producer) ?? this.newcomer(batch, producer)
    // Made anew in the map, so that the one that was quiet longest stands first.
    this.known.delete(producer)
    this.known.set(producer, known)
    if (!isUpTo(batch.lastSequence, known.sequence)) known.sequence = batch.lastSequence
    // What is held until its time has no place yet.
    if (batch.epoch > 0) known.offset = batch.offset + batch.count - 1
    known.at = batch.timestamp
    if (!batch.resent) return
    const refused = known.refused?.flatMap((each) => without(each, batch.firstSequence, batch.firstSequence))
    known.refused = refused?.slice(-maxRefused)
    this.resume(known, batch)
  }

  /**
   * The batch is in the log, whose batches are told in order. What its publisher sent before and between those is not: it
   * was refused, or published to other topics.
   */
  restore(batch: Batch, producer: string): void {
    const { firstSequence, lastSequence } = batch
    const last = this.known.get(producer)?.sequence ?? (firstSequence - longestPast) >>> 0
    this.remember(batch, producer)
    const known = this.known.get(producer)
    if (known === undefined) return
    const missing = { first: (last + 1) >>> 0, last: (firstSequence - 1) >>> 0 }
    if (isUpTo(missing.first, missing.last)) {
      known.refused = [...(known.refused ?? []), missing].slice(-maxRefused)
    } else if (isUpTo(firstSequence, last)) {
      // It was held until its time, while others came.
      known.refused = known.refused?.flatMap((each) => without(each, firstSequence, lastSequence))
    }
  }

  /** The batch was not stored, though later ones of its publisher may be. */
  refuse(batch: Batch): void {
    const producer = batch.publisher?.producer
    if (producer === undefined) return
    const known = this.known.get(producer) ?? this.newcomer(batch, producer)
    const refused = { first: batch.firstSequence, last: batch.lastSequence }
    known.refused = [...(known.refused ?? []), refused].slice(-maxRefused)
  }

  /** If the batch, which is one frame that was sent again, is here already, the offset of its publisher's newest message. */
  find(batch: Batch): number | undefined {
    const known = this.of(batch)
    if (known !== undefined) this.resume(known, batch)
    if (known === undefined || !isUpTo(batch.lastSequence, known.sequence)) return undefined
    if (known.at < batch.timestamp - this.window) return undefined
    const isRefused = known.refused?.some((refused) => isAmong(batch.firstSequence, refused))
    return isRefused === true ? undefined : known.offset
  }

  /**
   * Whether the batch comes late, on a connection that its publisher has given up: a later one of its sessions has
   * begun to send again all that had no answer, and this is among it.
   */
  isLate(batch: Batch): boolean {
    if (!this.hasResumed) return false
    const known = this.of(batch)
    return known !== undefined && (batch.publisher?.ordinal ?? known.resumedBy) < known.resumedBy
  }

  /** Forgets what is older than the window. */
  expire(now: number): void {
    for (const [id, { at }] of this.known) if (at < now - this.window) this.known.delete(id)
  }

  private resume(known: Produced, batch: Batch): void {
    known.resumedBy = Math.max(known.resumedBy, batch.publisher?.ordinal ?? 0)
    this.hasResumed = true
  }

  private of(batch: Batch): Produced | undefined {
    const producer = batch.publisher?.producer
    return producer === undefined ? undefined : this.known.get(producer)
  }

  /** A publisher of which nothing is stored yet. */
  private newcomer(batch: Batch, producer: string): Produced {
    const produced: Produced = {
      sequence: (batch.firstSequence - 1) >>> 0,
      offset: 0,
      at: batch.timestamp,
      refused: undefined,
      resumedBy: 0
    }
    if (this.known.size >= maxProducers) {
      const quietest = this.known.keys().next()
      if (quietest.done !== true) this.known.delete(quietest.value)
    }
    this.known.set(producer, produced)
    return produced
  }
}
