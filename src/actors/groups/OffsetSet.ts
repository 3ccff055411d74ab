/** A set of offsets, kept as ranges; and as text, so that it can outlive the hub. */
import { Schema } from "effect"
import { decodeText, encodeText } from "../../protocol/Bytes.ts"

const RangesSchema = Schema.fromJsonString(
  Schema.Struct({
    epoch: Schema.Number,
    ranges: Schema.Array(Schema.Tuple([Schema.Number, Schema.Number]))
  })
)
const decode = Schema.decodeUnknownOption(RangesSchema)

export class OffsetSet {
  /** Of the log that the offsets are of. */
  epoch: number
  /** In order, apart from each other; the second of each is exclusive. */
  private ranges: Array<readonly [from: number, to: number]> = []

  constructor(epoch: number) {
    this.epoch = epoch
  }

  /** What `encode` answered; empty if it is not that. */
  static decode(bytes: Uint8Array): OffsetSet {
    const decoded = decode(decodeText(bytes))
    const set = new OffsetSet(decoded._tag === "Some" ? decoded.value.epoch : 0)
    if (decoded._tag === "Some") for (const [from, to] of decoded.value.ranges) set.add(from, to)
    return set
  }

  encode(): Uint8Array {
    return encodeText(JSON.stringify({ epoch: this.epoch, ranges: this.ranges }))
  }

  has(offset: number): boolean {
    const range = this.ranges[this.search(offset)]
    return range !== undefined && range[0] <= offset
  }

  add(from: number, to: number): void {
    if (to <= from) return
    // Those that touch it become one with it.
    const first = this.search(from - 1)
    let last = first
    while (last < this.ranges.length && this.ranges[last]![0] <= to) last++
    const begin = Math.min(from, this.ranges[first]?.[0] ?? from)
    const end = Math.max(to, this.ranges[last - 1]?.[1] ?? to)
    this.ranges.splice(first, last - first, last > first ? [begin, end] : [from, to])
  }

  /** The first range that ends after `offset`. */
  private search(offset: number): number {
    let low = 0
    let high = this.ranges.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.ranges[middle]![1] > offset) high = middle
      else low = middle + 1
    }
    return low
  }

  /** Forgets the offsets before `offset`. */
  forget(offset: number): void {
    if ((this.ranges[0]?.[0] ?? offset) >= offset) return
    this.ranges = this.ranges
      .filter(([, to]) => to > offset)
      .map(([from, to]) => [Math.max(from, offset), to] as const)
  }

  /** How many there are from `from` to before `to`. */
  countIn(from: number, to: number): number {
    return this.ranges.reduce(
      (sum, range) => sum + Math.max(0, Math.min(range[1], to) - Math.max(range[0], from)),
      0
    )
  }
}
