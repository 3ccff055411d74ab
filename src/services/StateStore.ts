/**
 * Small values that outlive the hub, by key: where groups are. Each engine stands beside this file and passes the
 * suite in `test/contracts/StateStoreContract.ts`.
 */
import { Context, type Effect, Schema } from "effect"

export class StateStoreError extends Schema.TaggedError<StateStoreError>()("StateStoreError", {
  reason: Schema.Literals(["full", "closed", "io"]),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    const { cause } = this
    const why = cause === undefined ? "" : `: ${cause instanceof Error ? cause.message : String(cause)}`
    return `the state of groups ${reasons[this.reason]}${why}`
  }
}

const reasons = { full: "has no room", closed: "is closed", io: "cannot be used" } as const

/** A value to keep, or `undefined` to forget the key. Keys are text of up to 600 bytes. */
export type StateChange = readonly [key: string, value: Uint8Array | undefined]

export class StateStore extends Context.Service<
  StateStore,
  {
    /** All keys that begin with `prefix`, in order, with their values. */
    readonly entries: (
      prefix: string
    ) => Effect.Effect<ReadonlyArray<readonly [key: string, value: Uint8Array]>, StateStoreError>
    /**
     * Makes changes that take effect together, after those of earlier calls. `done` is called once: when they are as
     * safe as the engine keeps anything, or with the error, and then none of them was made. It may be called at once.
     */
    readonly save: (
      changes: ReadonlyArray<StateChange>,
      done: (error: StateStoreError | undefined) => void
    ) => void
  }
>()("polestar/services/StateStore") {}
