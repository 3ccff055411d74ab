/**
 * Bytes that wait to be written, in order. Small ones are put together, so that there are few writes; a large one is
 * written as it is, without a copy, since others may have to write the same. Pure.
 */
import { encodeText } from "../../protocol/Bytes.ts"
import { Deque } from "../../protocol/Deque.ts"

/** Bytes from which on a piece is not copied. */
const large = 16_384

export class Pieces {
  /** Bytes in all. */
  length = 0
  private readonly pieces = new Deque<Uint8Array | string>()
  /** Bytes of the first piece that do not wait any more. */
  private taken = 0

  /** Bytes are not to be changed afterwards; a string is ASCII, and short. */
  add(piece: Uint8Array | string): void {
    this.pieces.push(piece)
    this.length += piece.length
  }

  addText(text: string): void {
    this.add(encodeText(text))
  }

  /** The next bytes to write, at most `max` of them, which is more than a small piece; none if nothing waits. */
  next(max: number): Uint8Array | undefined {
    const first = this.pieces.at(0)
    if (first === undefined) return undefined
    if (typeof first !== "string" && first.length >= large) return this.partOf(first, max)
    return this.together(max)
  }

  private partOf(piece: Uint8Array, max: number): Uint8Array {
    const part = piece.subarray(this.taken, this.taken + max)
    this.length -= part.length
    this.taken += part.length
    if (this.taken === piece.length) {
      this.pieces.shift()
      this.taken = 0
    }
    return part
  }

  /** The small pieces that are there, up to the next large one. */
  private together(max: number): Uint8Array {
    let length = 0
    let count = 0
    for (; count < this.pieces.length; count++) {
      const size = this.pieces.at(count)!.length
      if (count > 0 && (size >= large || length + size > max)) break
      length += size
    }
    const whole = Buffer.allocUnsafe(length)
    let at = 0
    for (; count > 0; count--) {
      const piece = this.pieces.shift()!
      if (typeof piece === "string") whole.write(piece, at, "latin1")
      else whole.set(piece, at)
      at += piece.length
    }
    this.length -= length
    return whole
  }
}
