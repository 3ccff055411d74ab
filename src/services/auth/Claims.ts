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
import {
  type Identity,
  isName,
  limitsAllowed,
  nameLength,
  patternsAllowed,
  readLimits,
  readPatterns
} from "./Identity.ts"

export interface ClaimDefaults {
  readonly publish: PatternSet
  readonly subscribe: PatternSet
  /** Milliseconds for which a token is accepted after it expired. */
  readonly clockTolerance: number
}

/** The identity, or which claim cannot be read; only `sub` must be there. What a claim holds is not quoted. */
export const identityOf = (claims: JWTPayload, defaults: ClaimDefaults): Identity | string => {
  const { exp, sub } = claims
  if (sub === undefined) return "no sub; it must be there, since it is the id"
  if (!isName(sub)) return unreadable("sub", `one line of 1 to ${nameLength} characters`)
  const publish = claims.publish === undefined ? defaults.publish : readPatterns(claims.publish)
  const subscribe = claims.subscribe === undefined ? defaults.subscribe : readPatterns(claims.subscribe)
  const groups = claims.consumerGroups === undefined ? undefined : readPatterns(claims.consumerGroups)
  const limits = claims.limits === undefined ? {} : readLimits(claims.limits)
  if (publish === undefined) return unreadable("publish", patternsAllowed)
  if (subscribe === undefined) return unreadable("subscribe", patternsAllowed)
  if (groups === undefined && claims.consumerGroups !== undefined)
    return unreadable("consumerGroups", patternsAllowed)
  if (limits === undefined) return unreadable("limits", limitsAllowed)
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

const unreadable = (claim: string, allowed: string): string => `${claim} cannot be read; allowed: ${allowed}`
