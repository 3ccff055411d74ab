/**
 * The LMDB environment of a folder, and how a set of changes is committed to it: off the main thread, all or nothing,
 * and flushed before it is said to be done. One set at a time.
 */
import { existsSync } from "node:fs"
import { constants } from "node:os"
import { join } from "node:path"
import { type Database, open, type RootDatabase } from "lmdb"
import { type Allowance, DiskRoom, type FileUse, freeBytes, type Room } from "./DiskRoom.ts"
import { dataFile } from "./PageCheck.ts"

export type Store = Database<Uint8Array, Uint8Array>

/** Why a set was not committed; it then left no trace. */
export interface Failure {
  /** No room on the disk, or no more is allowed. */
  readonly isFull: boolean
  /** Nothing can be written until the folder is opened again. */
  readonly isBroken: boolean
  readonly cause: unknown
}

/** A set of changes, in order. Values are taken by reference: they must not change until it is committed. */
export class ChangeSet {
  readonly stores: Array<Store> = []
  readonly keys: Array<Uint8Array> = []
  readonly values: Array<Uint8Array | undefined> = []
  /** Of the values that are removed. */
  freedBytes = 0
  /** Whether it frees room, and so may use what is kept back of it. */
  isRelief = false
  /** What it may come to, if that was asked already. */
  room: Room | undefined

  put(store: Store, key: Uint8Array, value: Uint8Array): void {
    this.add(store, key, value)
  }

  /** Of a value of so many bytes, if it is large. A key that is not there is no error. */
  remove(store: Store, key: Uint8Array, bytes = 0): void {
    this.freedBytes += bytes
    this.add(store, key, undefined)
  }

  /** Takes back what was added after there were so many. */
  truncate(length: number): void {
    this.stores.length = length
    this.keys.length = length
    this.values.length = length
  }

  private add(store: Store, key: Uint8Array, value: Uint8Array | undefined): void {
    this.stores.push(store)
    this.keys.push(key)
    this.values.push(value)
  }
}

/** Pages that a set needs whatever is in it: of the trees' roots and branches, and of the list of free pages. */
const leastPages = 192
/** What a page that becomes free takes in the list of them. */
const freePageBytes = 8
/** Pages of an entry: the one that it is on, and one more if that is split. */
const entryPages = 2
/** Of an entry that is removed beside the one before. */
const neighbourPages = 1 / 8

const binary = { encoding: "binary", keyEncoding: "binary" } as const

/** LMDB's own error numbers. */
const mapFull = -30_792
const panic = -30_795
const metaPages = 2
/** What the disk needs to have free for a new log, and for an error of the device not to be taken for a full disk. */
const littleRoom = 1_048_576

const fullErrors: ReadonlySet<number> = new Set([
  constants.errno.ENOSPC,
  constants.errno.EDQUOT,
  constants.errno.EFBIG,
  mapFull
])

export class Environment {
  readonly path: string
  readonly topics: Store
  readonly messages: Store
  readonly held: Store
  readonly state: Store
  readonly hub: Store
  private readonly root: RootDatabase<Uint8Array, Uint8Array>
  private readonly disk: DiskRoom
  /** The number with which the commit that is under way failed; 0 if it did not. */
  private status = 0
  private pageBytes = 0
  private ended: ((failure: Failure | undefined) => void) | undefined
  /** Nothing can be read or written until the folder is opened again. */
  isBroken = false

  /** Throws what LMDB throws. */
  constructor(path: string) {
    this.path = path
    this.disk = new DiskRoom(join(path, dataFile))
    if (!existsSync(join(path, dataFile)) && freeBytes(path) < littleRoom)
      throw new Error(`no room on the disk of ${path}`)
    this.root = open<Uint8Array, Uint8Array>({
      ...binary,
      path,
      noSubdir: false,
      // A commit is then over when it is flushed, and not before.
      overlappingSync: false,
      // Sets are made here; there is no need to gather more.
      eventTurnBatching: false,
      maxDbs: 8
    })
    this.topics = this.root.openDB("topics", binary)
    this.messages = this.root.openDB("messages", binary)
    this.held = this.root.openDB("held", binary)
    this.state = this.root.openDB("state", binary)
    this.hub = this.root.openDB("hub", binary)
    this.watchCommits()
  }

  /** What the next set may come to. Not while one is committed. */
  room(): Room {
    return this.disk.room(this.use)
  }

  /** Commits the set; `done` is called once, later. Not to be called again before that. */
  commit(set: ChangeSet, done: (failure: Failure | undefined) => void): void {
    if (this.isBroken) {
      setImmediate(done, this.failure(panic))
      return
    }
    if (!this.hasRoom(set)) {
      setImmediate(done, this.failure(constants.errno.ENOSPC))
      return
    }
    this.status = 0
    this.ended = done
    const { keys, stores, values } = set
    const written = this.root.batch(() => {
      for (let index = 0; index < keys.length; index++) {
        const value = values[index]
        if (value === undefined) stores[index]!.remove(keys[index]!)
        else stores[index]!.put(keys[index]!, value)
      }
    })
    written.then(
      () => this.end(undefined),
      (error: unknown) => {
        ignoreRejection(error)
        this.end(this.failure(this.status, error))
      }
    )
  }

