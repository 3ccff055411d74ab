/** Who asks: looked up once for each request; every handler asks here what they may do. */
import type { IncomingMessage } from "node:http"
import { Clock, Effect } from "effect"
import type { HttpServerResponse } from "effect/http"
import type { Hub } from "../../actors/Hub.ts"
import type { Peer } from "../../actors/Refusals.ts"
import { authCodes, type Problem, problemOf } from "../../protocol/json/Problem.ts"
import type { Transport } from "../../protocol/Transport.ts"
import type { Auth } from "../../services/Auth.ts"
import type { AuthError } from "../../services/auth/AuthError.ts"
import { anonymous, type Identity } from "../../services/auth/Identity.ts"
import { limitKeyOf } from "../../services/PublishRate.ts"
import { peerOf } from "../PeerText.ts"
import {
  ackPath,
  bulkPath,
  isKnownPath,
  pathOf,
  pollPath,
  publishPath,
  streamPath,
  webSocketPath
} from "./Paths.ts"
import { problemResponse, Refusal, refusal, refusalOfClose } from "./Refusal.ts"
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

  /** Whose limits these are: the identity's, or of everyone at an address. */
  get limitKey(): string {
    return limitKeyOf(this.identity, this.request.socket.remoteAddress)
  }

  get transport(): Transport {
    return transports.get(pathOf(this.request.url)) ?? "http"
  }

  /** What the client is told of a refusal, to find its line in the log by. */
  get instance(): string {
    return instanceOf(this.id)
  }

  /**
   * Counts and logs why it is refused, once, and answers the problem with the id by which the log has it. Of a publish
   * whose messages nobody has read, one counts as refused.
   */
  refused(problem: Problem, { times, what, why }: RefusedAbout = {}): Problem {
    const path = pathOf(this.request.url)
    const about = {
      what: what ?? shownPath(path),
      why,
      times,
      isPublish: this.request.method === "POST" && publishPaths.has(path)
    }
    return refusedProblem(this.web.hub, this, problem, about)
  }

  /** The answer that says so. */
  refuse(
    refused: Refusal,
    headers?: Readonly<Record<string, string>>
  ): Effect.Effect<HttpServerResponse.HttpServerResponse> {
    return Effect.sync(() => problemResponse(this.refused(refused.problem, refused), headers))
  }

  /** Counts and logs what was refused of many messages of one request, and so has no answer of its own. */
  refusedPart(code: Problem["code"], what: string | undefined, times: number): void {
    const { id, identity, peer, transport } = this
    this.web.hub.refused({ id, identity, peer, transport, code, what, isPublish: true }, times)
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

/** What the log has of a refusal, beside its code. */
interface RefusedAbout {
  /** The topic, pattern or path. */
  readonly what?: string | undefined
  /** What the client is not told. */
  readonly why?: string | undefined
  /** How many messages it stands for. */
  readonly times?: number | undefined
  readonly isPublish?: boolean
}

/** Counts and logs, once, why somebody is refused, and answers the problem with the id by which the log has it. */
export const refusedProblem = (
  hub: Hub["Service"],
  { id, identity, peer, transport }: Peer,
  problem: Problem,
  { isPublish = false, times, what, why }: RefusedAbout = {}
): Problem => {
  hub.refused({ id, identity, peer, transport, code: problem.code, what, why, isPublish }, times)
  return { ...problem, instance: instanceOf(id) }
}

const instanceOf = (id: string): string => `urn:uuid:${id}`

const shownPath = (path: string): string | undefined => (isKnownPath(path) ? path : undefined)

const publishPaths = new Set([publishPath, bulkPath])

const transports: ReadonlyMap<string, Transport> = new Map([
  [webSocketPath, "websocket"],
  [streamPath, "event-stream"],
  [pollPath, "long-poll"],
  [ackPath, "long-poll"]
])

/** Where a browser cannot set a header, the token may stand in the query. */
const tokenPaths = new Set([webSocketPath, streamPath])

/** The token that a request shows, if any. An `Authorization` that is no bearer's is a token that nobody has. */
export const tokenOf = (request: IncomingMessage): string | undefined => {
  const { authorization } = request.headers
  if (authorization !== undefined) {
    // Of two, whatever stands before the hub may have checked the other one.
    if (hasTwo(request.rawHeaders, "authorization")) return ""
    return /^Bearer +(\S+) *$/i.exec(authorization)?.[1] ?? ""
  }
  const { url } = request
  const path = pathOf(url)
  if (url === undefined || !tokenPaths.has(path)) return undefined
  return new URLSearchParams(url.slice(path.length)).get("token") ?? undefined
}

/** Whether a header of this name, in lower case, stands in the request more than once. */
export const hasTwo = (rawHeaders: ReadonlyArray<string>, name: string): boolean => {
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

/** Why stands in the log alone. Who showed no token of use is told where it goes, whatever was wrong with it. */
export const refusalOfAuth = ({ message, reason, why }: AuthError): Refusal => {
  const code = authCodes[reason]
  const isOfUse = code !== "UNAUTHORIZED" || reason === "not-yet-valid"
  const detail = isOfUse ? message : `${message}: ${tokenPlace}`
  return new Refusal({ problem: problemOf(code, detail), why })
}

const tokenPlace =
  "it is given as `Authorization: Bearer <token>`; `?token=<token>` is for /ws and /api/v1/stream alone"

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
