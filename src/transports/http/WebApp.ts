/** What happens to every request before it is routed: its origin and its path; and the answer where nothing is routed. */
import type { IncomingMessage } from "node:http"
import { Cause, Effect } from "effect"
import { HttpServerError, HttpServerRequest, HttpServerResponse } from "effect/http"
import type { OriginRules } from "../../protocol/Origins.ts"
import { Api } from "./Api.ts"
import { admitted } from "./Authorization.ts"
import { Caller } from "./Caller.ts"
import { nodeRequest, nodeResponse } from "./NodeRequest.ts"
import { isKnownPath, pathOf, webSocketPath } from "./Paths.ts"
import { answerTo } from "./Problems.ts"
import { refusal } from "./Refusal.ts"
import { refusedOrigin } from "./RefusedOrigins.ts"
import type { Web } from "./Web.ts"

type Response = HttpServerResponse.HttpServerResponse

export interface WebAppOptions {
  readonly web: Web["Service"]
  readonly origins: OriginRules
}

/** The router, with all that is around it. It does not fail. */
export const webApp =
  ({ origins, web }: WebAppOptions) =>
  <E, R>(
    router: Effect.Effect<Response, E, R>
  ): Effect.Effect<Response, never, R | HttpServerRequest.HttpServerRequest> =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
      const node = nodeRequest(request)
      const nobody = new Caller(web, node)
      const fromElsewhere = refusedOrigin(node, origins)
      if (fromElsewhere !== undefined) return nobody.refuse(fromElsewhere)
      const { origin } = node.headers
      const nothing = admitted(web, node, notFound)
      // The router takes other spellings of a path too, which nothing else here would.
      const routed = isKnownPath(pathOf(node.url))
        ? Effect.catchCause(router, (cause) => (isNotFound(cause) ? nothing : answerTo(nobody, cause)))
        : nothing
      const answer = Effect.map(routed, (response) =>
        isUnread(node) ? HttpServerResponse.setHeader(response, "connection", "close") : response
      )
      if (origin === undefined) return answer
      if (request.method === "OPTIONS") return Effect.succeed(preflight(origin))
      // What writes its own response has these from here too.
      nodeResponse(request).setHeader("access-control-allow-origin", origin)
      return Effect.map(answer, (response) => HttpServerResponse.setHeaders(response, corsHeaders(origin)))
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

const isNotFound = <E>(cause: Cause.Cause<E>): boolean => {
  const error = Cause.squash(cause)
  return HttpServerError.isHttpServerError(error) && error.reason._tag === "RouteNotFound"
}

/** Paths of the API, to tell a wrong method from a wrong path. */
const paths = Object.values(Api.groups).flatMap((group) =>
  Object.values(group.endpoints).map(({ method, path }) => ({
    method,
    path: new RegExp(`^${path.replace(/:[^/]+/g, "[^/;#]+")}$`)
  }))
)

const notFound = (caller: Caller): Effect.Effect<Response> => {
  const { method, url } = caller.request
  const path = pathOf(url)
  if (path === webSocketPath) return caller.refuse(refusal("UPGRADE_REQUIRED"))
  const methods: ReadonlyArray<string | undefined> = paths
    .filter((each) => each.path.test(path))
    .map((each) => each.method)
  return methods.length === 0 || methods.includes(method)
    ? caller.refuse(refusal("NOT_FOUND"))
    : caller.refuse(refusal("METHOD_NOT_ALLOWED"), { allow: methods.join(", ") })
}
