/**
 * What the claims of a token say of its identity. The signature has been checked: what is wrong here is its issuer's
 * mistake, and the token is refused all the same. Pure.
 *
 * `sub` is the id. `publish`, `subscribe` and `consumerGroups` are lists of patterns, or texts with spaces between them, as
 * `scope` is in OAuth; `limits` is an object of `messagesPerMinute`, `connections` and `messageSize`; `name` is for
 * people. Other claims say nothing here; `groups` is left alone, since many issuers put a person's groups there.
 */
import type { JWTPayload } from "jose"
import type { PatternSet } from "../../protocol/PatternSet.ts"
import { type Identity, isName, readLimits, readPatterns } from "./Identity.ts"

export interface ClaimDefaults {
  readonly publish: PatternSet
  readonly subscribe: PatternSet
  /** Milliseconds for which a token is accepted after it expired. */
  readonly clockTolerance: number
}

/** The identity, or `undefined` if a claim is there and cannot be read, or if there is no `sub`. */
export const identityOf = (claims: JWTPayload, defaults: ClaimDefaults): Identity | undefined => {
  const { exp, sub } = claims
  if (!isName(sub)) return undefined
  const publish = claims.publish === undefined ? defaults.publish : readPatterns(claims.publish)
  const subscribe = claims.subscribe === undefined ? defaults.subscribe : readPatterns(claims.subscribe)
  const groups = claims.consumerGroups === undefined ? undefined : readPatterns(claims.consumerGroups)
  const limits = claims.limits === undefined ? {} : readLimits(claims.limits)
  if (publish === undefined || subscribe === undefined || limits === undefined) return undefined
  if (groups === undefined && claims.consumerGroups !== undefined) return undefined
  return {
    kind: "jwt",
    id: sub,
    name: isName(claims.name) ? claims.name : sub,
    publish,
    subscribe,
    groups,
    limits,
    expiresAt: exp === undefined ? Number.POSITIVE_INFINITY : exp * 1000 + defaults.clockTolerance
  }
}
