/**
 * What is to be written, of all topics: it gathers while a set is committed, and is then the next set. A set is kept
 * as a whole or not at all; what it changes is told afterwards, in order and in one turn. After a failure the next set
 * is tried as usual, but what makes room goes first if there was none.
 */
import { Effect } from "effect"
import type { Room } from "./DiskRoom.ts"
import { ChangeSet, type Environment, type Failure } from "./Environment.ts"
import type { FolderRecord } from "./Records.ts"
import { encodeFolder } from "./Records.ts"

export type Reason = "full" | "closed" | "io"

export interface Change {
  /** Bytes that it keeps until it is written. */
  readonly size: number
  /** It makes room rather than taking it. */
  readonly isRelief: boolean
  /** It must not be made before what was added before it, even where room is made first. */
  readonly isInOrder?: true
  /** Adds what it changes. An answer is why it cannot be made, and then it added nothing. */
  readonly prepare: (set: WriteSet) => Reason | undefined
  readonly done: () => void
  readonly failed: (reason: Reason, cause: unknown) => void
}

/** What keeps numbers that a set moves. */
export interface Participant {
  /** All changes are in the set: time to add what follows from them. Does not throw. */
  readonly finish: (set: WriteSet) => void
  readonly committed: () => void
  readonly rolledBack: () => void
  /** What makes room for it, after there was none. */
  readonly relief: () => Change | undefined
}

/** A set that is being formed: only then numbers move. */
export class WriteSet extends ChangeSet {
  readonly participants = new Set<Participant>()
  readonly folder: Draft
  /** Numbers of held batches that leave with it. */
  readonly left = new Set<number>()

  constructor(folder: Draft) {
    super()
    this.folder = folder
  }
}

/** The folder's record, while it is changed. */
export type Draft = { -readonly [K in keyof FolderRecord]: FolderRecord[K] }

export interface WriterOptions {
  /** Calls `work`, all that a set tells. */
  readonly turn: (work: () => void) => void
  /** For tests: why the next commit fails, instead of being made. */
  readonly fault?: (() => Failure | undefined) | undefined
}

export const folderKey = new TextEncoder().encode("folder")

/** A set holds the event loop while it is formed: a few milliseconds for this many. */
const maxChanges = 1024
const maxSetBytes = 2_097_152
const maxQueuedBytes = 67_108_864
/** What a change may write beside its bytes: its own entry and the record of its topic, each with a split. */
const changeBytes = 16_384
/** What every set may write: roots, branches, the folder's record, the list of free pages. */
const setBytes = 1_048_576

/** How many changes fit into one set: at least one, else no more than there is room for. */
const fitting = (changes: ReadonlyArray<Change>, { toFree, toKeep }: Room): number => {
  let isRelief = true
  let count = 0
  let bytes = 0
  for (; count < changes.length && count < maxChanges && bytes < maxSetBytes; count++) {
    const change = changes[count]!
    isRelief &&= change.isRelief
    const cost = setBytes + bytes + change.size + (count + 1) * changeBytes
    if (count > 0 && cost > (isRelief ? toFree : toKeep).all) return count
    bytes += change.size
  }
  return count
}

export class Writer {
  /** As of the last set that was kept. */
  folder: FolderRecord
  /** Of all that is queued or under way. */
  queuedBytes = 0
  private queue: Array<Change> = []
  private isBusy = false
  private isScheduled = false
  private isClosed = false
  private reliefFirst = false
  private waiters: Array<() => void> = []
  private readonly environment: Environment
  private readonly options: WriterOptions
  private readonly form = (): void => {
    this.isScheduled = false
    if (!this.isBusy) this.next()
  }

  constructor(environment: Environment, folder: FolderRecord, options: WriterOptions) {
    this.environment = environment
    this.folder = folder
    this.options = options
  }

  get isPressed(): boolean {
    return this.queuedBytes > maxQueuedBytes
  }

