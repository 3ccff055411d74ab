/**
 * What a topic remembers of its publishers, so that a frame which is sent again after a lost connection is not
 * stored twice: for each publisher the last sequence it has of it, and those it refused, for a window of time.
 * A session's sequences rise, so one number stands for all before it.
 */
import type { Batch } from "../protocol/Batch.ts"

interface Produced {
  sequence: number
  /** The offset of the newest message. */
  offset: number
  at: number
  /** First sequences of batches that failed, and so are not here although later ones are. */
  refused: Array<number> | undefined
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

  constructor(window: number) {
    this.window = window
  }

  get isEmpty(): boolean {
    return this.known.size === 0
  }

  /** The batch was stored. */
  remember(batch: Batch): void {
    const offset = batch.offset + batch.count - 1
    const known = this.known.get(batch.publisherId)
    if (known !== undefined) {
      if (!isUpTo(batch.lastSequence, known.sequence)) known.sequence = batch.lastSequence
      known.offset = offset
      known.at = batch.timestamp
      if (batch.resent) known.refused = known.refused?.filter((first) => first !== batch.firstSequence)
      return
    }
    if (this.known.size >= maxProducers) this.makeRoom(batch.timestamp)
    const at = batch.timestamp
    this.known.set(batch.publisherId, { sequence: batch.lastSequence, offset, at, refused: undefined })
  }

  /** The batch was not stored, though later ones of its publisher may be. */
  refuse(batch: Batch): void {
    const known = this.known.get(batch.publisherId)
    if (known === undefined) return
    known.refused ??= []
    known.refused.push(batch.firstSequence)
    if (known.refused.length > maxRefused) known.refused.shift()
  }

  /** If the batch is here already, the offset of its publisher's newest message. */
  find(batch: Batch): number | undefined {
    const known = this.known.get(batch.publisherId)
    if (known === undefined || !isUpTo(batch.lastSequence, known.sequence)) return undefined
    if (known.at < batch.timestamp - this.window) return undefined
    return known.refused?.includes(batch.firstSequence) === true ? undefined : known.offset
  }

  /** Forgets what is older than the window. */
  expire(now: number): void {
    for (const [id, { at }] of this.known) if (at < now - this.window) this.known.delete(id)
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
