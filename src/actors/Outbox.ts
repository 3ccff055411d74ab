/**
 * What a connection is about to write: frames one after the other. Small ones are copied together, since each
 * write is the dearest thing on the path; large bodies are written from where they are.
 */
import type { Batch } from "../protocol/Batch.ts"
import { allocateBytes, ByteWriter, copyBytes } from "../protocol/Bytes.ts"
import { deliverHeaderBytes, writeDeliverHeader } from "../protocol/Deliver.ts"
import { type Frame, writeFrame } from "../protocol/Frame.ts"

/** Enough for all that one read of a socket, 64 KB, brings a subscriber, headers included. */
const stageBytes = 131_072
/** Bodies up to this size are copied. */
const smallBody = 4096
/** Bytes that are not to wait for the turn's end. */
const much = 262_144
/** The same for those that were copied, so that they fit what is used again. */
const muchCopied = stageBytes - 2 * smallBody

export class Outbox {
  /** Bytes that wait to be written. */
  bytes = 0
  private stage: Uint8Array = new Uint8Array(0)
  private from = 0
  private used = 0
  private chunks: Array<Uint8Array> = []
  private readonly writer = new ByteWriter(256)

  deliver(session: number, subscription: number, batch: Batch, attempt: number): void {
    const size = batch.end - batch.start
    this.bytes += deliverHeaderBytes + size
    if (size <= smallBody) {
      const at = this.reserve(deliverHeaderBytes + size)
      writeDeliverHeader(this.stage, at, session, subscription, batch, attempt)
      copyBytes(batch.bytes, batch.start, batch.end, this.stage, at + deliverHeaderBytes)
      return
    }
    const at = this.reserve(deliverHeaderBytes)
    writeDeliverHeader(this.stage, at, session, subscription, batch, attempt)
    this.seal()
    this.chunks.push(batch.bytes.subarray(batch.start, batch.end))
  }

  control(frame: Frame): void {
    const writer = this.writer
    writer.at = 0
    writeFrame(writer, frame)
    const at = this.reserve(writer.at)
    copyBytes(writer.bytes, 0, writer.at, this.stage, at)
    this.bytes += writer.at
  }

  /** Whether there is so much that it is to be written at once. */
  get isFull(): boolean {
    return this.bytes >= much || this.used - this.from > muchCopied
  }

  /** All that waits, in order; the outbox is empty afterwards. */
  take(): ReadonlyArray<Uint8Array> {
    this.seal()
    const chunks = this.chunks
    this.chunks = []
    this.bytes = 0
    return chunks
  }

  /**
   * What was taken is copied, so its memory may be written to again. Without this a busy connection makes 64 KB of
   * garbage for each few hundred messages, and V8 answers such with marking the whole heap again and again.
   */
  reuse(): void {
    if (this.bytes > 0 || this.stage.length > stageBytes) return
    this.from = 0
    this.used = 0
  }

  private reserve(length: number): number {
    if (this.used + length > this.stage.length) {
      this.seal()
      // A connection that writes little holds little: the stage begins small.
      const size = Math.min(stageBytes, Math.max(1024, this.stage.length * 4))
      this.stage = allocateBytes(Math.max(size, length))
      this.from = 0
      this.used = 0
    }
    const at = this.used
    this.used = at + length
    return at
  }

  private seal(): void {
    if (this.used === this.from) return
    this.chunks.push(this.stage.subarray(this.from, this.used))
    this.from = this.used
  }
}
