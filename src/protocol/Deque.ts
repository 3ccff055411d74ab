/** A queue in a circular array: constant time at both ends, and no work or memory for what has left. */
export class Deque<A> {
  private items: Array<A | undefined> = new Array(8)
  private head = 0
  private size = 0

  get length(): number {
    return this.size
  }

  push(item: A): void {
    if (this.size === this.items.length) this.grow()
    this.items[(this.head + this.size) & (this.items.length - 1)] = item
    this.size++
  }

  unshift(item: A): void {
    if (this.size === this.items.length) this.grow()
    this.head = (this.head - 1) & (this.items.length - 1)
    this.items[this.head] = item
    this.size++
  }

  shift(): A | undefined {
    if (this.size === 0) return undefined
    const item = this.items[this.head]
    this.items[this.head] = undefined
    this.head = (this.head + 1) & (this.items.length - 1)
    this.size--
    if (this.size === 0 && this.items.length > 1024) this.clear()
    return item
  }

  at(index: number): A | undefined {
    return index < 0 || index >= this.size
      ? undefined
      : this.items[(this.head + index) & (this.items.length - 1)]
  }

  /** Also gives back the memory of a long queue. */
  clear(): void {
    this.items = new Array(8)
    this.head = 0
    this.size = 0
  }

  private grow(): void {
    const grown = new Array<A | undefined>(this.items.length * 2)
    for (let i = 0; i < this.size; i++) grown[i] = this.items[(this.head + i) & (this.items.length - 1)]
    this.items = grown
    this.head = 0
  }
}
