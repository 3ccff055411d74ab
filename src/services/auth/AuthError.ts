/**
 * Why a token was not accepted. `why` is for the hub's log; `message` is for whoever showed the token, and does not
 * say what an attacker could learn from. Neither holds the token or anything that was read from it: of claims there are
 * names alone, and those are of this code.
 */
import { Schema } from "effect"

export const AuthReason = Schema.Literals([
  "missing",
  "malformed",
  "unknown-key",
  "expired",
  "not-yet-valid",
  "wrong-audience",
  "wrong-issuer",
  "bad-signature",
  "unsupported-algorithm",
  "jwks-unavailable"
])
export type AuthReason = typeof AuthReason.Type

export class AuthError extends Schema.TaggedError<AuthError>()("AuthError", {
  reason: AuthReason,
  /** What exactly is wrong, where the reason leaves it open. For the log. */
  detail: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return outward[this.reason] ?? "the token is not accepted"
  }

  /** For the hub's log, and for nobody else. */
  get why(): string {
    return this.detail === undefined ? this.reason : `${this.reason}: ${this.detail}`
  }

  /** Whether the same token may be accepted later: nothing is known to be wrong with it. */
  get isTransient(): boolean {
    return this.reason === "jwks-unavailable"
  }
}

/** Expiry is told apart, since a client is to fetch a new token then; it is known only once the signature was right. */
const outward: { readonly [Reason in AuthReason]?: string } = {
  missing: "a token is needed, and none was given",
  expired: "the token has expired",
  "not-yet-valid": "the token is not valid yet",
  "jwks-unavailable": "tokens cannot be checked at present"
}

/** Fails with it, where no more is to be said than that. */
export const authError = (reason: AuthReason, detail?: string): AuthError =>
  new AuthError(detail === undefined ? { reason } : { reason, detail })
