/** What answers the requests of a listener: the API, or, where there is WebSocket alone, that it is not here. */
import type { IncomingMessage, ServerResponse } from "node:http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Effect, Layer, type Scope } from "effect"
import { HttpMiddleware, HttpRouter, HttpServer, UrlParams } from "effect/http"
import { problemHeaders, problemOf } from "../../protocol/json/Problem.ts"
import { Caller } from "./Caller.ts"
import { closeAfter } from "./CloseSoon.ts"
import { directPublish } from "./DirectPublish.ts"
import * as Handlers from "./Handlers.ts"
import { maxHeaderSize } from "./NodeServer.ts"
import { hiddenParameter, isKnownPath, pathOf, webSocketPath } from "./Paths.ts"
import { Web } from "./Web.ts"
import { type WebAppOptions, webApp } from "./WebApp.ts"

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void

/** The API. What it is given is in the origin form. Requests that are being answered are interrupted with the scope. */
export const apiHandler = Effect.fnUntraced(function* (
  options: WebAppOptions
): Effect.fn.Return<RequestHandler, never, Scope.Scope> {
  const layers = Handlers.layer.pipe(
    Layer.provide(Layer.succeed(Web, options.web)),
    Layer.provide(HttpServer.layerServices)
  )
  // Whether a name is too long is for whoever reads it to say.
  const router = yield* Effect.provideService(HttpRouter.toHttpEffect(layers), HttpRouter.RouterConfig, {
    maxParamLength: maxHeaderSize
  })
  const scope = yield* Effect.scope
  const handler = yield* NodeHttpServer.makeHandler(webApp(options)(router), { scope }).pipe(
    // A span has the address and its query, where a token may stand, and what belongs to a message.
    Effect.provideService(UrlParams.CurrentRedactedNames, [hiddenParameter]),
    Effect.provideService(HttpMiddleware.TracerDisabledWhen, ({ url }) => !isKnownPath(pathOf(url)))
  )
  const publishDirectly = yield* directPublish(options)
  return (request, response) => {
    if (!publishDirectly(request, response)) handler(request, response)
  }
})

/** On a port of WebSocket alone. Whatever comes after it is not for here either. */
export const notHere =
  (web: Web["Service"]): RequestHandler =>
  (request, response) => {
    const problem = new Caller(web, request).refused(
      pathOf(request.url) === webSocketPath
        ? problemOf("UPGRADE_REQUIRED")
        : problemOf("NOT_FOUND", "this port is for WebSocket alone, at /ws")
    )
    closeAfter(request, response)
    const headers = problemHeaders(problem)
    const connection = headers.connection === undefined ? "close" : `${headers.connection}, close`
    response.writeHead(problem.status, problem.title, { ...headers, connection }).end(JSON.stringify(problem))
  }
