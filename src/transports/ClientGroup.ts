/**
 * The groups of a web client: what `client_id` stands for. A group has one pattern, so a client has one for each topic or
 * pattern that it subscribes to or polls, the same over WebSocket and HTTP, and whatever else it subscribes to. Pure.
 *
 * The name is `<client_id>~<topic>` if that is a group's name, else the beginning of both and a hash: a name must fit 64
 * bytes and have no dots. Those with a hash have two tildes, so the two kinds never meet.
 */
import { createHash } from "node:crypto"

/** Printable ASCII without what a group's name may not have, and without the tilde, which stands between. */
const plain = /^[!"#%&'()+,\-0-9:;<=?@A-Z[\\\]^_`a-z{|}]+$/
const longestName = 64
/** Characters of base64url: 132 bits. */
const hashLength = 22
const shownLength = (longestName - hashLength - 2) / 2

/** The group in which the client gets what the pattern matches. */
export const clientGroupName = (clientId: string, pattern: string): string => {
  const isPlain = plain.test(clientId) && plain.test(pattern)
  if (isPlain && clientId.length + 1 + pattern.length <= longestName) return `${clientId}~${pattern}`
  // JSON keeps the two apart, whatever they hold.
  const hash = createHash("sha256")
    .update(JSON.stringify([clientId, pattern]))
    .digest("base64url")
  return `${shown(clientId)}~${shown(pattern)}~${hash.slice(0, hashLength)}`
}

/** For people who list the groups. */
const shown = (text: string): string => text.replace(/[^-0-9A-Z_a-z]/g, "-").slice(0, shownLength)
