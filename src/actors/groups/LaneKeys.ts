/**
 * Order "key": of the pending messages of a key the first one may be delivered, and only while no other one is with
 * a member. So two of them are never with members at once, even when an earlier one came back by hand. What is parked
 * is not here: it blocks nobody.
 */
import { byOffset, type Slot } from "./Entry.ts"
import type { ReadyEntries } from "./ReadyEntries.ts"
import { SortedList } from "./SortedList.ts"

class KeyQueue<M> {
  readonly slots = new SortedList<Slot<M>>(byOffset)
  flying = 0
  /** The one that stands in the ready entries. */
  offered: Slot<M> | undefined = undefined
}

export class LaneKeys<M> {
  private readonly queues = new Map<string, KeyQueue<M>>()
  private readonly ready: ReadyEntries<M>

  constructor(ready: ReadyEntries<M>) {
    this.ready = ready
  }

  /** To be followed by `settle`, like `leave`. */
  enter(key: string, slot: Slot<M>): void {
    let queue = this.queues.get(key)
    if (queue === undefined) {
      queue = new KeyQueue()
      this.queues.set(key, queue)
    }
    queue.slots.add(slot)
    if (slot.state === "flying") queue.flying++
  }

  /** While it still has the state in which it entered. */
  leave(key: string, slot: Slot<M>): void {
    const queue = this.queues.get(key)
    if (queue === undefined) return
    queue.slots.remove(slot)
    if (slot.state === "flying") queue.flying--
    if (queue.offered !== slot) return
    this.ready.remove(slot)
    queue.offered = undefined
  }

  settle(key: string): void {
    const queue = this.queues.get(key)
    if (queue === undefined) return
    const first = queue.slots.first
    if (first === undefined) {
      this.queues.delete(key)
      return
    }
    const free = queue.flying === 0 && first.state === "ready" ? first : undefined
    if (free === queue.offered) return
    if (queue.offered !== undefined) this.ready.remove(queue.offered)
    queue.offered = free
    if (free !== undefined) this.ready.add(free)
  }
}
