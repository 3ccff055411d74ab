import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Duplex } from "../../src/protocol/Duplex.ts"
import { duplexPair } from "../../src/protocol/DuplexPair.ts"

/** Lets every microtask run that is due. */
const turns = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

const listening = (end: Duplex) => {
  const seen = { bytes: [] as Array<number>, chunks: 0, drains: 0, closes: 0, onChunk: () => {} }
  end.listen({
    onData: (chunk) => {
      for (const byte of chunk) seen.bytes.push(byte)
      seen.chunks++
      seen.onChunk()
    },
    onDrain: () => {
      seen.drains++
    },
    onClose: () => {
      seen.closes++
    }
  })
  return seen
}

const pair = () => {
  const [left, right] = duplexPair()
  return { left, right, atLeft: listening(left), atRight: listening(right) }
}
const byte = (value: number) => [Uint8Array.of(value)]
const mebibyte = new Uint8Array(1_048_576)

describe("duplex pair", () => {
  it.effect("duplex pair - what is written at one end comes at the other, in order and not at once", () =>
    Effect.gen(function* () {
      const { atLeft, atRight, left, right } = pair()
      assert.isTrue(left.write([Uint8Array.of(1, 2), Uint8Array.of(3)]))
      assert.isTrue(left.write(byte(4)))
      right.write(byte(9))
      assert.strictEqual(atRight.chunks, 0)
      assert.strictEqual(left.pending(), 4)
      yield* turns
      assert.deepStrictEqual(atRight.bytes, [1, 2, 3, 4])
      assert.deepStrictEqual(atLeft.bytes, [9])
      assert.strictEqual(left.pending(), 0)
    })
  )

  it.effect("duplex pair - what was written before anyone listened is not lost", () =>
    Effect.gen(function* () {
      const [left, right] = duplexPair()
      left.write(byte(1))
      yield* turns
      const atRight = listening(right)
      yield* turns
      assert.deepStrictEqual(atRight.bytes, [1])
    })
  )

  it.effect("duplex pair - an end that is paused is given nothing, and the other is told to wait", () =>
    Effect.gen(function* () {
      const { atLeft, atRight, left, right } = pair()
      right.pause()
      assert.isTrue(left.write([mebibyte]))
      assert.isFalse(left.write(byte(1)))
      yield* turns
      assert.strictEqual(atRight.chunks, 0)
      assert.strictEqual(left.pending(), mebibyte.length + 1)
      assert.strictEqual(atLeft.drains, 0)
      right.resume()
      yield* turns
      assert.strictEqual(atRight.chunks, 2)
      assert.strictEqual(atLeft.drains, 1)
      assert.strictEqual(left.pending(), 0)
    })
  )

  it.effect("duplex pair - one that is paused among chunks is given no more of them", () =>
    Effect.gen(function* () {
      const { atRight, left, right } = pair()
      atRight.onChunk = () => {
        if (atRight.chunks === 3) right.pause()
      }
      for (let i = 0; i < 2000; i++) left.write(byte(i))
      yield* turns
      assert.deepStrictEqual(atRight.bytes, [0, 1, 2])
      assert.strictEqual(left.pending(), 1997)
      right.resume()
      yield* turns
      assert.strictEqual(atRight.chunks, 2000)
      assert.isTrue(atRight.bytes.every((value, index) => value === index % 256))
    })
  )

  it.effect("duplex pair - the end comes once, at both, after all that was written", () =>
    Effect.gen(function* () {
      const { atLeft, atRight, left } = pair()
      left.write(byte(1))
      left.end()
      left.write(byte(2))
      yield* turns
      assert.deepStrictEqual(atRight.bytes, [1])
      assert.deepStrictEqual([atLeft.closes, atRight.closes], [1, 1])
      left.end()
      left.destroy()
      yield* turns
      assert.deepStrictEqual([atLeft.closes, atRight.closes], [1, 1])
    })
  )

  it.effect("duplex pair - an end waits for a peer that is paused", () =>
    Effect.gen(function* () {
      const { atLeft, atRight, left, right } = pair()
      right.pause()
      left.write(byte(1))
      left.end()
      yield* turns
      assert.deepStrictEqual([atLeft.closes, atRight.closes], [0, 0])
      right.resume()
      yield* turns
      assert.deepStrictEqual(atRight.bytes, [1])
      assert.deepStrictEqual([atLeft.closes, atRight.closes], [1, 1])
    })
  )

  it.effect("duplex pair - one that is destroyed is given nothing more, and the other is told", () =>
    Effect.gen(function* () {
      const { atLeft, atRight, left, right } = pair()
      right.write(byte(1))
      left.write(byte(2))
      left.destroy()
      yield* turns
      assert.deepStrictEqual(atLeft.bytes, [])
      assert.deepStrictEqual(atRight.bytes, [2])
      assert.deepStrictEqual([atLeft.closes, atRight.closes], [1, 1])
      right.write(byte(3))
      assert.strictEqual(atLeft.chunks, 0)
    })
  )
})
