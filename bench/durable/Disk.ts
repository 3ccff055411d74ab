/** What the durable figures of a machine depend on: where the data is, and what a flush costs there. */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { median } from "../Statistics.ts"

// The file system's type, as Linux numbers it.
const TMPFS = 0x01_02_19_94
const FLUSHES = 50
const BLOCK = Buffer.alloc(4096)

/** The median time in milliseconds to append 4 KB to a file and flush it. */
const flushMs = (): number => {
  const directory = mkdtempSync(join(tmpdir(), "polestar-bench-"))
  const file = openSync(join(directory, "flush"), "w")
  try {
    const times = Array.from({ length: FLUSHES }, () => {
      const started = performance.now()
      writeSync(file, BLOCK)
      fdatasyncSync(file)
      return performance.now() - started
    })
    return median(times)
  } finally {
    closeSync(file)
    rmSync(directory, { recursive: true, force: true })
  }
}

/** A line for the report. In memory a flush costs nothing, and the figures would mean nothing. */
export const describeDisk = (): string =>
  statfsSync(tmpdir()).type === TMPFS
    ? "IN MEMORY (tmpfs): set TMPDIR to a directory of a disk"
    : `in the temporary directory (TMPDIR); 4 KB written and flushed there: ${flushMs().toFixed(2)} ms`
