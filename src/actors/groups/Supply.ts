/** How a lane's entries get their messages: from what was read of the log again, since a lane keeps none that it gave. */
import { type Batch, sliceBatch } from "../../protocol/Batch.ts"
import type { Order } from "../../protocol/Position.ts"
import type { Entry, Slot } from "./Entry.ts"
import type { Pending } from "./Pending.ts"
import { forEachSingle } from "./SingleMessages.ts"

/** As `Lane.supply` says. */
export const supply = <M>(slots: Pending<M>, order: Order, entry: Entry<M>, batch: Batch): number => {
  const slot = slots.find(entry)
  const end = batch.offset + batch.count
  if (slot === undefined || slot.state !== "ready" || slot.batch !== undefined || end <= slot.offset) return 0
  const lost = batch.offset > slot.offset ? slots.drop(slot, slot.offset, batch.offset) : 0
  supplyFrom(slots, order, slot.offset, batch)
  return lost
}

/** Gives ready entries that have none the messages that the batch has of them, from the offset `from` on. */
export const supplyFrom = <M>(slots: Pending<M>, order: Order, from: number, batch: Batch): void => {
  const end = batch.offset + batch.count
  for (const each of slots.within(Math.max(from, batch.offset), end)) {
    if (each.state !== "ready" || each.batch !== undefined) continue
    if (end < each.end) slots.split(each, end)
    const own = each.offset < batch.offset ? slots.split(each, batch.offset) : each
    const isWhole = own.offset === batch.offset && own.end === end
    const part = isWhole ? batch : sliceBatch(batch, own.offset - batch.offset, own.end - batch.offset)
    fill(slots, order, own, part)
  }
}

/** The batch is exactly what the slot has none of. */
const fill = <M>(slots: Pending<M>, order: Order, slot: Slot<M>, batch: Batch): void => {
  if (order === "any") {
    slots.update(slot, () => {
      slot.batch = batch
      slot.priority = batch.priority
    })
    return
  }
  let left = slot
  forEachSingle(batch, (single, key) => {
    const own = left
    if (own.count > single.count) left = slots.split(own, single.offset + single.count)
    slots.update(own, () => {
      own.batch = single
      own.priority = single.priority
      own.key = key
      own.isKeyKnown = true
    })
  })
}
