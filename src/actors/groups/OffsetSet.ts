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
    return this.ranges.some(([from, to]) => from <= offset && offset < to)
  }

  add(from: number, to: number): void {
    if (to <= from) return
    const apart = this.ranges.filter((range) => range[1] < from || range[0] > to)
    const touching = this.ranges.filter((range) => range[1] >= from && range[0] <= to)
    const first = Math.min(from, ...touching.map((range) => range[0]))
    const last = Math.max(to, ...touching.map((range) => range[1]))
    this.ranges = [...apart, [first, last] as const].sort((a, b) => a[0] - b[0])
  }

  /** Forgets the offsets before `offset`. */
  forget(offset: number): void {
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
