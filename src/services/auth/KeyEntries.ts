/**
 * The entries of API keys, as they stand in settings and in a keys file: who has which key and may do what. Pure: it
 * answers the keys by id, or everything that is wrong, naming the entry and the member and never quoting a hash, in
 * whose place somebody may have put a key.
 */
import { createHash } from "node:crypto"
import { Predicate } from "effect"
import { PatternSet } from "../../protocol/PatternSet.ts"
import { badSecret, badValue, type SettingsProblem, unknownKey } from "../../protocol/SettingsError.ts"
import { hashAllowed, idAllowed, isKeyId, parseHash, type StoredKey } from "./ApiKey.ts"
import {
  type IdentityLimits,
  isName,
  limitsAllowed,
  nameLength,
  patternsAllowed,
  readLimits,
  readPatterns,
  rightsOf
} from "./Identity.ts"

/** An entry as a program gives it. What may be published and subscribed is nothing unless it is said. */
export type KeyEntry = {
  readonly id: string
  /** `sha256:` and 64 hexadecimal digits. */
  readonly hash: string
  readonly name?: string
  readonly publish?: ReadonlyArray<string> | string
  readonly subscribe?: ReadonlyArray<string> | string
  readonly consumerGroups?: ReadonlyArray<string> | string
  readonly limits?: IdentityLimits
}

const members = ["id", "hash", "name", "publish", "subscribe", "consumerGroups", "limits"]

export interface KeyEntries {
  readonly keys: ReadonlyMap<string, StoredKey>
  readonly problems: ReadonlyArray<SettingsProblem>
}

/** Reads entries that were given for `authKeys` at `origin`. */
export const readKeyEntries = (given: unknown, origin: string): KeyEntries => {
  const keys = new Map<string, StoredKey>()
  if (!Array.isArray(given)) {
    return { keys, problems: [badValue("authKeys", origin, given, "a list of keys")] }
  }
  const problems: Array<SettingsProblem> = []
  given.forEach((entry: unknown, index) => {
    const reader = new EntryReader(`authKeys[${index}]`, origin)
    const key = reader.read(entry)
    if (key !== undefined && keys.has(key.identity.id)) {
      reader.problems.push(badSecret(reader.path("id"), origin, "an id that no other key has"))
    } else if (key !== undefined) keys.set(key.identity.id, key)
    problems.push(...reader.problems)
  })
  return { keys, problems }
}

/** Of a hash, which itself stays where it is. */
const digestOf = (hash: Uint8Array): string => createHash("sha256").update(hash).digest("base64url")

class EntryReader {
  readonly problems: Array<SettingsProblem> = []
  readonly #at: string
  readonly #origin: string

  constructor(at: string, origin: string) {
    this.#at = at
    this.#origin = origin
  }

  path(member: string): string {
    return `${this.#at}.${member}`
  }

  read(entry: unknown): StoredKey | undefined {
    if (!Predicate.isObject(entry)) {
      this.problems.push(badSecret(this.#at, this.#origin, "an object with id, hash, publish and subscribe"))
      return undefined
    }
    const given: { readonly [member: string]: unknown } = { ...entry }
    for (const member of Object.keys(given)) {
      if (!members.includes(member))
        this.problems.push(unknownKey(this.path(member), this.#origin, members.map(this.path, this)))
    }
    const id = isKeyId(given.id) ? given.id : this.#refuseHidden("id", idAllowed)
    const hash = parseHash(given.hash) ?? this.#refuseHidden("hash", hashAllowed)
    const name = given.name === undefined || isName(given.name) ? given.name : this.#refuseName(given.name)
    const publish = this.#patterns("publish", given.publish)
    const subscribe = this.#patterns("subscribe", given.subscribe)
    const groups = this.#patterns("consumerGroups", given.consumerGroups)
    const limits = this.#limits(given.limits)
    if (id === undefined || hash === undefined || this.problems.length > 0) return undefined
    const rights = {
      name: name ?? id,
      publish: publish ?? PatternSet.none,
      subscribe: subscribe ?? PatternSet.none,
      groups,
      limits: limits ?? {}
    }
    const revision = { key: digestOf(hash), rights: rightsOf(rights) }
    return {
      hash,
      identity: { ...rights, kind: "api-key", id, expiresAt: Number.POSITIVE_INFINITY, revision }
    }
  }

  #patterns(member: string, given: unknown): PatternSet | undefined {
    return given === undefined
      ? undefined
      : (readPatterns(given) ?? this.#refuse(member, given, patternsAllowed))
  }

  #limits(given: unknown): IdentityLimits | undefined {
    return given === undefined
      ? undefined
      : (readLimits(given) ?? this.#refuse("limits", given, limitsAllowed))
  }

  #refuseName(given: unknown): undefined {
    return this.#refuse("name", given, `one line of 1 to ${nameLength} characters`)
  }

  #refuse(member: string, given: unknown, allowed: string): undefined {
    this.problems.push(badValue(this.path(member), this.#origin, given, allowed))
  }

  #refuseHidden(member: string, allowed: string): undefined {
    this.problems.push(badSecret(this.path(member), this.#origin, allowed))
  }
}
