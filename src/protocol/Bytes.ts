/**
 * Numbers and strings in bytes, little endian, without views or copies.
 *
 * `ByteReader` never throws: reading past the end, or text that is not UTF-8, sets `failed` and answers a
 * zero value, so that a decoder reads a whole frame and checks once. `ByteWriter` grows as it is written to.
 */

/** 2^32: a 64-bit number is carried as two halves and is exact up to 2^53. */
const high = 4_294_967_296

export const readU16 = (bytes: Uint8Array, at: number): number => bytes[at]! | (bytes[at + 1]! << 8)

export const readU32 = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0

export const readU64 = (bytes: Uint8Array, at: number): number =>
  readU32(bytes, at) + readU32(bytes, at + 4) * high

export const writeU16 = (bytes: Uint8Array, at: number, value: number): void => {
  bytes[at] = value
  bytes[at + 1] = value >>> 8
}

export const writeU32 = (bytes: Uint8Array, at: number, value: number): void => {
  bytes[at] = value
  bytes[at + 1] = value >>> 8
  bytes[at + 2] = value >>> 16
  bytes[at + 3] = value >>> 24
}

export const writeU64 = (bytes: Uint8Array, at: number, value: number): void => {
  const upper = Math.floor(value / high)
  writeU32(bytes, at, value - upper * high)
  writeU32(bytes, at + 4, upper)
}

/**
 * Copies a range. A short one goes byte by byte, which is cheaper than a call into the runtime; the view is made
 * plainly, since a `Buffer` makes its own at several times the cost.
 */
export const copyBytes = (from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): void => {
  const length = end - start
  if (length <= 32) {
    for (let i = start; i < end; i++) to[at++] = from[i]!
  } else {
    to.set(new Uint8Array(from.buffer, from.byteOffset + start, length), at)
  }
}

/** Bytes that the caller will write before they are read: not cleared first where the runtime can do that. */
export const allocateBytes = (length: number): Uint8Array =>
  typeof Buffer === "undefined"
    ? new Uint8Array(length)
    : new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)

const encoder = new TextEncoder()
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

export const encodeText = (text: string): Uint8Array => encoder.encode(text)

/** Answers `undefined` for bytes that are not UTF-8. */
export const decodeText = (bytes: Uint8Array): string | undefined => {
  try {
    return strictDecoder.decode(bytes)
  } catch {
    return undefined
  }
}

/** A cursor over `bytes[at, end)`. */
export class ByteReader {
  readonly bytes: Uint8Array
  readonly end: number
  at: number
  failed = false

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes
    this.at = at
    this.end = end
  }

  private take(length: number): number {
    const at = this.at
    if (at + length > this.end) {
      this.failed = true
      this.at = this.end
      return -1
    }
    this.at = at + length
    return at
  }

  u8(): number {
    const at = this.take(1)
    return at < 0 ? 0 : this.bytes[at]!
  }

  u16(): number {
    const at = this.take(2)
    return at < 0 ? 0 : readU16(this.bytes, at)
  }

  u32(): number {
    const at = this.take(4)
    return at < 0 ? 0 : readU32(this.bytes, at)
  }

  /** A number above 2^53 - 1 cannot be held exactly and fails. */
  u64(): number {
    const at = this.take(8)
    if (at < 0) return 0
    const value = readU64(this.bytes, at)
    if (Number.isSafeInteger(value)) return value
    this.failed = true
    return 0
  }

  /** A view, not a copy. */
  view(length: number): Uint8Array {
    const at = this.take(length)
    return at < 0 ? new Uint8Array(0) : this.bytes.subarray(at, at + length)
  }

  text(length: number): string {
    const text = decodeText(this.view(length))
    if (text !== undefined) return text
    this.failed = true
    return ""
  }

  rest(): Uint8Array {
    return this.view(this.end - this.at)
  }
}

/** An append-only buffer that doubles when it is full. */
export class ByteWriter {
  bytes: Uint8Array
  at = 0

  constructor(capacity = 256) {
    this.bytes = new Uint8Array(capacity)
  }

  reserve(length: number): number {
    const at = this.at
    const needed = at + length
    if (needed > this.bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2))
      grown.set(this.bytes.subarray(0, at))
      this.bytes = grown
    }
    this.at = needed
    return at
  }

  u8(value: number): void {
    const at = this.reserve(1)
    this.bytes[at] = value
  }

  u16(value: number): void {
    const at = this.reserve(2)
    writeU16(this.bytes, at, value)
  }

  u32(value: number): void {
    const at = this.reserve(4)
    writeU32(this.bytes, at, value)
  }

  u64(value: number): void {
    const at = this.reserve(8)
    writeU64(this.bytes, at, value)
  }

  raw(bytes: Uint8Array): void {
    const at = this.reserve(bytes.length)
    this.bytes.set(bytes, at)
  }

  written(): Uint8Array {
    return this.bytes.subarray(0, this.at)
  }
}
