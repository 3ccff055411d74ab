/** What every engine of the store of small values promises. The layer must be new each time it is built. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, type Layer, Schema } from "effect"
import { decodeText, encodeText } from "../../src/protocol/Bytes.ts"
import { type StateChange, StateStore, type StateStoreError } from "../../src/services/StateStore.ts"

/** Saves, and waits until that is as safe as it gets. */
const saved = Effect.fnUntraced(function* (changes: ReadonlyArray<readonly [string, string | undefined]>) {
  const store = yield* StateStore
  const encoded: ReadonlyArray<StateChange> = changes.map(([key, value]) => [
    key,
    value === undefined ? undefined : encodeText(value)
  ])
  yield* Effect.callback<void, StateStoreError>((resume) =>
    store.save(encoded, (error) => resume(error === undefined ? Effect.void : Effect.fail(error)))
  )
})

const found = (prefix: string) =>
  StateStore.use((store) =>
    Effect.map(store.entries(prefix), (entries) => entries.map(([key, value]) => [key, decodeText(value)]))
  )

const keys = Arbitrary.schema(Schema.Literals(["a", "a/b", "a/c", "b", "b/b", "c"]))
const between = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))
/** 0 forgets the key. */
const changes = Arbitrary.array(Arbitrary.all({ key: keys, value: between(0, 9) }), { maxLength: 5 })

export const stateStoreContract = (name: string, layer: Layer.Layer<StateStore, unknown>): void => {
  describe(`state store of ${name}`, () => {
    it.effect("state store - is empty at first", () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* found(""), [])
        assert.deepStrictEqual(yield* found("a"), [])
      }).pipe(Effect.provide(layer))
    )

    it.effect("state store - gives what begins with a prefix, in order, and nothing else", () =>
      Effect.gen(function* () {
        yield* saved([
          ["b", "3"],
          ["a/b", "2"],
          ["a", "1"],
          ["a\u{10ffff}", "5"],
          ["aa", "4"]
        ])
        assert.deepStrictEqual(yield* found("a/"), [["a/b", "2"]])
        assert.deepStrictEqual(yield* found("a"), [
          ["a", "1"],
          ["a/b", "2"],
          ["aa", "4"],
          ["a\u{10ffff}", "5"]
        ])
        assert.deepStrictEqual(yield* found("c"), [])
        assert.strictEqual((yield* found("")).length, 5)
      }).pipe(Effect.provide(layer))
    )

    it.effect("state store - the last value counts, and a key that is forgotten is gone", () =>
      Effect.gen(function* () {
        yield* saved([["a", "1"]])
        yield* saved([
          ["a", "2"],
          ["b", "1"],
          ["b", undefined],
          ["nobody", undefined]
        ])
        assert.deepStrictEqual(yield* found(""), [["a", "2"]])
        yield* saved([["a", undefined]])
        assert.deepStrictEqual(yield* found(""), [])
      }).pipe(Effect.provide(layer))
    )

    it.effect("state store - keeps long keys, and values of any length as they were", () =>
      Effect.gen(function* () {
        const store = yield* StateStore
        const long = "k".repeat(600)
        const value = new Uint8Array(300_000).map((_, index) => index * 7)
        store.save([[long, value]], () => {})
        yield* Effect.callback<void>((resume) =>
          store.save([["empty", new Uint8Array(0)]], () => resume(Effect.void))
        )
        const entries = yield* store.entries("")
        assert.deepStrictEqual(
          entries.map(([key]) => key),
          ["empty", long]
        )
        assert.strictEqual(entries[0]![1].length, 0)
        assert.isTrue(Buffer.from(value).equals(entries[1]![1]))
      }).pipe(Effect.provide(layer))
    )

    it.effect("state store - calls take effect in their order, and each is answered once", () =>
      Effect.gen(function* () {
        const store = yield* StateStore
        const answered: Array<number> = []
        yield* Effect.callback<void>((resume) => {
          for (let index = 0; index < 100; index++)
            store.save([["a", encodeText(`${index}`)]], (error) => {
              assert.isUndefined(error)
              answered.push(index)
              if (answered.length === 100) resume(Effect.void)
            })
        })
        assert.deepStrictEqual(
          answered,
          Array.from({ length: 100 }, (_, index) => index)
        )
        assert.deepStrictEqual(yield* found(""), [["a", "99"]])
      }).pipe(Effect.provide(layer))
    )

    it.effect.prop(
      "state store - does what a map does",
      { calls: Arbitrary.array(changes, { maxLength: 8 }) },
      ({ calls }) =>
        Effect.gen(function* () {
          const model = new Map<string, string>()
          for (const call of calls) {
            for (const { key, value } of call) {
              if (value === 0) model.delete(key)
              else model.set(key, `${value}`)
            }
            yield* saved(call.map(({ key, value }) => [key, value === 0 ? undefined : `${value}`]))
          }
          for (const prefix of ["", "a", "a/", "b"])
            assert.deepStrictEqual(
              yield* found(prefix),
              [...model].filter(([key]) => key.startsWith(prefix)).sort(([a], [b]) => (a < b ? -1 : 1))
            )
        }).pipe(Effect.provide(layer)),
      { arbitrary: { runs: 50 } }
    )
  })
}
