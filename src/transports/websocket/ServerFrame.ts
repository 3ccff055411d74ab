/**
 * The frames that a server sends, as bytes (RFC 6455). They are neither masked nor, here, compressed, so the same
 * bytes are right for every client: what goes to many is encoded once. Pure.
 */

/** With FIN: every message is one frame. */
export const Opcode = { text: 0x81, binary: 0x82, ping: 0x89 } as const

/** The header of a frame with `length` bytes of payload: 2, 4 or 10 bytes. */
export const frameHeader = (opcode: number, length: number): Buffer => {
  if (length < 126) return Buffer.from([opcode, length])
  if (length < 65_536) return Buffer.from([opcode, 126, length >>> 8, length & 255])
  const header = Buffer.alloc(10)
  header[0] = opcode
  header[1] = 127
  header.writeUIntBE(length, 4, 6)
  return header
}

/** A whole text frame. Lone surrogates become U+FFFD, so that the text is always UTF-8. */
export const textFrame = (text: string): Buffer => {
  const length = Buffer.byteLength(text)
  const header = frameHeader(Opcode.text, length)
  const frame = Buffer.allocUnsafeSlow(header.length + length)
  frame.set(header, 0)
  frame.write(text, header.length)
  return frame
}

/** A ping without a payload. */
export const pingFrame: Buffer = frameHeader(Opcode.ping, 0)
