/**
 * Ends the connections of those whose key was taken back or changed while they were open. One whose rights changed is
 * told to come again, and then has the new ones.
 */
import { Effect, Schedule, type Scope } from "effect"
import type { Auth } from "../services/Auth.ts"
import type { Connections } from "./Connections.ts"

/** Milliseconds between two looks. */
const interval = 2000

/** Looks until the scope closes. Nothing is looked at where nobody has a key. */
export const watchHolding = (
  auth: Auth["Service"],
  connections: Connections
): Effect.Effect<void, never, Scope.Scope> => {
  if (!auth.isOn) return Effect.void
  const look = Effect.gen(function* () {
    for (const connection of [...connections]) {
      const { identity } = connection
      if (identity.kind !== "api-key") continue
      const holding = yield* auth.holds(identity)
      if (holding === "removed") connection.end("unauthorized")
      else if (holding === "changed") connection.end("token-expired")
    }
  })
  return Effect.asVoid(Effect.forkScoped(Effect.repeat(look, Schedule.spaced(interval))))
}
