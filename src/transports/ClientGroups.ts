/**
 * The groups of a web client: a `client_id` is the group of that name, so what the client did not acknowledge comes
 * again. A group has one pattern, so a client that reads several has a group for each: the first that it ever read has
 * the group of its name, each other one named after both.
 */
import { createHash } from "node:crypto"
import { isGroupName } from "../actors/groups/GroupRecord.ts"

/** Characters of a `client_id` at most. */
export const maxClientId = 255
/** Of a group's name, less what `named` adds. */
const maxBase = 51

const digest = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 12)

/** The client's id where it can be a group's name, or one that stands for it. */
const baseOf = (clientId: string): string => {
  if (isGroupName(clientId) && Buffer.byteLength(clientId) <= maxBase) return clientId
  const readable = clientId.replace(/[^A-Za-z0-9_-]/g, "_").slice(0, maxBase - 13)
  return `${readable}~${digest(clientId)}`
}

/** Every name that `groupFor` may answer for this pattern. */
export const groupsOf = (clientId: string, pattern: string): readonly [own: string, other: string] => {
  const base = baseOf(clientId)
  return [base, `${base}~${digest(pattern)}`]
}

/**
 * The group in which the client reads the pattern. `patternOf` answers what a group that exists reads, and `isTaken`
 * whether the client reads something else in it already.
 */
export const groupFor = (
  clientId: string,
  pattern: string,
  patternOf: (group: string) => string | undefined,
  isTaken: (group: string) => boolean
): string => {
  const [own, other] = groupsOf(clientId, pattern)
  const read = patternOf(own)
  return read === pattern || (read === undefined && !isTaken(own)) ? own : other
}
