/**
 * What a topic remembers of its publishers, so that a frame which is sent again after a lost connection is not
 * stored twice: for each publisher the last sequence it has of it, and those it refused, for a window of time.
 * A session's sequences rise, so one number stands for all before it. What an old connection still brings after its
 * publisher began to send again on a new one is told apart by the session that it comes from.
 */
import type { Batch } from "../protocol/Batch.ts"

interface Produced {
  sequence: number
  /** The offset of the newest message. */
  offset: number
  at: number
  /** First sequences of batches that failed, and so are not here although later ones are. */
  refused: Array<number> | undefined
  /** The latest session that sent again; 0 if none did. */
  resumedBy: number
}

/** Publishers that are remembered; the one that was quiet longest is forgotten first. */
const maxProducers = 4096
/** More than a client has in flight. */
const maxRefused = 1024

/** Whether `sequence` came before or is `last`, in numbers that begin again after 2^32. */
const isUpTo = (sequence: number, last: number): boolean => ((sequence - last) | 0) <= 0

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

  /** The batch was stored. */
  remember(batch: Batch): void {
    const known = this.known.get(batch.publisherId) ?? this.newcomer(batch)
    if (!isUpTo(batch.lastSequence, known.sequence)) known.sequence = batch.lastSequence
    known.offset = batch.offset + batch.count - 1
    known.at = batch.timestamp
    if (!batch.resent) return
    known.refused = known.refused?.filter((first) => first !== batch.firstSequence)
    this.resume(known, batch)
  }

  /** The batch was not stored, though later ones of its publisher may be. */
  refuse(batch: Batch): void {
    const known = this.known.get(batch.publisherId) ?? this.newcomer(batch)
    known.refused ??= []
    known.refused.push(batch.firstSequence)
    if (known.refused.length > maxRefused) known.refused.shift()
  }

  /** If the batch, which was sent again, is here already, the offset of its publisher's newest message. */
  find(batch: Batch): number | undefined {
    const known = this.known.get(batch.publisherId)
    if (known !== undefined) this.resume(known, batch)
    if (known === undefined || !isUpTo(batch.lastSequence, known.sequence)) return undefined
    if (known.at < batch.timestamp - this.window) return undefined
    return known.refused?.includes(batch.firstSequence) === true ? undefined : known.offset
  }

  /**
   * Whether the batch comes late, on a connection that its publisher has given up: a later one of its sessions has
   * begun to send again all that had no answer, and this is among it.
   */
  isLate(batch: Batch): boolean {
    if (!this.hasResumed) return false
    const known = this.known.get(batch.publisherId)
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

  /** A publisher of which nothing is stored yet. */
  private newcomer(batch: Batch): Produced {
    if (this.known.size >= maxProducers) this.makeRoom(batch.timestamp)
    const produced: Produced = {
      sequence: (batch.firstSequence - 1) >>> 0,
      offset: 0,
      at: batch.timestamp,
      refused: undefined,
      resumedBy: 0
    }
    this.known.set(batch.publisherId, produced)
    return produced
  }

  private makeRoom(now: number): void {
    this.expire(now)
    if (this.known.size < maxProducers) return
    let quietest: string | undefined
    let quietestAt = Number.POSITIVE_INFINITY
    for (const [id, { at }] of this.known) {
      if (at >= quietestAt) continue
      quietest = id
      quietestAt = at
    }
    if (quietest !== undefined) this.known.delete(quietest)
  }
}
