import { assert, describe, it } from "@effect/vitest"
import { SortedList } from "../../../src/actors/groups/SortedList.ts"
import { chance } from "../../protocol/Chance.ts"

describe("sorted list - against a sorted array", () => {
  for (const seed of [1, 2, 3]) {
    it(`what is added and removed in any order, seed ${seed}`, () => {
      const random = chance(seed)
      const list = new SortedList<number>((a, b) => a - b)
      let expected: Array<number> = []
      for (let round = 0; round < 6000; round++) {
        // It grows to some hundreds, shrinks to nothing, and so on.
        const item = random.below(20_000)
        const isGrowing = Math.floor(round / 1000) % 2 === 0
        if (isGrowing === random.below(5) > 0) {
          if (expected.includes(item)) continue
          list.add(item)
          expected.push(item)
          expected.sort((a, b) => a - b)
        } else {
          const gone = random.below(4) === 0 ? item : random.pick([...expected, item])
          list.remove(gone)
          expected = expected.filter((each) => each !== gone)
        }
        assert.strictEqual(list.size, expected.length)
        assert.strictEqual(list.first, expected[0])
        assert.strictEqual(list.floor(item), expected.filter((each) => each <= item).at(-1))
        if (round % 50 > 0) continue
        assert.deepStrictEqual([...list], expected)
        const into: Array<number> = []
        list.collect(item, (each) => each < item + 3000, into)
        const from = expected.filter((each) => each <= item).at(-1) ?? item
        assert.deepStrictEqual(
          into,
          expected.filter((each) => from <= each && each < item + 3000)
        )
      }
    })
  }

  it("a queue of many takes no more chunks than it needs, and is empty in the end", () => {
    const list = new SortedList<number>((a, b) => a - b)
    for (let item = 0; item < 10_000; item++) {
      list.add(item)
      if (item >= 500) list.remove(item - 500)
    }
    assert.deepStrictEqual([list.size, list.first], [500, 9500])
    for (const item of [...list].reverse()) list.remove(item)
    assert.deepStrictEqual([list.size, list.first, [...list]], [0, undefined, []])
    list.add(1)
    list.clear()
    assert.isUndefined(list.first)
  })
})
