/**
 * The fields of a JSON object that a reader knows by name, typed. Others are skipped and cost nothing but the scan.
 *
 * A value of the wrong type sets `fault` and answers `undefined`, so that a reader takes all that it needs and checks
 * once. What is absent, `null` or `""` answers `undefined` without a fault: clients that send empty fields mean none.
 * Nothing throws.
 */
import { decodeText } from "../Bytes.ts"
import { maxClientId } from "./JsonLimits.ts"
import { type JsonScan, notJson, tooDeep } from "./JsonScan.ts"
import type { JsonCode, JsonFault } from "./Problem.ts"

const quote = 0x22
const backslash = 0x5c
const openList = 0x5b
const openObject = 0x7b
const letterF = 0x66
const letterN = 0x6e
const letterT = 0x74

/** Keys up to this length are looked at: no name that is known is longer. */
const longestKey = 64

/** The names that a reader knows. */
export type Names = ReadonlySet<string>

export const faultOf = (scanned: number): JsonFault =>
  scanned === tooDeep
    ? { code: "INVALID_JSON", message: "it is nested too deep" }
    : { code: "INVALID_JSON", message: "it is not valid JSON" }

/** The text of the string `bytes[start, end)`, quotes included, that was scanned. */
export const readText = (bytes: Uint8Array, start: number, end: number): string => {
  let text = ""
  // Most names are short and plain, and a decoder costs more than they do.
  if (end - start <= 26) {
    let at = start + 1
    for (; at < end - 1; at++) {
      const code = bytes[at]!
      if (code >= 0x80 || code === backslash) break
      text += String.fromCharCode(code)
    }
    if (at === end - 1) return text
  }
  text = decodeText(bytes.subarray(start, end)) ?? '""'
  if (!text.includes("\\")) return text.slice(1, -1)
  const parsed: unknown = JSON.parse(text)
  return typeof parsed === "string" ? parsed : ""
}

export class JsonFields {
  readonly bytes: Uint8Array
  readonly scan: JsonScan
  readonly depth: number
  fault: JsonFault | undefined
  private readonly starts = new Map<string, number>()
  private readonly ends = new Map<string, number>()

  constructor(bytes: Uint8Array, scan: JsonScan, depth: number) {
    this.bytes = bytes
    this.scan = scan
    this.depth = depth
  }

  /** Reads the object that fills `bytes[start, end)`, white space aside. Of two fields of one name the later counts. */
  static read(
    bytes: Uint8Array,
    start: number,
    end: number,
    names: Names,
    scan: JsonScan,
    depth = 0
  ): JsonFields | JsonFault {
    const fields = new JsonFields(bytes, scan, depth)
    const at = scan.space(bytes, start, end)
    if (at >= end || bytes[at] !== openObject) {
      const next = scan.whole(bytes, start, end)
      return next < 0 ? faultOf(next) : { code: "INVALID_JSON", message: "it is not a JSON object" }
    }
    const next = scan.object(bytes, at, end, depth, (keyStart, keyEnd, valueStart, valueEnd) => {
      if (keyEnd - keyStart > longestKey) return
      const key = readText(bytes, keyStart, keyEnd)
      if (!names.has(key)) return
      fields.starts.set(key, valueStart)
      fields.ends.set(key, valueEnd)
    })
    if (next < 0) return faultOf(next)
    return scan.space(bytes, next, end) === end ? fields : faultOf(notJson)
  }

  fail(code: JsonCode, message: string): undefined {
    this.fault ??= { code, message }
    return undefined
  }

  /** Where the value of the name begins; -1 if there is none. */
  startOf(name: string): number {
    return this.starts.get(name) ?? -1
  }

  endOf(name: string): number {
    return this.ends.get(name) ?? -1
  }

  /** The same, for values of which `null` is no value. */
  private given(name: string): number {
    const at = this.startOf(name)
    return at >= 0 && this.bytes[at] !== letterN ? at : -1
  }

  has(name: string): boolean {
    return this.given(name) >= 0
  }

  isText(name: string): boolean {
    const at = this.given(name)
    return at >= 0 && this.bytes[at] === quote
  }

  isObject(name: string): boolean {
    const at = this.given(name)
    return at >= 0 && this.bytes[at] === openObject
  }

  isList(name: string): boolean {
    const at = this.given(name)
    return at >= 0 && this.bytes[at] === openList
  }

