import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { Deque } from "../../src/protocol/Deque.ts"

const operations = Arbitrary.array(
  Arbitrary.schema(Schema.Literals(["push", "push", "push", "unshift", "shift", "shift", "clear", "burst"])),
  { maxLength: 200 }
)

const contents = (deque: Deque<number>): ReadonlyArray<number | undefined> =>
  Array.from({ length: deque.length }, (_, index) => deque.at(index))

describe("deque", () => {
  it.effect.prop(
    "deque - does what an array does",
    { operations },
    ({ operations }) =>
      Effect.sync(() => {
        const deque = new Deque<number>()
        const model: Array<number> = []
        let next = 0
        for (const operation of operations) {
          switch (operation) {
            case "push":
              deque.push(next)
              model.push(next++)
              break
            case "unshift":
              deque.unshift(next)
              model.unshift(next++)
              break
            case "shift":
              assert.strictEqual(deque.shift(), model.shift())
              break
            case "clear":
              if (next % 7 === 0) {
                deque.clear()
                model.length = 0
              }
              break
            case "burst":
              for (let left = 20; left > 0; left--) {
                deque.push(next)
                model.push(next++)
              }
          }
          assert.strictEqual(deque.length, model.length)
          assert.strictEqual(deque.at(0), model[0])
          assert.isUndefined(deque.at(-1))
          assert.isUndefined(deque.at(model.length))
        }
        assert.deepStrictEqual(contents(deque), model)
      }),
    { arbitrary: { runs: 300 } }
  )

  it("deque - one that was long is empty and usable after all has left", () => {
    const deque = new Deque<number>()
    for (let i = 0; i < 5000; i++) deque.push(i)
    for (let i = 0; i < 5000; i++) assert.strictEqual(deque.shift(), i)
    assert.isUndefined(deque.shift())
    deque.unshift(1)
    deque.push(2)
    assert.deepStrictEqual(contents(deque), [1, 2])
  })
})
