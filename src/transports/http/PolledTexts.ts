/** The JSON of batches, made once for all who wait for the same one. */
import type { Batch } from "../../protocol/Batch.ts"
import { encodePolled } from "../../protocol/json/DeliveryJson.ts"
import type { Texts } from "../../protocol/json/Texts.ts"

export class PolledTexts {
  /** A batch is handed to all its readers in one turn, so the last one is enough. */
  private last: { readonly batch: Batch; readonly texts: Texts } | undefined

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
}
