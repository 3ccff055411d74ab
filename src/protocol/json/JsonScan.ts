/**
 * JSON as bytes, without making values of it: where a value ends, and whether it is JSON at all.
 *
 * It takes exactly what `JSON.parse` takes of the same bytes as UTF-8, to a bounded depth; nothing throws, and nothing
 * is allocated. So a payload is checked once and then passed on as the bytes it came as: numbers keep their digits,
 * and a key like `__proto__` is nothing but text.
 */

/** Objects and lists within one another. Readers in other languages often recurse, so what the hub passes on is no deeper. */
export const maxJsonDepth = 128

/** What a scan answers instead of an end. */
export const notJson = -1
export const tooDeep = -2

/** Called for each field of an object: the key with its quotes, and the value. */
export type OnField = (keyStart: number, keyEnd: number, valueStart: number, valueEnd: number) => void
/** Called for each item of a list. */
export type OnItem = (start: number, end: number) => void

/** The length of the UTF-8 sequence of two bytes or more at `at`; 0 if it is not one. */
export const utf8Length = (bytes: Uint8Array, at: number, end: number): number => {
  const first = bytes[at]!
  const length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0
  if (length === 0 || at + length > end) return 0
  // Not longer than needed, no half of a surrogate pair, not above U+10FFFF: all are told by the second byte.
  const second = bytes[at + 1]!
  const least = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80
  const most = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf
  if (second < least || second > most) return 0
  for (let i = 2; i < length; i++) if ((bytes[at + i]! & 0xc0) !== 0x80) return 0
  return length
}

const quote = 0x22
const comma = 0x2c
const colon = 0x3a
const backslash = 0x5c
const openList = 0x5b
const closeList = 0x5d
const openObject = 0x7b
const closeObject = 0x7d

const isDigit = (code: number | undefined): boolean => code !== undefined && code >= 0x30 && code <= 0x39

const isHex = (code: number): boolean =>
  (code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x46) || (code >= 0x61 && code <= 0x66)

/** After a backslash: `"`, `\`, `/`, `b`, `f`, `n`, `r`, `t`; `u` aside. */
const isEscape = (code: number): boolean =>
  code === quote ||
  code === backslash ||
  code === 0x2f ||
  code === 0x62 ||
  code === 0x66 ||
  code === 0x6e ||
  code === 0x72 ||
  code === 0x74

export class JsonScan {
  /** Whether a line break stood between tokens since this was last set to false. There can be none anywhere else. */
  sawLineBreak = false
  private readonly maxDepth: number

  constructor(maxDepth = maxJsonDepth) {
    this.maxDepth = maxDepth
  }

  /** Whether `bytes[start, end)` is one JSON value, with or without white space around it: `end`, or what is wrong. */
  whole(bytes: Uint8Array, start: number, end: number): number {
    const next = this.value(bytes, this.space(bytes, start, end), end, 0)
    if (next < 0) return next
    return this.space(bytes, next, end) === end ? end : notJson
  }

  /** The first byte from `at` that is no white space. */
  space(bytes: Uint8Array, at: number, end: number): number {
    for (; at < end; at++) {
      const code = bytes[at]!
      if (code > 0x20) break
      if (code === 0x0a || code === 0x0d) this.sawLineBreak = true
      else if (code !== 0x20 && code !== 0x09) break
    }
    return at
  }

  /** The end of the value that begins at `at`, within `depth` others. */
  value(bytes: Uint8Array, at: number, end: number, depth: number): number {
    if (at >= end) return notJson
    switch (bytes[at]!) {
      case quote:
        return this.string(bytes, at, end)
      case openObject:
        return this.object(bytes, at, end, depth)
      case openList:
        return this.list(bytes, at, end, depth)
      case 0x74:
        return literal(bytes, at, end, 0x72, 0x75, 0x65)
      case 0x6e:
        return literal(bytes, at, end, 0x75, 0x6c, 0x6c)
      case 0x66:
        return bytes[at + 1] === 0x61 ? literal(bytes, at + 1, end, 0x6c, 0x73, 0x65) : notJson
      default:
        return number(bytes, at, end)
    }
  }

