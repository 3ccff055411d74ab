/**
 * Checks JSON Web Tokens and reads identities from them. The signature is checked first, by `jose`, so that no claim
 * of a forged token ever decides what the answer is; then the times, the audience and the issuer; then the claims.
 *
 * Its errors say why, by the names of claims, and hold nothing of the token: `jose`'s own hold all claims, so they are not
 * passed on.
 */
import { Clock, Effect } from "effect"
import { decodeProtectedHeader, errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from "jose"
import type { PatternSet } from "../../protocol/PatternSet.ts"
import { type AuthError, authError } from "./AuthError.ts"
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
    if (token.length > tokenLength)
      return yield* authError("malformed", `longer than ${tokenLength} characters`)
    if (!tokenForm.test(token)) return yield* authError("malformed", "neither an API key nor a JWT")
    const header = yield* Effect.try({
      try: () => decodeProtectedHeader(token),
      catch: () => authError("malformed", "its header cannot be read")
    })
    const { alg } = header
    if (typeof alg !== "string") return yield* authError("malformed", "no alg in its header")
    if (!algorithms.has(alg)) {
      return yield* authError("unsupported-algorithm", `alg is none of ${[...algorithms].join(", ")}`)
    }
    const keys = yield* keysFor({ ...header, alg })
    const now = yield* Clock.currentTimeMillis
    const options = verifyOptions(rules, alg, now)
    let error = authError("unknown-key")
    for (const key of keys) {
      const verified = yield* Effect.result(
        Effect.tryPromise({ try: () => jwtVerify(token, key, options), catch: errorOf })
      )
      if (verified._tag === "Success") return yield* accept(verified.success.payload, rules)
      error = verified.failure
      // With any other, the signature was right.
      if (error.reason !== "bad-signature") break
    }
    return yield* error
  })

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
  if (rules.audience === undefined && claims.aud !== undefined) {
    return Effect.fail(authError("wrong-audience", "it has aud, and authAudience is not set"))
  }
  const identity = identityOf(claims, rules)
  return typeof identity === "string"
    ? Effect.fail(authError("malformed", identity))
    : Effect.succeed(identity)
}

const errorOf = (error: unknown): AuthError => {
  if (error instanceof errors.JWTExpired) return authError("expired")
  if (error instanceof errors.JWTClaimValidationFailed) return errorOfClaim(error)
  if (error instanceof errors.JWSSignatureVerificationFailed) return authError("bad-signature")
  if (error instanceof errors.JOSEAlgNotAllowed) return authError("unsupported-algorithm")
  if (error instanceof errors.JOSEError) return authError("malformed", "its claims cannot be read")
  return authError("unknown-key", "the key is not one for its alg")
}

/** The claims that are checked here. Any other name would be the token's. */
const checkedClaims = ["exp", "nbf", "iat"] as const

const errorOfClaim = ({ claim, reason }: errors.JWTClaimValidationFailed): AuthError => {
  const isMissing = reason === "missing"
  if (claim === "aud") {
    return authError(
      "wrong-audience",
      isMissing ? "no aud; authAudience is set" : "aud is none of authAudience"
    )
  }
  if (claim === "iss") {
    return authError("wrong-issuer", isMissing ? "no iss; authIssuer is set" : "iss is none of authIssuer")
  }
  if (claim === "nbf" && reason === "check_failed") return authError("not-yet-valid")
  if (claim === "exp" && isMissing) return authError("malformed", "no exp; authRequireExpiry is true")
  const name = checkedClaims.find((each) => each === claim)
  return authError("malformed", name === undefined ? undefined : `${name} is not a number of seconds`)
}
