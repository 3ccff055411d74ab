/** The JSON of batches, made once for all who wait for the same one. */
import type { Batch } from "../../protocol/Batch.ts"
import { encodePolled } from "../../protocol/json/DeliveryJson.ts"
import type { Texts } from "../../protocol/json/Texts.ts"
import { type EventRun, eventRun } from "./EventRun.ts"

/** Bytes of the events that are kept, all batches together. */
const maxRunBytes = 8 * 1_048_576

export class PolledTexts {
  /** A batch is handed to all its readers in one turn, so the last one is enough. */
  private last: { readonly batch: Batch; readonly texts: Texts } | undefined
  /** For longer: readers of event streams that are slow come for the same batch one after the other. */
  private runs = new WeakMap<Batch, EventRun>()
  private runBytes = 0

  of(batch: Batch, attempt = 0): Texts {
    if (attempt > 1) return encodePolled(batch, attempt)
    if (this.last?.batch === batch) return this.last.texts
    const texts = encodePolled(batch)
    const last = { batch, texts }
    this.last = last
    // It must not hold a batch that nobody waits for any more.
    queueMicrotask(() => {
      if (this.last === last) this.last = undefined
    })
    return texts
  }

  /** The same as events; kept no longer than the batch. */
  run(batch: Batch): EventRun {
    const known = this.runs.get(batch)
    if (known !== undefined) return known
    const run = eventRun(this.last?.batch === batch ? this.last.texts : encodePolled(batch))
    this.runBytes += run.reduce((sum, { bytes }) => sum + bytes.length, 0)
    if (this.runBytes > maxRunBytes) {
      this.runs = new WeakMap()
      this.runBytes = 0
    }
    this.runs.set(batch, run)
    return run
  }
}
