import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeActorSystem } from "../../src/actors/ActorSystem.ts"

const nextMicrotasks = Effect.promise(() => Promise.resolve())
const nextImmediate = Effect.callback<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** Notes when it is flushed, and is marked again only after that. */
const recorder = (flushed: Array<string>, name: string) => ({
  flush: () => void flushed.push(name),
  broke: () => void flushed.push(`${name} broke`)
})

describe("actor system", () => {
  it.live(
    "actor system - what turns that follow each other deliver goes out once, before the loop waits",
    () =>
      Effect.gen(function* () {
        const system = yield* makeActorSystem()
        const flushed: Array<string> = []
        system.turnOfMany(() => system.markDirty(recorder(flushed, "a")))
        yield* nextMicrotasks
        system.turnOfMany(() => system.markDirty(recorder(flushed, "b")))
        yield* nextMicrotasks
        assert.deepStrictEqual(flushed, [])
        yield* nextImmediate
        assert.deepStrictEqual(flushed, ["a", "b"])
        yield* nextImmediate
        assert.deepStrictEqual(flushed, ["a", "b"])
      }).pipe(Effect.scoped)
  )

  it.live("actor system - the last turn of many, and a turn of somebody else, keep nothing waiting", () =>
    Effect.gen(function* () {
      const system = yield* makeActorSystem()
      const flushed: Array<string> = []
      system.turnOfMany(() => system.markDirty(recorder(flushed, "a")))
      system.turn(() => system.markDirty(recorder(flushed, "b")))
      yield* nextMicrotasks
      assert.deepStrictEqual(flushed, ["a", "b"])
      // What was to come later finds nothing, and the next is not lost for it.
      system.turn(() => system.markDirty(recorder(flushed, "c")))
      yield* nextImmediate
      assert.deepStrictEqual(flushed, ["a", "b", "c"])
    }).pipe(Effect.scoped)
  )

  it.live("actor system - a turn of many that fails, and a target that fails, hold up nobody", () =>
    Effect.gen(function* () {
      const system = yield* makeActorSystem()
      const flushed: Array<string> = []
      const failing = {
        flush: () => {
          throw new Error("no")
        },
        broke: () => void flushed.push("broke")
      }
      assert.throws(() =>
        system.turnOfMany(() => {
          system.markDirty(failing)
          throw new Error("a turn that fails")
        })
      )
      system.turn(() => system.markDirty(recorder(flushed, "a")))
      yield* nextMicrotasks
      assert.deepStrictEqual(flushed, ["broke", "a"])
    }).pipe(Effect.scoped)
  )
})
