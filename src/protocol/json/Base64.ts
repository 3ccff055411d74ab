/** Base64 between bytes and bytes. Reading takes the alphabet of URLs as well, and never throws. */

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
const letters = Uint8Array.from(alphabet, (letter) => letter.charCodeAt(0))
const padding = 0x3d

const none = 255
const values = new Uint8Array(256).fill(none)
letters.forEach((letter, value) => {
  values[letter] = value
})
values[0x2d] = 62
values[0x5f] = 63

/** Bytes of base64 that `length` bytes become. */
export const base64Length = (length: number): number => Math.ceil(length / 3) * 4

/** Writes `from[start, end)` at `at` of `to`, which has room for it. */
export const writeBase64 = (
  from: Uint8Array,
  start: number,
  end: number,
  to: Uint8Array,
  at: number
): void => {
  for (let i = start; i < end; i += 3) {
    const left = end - i
    const group = (from[i]! << 16) | ((left > 1 ? from[i + 1]! : 0) << 8) | (left > 2 ? from[i + 2]! : 0)
    to[at++] = letters[group >> 18]!
    to[at++] = letters[(group >> 12) & 63]!
    to[at++] = left > 1 ? letters[(group >> 6) & 63]! : padding
    to[at++] = left > 2 ? letters[group & 63]! : padding
  }
}

/** Padding may be left out; white space may not stand in it. Answers `undefined` for what is not base64. */
export const readBase64 = (from: Uint8Array, start: number, end: number): Uint8Array | undefined => {
  if ((end - start) % 4 === 0) {
    for (let i = 0; i < 2 && end > start && from[end - 1] === padding; i++) end--
  }
  const rest = (end - start) % 4
  if (rest === 1) return undefined
  const bytes = new Uint8Array(Math.floor(((end - start) * 3) / 4))
  let group = 0
  let bits = 0
  let at = 0
  for (let i = start; i < end; i++) {
    const value = values[from[i]!]!
    if (value === none) return undefined
    group = ((group << 6) | value) & 0xffffff
    bits += 6
    if (bits >= 8) {
      bits -= 8
      bytes[at++] = group >> bits
    }
  }
  return bytes
}