  /** Text that UTF-8 can hold: without halves of surrogate pairs. */
  text(name: string): string | undefined {
    const at = this.given(name)
    if (at < 0) return undefined
    if (this.bytes[at] !== quote) return this.fail("BAD_REQUEST", `\`${name}\` must be a string`)
    const text = readText(this.bytes, at, this.endOf(name))
    if (!text.isWellFormed()) return this.fail("BAD_REQUEST", `\`${name}\` has half of a surrogate pair`)
    return text === "" ? undefined : text
  }

  /** The name under which a client's messages are kept. */
  clientId(): string | undefined {
    const id = this.text("client_id")
    if (id === undefined || id.length <= maxClientId) return id
    return this.fail("BAD_REQUEST", `\`client_id\` is longer than ${maxClientId} characters`)
  }

  number(name: string, minimum: number, maximum: number): number | undefined {
    const at = this.given(name)
    if (at < 0) return undefined
    const code = this.bytes[at]!
    const isNumber = code === 0x2d || (code >= 0x30 && code <= 0x39)
    const value = isNumber ? Number(decodeText(this.bytes.subarray(at, this.endOf(name)))) : Number.NaN
    if (value >= minimum && value <= maximum) return value
    return this.fail("BAD_REQUEST", `\`${name}\` must be a number from ${minimum} to ${maximum}`)
  }

  integer(name: string, minimum: number, maximum: number): number | undefined {
    const value = this.number(name, minimum, maximum)
    if (value === undefined || Number.isInteger(value)) return value
    return this.fail("BAD_REQUEST", `\`${name}\` must be a whole number`)
  }

  boolean(name: string): boolean | undefined {
    const at = this.given(name)
    if (at < 0) return undefined
    // It is JSON, so the first letter says which word it is.
    const letter = this.bytes[at]
    if (letter === letterT || letter === letterF) return letter === letterT
    return this.fail("BAD_REQUEST", `\`${name}\` must be true or false`)
  }

  object(name: string, names: Names): JsonFields | undefined {
    const at = this.given(name)
    if (at < 0) return undefined
    const read = JsonFields.read(this.bytes, at, this.endOf(name), names, this.scan, this.depth + 1)
    if (read instanceof JsonFields) return read
    return this.fail("BAD_REQUEST", `\`${name}\` must be an object`)
  }

  /** Strings, without those that were there before. Empty if there is no such field. */
  texts(name: string, most: number): ReadonlyArray<string> {
    const found = new Set<string>()
    const at = this.given(name)
    if (at < 0) return []
    if (this.bytes[at] !== openList) {
      this.fail("BAD_REQUEST", `\`${name}\` must be a list of strings`)
      return []
    }
    let count = 0
    this.scan.list(this.bytes, at, this.endOf(name), this.depth + 1, (start, end) => {
      if (++count > most || this.fault !== undefined) return
      const text = this.bytes[start] === quote ? readText(this.bytes, start, end) : undefined
      if (text?.isWellFormed() === true) found.add(text)
      else this.fail("BAD_REQUEST", `\`${name}\` must be a list of strings`)
    })
    if (count <= most) return [...found]
    this.fail("LIMIT_REACHED", `\`${name}\` has more than ${most} items`)
    return []
  }

  /** An object of strings by any names. */
  textMap(name: string, most: number): Readonly<Record<string, string>> | undefined {
    const at = this.given(name)
    if (at < 0) return undefined
    const refused = `\`${name}\` must be an object of strings, ${most} at most`
    if (this.bytes[at] !== openObject) return this.fail("BAD_REQUEST", refused)
    // No prototype, so `__proto__` is a name like any other.
    const map: Record<string, string> = Object.create(null)
    let count = 0
    this.scan.object(this.bytes, at, this.endOf(name), this.depth + 1, (keyStart, keyEnd, start, end) => {
      if (++count > most || this.fault !== undefined) return
      const key = readText(this.bytes, keyStart, keyEnd)
      const value = this.bytes[start] === quote ? readText(this.bytes, start, end) : undefined
      if (value?.isWellFormed() === true && key.isWellFormed()) map[key] = value
      else this.fail("BAD_REQUEST", refused)
    })
    if (count > most) this.fail("BAD_REQUEST", refused)
    return this.fault === undefined && count > 0 ? map : undefined
  }
}
