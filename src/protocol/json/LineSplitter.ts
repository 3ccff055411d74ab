/**
 * Newline-delimited JSON as it comes in: chunks of any cut in, whole lines out, as soon as each is whole. It keeps no
 * more than one line, and of a line that is too long nothing.
 */

/** A line without its end, or that there was one that is too long. A line may be a view of the chunk that it came in. */
export type Line = Uint8Array | "too-long"

const lineFeed = 0x0a

/** Lines of nothing but white space are none. */
const isBlank = (bytes: Uint8Array, start: number, end: number): boolean => {
  for (let i = start; i < end; i++) {
    const code = bytes[i]!
    if (code !== 0x20 && code !== 0x09 && code !== 0x0d) return false
  }
  return true
}

export class LineSplitter {
  private readonly maxLineBytes: number
  private kept: Uint8Array = new Uint8Array(0)
  private used = 0
  private isTooLong = false
  /** Lines that have ended, blank ones too. */
  private ended = 0
  /** Of the lines that were answered last, which lines of the input they are, from 1. */
  numbers: ReadonlyArray<number> = []

  constructor(maxLineBytes: number) {
    this.maxLineBytes = maxLineBytes
  }

  /** The lines that end in this chunk. A line that is too long is answered once, when it ends. */
  push(chunk: Uint8Array): ReadonlyArray<Line> {
    const lines: Array<Line> = []
    const numbers: Array<number> = []
    let start = 0
    for (;;) {
      const end = chunk.indexOf(lineFeed, start)
      if (end < 0) break
      this.line(chunk, start, end, lines)
      this.ended++
      if (lines.length > numbers.length) numbers.push(this.ended)
      start = end + 1
    }
    this.keep(chunk, start, chunk.length)
    this.numbers = numbers
    return lines
  }

  /** The line that the input ended in, if any. Then the splitter is as new. */
  finish(): ReadonlyArray<Line> {
    const lines: Array<Line> = []
    this.line(this.kept, 0, 0, lines)
    this.numbers = lines.map(() => this.ended + 1)
    this.ended = 0
    return lines
  }

  private line(chunk: Uint8Array, start: number, end: number, lines: Array<Line>): void {
    const isWhole = this.used === 0 && !this.isTooLong
    if (!isWhole) this.keep(chunk, start, end)
    const bytes = isWhole ? chunk.subarray(start, end) : this.kept.subarray(0, this.used)
    if (this.isTooLong || bytes.length > this.maxLineBytes) lines.push("too-long")
    else if (!isBlank(bytes, 0, bytes.length)) lines.push(bytes)
    // A line that was put together is given away with its bytes.
    if (this.used > 0) this.kept = new Uint8Array(0)
    this.used = 0
    this.isTooLong = false
  }

  private keep(chunk: Uint8Array, start: number, end: number): void {
    const length = this.used + end - start
    if (this.isTooLong || length === 0) return
    if (length > this.maxLineBytes) {
      this.isTooLong = true
      this.used = 0
      this.kept = new Uint8Array(0)
      return
    }
    if (length > this.kept.length) {
      const grown = new Uint8Array(Math.min(this.maxLineBytes, Math.max(1024, length * 2)))
      grown.set(this.kept.subarray(0, this.used))
      this.kept = grown
    }
    this.kept.set(chunk.subarray(start, end), this.used)
    this.used = length
  }
}
