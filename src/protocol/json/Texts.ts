/** Texts one after the other in one buffer, each of which is a line of JSON: made once and shared by all who get them. */

export interface Texts {
  readonly bytes: Uint8Array
  /** Where each text ends; the first begins at 0, each other where the one before it ends. */
  readonly ends: ReadonlyArray<number>
}

export const noTexts: Texts = { bytes: new Uint8Array(0), ends: [] }

export const textStart = (texts: Texts, index: number): number => (index === 0 ? 0 : texts.ends[index - 1]!)

/** Final text frame of a WebSocket, from the server. */
const textOpcode = 0x81
const headerBytes = (length: number): number => (length < 126 ? 2 : length < 65_536 ? 4 : 10)

/**
 * All texts as WebSocket text frames (RFC 6455), one after the other. A server's frames are not masked, so, without
 * compression, the same bytes go to every client, in one write.
 */
export const frameTexts = (texts: Texts): Texts => {
  let size = 0
  let start = 0
  for (const end of texts.ends) {
    size += headerBytes(end - start) + end - start
    start = end
  }
  const bytes = new Uint8Array(size)
  let at = 0
  start = 0
  const ends = texts.ends.map((end) => {
    at = writeHeader(bytes, at, end - start)
    bytes.set(texts.bytes.subarray(start, end), at)
    at += end - start
    start = end
    return at
  })
  return { bytes, ends }
}

const writeHeader = (to: Uint8Array, at: number, length: number): number => {
  to[at++] = textOpcode
  if (length < 126) {
    to[at++] = length
  } else if (length < 65_536) {
    to[at++] = 126
    to[at++] = length >>> 8
    to[at++] = length
  } else {
    // Zeros for the upper half of the 64 bits: no text is that long.
    to[at++] = 127
    at += 4
    for (let shift = 24; shift >= 0; shift -= 8) to[at++] = length >>> shift
  }
  return at
}
