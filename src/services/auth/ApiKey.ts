/**
 * API keys: `ps_<id>_<secret>`, of which the hub keeps a hash. Pure but for the randomness of a new one.
 *
 * The secret is 32 random bytes, so the hash is a plain SHA-256: a slow one would only make up for secrets that can be
 * guessed (NIST SP 800-63B, 5.1.2.2: secrets of at least 112 bits of entropy are hashed with an approved one-way
 * function; only those of less are salted and given a key derivation function). The hash is of the whole key, so an
 * entry whose hash was copied under another id matches no key.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto"
import type { Identity } from "./Identity.ts"

export const keyPrefix = "ps_"

const secretBytes = 32
/** 8 bytes, as 16 hexadecimal digits: ids need not be secret, only different. */
const idBytes = 8

/** The secret may have underscores in it, and an id may not. */
const keyForm = /^ps_([A-Za-z0-9-]{1,64})_[A-Za-z0-9_-]{43}$/
const idForm = /^[A-Za-z0-9-]{1,64}$/
const hashForm = /^sha256:([0-9a-f]{64})$/

/** What is allowed as an id and as a hash, for an error. */
export const idAllowed = "1 to 64 letters, digits and hyphens"
export const hashAllowed = "sha256: and 64 lower-case hexadecimal digits, as polestar key create prints it"

export const isKeyId = (id: unknown): id is string => typeof id === "string" && idForm.test(id)

export interface NewKey {
  readonly id: string
  /** To be shown once, and kept nowhere. */
  readonly key: string
  /** To be kept. */
  readonly hash: string
}

/** A new key from the system's secure randomness. */
export const generateKey = (): NewKey => {
  const id = randomBytes(idBytes).toString("hex")
  const key = `${keyPrefix}${id}_${randomBytes(secretBytes).toString("base64url")}`
  return { id, key, hash: `sha256:${digest(key).toString("hex")}` }
}

/** The id that a key names, or `undefined` if it is not of the form of a key. Nothing is verified by that. */
export const keyIdOf = (key: string): string | undefined => keyForm.exec(key)?.[1]

/** The bytes of a hash as it is kept, or `undefined` if it is not of that form. */
export const parseHash = (hash: unknown): Uint8Array | undefined => {
  const digits = typeof hash === "string" ? hashForm.exec(hash)?.[1] : undefined
  return digits === undefined ? undefined : Buffer.from(digits, "hex")
}

/** A key as the hub keeps it. */
export interface StoredKey {
  /** 32 bytes. */
  readonly hash: Uint8Array
  readonly identity: Identity
}

/** Compared with when there is no such key, so that it takes as long as one that is wrong. No key is known to have it. */
const noHash = new Uint8Array(32)

/** The identity of a key, or `undefined` if the key is not one of `keys`, which are by id. In constant time. */
export const verifyKey = (keys: ReadonlyMap<string, StoredKey>, key: string): Identity | undefined => {
  const id = keyIdOf(key)
  if (id === undefined) return undefined
  const stored = keys.get(id)
  const isSame = timingSafeEqual(digest(key), stored?.hash ?? noHash)
  return isSame ? stored?.identity : undefined
}

const digest = (key: string): Buffer => createHash("sha256").update(key).digest()