  add(change: Change): void {
    if (this.isClosed) {
      setImmediate(() => change.failed("closed", undefined))
      return
    }
    this.queuedBytes += change.size
    this.queue.push(change)
    this.schedule()
  }

  /** Waits until a set has ended, or returns at once if there is nothing to do. */
  readonly settled: Effect.Effect<void> = Effect.callback((resume) => {
    if (!this.isBusy && this.queue.length === 0) resume(Effect.void)
    else this.waiters.push(() => resume(Effect.void))
  })

  /** Waits until all that was added is written or refused. */
  readonly idle: Effect.Effect<void> = Effect.suspend(() =>
    this.isBusy || this.queue.length > 0 ? Effect.andThen(this.settled, this.idle) : Effect.void
  )

  /** What is added from now on is refused; what was is still written. */
  close(): void {
    this.isClosed = true
  }

  private schedule(): void {
    if (this.isBusy || this.isScheduled) return
    this.isScheduled = true
    // What else comes in this turn of the event loop belongs to the same set.
    setImmediate(this.form)
  }

  private next(): void {
    if (this.queue.length === 0) return
    this.isBusy = true
    const room = this.environment.room()
    const taken = this.take(room)
    const set = new WriteSet({ ...this.folder })
    set.room = room
    set.isRelief = taken.every((change) => change.isRelief)
    const refused = taken.map((change) => this.prepare(set, change))
    for (const participant of set.participants) participant.finish(set)
    if (set.keys.length === 0) {
      this.end(set, taken, refused, undefined)
      return
    }
    set.put(this.environment.hub, folderKey, encodeFolder(set.folder))
    const fault = this.options.fault?.()
    const ended = (failure: Failure | undefined) => this.end(set, taken, refused, failure)
    if (fault !== undefined) setImmediate(ended, fault)
    else this.environment.commit(set, ended)
  }

  /** What makes the next set: what waits in order, or after there was no room what makes some. */
  private take(room: Room): ReadonlyArray<Change> {
    const { queue } = this
    const isFirst = (change: Change) => change.isRelief && change.isInOrder === undefined
    const relief = this.reliefFirst ? queue.filter(isFirst) : []
    this.reliefFirst = false
    const from = relief.length > 0 ? relief : queue
    const taken = from.slice(0, fitting(from, room))
    if (taken.length === queue.length) this.queue = []
    else if (from === queue) queue.splice(0, taken.length)
    else {
      const gone = new Set(taken)
      this.queue = queue.filter((change) => !gone.has(change))
    }
    return taken
  }

  private prepare(set: WriteSet, change: Change): Reason | undefined {
    const before = set.keys.length
    try {
      return change.prepare(set)
    } catch {
      set.truncate(before)
      return "io"
    }
  }

  private end(
    set: WriteSet,
    taken: ReadonlyArray<Change>,
    refused: ReadonlyArray<Reason | undefined>,
    failure: Failure | undefined
  ): void {
    for (const change of taken) this.queuedBytes -= change.size
    if (failure === undefined) this.folder = set.folder
    for (const each of set.participants) {
      if (failure === undefined) each.committed()
      else each.rolledBack()
    }
    // What could not even make room is tried again when it is time for it again.
    if (failure?.isFull && !set.isRelief) this.makeRoom(set)
    const all: Reason | undefined = failure === undefined ? undefined : failure.isFull ? "full" : "io"
    try {
      this.options.turn(() => {
        taken.forEach((change, index) => {
          const reason = refused[index] ?? all
          if (reason === undefined) change.done()
          else change.failed(reason, failure?.cause)
        })
      })
    } finally {
      this.goOn()
    }
  }

  private goOn(): void {
    this.isBusy = false
    if (this.queue.length > 0) this.schedule()
    const { waiters } = this
    this.waiters = []
    for (const wake of waiters) wake()
  }

  private makeRoom(set: WriteSet): void {
    this.reliefFirst = true
    for (const participant of set.participants) {
      const relief = participant.relief()
      if (relief === undefined) continue
      this.queuedBytes += relief.size
      this.queue.push(relief)
    }
  }
}
