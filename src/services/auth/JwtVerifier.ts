/**
 * Checks JSON Web Tokens and reads identities from them. The signature is checked first, by `jose`, so that no claim
 * of a forged token ever decides what the answer is; then the times, the audience and the issuer; then the claims.
 *
 * Its errors say why, and hold nothing of the token: `jose`'s own hold all claims, so they are not passed on.
 */
import { Clock, Effect } from "effect"
import { decodeProtectedHeader, errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from "jose"
import type { PatternSet } from "../../protocol/PatternSet.ts"
import { AuthError, type AuthReason } from "./AuthError.ts"
import { identityOf } from "./Claims.ts"
import type { Identity } from "./Identity.ts"
import type { JwtKeys } from "./JwtKeys.ts"

export interface JwtRules {
  /** Any of them will do. Without any, a token that names an audience is meant for others. */
  readonly audience: ReadonlyArray<string> | undefined
  /** Any of them will do; unless given, so will every issuer whose signature is right. */
  readonly issuer: ReadonlyArray<string> | undefined
  /** Milliseconds by which clocks may differ. */
  readonly clockTolerance: number
  readonly requireExpiry: boolean
  /** Of a token that has no such claim. */
  readonly publish: PatternSet
  readonly subscribe: PatternSet
}

/** Characters of a token. They are checked before anything is decoded, and are more than a header of HTTP carries. */
export const tokenLength = 8192

/** Three parts, of which the signature may be empty: then the algorithm is what is wrong. */
const tokenForm = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/

/** Makes the check of a token. */
export const makeJwtVerifier = (
  { algorithms, keysFor }: JwtKeys,
  rules: JwtRules
): ((token: string) => Effect.Effect<Identity, AuthError>) =>
  Effect.fnUntraced(function* (token: string) {
    if (token.length > tokenLength || !tokenForm.test(token)) return yield* refused("malformed")
    const header = yield* Effect.try({
      try: () => decodeProtectedHeader(token),
      catch: () => refused("malformed")
    })
    const { alg } = header
    if (typeof alg !== "string") return yield* refused("malformed")
    if (!algorithms.has(alg)) return yield* refused("unsupported-algorithm")
    const keys = yield* keysFor({ ...header, alg })
    const now = yield* Clock.currentTimeMillis
    const options = verifyOptions(rules, alg, now)
    let error = refused("unknown-key")
    for (const key of keys) {
      const verified = yield* Effect.result(
        Effect.tryPromise({ try: () => jwtVerify(token, key, options), catch: reasonOf })
      )
      if (verified._tag === "Success") return yield* accept(verified.success.payload, rules)
      error = refused(verified.failure)
      // With any other, the signature was right.
      if (verified.failure !== "bad-signature") break
    }
    return yield* error
  })

const refused = (reason: AuthReason): AuthError => new AuthError({ reason })

const verifyOptions = (rules: JwtRules, alg: string, now: number): JWTVerifyOptions => ({
  algorithms: [alg],
  currentDate: new Date(now),
  clockTolerance: rules.clockTolerance / 1000,
  requiredClaims: rules.requireExpiry ? ["exp"] : [],
  ...(rules.audience === undefined ? {} : { audience: [...rules.audience] }),
  ...(rules.issuer === undefined ? {} : { issuer: [...rules.issuer] })
})

const accept = (claims: JWTPayload, rules: JwtRules): Effect.Effect<Identity, AuthError> => {
  // RFC 7519, 4.1.3: who does not find itself in the audience must refuse.
  if (rules.audience === undefined && claims.aud !== undefined) return Effect.fail(refused("wrong-audience"))
  const identity = identityOf(claims, rules)
  return identity === undefined ? Effect.fail(refused("malformed")) : Effect.succeed(identity)
}

const reasonOf = (error: unknown): AuthReason => {
  if (error instanceof errors.JWTExpired) return "expired"
  if (error instanceof errors.JWTClaimValidationFailed) return reasonOfClaim(error)
  if (error instanceof errors.JWSSignatureVerificationFailed) return "bad-signature"
  if (error instanceof errors.JOSEAlgNotAllowed) return "unsupported-algorithm"
  if (error instanceof errors.JOSEError) return "malformed"
  // A key that the algorithm cannot use, such as one of RSA that is too short.
  return "unknown-key"
}

const reasonOfClaim = ({ claim, reason }: errors.JWTClaimValidationFailed): AuthReason => {
  if (claim === "aud") return "wrong-audience"
  if (claim === "iss") return "wrong-issuer"
  return claim === "nbf" && reason === "check_failed" ? "not-yet-valid" : "malformed"
}
