/**
 * Ends the connections of those whose key was taken back or changed while they were open. One whose rights changed is
 * told to come again, and then has the new ones.
 */
import { Effect, Schedule, type Scope } from "effect"
import type { Auth, Holding } from "../services/Auth.ts"
import type { KeyRevision } from "../services/auth/Identity.ts"
import type { Connections } from "./Connections.ts"

/** Milliseconds between two looks. */
const interval = 2000

/** Looks until the scope closes. Nothing is looked at where nobody has a key. */
export const watchKeys = (
  auth: Auth["Service"],
  connections: Connections
): Effect.Effect<void, never, Scope.Scope> => {
  if (!auth.isOn) return Effect.void
  const look = Effect.gen(function* () {
    // All that came in with one key are asked about once.
    const known = new Map<KeyRevision, Holding>()
    for (const connection of [...connections]) {
      const { identity } = connection
      const { kind, revision } = identity
      if (kind !== "api-key") continue
      const holding = (revision && known.get(revision)) ?? (yield* auth.holds(identity))
      if (revision !== undefined) known.set(revision, holding)
      if (holding === "removed") connection.end("unauthorized")
      else if (holding === "changed") connection.end("token-expired")
    }
  })
  return Effect.asVoid(Effect.forkScoped(Effect.repeat(look, Schedule.spaced(interval))))
}