  /** Waits for the commit that is under way. */
  async close(): Promise<void> {
    this.disk.close()
    // A transaction that could not even begin holds a lock for ever, which closing would wait for.
    if (!this.isBroken) await this.root.close()
  }

  private hasRoom(set: ChangeSet): boolean {
    const { toFree, toKeep } = set.room ?? this.room()
    const { all, runs } = set.isRelief ? toFree : toKeep
    if (all === Number.POSITIVE_INFINITY) return true
    const cost = this.costOf(set)
    return cost.all <= all && (cost.runs === 0 || cost.runs <= runs)
  }

  /** Bytes that committing the set may write, at most. */
  private costOf({ freedBytes, keys, stores, values }: ChangeSet): Allowance {
    const { messages, pageBytes } = this
    const freedPages = freedBytes / pageBytes + values.length
    let pages = leastPages + Math.ceil((freedPages * freePageBytes) / pageBytes)
    let runs = 0
    let wasRemoved = false
    values.forEach((value, index) => {
      const isRemoved = value === undefined && stores[index] === messages
      pages += isRemoved && wasRemoved ? neighbourPages : entryPages
      wasRemoved = isRemoved
      const bytes = value === undefined ? 0 : value.length + keys[index]!.length
      if (bytes > pageBytes / 3) runs += Math.ceil((bytes + 64) / pageBytes)
    })
    return { all: (pages + runs) * pageBytes, runs: runs * pageBytes }
  }

  private readonly use = (): FileUse => {
    const stats: unknown = this.root.getStats()
    const free: unknown = typeof stats === "object" && stats !== null ? Reflect.get(stats, "free") : undefined
    const stores = [this.topics, this.messages, this.held, this.state, this.hub]
    const used = stores.reduce((sum, store) => sum + pagesOf(store.getStats()), 0)
    this.pageBytes = numberOf(stats, "pageSize")
    return {
      pageBytes: this.pageBytes,
      lastPage: numberOf(stats, "lastPageNumber"),
      usedPages: metaPages + used + pagesOf(stats) + pagesOf(free)
    }
  }

  private end(failure: Failure | undefined): void {
    const ended = this.ended
    this.ended = undefined
    if (failure === undefined) this.root.resetReadTxn()
    ended?.(failure)
  }

  /**
   * The library tells the number of an error only in a promise of its own, prints it to the console, and says nothing
   * at all if a transaction cannot begin. So what the native side answers is looked at here.
   */
  private watchCommits(): void {
    const env: unknown = Reflect.get(this.root, "env")
    if (typeof env !== "object" || env === null) return
    const native: unknown = Reflect.get(env, "startWriting")
    if (typeof native !== "function") return
    const startWriting = (address: number, told: (status: number) => unknown): unknown =>
      Reflect.apply(native, env, [
        address,
        (status: number): unknown => {
          if (status === 0 || status === 1 || status === 2) return told(status)
          this.status = status
          // As after progress: what failed is settled, and nothing is printed.
          const answer = told(1)
          setImmediate(() => this.giveUp(status))
          return answer
        }
      ])
    Object.defineProperty(env, "startWriting", { value: startWriting, configurable: true })
  }

  /** Of a failed commit that was not even settled: its transaction could not begin. */
  private giveUp(status: number): void {
    if (this.ended === undefined) return
    this.isBroken = true
    this.end(this.failure(status))
  }

  private failure(status: number, cause?: unknown): Failure {
    const isFull =
      fullErrors.has(status) || (status === constants.errno.EIO && freeBytes(this.path) < littleRoom)
    if (status === panic) this.isBroken = true
    return {
      isFull,
      isBroken: this.isBroken,
      cause: status === 0 ? cause : new Error(`${isFull ? "no room" : "error"} (${status}) in ${this.path}`)
    }
  }
}

/** A number of the library's statistics, which have no types. */
const numberOf = (stats: unknown, name: string): number => {
  const value: unknown = typeof stats === "object" && stats !== null ? Reflect.get(stats, name) : undefined
  return typeof value === "number" ? value : 0
}

const pagesOf = (stats: unknown): number =>
  numberOf(stats, "treeBranchPageCount") +
  numberOf(stats, "treeLeafPageCount") +
  numberOf(stats, "overflowPages")

/** The library's error carries a promise, which rejects if nobody listens. */
const ignoreRejection = (error: unknown): void => {
  if (typeof error !== "object" || error === null) return
  const more: unknown = Reflect.get(error, "commitError")
  if (more instanceof Promise) more.catch(() => undefined)
}
