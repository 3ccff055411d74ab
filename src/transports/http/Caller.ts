/** Who asks: looked up once for each request, before it is routed; every handler asks here what they may do. */
import type { IncomingMessage } from "node:http"
import { Context, Effect } from "effect"
import { anonymous, type Identity } from "../../services/auth/Identity.ts"
import { type Refusal, refusal } from "./Refusal.ts"

/** Provided for each request. */
export const Caller = Context.Reference<Identity>("polestar/transports/http/Caller", {
  defaultValue: () => anonymous
})

/** Everyone is anonymous until the hub asks for tokens. */
export const authenticate = (_request: IncomingMessage): Effect.Effect<Identity, Refusal> =>
  Effect.succeed(anonymous)

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
