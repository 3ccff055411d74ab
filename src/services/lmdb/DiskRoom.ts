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
export interface Room {
  readonly toKeep: number
  /** What frees room may use what is kept back. */
  readonly toFree: number
}

/** With more than this free on the disk no set is refused. */
const plenty = 268_435_456
/** Room that is wanted behind the last page. */
const wanted = 33_554_432
/** Zeros hold the event loop while they are written: about two milliseconds for this many. */
const mostAtOnce = 4_194_304
/** Kept back so that retention and removals can always be written. */
const reserve = 4_194_304

export const boundless: Room = { toKeep: Number.POSITIVE_INFINITY, toFree: Number.POSITIVE_INFINITY }

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
    // Pages that are free within the file are used first, so what is behind it may be less.
    const freeWithin = Math.max(0, end - usedPages * pageBytes)
    return { toKeep: behind - reserve + Math.min(freeWithin / 4, reserve / 2), toFree: behind }
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
