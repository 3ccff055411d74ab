/** A growing buffer of JSON: what is at hand as bytes is written as bytes, without a string in between. */
import { ByteWriter, copyBytes, encodeText } from "../Bytes.ts"
import { base64Length, writeBase64 } from "./Base64.ts"
import { utf8Length } from "./JsonScan.ts"

const quote = 0x22
const backslash = 0x5c
const hex = encodeText("0123456789abcdef")
/** The letters of the escapes that have one, by the control character; 0 where `\u` is needed. */
const short = new Uint8Array(32)
short[0x08] = 0x62
short[0x09] = 0x74
short[0x0a] = 0x6e
short[0x0c] = 0x66
short[0x0d] = 0x72

const longestEscape = 6

/** A text that is written again and again: where in the writer it stood first. */
export class Piece {
  readonly text: string
  start = -1
  end = -1

  constructor(text: string) {
    this.text = text
  }
}

export class JsonWriter extends ByteWriter {
  /** Text as it is. Most of it is plain, and short: an encoder and its array would cost more. */
  text(text: string): void {
    const start = this.reserve(text.length)
    const bytes = this.bytes
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      if (code >= 0x80) {
        this.at = start
        this.raw(encodeText(text))
        return
      }
      bytes[start + i] = code
    }
  }

  /** The text of the piece: from the second time on a copy within the buffer. What was written before must stand. */
  piece(piece: Piece): void {
    if (piece.start < 0) {
      piece.start = this.at
      this.text(piece.text)
      piece.end = this.at
    } else {
      const at = this.reserve(piece.end - piece.start)
      this.bytes.copyWithin(at, piece.start, piece.end)
    }
  }

  range(from: Uint8Array, start: number, end: number): void {
    const at = this.reserve(end - start)
    copyBytes(from, start, end, this.bytes, at)
  }

  /** A whole number from 0 to 2^53 - 1. */
  decimal(value: number): void {
    let length = 1
    for (let power = 10; power <= value && length < 16; power *= 10) length++
    const start = this.reserve(length)
    const bytes = this.bytes
    for (let at = start + length - 1; at >= start; at--) {
      const tenth = Math.floor(value / 10)
      bytes[at] = 0x30 + (value - tenth * 10)
      value = tenth
    }
  }

  /**
   * The UTF-8 text `from[start, end)` as a JSON string. Answers `false` if it is not UTF-8; nothing is written then.
   */
  string(from: Uint8Array, start: number, end: number): boolean {
    const before = this.at
    let at = this.reserve(end - start + 2)
    let to = this.bytes
    to[at++] = quote
    for (let i = start; i < end; i++) {
      const code = from[i]!
      if (code >= 0x20 && code < 0x80 && code !== quote && code !== backslash) {
        to[at++] = code
      } else if (code >= 0x80) {
        const length = utf8Length(from, i, end)
        if (length === 0) {
          this.at = before
          return false
        }
        for (let left = length; left > 0; left--) to[at++] = from[i++]!
        i--
      } else {
        this.at = at
        this.reserve(longestEscape + end - i)
        to = this.bytes
        at = writeEscape(to, at, code)
      }
    }
    to[at++] = quote
    this.at = at
    return true
  }

  /** `from[start, end)` in base64, as a JSON string. */
  base64(from: Uint8Array, start: number, end: number): void {
    this.u8(quote)
    const at = this.reserve(base64Length(end - start))
    writeBase64(from, start, end, this.bytes, at)
    this.u8(quote)
  }
}

const writeEscape = (to: Uint8Array, at: number, code: number): number => {
  to[at++] = backslash
  if (code >= 0x20) {
    to[at++] = code
  } else if (short[code] !== 0) {
    to[at++] = short[code]!
  } else {
    to[at++] = 0x75
    to[at++] = 0x30
    to[at++] = 0x30
    to[at++] = hex[code >> 4]!
    to[at++] = hex[code & 15]!
  }
  return at
}

/** The JSON of a value of ours, as bytes. */
export const encodeJson = (value: unknown): Uint8Array => encodeText(JSON.stringify(value))
