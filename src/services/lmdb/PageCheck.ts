/**
 * Whether the pages of the tree in an LMDB file hang together, as far as they lead to entries: a page that does not
 * would end the process when it is used, since the library trusts what it maps. Values that have pages of their own
 * are not looked at: their checksum is, when they are read.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs"
import { join } from "node:path"
import { readU16, readU32, readU64 } from "../../protocol/Bytes.ts"

/** Where LMDB keeps everything. */
export const dataFile = "data.mdb"

const headerBytes = 24
const magic = 0xbeefc0de
const metaFlag = 8
const branchFlag = 1
const leafFlag = 2
/** Values on pages of their own, and databases in the main one. */
const bigFlag = 1
const subFlag = 2
const nodeBytes = 8
const databaseBytes = 48
const noPage = 2 ** 64
/** No tree is deeper. */
const deepest = 32
const largestPage = 65_536

interface Meta {
  readonly pageSize: number
  readonly lastPage: number
  readonly transaction: number
  /** Where the records of the free pages and of the main database begin in the page. */
  readonly page: Uint8Array
}

export interface FileState {
  readonly bytes: number
  /** What the file should have at least, unless its last pages are free. */
  readonly expectedBytes: number
  /** What is wrong, in words. */
  readonly damage: string | undefined
}

const readAt = (file: number, at: number, length: number): Uint8Array => {
  const bytes = new Uint8Array(length)
  const read = readSync(file, bytes, 0, length, at)
  return bytes.subarray(0, read)
}

const metaOf = (page: Uint8Array): Meta | undefined => {
  if (page.length < 168 || (readU16(page, 18) & metaFlag) === 0 || readU32(page, 24) !== magic)
    return undefined
  const pageSize = readU32(page, 48)
  if (pageSize < 512 || pageSize > largestPage || (pageSize & (pageSize - 1)) !== 0) return undefined
  return { pageSize, lastPage: readU64(page, 144), transaction: readU64(page, 152), page }
}

const newestMeta = (file: number): Meta | undefined => {
  const first = metaOf(readAt(file, 0, 168))
  if (first === undefined) return undefined
  const second = metaOf(readAt(file, first.pageSize, 168))
  return second !== undefined && second.transaction > first.transaction ? second : first
}

class Walk {
  damage: string | undefined
  private readonly file: number
  private readonly meta: Meta
  private readonly fileBytes: number

  constructor(file: number, meta: Meta, fileBytes: number) {
    this.file = file
    this.meta = meta
    this.fileBytes = fileBytes
  }

  database(bytes: Uint8Array, at: number, isMain: boolean): void {
    const root = readU64(bytes, at + 40)
    const depth = readU16(bytes, at + 6)
    if (root >= noPage) return
    if (depth > deepest) this.fail(`a tree says it is ${depth} deep`)
    else this.page(root, depth, isMain)
  }

  private fail(what: string): void {
    this.damage ??= what
  }

  private page(number: number, depth: number, isMain: boolean): void {
    if (this.damage !== undefined) return
    const { lastPage, pageSize } = this.meta
    if (number < 2 || number > lastPage || (number + 1) * pageSize > this.fileBytes) {
      this.fail(`page ${number} is not in the file`)
      return
    }
    const page = readAt(this.file, number * pageSize, pageSize)
    const expected = depth > 1 ? branchFlag : leafFlag
    // A page that seems to be of a later transaction would be written to where it is mapped.
    const isOfLater = readU64(page, 8) > this.meta.transaction
    if (
      readU64(page, 0) !== number ||
      isOfLater ||
      (readU16(page, 18) & (branchFlag | leafFlag)) !== expected
    ) {
      this.fail(`page ${number} is not what it should be`)
      return
    }
    const lower = readU16(page, 20)
    const upper = readU16(page, 22)
    if (lower > upper || upper > pageSize - headerBytes || (lower & 1) !== 0 || lower === 0) {
      this.fail(`page ${number} has impossible bounds`)
      return
    }
    for (let index = 0; index < lower >> 1 && this.damage === undefined; index++) {
      const node = readU16(page, headerBytes + index * 2) + headerBytes
      if (node < upper + headerBytes || node + nodeBytes > pageSize)
        this.fail(`page ${number} has an impossible entry`)
      else if (depth > 1) this.child(page, node, depth, isMain)
      else this.leaf(page, number, node, isMain)
    }
  }

  private child(page: Uint8Array, node: number, depth: number, isMain: boolean): void {
    const number = readU32(page, node) + readU16(page, node + 4) * 2 ** 32
    if (node + nodeBytes + readU16(page, node + 6) > page.length) this.fail("a branch has an impossible key")
    else this.page(number, depth - 1, isMain)
  }

  private leaf(page: Uint8Array, number: number, node: number, isMain: boolean): void {
    const size = readU32(page, node)
    const flags = readU16(page, node + 4)
    const data = node + nodeBytes + readU16(page, node + 6)
    const isBig = (flags & bigFlag) !== 0
    if (data + (isBig ? headerBytes : size) > page.length || (flags & ~(bigFlag | subFlag)) !== 0) {
      this.fail(`page ${number} has an impossible entry`)
      return
    }
    if (isBig) {
      const first = readU64(page, data)
      const pages = Math.ceil((size + headerBytes) / this.meta.pageSize)
      const last = first + pages - 1
      if (
        readU64(page, data + 16) !== pages ||
        first < 2 ||
        last > this.meta.lastPage ||
        (last + 1) * this.meta.pageSize > this.fileBytes
      )
        this.fail(`page ${number} has a value that is not in the file`)
    } else if (isMain && (flags & subFlag) !== 0 && size >= databaseBytes) {
      this.database(page, data, false)
    }
  }
}

/** Reads every page that leads to an entry: about a second for ten million of them. Throws what reading does. */
export const checkPages = (folder: string): FileState | undefined => {
  let file: number
  try {
    file = openSync(join(folder, dataFile), "r")
  } catch {
    return undefined
  }
  try {
    const bytes = fstatSync(file).size
    if (bytes === 0) return undefined
    const meta = newestMeta(file)
    if (meta === undefined) return { bytes, expectedBytes: 0, damage: "it does not begin as it should" }
    const walk = new Walk(file, meta, bytes)
    walk.database(meta.page, 48, false)
    walk.database(meta.page, 96, true)
    return { bytes, expectedBytes: (meta.lastPage + 1) * meta.pageSize, damage: walk.damage }
  } finally {
    closeSync(file)
  }
}
