/** Who asks: looked up once for each request, before it is routed; every handler asks here what they may do. */
import type { IncomingMessage } from "node:http"
import { Context, type Effect } from "effect"
import { authCodes } from "../../protocol/json/Problem.ts"
import type { Auth } from "../../services/Auth.ts"
import type { AuthError } from "../../services/auth/AuthError.ts"
import { anonymous, type Identity } from "../../services/auth/Identity.ts"
import { type Refusal, refusal } from "./Refusal.ts"

/** Provided for each request. */
export const Caller = Context.Reference<Identity>("polestar/transports/http/Caller", {
  defaultValue: () => anonymous
})

/** Where a browser cannot set a header, the token may stand in the query. */
const tokenPaths = new Set(["/ws", "/api/v1/stream"])

/** The token that a request shows, if any. */
export const tokenOf = ({ headers, url = "/" }: IncomingMessage): string | undefined => {
  const { authorization } = headers
  if (authorization !== undefined) return /^Bearer +(\S+) *$/i.exec(authorization)?.[1] ?? ""
  const [path, query] = url.split("?", 2)
  if (query === undefined || !tokenPaths.has(path ?? "")) return undefined
  return new URLSearchParams(query).get("token") ?? undefined
}

/** Whose request it is. An `Authorization` that is no bearer's is a token that nobody has. */
export const authenticate = (
  auth: Auth["Service"],
  request: IncomingMessage
): Effect.Effect<Identity, AuthError> => auth.authenticate(tokenOf(request))

export const refusalOfAuth = (error: AuthError): Refusal => refusal(authCodes[error.reason], error.message)

export const mayPublish = (identity: Identity, topic: string): Refusal | undefined =>
  identity.publish.isEverything || identity.publish.allowsTopic(topic)
    ? undefined
    : refusal("FORBIDDEN", "this identity may not publish to that topic")

export const maySubscribe = (identity: Identity, pattern: string): Refusal | undefined =>
  identity.subscribe.isEverything || identity.subscribe.allowsPattern(pattern)
    ? undefined
    : refusal("FORBIDDEN", "this identity may not subscribe to that")

export const mayJoin = (identity: Identity, group: string): Refusal | undefined =>
  identity.groups === undefined || identity.groups.allowsTopic(group)
    ? undefined
    : refusal("FORBIDDEN", "this identity may not use that client_id")

/** Whose limits these are: the identity's, or of everyone at an address. Of IPv6 a network counts as one address. */
export const limitKeyOf = (identity: Identity, request: IncomingMessage): string => {
  if (identity.kind !== "anonymous") return `${identity.kind}:${identity.id}`
  const address = request.socket.remoteAddress ?? "?"
  const isMapped = address.startsWith("::ffff:")
  if (isMapped || !address.includes(":")) return `ip:${isMapped ? address.slice(7) : address}`
  return `ip:${networkOf(address)}`
}

/** The first 64 bits, as text. */
const networkOf = (address: string): string => {
  const [left = "", right] = address.split("::")
  const head = left === "" ? [] : left.split(":")
  const tail = right === undefined || right === "" ? [] : right.split(":")
  const middle = new Array<string>(Math.max(0, 8 - head.length - tail.length)).fill("0")
  return [...head, ...(right === undefined ? [] : middle), ...tail].slice(0, 4).join(":")
}
