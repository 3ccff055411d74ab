/**
 * The groups of a web client: what `client_id` stands for. A group has one pattern, so a client has one for each topic or
 * pattern that it subscribes to or polls, the same over WebSocket and HTTP, and whatever else it subscribes to. Pure.
 *
 * The name is `<client_id>~<topic>` if that is a group's name, else the beginning of both and a hash: a name must fit 64
 * bytes and have no dots. Those with a hash have two tildes, so the two kinds never meet.
 *
 * Where clients say who they are, a `client_id` is the identity's own: somebody else's of the same text is another group,
 * with the owner's mark in front, and nobody else can join it. Only if an identity's `consumerGroups` name the
 * `client_id` is it the one that all share whose `consumerGroups` do, or that anybody has where nobody is asked.
 */
import { createHash } from "node:crypto"
import type { Identity } from "../services/auth/Identity.ts"
import { ownerMark } from "../services/auth/OwnGroups.ts"

/** Printable ASCII without what a group's name may not have, and without the tilde, which stands between. */
const plain = /^[!"#%&'()+,\-0-9:;<=?@A-Z[\\\]^_`a-z{|}]+$/
const longestName = 64
/** Characters of base64url: 132 bits. */
const hashLength = 22
const shownLength = (longestName - hashLength - 2) / 2
/** The same beside an owner's mark of 18 characters. */
const ownShownLength = 11

/** Whose groups these are, for their names. */
export const groupOwner = (identity: Identity): string =>
  identity.groups === undefined ? ownerMark(identity) : ""

/** The group in which the client gets what the pattern matches. `owner` is that of `groupOwner`. */
export const clientGroupName = (clientId: string, pattern: string, owner = ""): string => {
  if (owner !== "") {
    const shownPattern = shown(pattern).slice(0, ownShownLength)
    return `${ownBeginning(clientId, owner)}${shownPattern}~${hashOf(clientId, pattern)}`
  }
  const isPlain = plain.test(clientId) && plain.test(pattern)
  if (isPlain && clientId.length + 1 + pattern.length <= longestName) return `${clientId}~${pattern}`
  return `${shown(clientId)}~${shown(pattern)}~${hashOf(clientId, pattern)}`
}

/** The names of all groups of the client begin with one of these, and of others' few. */
export const clientGroupBeginnings = (clientId: string, owner: string): ReadonlyArray<string> =>
  owner === "" ? [`${clientId}~`, `${shown(clientId)}~`] : [ownBeginning(clientId, owner)]

const ownBeginning = (clientId: string, owner: string): string =>
  `${owner}${shown(clientId).slice(0, ownShownLength)}~`

/** JSON keeps the two apart, whatever they hold. */
const hashOf = (clientId: string, pattern: string): string =>
  createHash("sha256")
    .update(JSON.stringify([clientId, pattern]))
    .digest("base64url")
    .slice(0, hashLength)

/**
 * An identity as the hub is to know it. Whether it may use a `client_id` is asked by whoever takes the request, since
 * the hub sees the names of the groups that stand for one.
 */
export const forHub = (identity: Identity): Identity =>
  identity.groups === undefined ? identity : { ...identity, groups: undefined }

/** For people who list the groups. */
const shown = (text: string): string => text.replace(/[^-0-9A-Z_a-z]/g, "-").slice(0, shownLength)
