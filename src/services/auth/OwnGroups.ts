/**
 * Which groups an identity may use. What `consumerGroups` says holds for the groups that are named there; a group whose
 * name begins with an owner's mark is that identity's alone, whatever others may use. So a `client_id` that somebody
 * else gives too stands for another group. Pure.
 */
import { createHash } from "node:crypto"
import { anonymous, type Identity, identityKey } from "./Identity.ts"

/** Nobody can join a group of this beginning that is not theirs. */
const marker = "~"

/** Characters of base64url: 96 bits, of which nobody finds another identity. */
const markLength = 16

/** What the names of an identity's own groups begin with; empty for anybody, since all of them are one. */
export const ownerMark = (identity: Pick<Identity, "id" | "kind">): string => {
  if (identity.kind === anonymous.kind) return ""
  const digest = createHash("sha256").update(identityKey(identity)).digest("base64url")
  return `${marker}${digest.slice(0, markLength)}${marker}`
}

/** Whether the identity may join, see and manage groups of this name. */
export const mayUseGroup = (identity: Identity, name: string): boolean => {
  const isOwned = name.startsWith(marker) && identity.kind !== anonymous.kind
  if (isOwned) return name.startsWith(ownerMark(identity))
  return identity.groups === undefined || identity.groups.allowsTopic(name)
}
