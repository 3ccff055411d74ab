/**
 * Some entries of a topic, in order, so that an offset is found without walking from the beginning. What is not
 * marked is reached from the mark before it.
 */
export class Landmarks {
  private offsets: Array<number> = []
  private addresses: Array<number> = []
  private head = 0

  /** The offset of the first mark; 0 if there is none, since the first entry of a topic is never marked. */
  get first(): number {
    return this.offsets[this.head] ?? 0
  }

  push(offset: number, address: number): void {
    this.offsets.push(offset)
    this.addresses.push(address)
  }

  /** Forgets the marks before `offset`. */
  dropBefore(offset: number): void {
    const { offsets } = this
    while (this.head < offsets.length && offsets[this.head]! < offset) this.head++
    if (this.head * 2 < offsets.length) return
    this.offsets = offsets.slice(this.head)
    this.addresses = this.addresses.slice(this.head)
    this.head = 0
  }

  /** The address of the last mark at or before `offset`. */
  before(offset: number): number | undefined {
    return this.addresses[this.search((index) => this.offsets[index]! <= offset)]
  }

  /** The last of those from the first on for which `holds`, which is true for some and then false. */
  last(holds: (address: number) => boolean): number | undefined {
    return this.addresses[this.search((index) => holds(this.addresses[index]!))]
  }

  /** The entry at `offset`, if it is marked, has another address now. */
  move(offset: number, from: number, to: number): void {
    const index = this.search((each) => this.offsets[each]! <= offset)
    if (this.addresses[index] === from) this.addresses[index] = to
  }

  /** The last index for which `holds`; one before the first mark if there is none. */
  private search(holds: (index: number) => boolean): number {
    let low = this.head
    let high = this.offsets.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (holds(middle)) low = middle + 1
      else high = middle
    }
    return low > this.head ? low - 1 : -1
  }
}
