/**
 * The frames that a server sends, as bytes (RFC 6455). They are neither masked nor, here, compressed, so the same
 * bytes are right for every client: what goes to many is encoded once. Pure.
 */

/** With FIN: every message is one frame. */
export const Opcode = { text: 0x81, binary: 0x82, ping: 0x89 } as const

const longestHeader = 10

/** Bytes of the header of a frame with `length` bytes of payload. */
export const headerBytes = (length: number): number => (length < 126 ? 2 : length < 65_536 ? 4 : longestHeader)

/** Writes the header at `at`; the payload follows it. */
export const writeHeader = (to: Uint8Array, at: number, opcode: number, length: number): void => {
  to[at] = opcode
  if (length < 126) {
    to[at + 1] = length
    return
  }
  let digits = length < 65_536 ? 2 : 8
  to[at + 1] = digits === 2 ? 126 : 127
  for (let left = length; digits > 0; digits--) {
    to[at + 1 + digits] = left & 255
    left = Math.floor(left / 256)
  }
}

export const frameHeader = (opcode: number, length: number): Uint8Array => {
  const header = Buffer.allocUnsafe(headerBytes(length))
  writeHeader(header, 0, opcode, length)
  return header
}

/** A whole text frame. Lone surrogates become U+FFFD, so that a text is always UTF-8; bytes must be. */
export const textFrame = (text: string | Uint8Array): Uint8Array => {
  const length = typeof text === "string" ? Buffer.byteLength(text) : text.length
  const start = headerBytes(length)
  const frame = Buffer.allocUnsafe(start + length)
  writeHeader(frame, 0, Opcode.text, length)
  if (typeof text === "string") frame.write(text, start)
  else frame.set(text, start)
  return frame
}

/** The payloads of a run of whole text frames that were made here; of others among them, nothing. */
export function* payloadsOf(frames: Uint8Array): Generator<Uint8Array> {
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

/** A ping without a payload. */
export const pingFrame: Uint8Array = frameHeader(Opcode.ping, 0)
