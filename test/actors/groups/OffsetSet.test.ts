import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { OffsetSet } from "../../../src/actors/groups/OffsetSet.ts"

const range = fc.tuple(fc.nat(60), fc.nat(8)).map(([from, length]) => [from, from + length] as const)

describe("offset set", () => {
  it("does what a set of numbers does, and reads what it wrote", () => {
    fc.assert(
      fc.property(fc.array(range, { maxLength: 30 }), fc.nat(60), (ranges, forgotten) => {
        const set = new OffsetSet(7)
        const model = new Set<number>()
        for (const [from, to] of ranges) {
          set.add(from, to)
          for (let offset = from; offset < to; offset++) model.add(offset)
        }
        set.forget(forgotten)
        for (const offset of [...model]) if (offset < forgotten) model.delete(offset)
        const read = OffsetSet.decode(set.encode())
        assert.strictEqual(read.epoch, 7)
        for (let offset = -1; offset < 80; offset++) {
          assert.strictEqual(set.has(offset), model.has(offset), `${offset}`)
          assert.strictEqual(read.has(offset), model.has(offset), `${offset}, read`)
        }
        assert.strictEqual(set.countIn(0, 80), model.size)
      })
    )
  })

  it("is empty if what it reads is nothing that it wrote", () => {
    assert.strictEqual(OffsetSet.decode(new TextEncoder().encode("{")).countIn(0, 100), 0)
  })

  it("stays quick with many ranges", () => {
    const set = new OffsetSet(1)
    for (let offset = 0; offset < 200_000; offset += 2) set.add(offset, offset + 1)
    assert.strictEqual(set.countIn(0, 200_000), 100_000)
  })
})
