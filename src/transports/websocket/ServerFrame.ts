/**
 * The frames that a server sends, as bytes (RFC 6455). They are neither masked nor, here, compressed, so the same
 * bytes are right for every client: what goes to many is encoded once. Pure.
 */
import { frameTexts } from "../../protocol/json/Texts.ts"

/** With FIN: every message is one frame. */
export const Opcode = { text: 0x81, binary: 0x82, ping: 0x89 } as const

/** The header of a frame with `length` bytes of payload. */
export const frameHeader = (opcode: number, length: number): Uint8Array => {
  if (length < 126) return Buffer.from([opcode, length])
  if (length < 65_536) return Buffer.from([opcode, 126, length >>> 8, length & 255])
  const header = Buffer.alloc(10)
  header[0] = opcode
  header[1] = 127
  header.writeUIntBE(length, 4, 6)
  return header
}

/** A whole text frame of UTF-8. */
export const textFrame = (text: Uint8Array): Uint8Array =>
  frameTexts({ bytes: text, ends: [text.length] }).bytes

/** A ping without a payload. */
export const pingFrame = (): Uint8Array => frameHeader(Opcode.ping, 0)

/** The payloads of a run of whole text frames; those of other frames among them are left out. */
export function* textsOf(frames: Uint8Array): Generator<Uint8Array> {
  let at = 0
  while (at < frames.length) {
    const short = frames[at + 1]!
    const digits = short < 126 ? 0 : short === 126 ? 2 : 8
    let length = digits === 0 ? short : 0
    for (let i = 0; i < digits; i++) length = length * 256 + frames[at + 2 + i]!
    const start = at + 2 + digits
    if (frames[at] === Opcode.text) yield frames.subarray(start, start + length)
    at = start + length
  }
}
