/**
 * Who may ask, declared where the API is: a request comes to a handler that is marked with one of these only as somebody's,
 * by whatever path the router found it. What is not marked is open to all, and answered while the hub drains.
 */
import type { IncomingMessage } from "node:http"
import { Context, Effect, Layer } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiMiddleware, HttpApiSecurity, OpenApi } from "effect/http-api"
import { authenticate, Caller, refusalOfAuth } from "./Caller.ts"
import { nodeRequest } from "./NodeRequest.ts"
import { pathOf, streamPath } from "./Paths.ts"
import { refusal } from "./Refusal.ts"
import { refusedBlindly } from "./RefusedOrigins.ts"
import { problems } from "./Schemas.ts"
import { Web } from "./Web.ts"

type Response = HttpServerResponse.HttpServerResponse

/** Whose request it is. */
export class CurrentCaller extends Context.Service<CurrentCaller, Caller>()(
  "polestar/transports/http/CurrentCaller"
) {}

const bearer = HttpApiSecurity.http({ scheme: "bearer" }).pipe(
  HttpApiSecurity.annotate(
    OpenApi.Description,
    "An API key or a JWT. Where the hub asks nobody who they are, it may be absent."
  )
)

const token = HttpApiSecurity.apiKey({ in: "query", key: "token" }).pipe(
  HttpApiSecurity.annotate(
    OpenApi.Description,
    "The same where a header cannot be set, as by an `EventSource`."
  )
)

/** What it answers itself. */
const error = problems(401, 503)

/** Asks for a token in the header. */
export class Authorization extends HttpApiMiddleware.Service<Authorization, { provides: CurrentCaller }>()(
  "polestar/transports/http/Authorization",
  { security: { bearer }, error }
) {}

/** The same, for what a page of a browser opens without headers of its own: the token may stand in the query. */
export class StreamAuthorization extends HttpApiMiddleware.Service<
  StreamAuthorization,
  { provides: CurrentCaller }
>()("polestar/transports/http/StreamAuthorization", { security: { bearer, token }, error }) {}

/**
 * Refuses the request, or has it answered as its caller's. The token is read here and not by the scheme that the API
 * declares, so that requests, upgrades and direct publishes take the same ones.
 */
export const admitted = <E, R>(
  web: Web["Service"],
  request: IncomingMessage,
  answer: (caller: Caller) => Effect.Effect<Response, E, R>
): Effect.Effect<Response, E, R> =>
  Effect.suspend(() => {
    const nobody = new Caller(web, request)
    const blindly = refusedBlindly(request.headers)
    if (blindly !== undefined) return nobody.refuse(blindly)
    if (web.state.isDraining)
      return pathOf(request.url) === streamPath ? cutOff(request) : nobody.refuse(refusal("SHUTTING_DOWN"))
    return Effect.matchEffect(authenticate(web.auth, request), {
      onFailure: (refused) => nobody.refuse(refusalOfAuth(refused)),
      onSuccess: (identity) =>
        answer(identity === nobody.identity ? nobody : new Caller(web, request, identity))
    })
  }).pipe(
    Effect.map((response) =>
      web.state.isDraining ? HttpServerResponse.setHeader(response, "connection", "close") : response
    )
  )

/** A browser's `EventSource` tries again after a connection that broke, and never after an answer of 503. */
const cutOff = (request: IncomingMessage): Effect.Effect<never> =>
  Effect.suspend(() => {
    request.socket.destroy()
    return Effect.interrupt
  })

const make = Effect.map(
  Web,
  (web) =>
    <E, R>(answer: Effect.Effect<Response, E, R | CurrentCaller>) =>
      Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
        admitted(web, nodeRequest(request), (caller) => Effect.provideService(answer, CurrentCaller, caller))
      )
)

export const layer: Layer.Layer<Authorization | StreamAuthorization, never, Web> = Layer.mergeAll(
  Layer.effect(
    Authorization,
    Effect.map(make, (admit) => Authorization.of({ bearer: (answer) => admit(answer) }))
  ),
  Layer.effect(
    StreamAuthorization,
    Effect.map(make, (admit) =>
      StreamAuthorization.of({ bearer: (answer) => admit(answer), token: (answer) => admit(answer) })
    )
  )
)
