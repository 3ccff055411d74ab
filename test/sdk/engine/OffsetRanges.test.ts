import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { OffsetRange } from "../../../src/protocol/Position.ts"
import { byTopic, cut, merged, RangeGatherer, without } from "../../../src/sdk/engine/OffsetRanges.ts"

const range = fc
  .tuple(fc.nat(60), fc.nat(8))
  .map(([from, length]): OffsetRange => ({ from, to: from + length }))

const offsetsOf = (ranges: Iterable<OffsetRange>): ReadonlyArray<number> => {
  const offsets = new Set<number>()
  for (const { from, to } of ranges) for (let at = from; at < to; at++) offsets.add(at)
  return [...offsets].sort((a, b) => a - b)
}

const areApart = (ranges: ReadonlyArray<OffsetRange>): boolean =>
  ranges.every(({ from, to }, i) => from < to && (i === 0 || ranges[i - 1]!.to < from))

describe("offset ranges", () => {
  it("offset ranges - merged has the same offsets in rising ranges that stand apart", () => {
    fc.assert(
      fc.property(fc.array(range), (ranges) => {
        const result = merged(ranges)
        assert.deepStrictEqual(offsetsOf(result), offsetsOf(ranges))
        assert.isTrue(areApart(result))
      })
    )
  })

  it("offset ranges - gathering one by one is merging all", () => {
    fc.assert(
      fc.property(fc.array(range, { maxLength: 30 }), (ranges) => {
        const gatherer = new RangeGatherer()
        for (const { from, to } of ranges) gatherer.add(from, to)
        assert.deepStrictEqual(offsetsOf(gatherer.merged()), offsetsOf(ranges))
        assert.deepStrictEqual(offsetsOf(gatherer.all), offsetsOf(ranges))
      })
    )
  })

  it("offset ranges - a gatherer does not grow with what it is given again and again", () => {
    const gatherer = new RangeGatherer()
    for (let i = 0; i < 100_000; i++) gatherer.add((i % 10) * 2, (i % 10) * 2 + 1)
    assert.isAtMost(gatherer.all.length, 4096)
    assert.lengthOf(merged(gatherer.all), 10)
  })

  it("offset ranges - what is in none of some ranges", () => {
    fc.assert(
      fc.property(range, fc.array(range), ({ from, to }, ranges) => {
        const expected = offsetsOf([{ from, to }]).filter((at) => !offsetsOf(ranges).includes(at))
        const left = without(from, to, ranges)
        assert.deepStrictEqual(offsetsOf(left ?? [{ from, to }]), expected)
        assert.isTrue(areApart(left ?? []))
      })
    )
  })

  it("offset ranges - parts of a size, and ranges by topic", () => {
    assert.deepStrictEqual(cut([1, 2, 3, 4, 5], 2), [[1, 2], [3, 4], [5]])
    assert.deepStrictEqual(cut([], 2), [[]])
    const at = (topic: string, epoch: number, from: number) => ({ topic, epoch, from, to: from + 1 })
    assert.deepStrictEqual(
      byTopic([at("a", 1, 1), at("b", 1, 5), at("a", 1, 0), at("a", 2, 2)]).map(([of, ranges]) => [
        of.topic,
        of.epoch,
        ranges
      ]),
      [
        ["a", 1, [{ from: 0, to: 2 }]],
        ["b", 1, [{ from: 5, to: 6 }]],
        ["a", 2, [{ from: 2, to: 3 }]]
      ]
    )
  })
})
