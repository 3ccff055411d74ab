/**
 * Remembers for a short while whose a token was found to be, so that one that comes with every request is not verified
 * with every request. No token is kept, but a digest of it; a key that is taken out of a key set is felt after half a
 * minute at most, and expiry at once.
 */
import { createHash } from "node:crypto"
import { Clock, Effect } from "effect"
import type { AuthError } from "./AuthError.ts"
import type { Identity } from "./Identity.ts"

/** Tokens that are remembered; the one that was found first goes first. */
const maxTokens = 10_000
/** Milliseconds for which one is. */
const patience = 30_000

type Verify = (token: string) => Effect.Effect<Identity, AuthError>

interface Found {
  readonly identity: Identity
  readonly until: number
}

export const rememberJwts = (verify: Verify): Verify => {
  const known = new Map<string, Found>()
  return Effect.fnUntraced(function* (token: string) {
    const key = createHash("sha256").update(token).digest("base64")
    const found = known.get(key)
    const now = yield* Clock.currentTimeMillis
    if (found !== undefined && now < found.until) return found.identity
    known.delete(key)
    const identity = yield* verify(token)
    known.set(key, { identity, until: Math.min(now + patience, identity.expiresAt) })
    if (known.size > maxTokens) {
      for (const oldest of known.keys()) {
        known.delete(oldest)
        break
      }
    }
    return identity
  })
}
