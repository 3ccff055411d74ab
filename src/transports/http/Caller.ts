/** Who asks: looked up once for each request, before it is routed; every handler asks here what they may do. */
import type { IncomingMessage } from "node:http"
import { Clock, Context, Effect } from "effect"
import type { Hub } from "../../actors/Hub.ts"
import type { Peer } from "../../actors/Refusals.ts"
import { authCodes, type Problem } from "../../protocol/json/Problem.ts"
import type { Transport } from "../../protocol/Transport.ts"
import type { Auth } from "../../services/Auth.ts"
import type { AuthError } from "../../services/auth/AuthError.ts"
import { anonymous, type Identity } from "../../services/auth/Identity.ts"
import { limitKeyOf as keyOf } from "../../services/PublishRate.ts"
import { isKnownPath, pathOf, streamPath } from "./Paths.ts"
import { type Refusal, refusal, refusalOfClose } from "./Refusal.ts"
import type { Web } from "./Web.ts"

/** A request and whose it is. What only a refusal or a connection needs of it is made when it is asked for. */
export class Caller implements Peer {
  readonly web: Web["Service"]
  readonly request: IncomingMessage
  readonly identity: Identity
  private givenId: string | undefined

  constructor(web: Web["Service"], request: IncomingMessage, identity: Identity = anonymous) {
    this.web = web
    this.request = request
    this.identity = identity
  }

  /** Of this request. */
  get id(): string {
    this.givenId ??= crypto.randomUUID()
    return this.givenId
  }

  get peer(): string {
    return peerOf(this.request.socket)
  }

  get transport(): Transport {
    return transports.get(pathOf(this.request.url)) ?? "http"
  }

  /** Counts and logs why it is refused, once, and answers the problem with the id by which the log has it. */
  refused(problem: Problem, what?: string): Problem {
    return refusedProblem(this.web.hub, this, problem, what ?? shownPath(pathOf(this.request.url)))
  }

  /** Counts and logs what was refused of many things that were asked in one request, and so has no answer of its own. */
  refusedPart(code: Problem["code"], what: string | undefined, times: number): void {
    const { id, identity, peer, transport } = this
    this.web.hub.refused({ id, identity, peer, transport, code, what }, times)
  }

  /** Fails once the identity has expired or is nobody's any more: for what may take long. */
  get holds(): Effect.Effect<void, Refusal> {
    const { auth } = this.web
    const { identity } = this
    if (!auth.isOn) return Effect.void
    return Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      if (now >= identity.expiresAt) return yield* Effect.fail(refusalOfClose("token-expired"))
      const holding = yield* auth.holds(identity)
      if (holding === "holds") return
      return yield* Effect.fail(refusalOfClose(holding === "removed" ? "unauthorized" : "token-expired"))
    })
  }
}

/** Provided for each request. */
export const CurrentCaller = Context.Reference<Caller | undefined>("polestar/transports/http/Caller", {
  defaultValue: () => undefined
})

/** Counts and logs, once, why somebody is refused, and answers the problem with the id by which the log has it. */
export const refusedProblem = (
  hub: Hub["Service"],
  { id, identity, peer, transport }: Peer,
  problem: Problem,
  what?: string
): Problem => {
  hub.refused({ id, identity, peer, transport, code: problem.code, what })
  return { ...problem, instance: `urn:uuid:${id}` }
}

/** `127.0.0.1:50312`, for logs. */
export const peerOf = (socket: {
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
}): string => `${socket.remoteAddress ?? "?"}:${socket.remotePort ?? 0}`

const shownPath = (path: string): string | undefined => (isKnownPath(path) ? path : undefined)

const transports: ReadonlyMap<string, Transport> = new Map([
  ["/ws", "websocket"],
  [streamPath, "event-stream"],
  ["/api/v1/poll", "long-poll"],
  ["/api/v1/ack", "long-poll"]
])

/** Where a browser cannot set a header, the token may stand in the query. */
const tokenPaths = new Set(["/ws", streamPath])

/** The token that a request shows, if any. An `Authorization` that is no bearer's is a token that nobody has. */
export const tokenOf = (request: IncomingMessage): string | undefined => {
  const { authorization } = request.headers
  if (authorization !== undefined) {
    // Of two, whatever stands before the hub may have checked the other one.
    if (hasTwo(request.rawHeaders, "authorization")) return ""
    return /^Bearer +(\S+) *$/i.exec(authorization)?.[1] ?? ""
  }
  const [path, query] = (request.url ?? "/").split("?", 2)
  if (query === undefined || !tokenPaths.has(path ?? "")) return undefined
  return new URLSearchParams(query).get("token") ?? undefined
}

/** Whether a header of this name, in lower case, stands in the request more than once. */
const hasTwo = (rawHeaders: ReadonlyArray<string>, name: string): boolean => {
  let count = 0
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const each = rawHeaders[at]
    if (each !== undefined && each.length === name.length && each.toLowerCase() === name) count++
  }
  return count > 1
}

/** Whose request it is. */
export const authenticate = (
  auth: Auth["Service"],
  request: IncomingMessage
): Effect.Effect<Identity, AuthError> =>
  auth.isOn ? auth.authenticate(tokenOf(request)) : Effect.succeed(anonymous)

export const refusalOfAuth = (error: AuthError): Refusal => refusal(authCodes[error.reason], error.message)

export const mayPublish = (identity: Identity, topic: string): Refusal | undefined =>
  identity.publish.isEverything || identity.publish.allowsTopic(topic)
    ? undefined
    : refusal("FORBIDDEN", "this identity may not publish to that topic").about(topic)

export const maySubscribe = (identity: Identity, pattern: string): Refusal | undefined =>
  identity.subscribe.isEverything || identity.subscribe.allowsPattern(pattern)
    ? undefined
    : refusal("FORBIDDEN", "this identity may not subscribe to that").about(pattern)

/** Whether the identity may be that client. Unless it says which ones it may be, each is its own. */
export const mayBeClient = (identity: Identity, clientId: string): Refusal | undefined =>
  identity.groups === undefined || identity.groups.allowsTopic(clientId)
    ? undefined
    : refusal("FORBIDDEN", "this identity may not use that client_id")

/** Whose limits these are: the identity's, or of everyone at an address. */
export const limitKeyOf = (identity: Identity, request: IncomingMessage): string =>
  keyOf(identity, request.socket.remoteAddress)
