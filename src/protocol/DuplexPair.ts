/**
 * Two ends of a stream of bytes in memory: what one writes the other is given, in a microtask. An end that is
 * paused makes the other's `write` answer `false` once more than `highWater` bytes wait.
 */
import { Deque } from "./Deque.ts"
import type { Duplex, DuplexListeners } from "./Duplex.ts"

const highWater = 1_048_576

class End implements Duplex {
  readonly transport = "memory"
  readonly peer = "memory"
  readonly copies = false
  private other: End | undefined
  private listeners: DuplexListeners | undefined
  private readonly incoming = new Deque<Uint8Array>()
  private waiting = 0
  private scheduled = false
  private paused = false
  private ending = false
  private closed = false
  private pressed = false

  connect(other: End): void {
    this.other = other
  }

  readonly write = (chunks: ReadonlyArray<Uint8Array>): boolean => {
    const other = this.other
    if (this.closed || this.ending || other === undefined) return true
    for (const chunk of chunks) {
      other.incoming.push(chunk)
      other.waiting += chunk.length
    }
    other.schedule()
    if (other.waiting <= highWater) return true
    this.pressed = true
    return false
  }

  readonly pending = (): number => this.other?.waiting ?? 0
  readonly pause = (): void => {
    this.paused = true
  }
  readonly resume = (): void => {
    this.paused = false
    this.schedule()
  }
  readonly end = (): void => {
    this.ending = true
    this.other?.schedule()
    this.schedule()
  }
  readonly destroy = (): void => {
    this.incoming.clear()
    this.waiting = 0
    this.ending = true
    this.close()
    this.other?.schedule()
  }
  readonly listen = (listeners: DuplexListeners): void => {
    this.listeners = listeners
    this.schedule()
  }

  private schedule(): void {
    if (this.scheduled || this.closed) return
    this.scheduled = true
    queueMicrotask(() => {
      this.scheduled = false
      this.deliver()
    })
  }

  private deliver(): void {
    if (this.closed || this.listeners === undefined) return
    while (!this.paused && !this.closed) {
      const chunk = this.incoming.shift()
      if (chunk === undefined) break
      this.waiting -= chunk.length
      this.listeners.onData(chunk)
    }
    const other = this.other
    if (other?.pressed === true && this.waiting <= highWater) {
      other.pressed = false
      other.listeners?.onDrain()
    }
    const drained = this.incoming.length === 0
    if (drained && other?.ending === true) this.close()
    else if (this.ending && other?.incoming.length === 0) this.close()
  }

  private close(): void {
    if (this.closed) return
    this.closed = true
    this.listeners?.onClose(undefined)
    this.other?.schedule()
  }
}

/** The two ends; each is given what the other writes. */
export const duplexPair = (): readonly [Duplex, Duplex] => {
  const left = new End()
  const right = new End()
  left.connect(right)
  right.connect(left)
  return [left, right]
}
