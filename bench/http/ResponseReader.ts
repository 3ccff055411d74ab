/** HTTP/1.1 as the load generator reads it: answers by their length or in chunks, from bytes that are split anywhere. */

/** Told of one connection's answers in order. The bytes are only valid during the call. */
export interface Reading {
  /** Part of an answer's body, between `from` and `to`. */
  readonly body?: (bytes: Uint8Array, from: number, to: number) => void
  /** An answer has come to its end. */
  readonly end: (status: number) => void
}

const LF = 10

/** Reads what it is given, chunk by chunk. Throws on what is no HTTP, or has no length. */
export class ResponseReader {
  readonly #reading: Reading
  /** The head, or the line of a chunk's size, as far as it has come. */
  #line = ""
  #status = 0
  /** Bytes of the body, or of the chunk and its line's end, that are to come; -1 within a head or a size's line. */
  #left = -1
  #isChunked = false
  #isLast = false

  constructor(reading: Reading) {
    this.#reading = reading
  }

  push(bytes: Uint8Array, length: number): void {
    let at = 0
    while (at < length) {
      if (this.#left < 0) at = this.#readLine(bytes, at, length)
      else at = this.#readBody(bytes, at, length)
    }
  }

  #readBody(bytes: Uint8Array, at: number, length: number): number {
    const taken = Math.min(this.#left, length - at)
    this.#left -= taken
    // The two bytes after a chunk are not its own.
    const own = this.#isChunked ? Math.min(taken, Math.max(0, this.#left + taken - 2)) : taken
    if (own > 0) this.#reading.body?.(bytes, at, at + own)
    if (this.#left === 0) {
      if (!this.#isChunked || this.#isLast) this.#finish()
      else this.#left = -1
    }
    return at + taken
  }

  /** To the end of a head, or of the line with a chunk's size. */
  #readLine(bytes: Uint8Array, at: number, length: number): number {
    const isSize = this.#isChunked
    let end = at
    while (end < length) {
      const found = bytes.indexOf(LF, end)
      if (found < 0 || found >= length) break
      end = found + 1
      if (isSize || isHeadEnd(bytes, found, this.#line)) {
        this.#line += latin1(bytes, at, end)
        if (isSize) this.#size()
        else this.#head()
        return end
      }
    }
    this.#line += latin1(bytes, at, length)
    return length
  }

  #head(): void {
    const head = this.#line
    this.#line = ""
    this.#status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1])
    const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(head)?.[1]
    this.#isLast = false
    this.#isChunked = length === undefined && /\r\ntransfer-encoding: *chunked\r\n/i.test(head)
    if (Number.isNaN(this.#status) || (length === undefined && !this.#isChunked))
      throw new Error(`no answer of HTTP: ${head.slice(0, 100)}`)
    if (this.#isChunked) return
    this.#left = Number(length)
    if (this.#left === 0) this.#finish()
  }

  #size(): void {
    const size = Number.parseInt(this.#line, 16)
    this.#line = ""
    if (Number.isNaN(size)) throw new Error("a chunk without a size")
    this.#isLast = size === 0
    this.#left = size + 2
  }

  #finish(): void {
    this.#left = -1
    this.#isChunked = false
    this.#reading.end(this.#status)
  }
}

const latin1 = (bytes: Uint8Array, from: number, to: number): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString("latin1")

/** Whether the line feed ends an empty line; `before` is what came in earlier chunks. */
const isHeadEnd = (bytes: Uint8Array, lineFeed: number, before: string): boolean => {
  const third = lineFeed - 2
  if (third >= 0) return bytes[third] === LF
  const text = before + latin1(bytes, 0, lineFeed + 1)
  return text.endsWith("\r\n\r\n")
}
