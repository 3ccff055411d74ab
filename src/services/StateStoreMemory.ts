/** Small values in memory: nothing outlives the process. */
import { Effect, Layer } from "effect"
import { StateStore } from "./StateStore.ts"

export const layer: Layer.Layer<StateStore> = Layer.sync(StateStore, () => {
  const values = new Map<string, Uint8Array>()
  return StateStore.of({
    entries: (prefix) =>
      Effect.sync(() =>
        [...values].filter(([key]) => key.startsWith(prefix)).sort(([a], [b]) => (a < b ? -1 : 1))
      ),
    save: (changes, done) => {
      for (const [key, value] of changes) {
        if (value === undefined) values.delete(key)
        else values.set(key, value)
      }
      done(undefined)
    }
  })
})
