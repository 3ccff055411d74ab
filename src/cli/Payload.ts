/**
 * Payloads at a shell: what bytes are marked as when they are published, and how they are shown. Pure.
 */
import { Result } from "effect"
import { decodeText } from "../protocol/Bytes.ts"
import { jsonContentType, octetsContentType, textContentType } from "../protocol/Message.ts"
import type { PayloadCodec } from "../sdk/PayloadCodec.ts"
import type { Paint } from "./Output.ts"

export type PayloadKind = "json" | "text" | "binary"

const contentTypes = { json: jsonContentType, text: textContentType, binary: octetsContentType }

/** Bytes as they are, under a content type; what arrives is not decoded. */
export const codecOf = (kind: PayloadKind): PayloadCodec<Uint8Array> => ({
  contentType: contentTypes[kind],
  encode: Result.succeed,
  decode: Result.succeed
})

/** JSON if it parses, else text if it is UTF-8, else binary: the bytes are the same, only what they are called. */
export const guessKind = (payload: Uint8Array): PayloadKind => {
  const text = decodeText(payload)
  return text === undefined ? "binary" : isJson(text) ? "json" : "text"
}

/** Whether the bytes are what they are to be called. */
export const isKind = (kind: PayloadKind, payload: Uint8Array): boolean => {
  if (kind === "binary") return true
  const text = decodeText(payload)
  return text !== undefined && (kind === "text" || isJson(text))
}

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const isJsonType = (contentType: string): boolean =>
  contentType === jsonContentType || contentType.endsWith("+json")

/**
 * The members `payload` and, where it is needed, `encoding` of a JSON object: a value if the content type is JSON,
 * a string if it is text, and base64 otherwise, or if the payload is not what it says. A value is passed on as it
 * was written, so that no digit is lost.
 */
export const payloadMembers = (payload: Uint8Array, contentType: string): string => {
  const text = isJsonType(contentType) || contentType.startsWith("text/") ? decodeText(payload) : undefined
  if (text !== undefined && !isJsonType(contentType)) return `"payload":${JSON.stringify(text)}`
  if (text !== undefined && isJson(text)) return `"payload":${text.trim().replace(/[\r\n]+/g, " ")}`
  return `"payload":"${toBase64(payload)}","encoding":"base64"`
}

/** For a person: the text, or base64 if it is none. A terminal is not sent what could control it. */
export const payloadText = (payload: Uint8Array, isTerminal: boolean, paint: Paint): string => {
  const text = decodeText(payload)
  if (text === undefined) return paint("dim", `base64:${toBase64(payload)}`)
  return isTerminal ? text.replace(/[^\P{Cc}\n\t]/gu, "\u{FFFD}") : text
}

const toBase64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64")

const newline = 10

/**
 * Cuts chunks into lines, without their ends (`\n` or `\r\n`); a last line needs none. No line is longer than
 * `limit` bytes: then `push` answers `undefined`.
 */
export class LineSplitter {
  private readonly limit: number
  private held: Array<Uint8Array> = []
  private heldBytes = 0

  constructor(limit: number) {
    this.limit = limit
  }

  push(chunk: Uint8Array): ReadonlyArray<Uint8Array> | undefined {
    const lines: Array<Uint8Array> = []
    let start = 0
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      if (!this.hold(chunk.subarray(start, end))) return undefined
      lines.push(this.take())
      start = end + 1
    }
    return this.hold(chunk.subarray(start)) ? lines : undefined
  }

  /** The last line, if it had no end. */
  end(): ReadonlyArray<Uint8Array> {
    return this.heldBytes === 0 ? [] : [this.take()]
  }

  private hold(part: Uint8Array): boolean {
    this.heldBytes += part.length
    if (part.length > 0) this.held.push(part)
    return this.heldBytes <= this.limit
  }

  private take(): Uint8Array {
    const line = this.held.length === 1 ? this.held[0]! : Buffer.concat(this.held)
    this.held = []
    this.heldBytes = 0
    return line.at(-1) === 13 ? line.subarray(0, -1) : line
  }
}
