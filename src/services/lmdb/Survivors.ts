/** Writing a batch anew with some of its messages only. Pure. */
import { ByteWriter, readU32 } from "../../protocol/Bytes.ts"
import { endPublish, PublishHeader, readPublish } from "../../protocol/Publish.ts"

/** Messages that stand one after the other. */
export interface Run {
  /** The first, counted from the first of the batch that is not left out. */
  readonly index: number
  readonly count: number
  /** PUBLISH frames that hold them and nothing else. */
  readonly bytes: Uint8Array
}

class RunWriter {
  private readonly runs: Array<Run> = []
  private writer = new ByteWriter()
  private index = 0
  private count = 0
  /** Where the frame that is written begins; -1 if there is none. */
  private frame = -1
  private inFrame = 0

  add(index: number, header: Uint8Array, record: Uint8Array): void {
    if (this.count === 0) this.index = index
    if (this.frame < 0) {
      this.frame = this.writer.at
      this.writer.raw(header)
    }
    this.writer.raw(record)
    this.inFrame++
    this.count++
  }

  endFrame(): void {
    if (this.frame >= 0) endPublish(this.writer, this.frame, this.inFrame)
    this.frame = -1
    this.inFrame = 0
  }

  endRun(): void {
    if (this.count === 0) return
    this.endFrame()
    this.runs.push({ index: this.index, count: this.count, bytes: this.writer.written().slice() })
    this.writer = new ByteWriter()
    this.count = 0
  }

  end(): ReadonlyArray<Run> {
    this.endRun()
    return this.runs
  }
}

/**
 * The messages of the PUBLISH frames in `bytes` that `isKept` says, without the first `skip`. Their frames' headers and
 * their own bytes stay as they are. The frames must be whole.
 */
export const survivors = (
  bytes: Uint8Array,
  skip: number,
  isKept: ReadonlyArray<boolean>
): ReadonlyArray<Run> => {
  const writer = new RunWriter()
  const header = new PublishHeader()
  let index = -skip
  for (let start = 0; start < bytes.length; ) {
    const end = start + 4 + readU32(bytes, start)
    if (!readPublish(bytes, start, end, header)) break
    const head = bytes.subarray(start, header.records)
    let at = header.records
    for (let left = header.count; left > 0; left--) {
      const next = at + 4 + readU32(bytes, at)
      if (index >= 0 && isKept[index] === true) writer.add(index, head, bytes.subarray(at, next))
      else writer.endRun()
      index++
      at = next
    }
    writer.endFrame()
    start = end
  }
  return writer.end()
}