  /** The end of the object at `at`; each of its fields is given to `onField` once its value was found to be one. */
  object(bytes: Uint8Array, at: number, end: number, depth: number, onField?: OnField): number {
    if (depth >= this.maxDepth) return tooDeep
    at = this.space(bytes, at + 1, end)
    if (bytes[at] === closeObject && at < end) return at + 1
    for (;;) {
      if (at >= end || bytes[at] !== quote) return notJson
      const keyStart = at
      const keyEnd = this.string(bytes, at, end)
      if (keyEnd < 0) return keyEnd
      at = this.space(bytes, keyEnd, end)
      if (at >= end || bytes[at] !== colon) return notJson
      const valueStart = this.space(bytes, at + 1, end)
      const valueEnd = this.value(bytes, valueStart, end, depth + 1)
      if (valueEnd < 0) return valueEnd
      if (onField !== undefined) onField(keyStart, keyEnd, valueStart, valueEnd)
      at = this.space(bytes, valueEnd, end)
      if (at >= end) return notJson
      if (bytes[at] === closeObject) return at + 1
      if (bytes[at] !== comma) return notJson
      at = this.space(bytes, at + 1, end)
    }
  }

  /** The end of the list at `at`; each of its items is given to `onItem`. */
  list(bytes: Uint8Array, at: number, end: number, depth: number, onItem?: OnItem): number {
    if (depth >= this.maxDepth) return tooDeep
    at = this.space(bytes, at + 1, end)
    if (bytes[at] === closeList && at < end) return at + 1
    for (;;) {
      const itemEnd = this.value(bytes, at, end, depth + 1)
      if (itemEnd < 0) return itemEnd
      if (onItem !== undefined) onItem(at, itemEnd)
      at = this.space(bytes, itemEnd, end)
      if (at >= end) return notJson
      if (bytes[at] === closeList) return at + 1
      if (bytes[at] !== comma) return notJson
      at = this.space(bytes, at + 1, end)
    }
  }

  private string(bytes: Uint8Array, at: number, end: number): number {
    for (at++; at < end; at++) {
      const code = bytes[at]!
      if (code === quote) return at + 1
      if (code < 0x20) return notJson
      if (code === backslash) {
        at = escapeEnd(bytes, at, end) - 1
        if (at < 0) return notJson
      } else if (code >= 0x80) {
        const length = utf8Length(bytes, at, end)
        if (length === 0) return notJson
        at += length - 1
      }
    }
    return notJson
  }
}

/** The end of the escape whose backslash is at `at`; -1 if it is none. */
const escapeEnd = (bytes: Uint8Array, at: number, end: number): number => {
  if (at + 1 >= end) return -1
  const code = bytes[at + 1]!
  if (isEscape(code)) return at + 2
  if (code !== 0x75 || at + 6 > end) return -1
  for (let i = at + 2; i < at + 6; i++) if (!isHex(bytes[i]!)) return -1
  return at + 6
}

/** The end of a word whose first letter is at `at`, by its other three. */
const literal = (bytes: Uint8Array, at: number, end: number, a: number, b: number, c: number): number =>
  at + 4 <= end && bytes[at + 1] === a && bytes[at + 2] === b && bytes[at + 3] === c ? at + 4 : notJson

const digits = (bytes: Uint8Array, at: number, end: number): number => {
  while (at < end && isDigit(bytes[at])) at++
  return at
}

const number = (bytes: Uint8Array, at: number, end: number): number => {
  if (bytes[at] === 0x2d) at++
  if (at >= end) return notJson
  const whole = bytes[at] === 0x30 ? at + 1 : digits(bytes, at, end)
  if (whole === at) return notJson
  at = whole
  if (at < end && bytes[at] === 0x2e) {
    const fraction = digits(bytes, at + 1, end)
    if (fraction === at + 1) return notJson
    at = fraction
  }
  if (at < end && (bytes[at]! | 0x20) === 0x65) {
    at++
    if (at < end && (bytes[at] === 0x2b || bytes[at] === 0x2d)) at++
    const exponent = digits(bytes, at, end)
    return exponent === at ? notJson : exponent
  }
  return at
}
