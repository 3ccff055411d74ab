/** Entries that may be delivered now: the most urgent first, and of one priority in the order of the log. */
import { byOffset, type Slot } from "./Entry.ts"
import { SortedList } from "./SortedList.ts"

export class ReadyEntries<M> {
  private readonly lists: Array<SortedList<Slot<M>> | undefined> = []
  /** Bit n is set if there are any of priority n. */
  private used = 0

  get first(): Slot<M> | undefined {
    return this.used === 0 ? undefined : this.lists[31 - Math.clz32(this.used)]!.first
  }

  add(slot: Slot<M>): void {
    const { priority } = slot
    let list = this.lists[priority]
    if (list === undefined) {
      list = new SortedList<Slot<M>>(byOffset)
      while (this.lists.length <= priority) this.lists.push(undefined)
      this.lists[priority] = list
    }
    list.add(slot)
    this.used |= 1 << priority
  }

  /** With the priority that it had when it was added. */
  remove(slot: Slot<M>): void {
    const list = this.lists[slot.priority]
    if (list === undefined) return
    list.remove(slot)
    if (list.size === 0) this.used &= ~(1 << slot.priority)
  }
}
