/**
 * Who a client is and what it may do, and how that is read from what others wrote: from an entry of a key or from the
 * claims of a token. Pure. What cannot be read is refused and never passed over, since a limit that nobody understood
 * would be no limit.
 */
import { Predicate } from "effect"
import { PatternSet } from "../../protocol/PatternSet.ts"
import { deadLetterPrefix } from "../../protocol/TopicName.ts"

export interface Identity {
  /** Ids of different kinds have nothing to do with each other, even if they are the same text. */
  readonly kind: "anonymous" | "api-key" | "jwt"
  readonly id: string
  /** For people: logs and statistics. */
  readonly name: string
  readonly publish: PatternSet
  readonly subscribe: PatternSet
  /** The names of groups that it may join, asked with `allowsTopic`; any if `undefined`. */
  readonly groups: PatternSet | undefined
  readonly limits: IdentityLimits
  /** Milliseconds since 1970 from which the hub no longer accepts it, or `Infinity`. */
  readonly expiresAt: number
  /** Of a key: what it said when it was shown. */
  readonly revision?: KeyRevision
}

/** Tells apart what one id of a key stood for at different times. Neither part says what the key is. */
export interface KeyRevision {
  /** Differs once another key has the id. */
  readonly key: string
  /** Differs once it may do something else. */
  readonly rights: string
}

/** What is absent is limited by the hub's settings alone. */
export interface IdentityLimits {
  readonly messagesPerMinute?: number
  /** At once. */
  readonly connections?: number
  /** Bytes. */
  readonly messageSize?: number
}

/** Everyone, where nobody is asked who they are: may do all that clients may. */
export const anonymous: Identity = {
  kind: "anonymous",
  id: "anonymous",
  name: "anonymous",
  publish: PatternSet.everything,
  subscribe: PatternSet.everything,
  groups: undefined,
  limits: {},
  expiresAt: Number.POSITIVE_INFINITY
}

/** Names an identity among those of all kinds. */
export const identityKey = ({ id, kind }: Pick<Identity, "id" | "kind">): string => `${kind}:${id}`

/** Whether an identity is told of a topic: if it may do anything with it. */
export const maySee = ({ publish, subscribe }: Identity, topic: string): boolean =>
  subscribe.isEverything || subscribe.allowsTopic(topic) || publish.allowsTopic(topic)

/** Whoever may publish a topic and subscribe it may remove it; a dead-letter topic, which no client publishes, whoever may subscribe it. */
export const mayRemoveTopic = ({ publish, subscribe }: Identity, topic: string): boolean =>
  subscribe.allowsTopic(topic) && (publish.allowsTopic(topic) || topic.startsWith(deadLetterPrefix))

/** All that an identity may do, as a text that is another's only if that may do the same. */
export const rightsOf = ({
  groups,
  limits,
  name,
  publish,
  subscribe
}: Pick<Identity, "groups" | "limits" | "name" | "publish" | "subscribe">): string => {
  const { connections, messageSize, messagesPerMinute } = limits
  const sets = [publish, subscribe, groups].map((set) =>
    set === undefined ? null : [...set.patterns].sort()
  )
  return JSON.stringify([name, ...sets, messagesPerMinute, connections, messageSize])
}

/** What is allowed where `readPatterns` reads, for an error. */
export const patternsAllowed = "a list of patterns, or one text with spaces between them"

/** A set of patterns, from a list or from a text with spaces between them; `undefined` if it is neither. */
export const readPatterns = (given: unknown): PatternSet | undefined => {
  const texts = typeof given === "string" ? given.split(/\s+/).filter((text) => text !== "") : given
  if (!Array.isArray(texts) || !texts.every(Predicate.isString)) return undefined
  const set = PatternSet.make(texts)
  return set instanceof PatternSet ? set : undefined
}

export const limitNames = ["messagesPerMinute", "connections", "messageSize"] as const

/** What is allowed where `readLimits` reads, for an error. */
export const limitsAllowed = `${limitNames.join(", ")}, each an integer of 1 or more`

/** Limits by their names; `undefined` if anything in them is not a limit. */
export const readLimits = (given: unknown): IdentityLimits | undefined => {
  if (!Predicate.isObject(given)) return undefined
  const limits: { -readonly [Name in keyof IdentityLimits]: number } = {}
  for (const [key, value] of Object.entries(given)) {
    const name = limitNames.find((each) => each === key)
    if (name === undefined || typeof value !== "number") return undefined
    if (!Number.isSafeInteger(value) || value < 1) return undefined
    limits[name] = value
  }
  return limits
}

/** The most characters of an id or of a name. */
export const nameLength = 255

/** Whether a text can be an id or a name: not blank, not long, and nothing in it that could break a line of a log. */
export const isName = (given: unknown): given is string =>
  typeof given === "string" &&
  given.length <= nameLength &&
  given.trim() !== "" &&
  !/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u.test(given)
