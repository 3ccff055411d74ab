/**
 * Room on the disk, taken before LMDB writes into it. LMDB 3.5.6 of the npm registry formats the error of a write that
 * found no room into a buffer that is too small for it, which ends the process sooner or later (`mdb_page_flush` in its
 * `mdb.c`). So on a disk that is nearly full zeros are written behind the last page first, by us: if there is no room
 * for them we are told so, and a set that would not fit is refused before LMDB sees it. Where plenty is free nothing is
 * done. File systems that copy on write (btrfs, zfs) may still have no room where there was some.
 */
import { closeSync, openSync, statfsSync, writeSync } from "node:fs"

/** Of the file, as of the last commit. */
export interface FileUse {
  readonly pageBytes: number
  readonly lastPage: number
  /** Pages that hold something. */
  readonly usedPages: number
}

/** Bytes that the pages of a set may come to, at most. */
export interface Allowance {
  readonly all: number
  /** Of values that need several pages in a row: among those that are free within the file there may be none. */
  readonly runs: number
}

export interface Room {
  readonly toKeep: Allowance
  /** What frees room may use what is kept back. */
  readonly toFree: Allowance
}

/** With more than this free on the disk no set is refused. */
const plenty = 268_435_456
/** Room that is wanted behind the last page. */
const wanted = 33_554_432
/** Zeros hold the event loop while they are written: about four milliseconds for this many. */
const mostAtOnce = 8_388_608
/** Of bytes that are free within the file. */
const manyWithin = 33_554_432
/** Kept back so that retention and removals can always be written. */
const reserve = 4_194_304

const everything: Allowance = { all: Number.POSITIVE_INFINITY, runs: Number.POSITIVE_INFINITY }
export const boundless: Room = { toKeep: everything, toFree: everything }

/** Bytes that are free for this process on the file system of the path; infinite if it cannot be said. */
export const freeBytes = (path: string): number => {
  try {
    const { bavail, bsize } = statfsSync(path)
    return bavail * bsize
  } catch {
    return Number.POSITIVE_INFINITY
  }
}

export class DiskRoom {
  private readonly path: string
  private file: number | undefined
  /** Everything before this byte has its place on the disk. */
  private takenTo = 0
  /** The last time there was less than was wanted. What an earlier life took is there though nothing is free. */
  private isShort = false

  /** `path` is LMDB's data file, which has to be there when `room` is asked for. */
  constructor(path: string) {
    this.path = path
  }

  /** Takes some more room if the disk is nearly full, and answers how much there is. Not while a set is committed. */
  room(use: () => FileUse): Room {
    const free = freeBytes(this.path)
    if (free > plenty) return boundless
    const { lastPage, pageBytes, usedPages } = use()
    const end = (lastPage + 1) * pageBytes
    this.takenTo = Math.max(this.takenTo, end)
    this.take(Math.min(end + wanted - this.takenTo, mostAtOnce, this.isShort ? free : mostAtOnce))
    const behind = this.takenTo - end
    // Pages that are free within the file are used first. Those that the last sets freed are not free yet.
    const within = Math.max(0, end - usedPages * pageBytes) / 2
    // Where that many are free, some are in a row.
    const inRows = within < manyWithin ? 0 : within / 16
    const keptOfRuns = reserve - Math.min(within / 2, reserve / 2)
    return {
      toKeep: { all: behind + within - reserve, runs: Math.max(behind - keptOfRuns, inRows) },
      toFree: { all: behind + within, runs: Math.max(behind, inRows) }
    }
  }

  close(): void {
    if (this.file !== undefined) closeSync(this.file)
    this.file = undefined
  }

  private take(bytes: number): void {
    if (bytes <= 0) return
    const before = this.takenTo
    try {
      this.file ??= openSync(this.path, "r+")
      this.takenTo += writeSync(this.file, new Uint8Array(bytes), 0, bytes, before)
    } catch {
      // There is no more.
    }
    this.isShort = this.takenTo < before + bytes
  }
}
