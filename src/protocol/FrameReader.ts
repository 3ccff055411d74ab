/**
 * Splits a stream of bytes into frames, however the bytes were cut.
 *
 * `push` a chunk, then call `next` until it answers `false`; while it answers `true` the current frame is
 * `buffer[start, end)`, its length field included. A frame that lies whole in a chunk is not copied. A frame
 * that does not is gathered in a buffer that grows with the bytes that really came, so a frame that is only
 * announced costs nothing. After `error` is set nothing more is read.
 */
import { allocateBytes, copyBytes, readU32 } from "./Bytes.ts"

export type FrameReaderError = "frame-too-large" | "frame-too-short"

const lengthBytes = 4
/** The operation and the flags. */
const shortestFrame = 2
const firstHold = 4096
/** A frame of which this part has come has a buffer for all of it. */
const wholeFrom = 1 / 8

const nothing = new Uint8Array(0)

export class FrameReader {
  buffer: Uint8Array = nothing
  start = 0
  end = 0
  error: FrameReaderError | undefined

  private chunk: Uint8Array = nothing
  private position = 0
  private held: Uint8Array = nothing
  private heldLength = 0
  /** Bounds the bytes after the length field; may be changed between frames. */
  maxFrame: number

  /** `maxFrame` bounds the bytes after the length field. */
  constructor(maxFrame: number) {
    this.maxFrame = maxFrame
  }

  /** Bytes of an unfinished frame. */
  get pending(): number {
    return this.heldLength
  }

  /** The operation of the current frame. */
  get op(): number {
    return this.buffer[this.start + lengthBytes]!
  }

  push(chunk: Uint8Array): void {
    this.chunk = chunk
    this.position = 0
  }

  next(): boolean {
    if (this.error !== undefined) return false
    if (this.heldLength > 0) return this.nextHeld()
    const chunk = this.chunk
    const at = this.position
    const available = chunk.length - at
    let whole = 0
    if (available >= lengthBytes) {
      const length = readU32(chunk, at)
      if (!this.isAllowed(length)) return false
      whole = lengthBytes + length
      const end = at + whole
      if (end <= chunk.length) {
        this.buffer = chunk
        this.start = at
        this.end = end
        this.position = end
        return true
      }
    }
    if (available > 0) this.hold(available, whole)
    this.chunk = nothing
    this.position = 0
    return false
  }

  private isAllowed(length: number): boolean {
    if (length >= shortestFrame && length <= this.maxFrame) return true
    this.error = length < shortestFrame ? "frame-too-short" : "frame-too-large"
    this.chunk = nothing
    this.held = nothing
    return false
  }

  private nextHeld(): boolean {
    if (this.heldLength < lengthBytes) {
      this.hold(Math.min(lengthBytes - this.heldLength, this.chunk.length - this.position))
      if (this.heldLength < lengthBytes) return false
    }
    const length = readU32(this.held, 0)
    if (!this.isAllowed(length)) return false
    const whole = lengthBytes + length
    this.hold(Math.min(whole - this.heldLength, this.chunk.length - this.position), whole)
    if (this.heldLength < whole) return false
    this.buffer = this.held
    this.start = 0
    this.end = whole
    this.held = nothing
    this.heldLength = 0
    return true
  }

  /** Takes `length` bytes of the chunk, of a frame of `whole` bytes in all, or 0 if that is not known yet. */
  private hold(length: number, whole = 0): void {
    const needed = this.heldLength + length
    if (needed > this.held.length) {
      const doubled = Math.max(needed, this.held.length * 2, firstHold)
      const isMostThere = whole > 0 && needed >= whole * wholeFrom
      const grown = allocateBytes(isMostThere || (whole > 0 && whole < doubled) ? whole : doubled)
      copyBytes(this.held, 0, this.heldLength, grown, 0)
      this.held = grown
    }
    copyBytes(this.chunk, this.position, this.position + length, this.held, this.heldLength)
    this.heldLength = needed
    this.position += length
  }
}
