import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { maxIntervals, ResumePoint } from "../../../src/sdk/engine/ResumePoint.ts"

/** The same by plain sets of offsets; of one topic. */
class Naive {
  private epoch = 0
  private floor = 0
  private begun = false
  private known: Set<number> | undefined

  receive(epoch: number, offset: number, count: number, urgent: boolean): Array<number> {
    if (this.known === undefined || this.epoch !== epoch) this.reset(epoch, offset, false)
    const known = this.known!
    const fresh: Array<number> = []
    for (let i = offset; i < offset + count; i++) {
      if (!known.has(i)) fresh.push(i)
      known.add(i)
    }
    if (!urgent) this.fill(this.floor, offset)
    if (!urgent) this.begun = true
    this.floor = Math.min(this.floor, offset)
    return fresh
  }

  dropped(epoch: number, from: number, to: number, count: number): void {
    if (this.known === undefined || this.epoch !== epoch || count < to - from || to <= from) return
    this.fill(from, to)
    this.floor = Math.min(this.floor, from)
  }

  gap(fromEpoch: number, from: number, epoch: number, to: number): void {
    const isRange = fromEpoch === epoch && from <= to
    if (this.known === undefined && isRange) this.reset(epoch, from, false)
    if (this.known === undefined || this.epoch !== epoch || !isRange) {
      this.reset(epoch, to, true)
    } else {
      this.fill(from, to)
      this.floor = Math.min(this.floor, from)
    }
  }

  get position(): { readonly epoch: number; readonly offset: number } | undefined {
    if (this.known === undefined || !(this.begun || this.floor === 0)) return undefined
    let offset = this.floor
    while (this.known.has(offset)) offset++
    return { epoch: this.epoch, offset }
  }

  private reset(epoch: number, floor: number, begun: boolean): void {
    this.begun = begun
    this.epoch = epoch
    this.floor = floor
    this.known = new Set()
  }

  private fill(from: number, to: number): void {
    for (let i = from; i < to; i++) this.known?.add(i)
  }
}

const small = (min: number, max: number) => Schema.Int.check(Schema.isBetween({ minimum: min, maximum: max }))

const Step = Schema.Struct({
  kind: Schema.Literals(["receive", "receive", "receive", "dropped", "gap"]),
  epoch: small(1, 2),
  fromEpoch: small(1, 2),
  offset: small(0, 40),
  count: small(1, 8),
  part: Schema.Boolean,
  urgent: Schema.Boolean
})

const offsetsOf = (
  ranges: ReadonlyArray<{ readonly from: number; readonly to: number }> | undefined,
  offset: number,
  count: number
): Array<number> =>
  (ranges ?? [{ from: offset, to: offset + count }]).flatMap(({ from, to }) =>
    Array.from({ length: to - from }, (_, i) => from + i)
  )

describe("resume point", () => {
  it.prop(
    "resume point - knows what a plain set of offsets knows",
    [Schema.Array(Step)],
    ([steps]) => {
      const point = new ResumePoint()
      const naive = new Naive()
      for (const { count, epoch, fromEpoch, kind, offset, part, urgent } of steps) {
        const to = offset + count
        if (kind === "receive") {
          const ranges = point.receive("t", epoch, offset, count, urgent)
          assert.deepStrictEqual(
            offsetsOf(ranges, offset, count),
            naive.receive(epoch, offset, count, urgent)
          )
        } else if (kind === "dropped") {
          const dropped = part ? count - 1 : count
          point.dropped("t", { epoch, offset }, { epoch, offset: to }, dropped)
          naive.dropped(epoch, offset, to, dropped)
        } else {
          // Gaps go forward, but for logs that were lost.
          const goesOnAt = part ? Math.max(0, offset - count) : to
          point.gap("t", { epoch: fromEpoch, offset }, { epoch, offset: goesOnAt })
          naive.gap(fromEpoch, offset, epoch, goesOnAt)
        }
        const position = naive.position
        assert.deepStrictEqual(point.positions(), position === undefined ? [] : [{ topic: "t", ...position }])
      }
    },
    { arbitrary: { runs: 2000 } }
  )

  it("resume point - goes on before the hole that an overtaken message leaves, and closes it with a plain one", () => {
    const point = new ResumePoint()
    point.begin("t", { epoch: 1, offset: 0 })
    assert.isUndefined(point.receive("t", 1, 3, 1, true))
    assert.deepStrictEqual(point.positions(), [{ topic: "t", epoch: 1, offset: 0 }])
    assert.deepStrictEqual(point.receive("t", 1, 0, 6, true), [
      { from: 0, to: 3 },
      { from: 4, to: 6 }
    ])
    assert.isUndefined(point.receive("t", 1, 9, 1, false))
    assert.deepStrictEqual(point.positions(), [{ topic: "t", epoch: 1, offset: 10 }])
  })

  it("resume point - does not begin a topic with what may have overtaken its beginning", () => {
    const point = new ResumePoint()
    assert.isUndefined(point.receive("t", 1, 10, 2, true))
    assert.deepStrictEqual(point.positions(), [])
    assert.deepStrictEqual(point.positions(), [])
    // What comes again from the beginning on is new but for that.
    assert.isUndefined(point.receive("t", 1, 4, 6, false))
    assert.deepStrictEqual(point.receive("t", 1, 10, 2, true), [])
    assert.deepStrictEqual(point.positions(), [{ topic: "t", epoch: 1, offset: 12 }])
  })

  it("resume point - does not begin a topic after a drop of what it never saw", () => {
    const point = new ResumePoint()
    point.dropped("t", { epoch: 1, offset: 5 }, { epoch: 1, offset: 9 }, 4)
    assert.deepStrictEqual(point.positions(), [])
  })

  it("resume point - forgets the newest of too many intervals, and lets them come again", () => {
    const point = new ResumePoint()
    point.begin("t", { epoch: 1, offset: 0 })
    for (let i = 1; i <= maxIntervals + 10; i++) point.receive("t", 1, i * 2, 1, true)
    assert.deepStrictEqual(point.receive("t", 1, 2, 1, true), [])
    assert.isUndefined(point.receive("t", 1, (maxIntervals + 5) * 2, 1, true))
    assert.deepStrictEqual(point.positions(), [{ topic: "t", epoch: 1, offset: 0 }])
  })

  it("resume point - forgets the topic that was quiet longest, and lists the latest that fit", () => {
    const point = new ResumePoint(3)
    for (const topic of ["a", "b", "c", "a", "d"]) point.receive(topic, 1, topic.length, 1, false)
    assert.deepStrictEqual(
      point.positions().map(({ topic }) => topic),
      ["c", "a", "d"]
    )
    assert.deepStrictEqual(
      point.positions(45).map(({ topic }) => topic),
      ["a", "d"]
    )
  })
})
