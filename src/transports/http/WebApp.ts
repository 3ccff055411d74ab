/**
 * What happens to every request around its handler: origin, identity, draining, and an answer of the API's kind to
 * whatever goes wrong.
 */
import type { IncomingMessage } from "node:http"
import { Cause, Effect, SchemaIssue } from "effect"
import { HttpServerError, HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiError } from "effect/http-api"
import type { OriginRules } from "../../protocol/Origins.ts"
import type { Auth } from "../../services/Auth.ts"
import { Api } from "./Api.ts"
import { authenticate, Caller, CurrentCaller, refusalOfAuth } from "./Caller.ts"
import { nodeRequest, nodeResponse } from "./NodeRequest.ts"
import { allowedText } from "./Parameters.ts"
import { pathOf, streamPath, webSocketPath } from "./Paths.ts"
import { problemResponse, type Refusal, refusal } from "./Refusal.ts"
import { refusedBlindly, refusedOrigin } from "./RefusedOrigins.ts"
import type { Web } from "./Web.ts"

type Response = HttpServerResponse.HttpServerResponse

/** Answered whoever asks, and while the hub drains: what says whether the hub is there, and what the API is. */
const open = new Set(["/", "/health", "/ready", "/docs", "/openapi.json"])

export interface WebAppOptions {
  readonly auth: Auth["Service"]
  readonly web: Web["Service"]
  readonly origins: OriginRules
}

/** The router, with all that is around it. It does not fail. */
export const webApp =
  ({ auth, origins, web }: WebAppOptions) =>
  <E, R>(
    router: Effect.Effect<Response, E, R>
  ): Effect.Effect<Response, never, R | HttpServerRequest.HttpServerRequest> =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
      const node = nodeRequest(request)
      const { headers } = node
      const nobody = new Caller(web, node)
      const fromElsewhere = refusedOrigin(headers, origins)
      if (fromElsewhere !== undefined) return refuse(nobody, fromElsewhere)
      const { origin } = headers
      const routed = (caller: Caller) =>
        Effect.catchCause(router, (cause) => answerTo(caller, cause)).pipe(
          Effect.provideService(CurrentCaller, caller)
        )
      const path = pathOf(request.url)
      const isOpen = open.has(path)
      const isStream = path === streamPath
      const answer = Effect.suspend(() => {
        if (isOpen) return routed(nobody)
        const blindly = refusedBlindly(headers)
        if (blindly !== undefined) return refuse(nobody, blindly)
        if (web.state.isDraining) return isStream ? cutOff(node) : refuse(nobody, refusal("SHUTTING_DOWN"))
        return Effect.matchEffect(authenticate(auth, node), {
          onFailure: (error) => refuse(nobody, refusalOfAuth(error)),
          onSuccess: (identity) =>
            routed(identity === nobody.identity ? nobody : new Caller(web, node, identity))
        })
      }).pipe(
        Effect.map((response) => {
          const isLast = (web.state.isDraining && !isOpen) || isUnread(node)
          return isLast ? HttpServerResponse.setHeader(response, "connection", "close") : response
        })
      )
      if (origin === undefined) return answer
      if (request.method === "OPTIONS") return Effect.succeed(preflight(origin))
      // What writes its own response has these from here too.
      nodeResponse(request).setHeader("access-control-allow-origin", origin)
      return Effect.map(answer, (response) => HttpServerResponse.setHeaders(response, corsHeaders(origin)))
    })

/** Answers with a problem, which is counted and logged by that. */
const refuse = (
  caller: Caller,
  refused: Refusal,
  headers?: Readonly<Record<string, string>>
): Effect.Effect<Response> =>
  Effect.sync(() => problemResponse(caller.refused(refused.problem, refused), headers))

/** A browser's `EventSource` tries again after a connection that broke, and never after an answer of 503. */
const cutOff = (node: IncomingMessage): Effect.Effect<never> =>
  Effect.suspend(() => {
    node.socket.destroy()
    return Effect.interrupt
  })

/** What is left of a body that nobody asked for, or that was refused, is not waited for. */
const isUnread = (node: IncomingMessage): boolean => hasBody(node) && !node.complete

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0"

const corsHeaders = (origin: string) => ({
  "access-control-allow-origin": origin,
  "access-control-expose-headers": "retry-after, www-authenticate",
  vary: "origin"
})

const preflight = (origin: string): Response =>
  HttpServerResponse.empty({
    status: 204,
    headers: {
      ...corsHeaders(origin),
      "access-control-allow-methods": "GET, POST, DELETE",
      "access-control-allow-headers": "authorization, content-type, last-event-id, traceparent, tracestate",
      "access-control-max-age": "600"
    }
  })

/** Paths of the API, to tell a wrong method from a wrong path. */
const paths = Object.values(Api.groups).flatMap((group) =>
  Object.values(group.endpoints).map(({ method, path }) => ({
    method,
    path: new RegExp(`^${path.replace(/:[^/]+/g, "[^/]+")}/?$`)
  }))
)

const answerTo = <E>(caller: Caller, cause: Cause.Cause<E>): Effect.Effect<Response> => {
  // Nobody is left to be answered.
  if (Cause.hasInterruptsOnly(cause)) return Effect.interrupt
  const error = Cause.squash(cause)
  if (HttpApiError.HttpApiSchemaError.is(error) && error.kind !== "Body") {
    return refuse(caller, refusal("BAD_REQUEST", badFields(error)))
  }
  if (HttpServerError.isHttpServerError(error) && error.reason._tag === "RouteNotFound")
    return notFound(caller)
  return Effect.andThen(Effect.logError("a request failed", cause), refuse(caller, refusal("INTERNAL")))
}

const toIssues = SchemaIssue.makeFormatterStandardSchemaV1()

/** Names what is wrong and what it may be, and does not quote it. */
const badFields = ({ cause, kind }: HttpApiError.HttpApiSchemaError): string => {
  const names = toIssues(cause.issue).issues.map(({ path }) => (path ?? []).map(String).join("."))
  const shown = [...new Set(names)].filter((name) => name !== "").map(allowedText)
  return shown.length === 0 ? `${kind.toLowerCase()}: it cannot be that` : shown.join("; ")
}

const notFound = (caller: Caller): Effect.Effect<Response> => {
  const path = pathOf(caller.request.url)
  if (path === webSocketPath) return refuse(caller, refusal("UPGRADE_REQUIRED"))
  const methods = paths.filter((each) => each.path.test(path)).map(({ method }) => method)
  return methods.length === 0
    ? refuse(caller, refusal("NOT_FOUND"))
    : refuse(caller, refusal("METHOD_NOT_ALLOWED"), { allow: methods.join(", ") })
}
