/**
 * What the ids that all topics of a hub remember take together: when it is too much, the ids that were begun to be
 * gathered first are forgotten, whatever topic they are of.
 */

/** Bytes of all ids: about a million of them. */
const defaultBytes = 134_217_728
/** What an id takes beside its letters. */
const overhead = 120

export interface Seen {
  /** -1 while the message has no offset: it is on its way to the log, or held until its time. */
  readonly offset: number
  readonly at: number
}

/** Ids of one topic that are forgotten together. */
export class Ids {
  readonly seen = new Map<string, Seen>()
  /** When an id was last put in. */
  at = 0
  bytes = 0
}

export class IdMemory {
  private bytes = 0
  private readonly maxBytes: number
  /** Those that have ids in them, by when they got their first. */
  private readonly all = new Set<Ids>()

  constructor(maxBytes = defaultBytes) {
    this.maxBytes = maxBytes
  }

  put(ids: Ids, id: string, seen: Seen): void {
    if (!ids.seen.has(id)) {
      const bytes = id.length * 2 + overhead
      ids.bytes += bytes
      this.bytes += bytes
      this.all.add(ids)
    }
    ids.seen.set(id, seen)
    ids.at = seen.at
    while (this.bytes > this.maxBytes) {
      const first = this.all.values().next()
      if (first.done === true) return
      this.clear(first.value)
    }
  }

  clear(ids: Ids): void {
    this.bytes -= ids.bytes
    ids.bytes = 0
    ids.seen.clear()
    this.all.delete(ids)
  }
}
