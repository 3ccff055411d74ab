/** Small values on disk: changes of one call take effect together, in the write set of the messages beside them. */
import { Effect } from "effect"
import { decodeText, encodeText } from "../../protocol/Bytes.ts"
import { type StateChange, StateStore, StateStoreError } from "../StateStore.ts"
import type { Environment } from "./Environment.ts"
import type { Reason, Writer } from "./Writer.ts"

const maxKeyBytes = 600

/** The first key after all that begin with these bytes; `undefined` if there is none. */
const after = (prefix: Uint8Array): Uint8Array | undefined => {
  for (let length = prefix.length; length > 0; length--) {
    if (prefix[length - 1] === 255) continue
    const end = prefix.slice(0, length)
    end[length - 1]!++
    return end
  }
  return undefined
}

const errorOf = (reason: Reason, cause: unknown): StateStoreError =>
  new StateStoreError(cause === undefined ? { reason } : { reason, cause })

const entriesOf = (
  environment: Environment,
  prefix: string
): ReadonlyArray<readonly [string, Uint8Array]> => {
  const bytes = encodeText(prefix)
  const end = after(bytes)
  const start = bytes.length === 0 ? new Uint8Array([0]) : bytes
  const range = environment.state.getRange(end === undefined ? { start } : { start, end })
  return [...range].map(({ key, value }) => [decodeText(key) ?? "", new Uint8Array(value)])
}

export const make = (environment: Environment, writer: Writer): StateStore["Service"] =>
  StateStore.of({
    entries: (prefix) =>
      Effect.try({
        try: () => entriesOf(environment, prefix),
        catch: (cause) => new StateStoreError({ reason: "io", cause })
      }),
    save: (changes: ReadonlyArray<StateChange>, done) => {
      const keys = changes.map(([key]) => encodeText(key))
      const values = changes.map(([, value]) => (value === undefined ? undefined : value.slice()))
      writer.add({
        size: values.reduce((sum, value) => sum + (value?.length ?? 0), 0),
        // A change must not overtake those before it.
        isRelief: false,
        prepare: (set) => {
          if (keys.some((key) => key.length === 0 || key.length > maxKeyBytes)) return "io"
          keys.forEach((key, index) => {
            const value = values[index]
            if (value === undefined) set.remove(environment.state, key)
            else set.put(environment.state, key, value)
          })
          return undefined
        },
        done: () => done(undefined),
        failed: (reason, cause) => done(errorOf(reason, cause))
      })
    }
  })
