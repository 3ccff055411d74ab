/**
 * The frames of deliveries, made once for a batch and a dialect, whoever gets them: what was made lately is kept, in a
 * bounded cache, since subscribers that were slow or far behind in the turn come for it later.
 */
import type { Batch } from "../../protocol/Batch.ts"
import type { Dialect } from "../../protocol/json/ClientJson.ts"
import { encodeEvents, encodeMessages } from "../../protocol/json/DeliveryJson.ts"
import { frameTexts } from "../../protocol/json/Texts.ts"
import { FrameRun } from "./FrameRun.ts"

/** Of the frames, and of the buffers that the batches lie in, each counted with each batch in it. */
const maxBytes = 33_554_432

class Memo {
  private readonly runs = new Map<Batch, FrameRun>()
  private bytes = 0
  private lastBatch: Batch | undefined
  private lastRun: FrameRun | undefined

  get(batch: Batch): FrameRun | undefined {
    return batch === this.lastBatch ? this.lastRun : this.runs.get(batch)
  }

  set(batch: Batch, run: FrameRun): void {
    this.lastBatch = batch
    this.lastRun = run
    this.runs.set(batch, run)
    this.bytes += run.length + batch.bytes.buffer.byteLength
    while (this.bytes > maxBytes) this.forgetSome()
  }

  /** The older half: what a batch was counted with may have changed since, so nothing is counted off. */
  private forgetSome(): void {
    let left = Math.ceil(this.runs.size / 2)
    this.bytes /= 2
    for (const oldest of this.runs.keys()) {
      if (left-- === 0) break
      this.runs.delete(oldest)
    }
  }

  clear(): void {
    this.runs.clear()
    this.bytes = 0
    this.lastBatch = undefined
    this.lastRun = undefined
  }
}

export class EventFrames {
  private readonly memos: { readonly [D in Dialect]: Memo } = { event: new Memo(), message: new Memo() }
  /** How many batches were encoded. */
  encoded = 0

  /** `attempt` is above 1 for what a group delivers again: that is told, and not kept. */
  of(batch: Batch, dialect: Dialect, attempt: number): FrameRun {
    if (attempt > 1) return this.make(batch, dialect, attempt)
    const memo = this.memos[dialect]
    const known = memo.get(batch)
    if (known !== undefined) return known
    const run = this.make(batch, dialect, attempt)
    memo.set(batch, run)
    return run
  }

  /** To be called now and then: nothing is kept for long. */
  clear(): void {
    this.memos.event.clear()
    this.memos.message.clear()
  }

  private make(batch: Batch, dialect: Dialect, attempt: number): FrameRun {
    this.encoded++
    const texts = dialect === "event" ? encodeEvents(batch) : encodeMessages(batch, attempt)
    return new FrameRun(frameTexts(texts).bytes)
  }
}
