/**
 * `POST /api/v1/messages` without the router in between, which would cost more than the publish itself; and so without
 * the authorization that the API declares. Who asks, and what they may do, is asked by the same functions, and the same
 * one answers; what a page of a browser asks, and what is to have a span, takes the ordinary way.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import { Cause, Context, Effect, FiberSet, References, type Scope, Tracer } from "effect"
import { type Problem, problemHeaders, problemOf } from "../../protocol/json/Problem.ts"
import { isAllowedOrigin } from "../../protocol/Origins.ts"
import { authenticate, Caller, refusalOfAuth } from "./Caller.ts"
import { closeAfter } from "./CloseSoon.ts"
import { publishPath } from "./Paths.ts"
import { publishOne } from "./Publishing.ts"
import type { WebAppOptions } from "./WebApp.ts"

/** Answers whether it has taken the request. */
export type DirectPublish = (request: IncomingMessage, response: ServerResponse) => boolean

/** What it publishes is interrupted with the scope. */
export const directPublish = Effect.fnUntraced(function* ({
  origins,
  web
}: WebAppOptions): Effect.fn.Return<DirectPublish, never, Scope.Scope> {
  const services = yield* Effect.context<never>()
  const isTraced =
    Context.get(services, Tracer.Tracer) !== Tracer.nativeTracer &&
    Context.get(services, References.TracerEnabled)
  if (isTraced) return () => false
  const run = yield* FiberSet.makeRuntime<never>()
  return (request, response) => {
    const { headers, method, url = "" } = request
    const isPlain =
      method === "POST" &&
      url.startsWith(publishPath) &&
      (url.length === publishPath.length || url[publishPath.length] === "?") &&
      headers.origin === undefined &&
      headers["sec-fetch-site"] === undefined &&
      !web.state.isDraining &&
      isAllowedOrigin(headers, origins)
    if (!isPlain) return false
    let caller: Caller | undefined
    const publishing = Effect.flatMap(
      Effect.mapError(authenticate(web.auth, request), refusalOfAuth),
      (identity) => {
        caller = new Caller(web, request, identity)
        return publishOne(caller)
      }
    )
    const answered = Effect.match(publishing, {
      onSuccess: (receipt) => write(response, 202, "application/json", JSON.stringify(receipt)),
      onFailure: (refusal) => {
        const refused = (caller ?? new Caller(web, request)).refused(refusal.problem, refusal)
        writeProblem(request, response, refused)
      }
    })
    const failed = (cause: Cause.Cause<never>) => {
      // Nobody is left to be answered.
      if (Cause.hasInterruptsOnly(cause)) return Effect.void
      writeProblem(request, response, problemOf("INTERNAL"))
      return Effect.logError("a request failed", cause)
    }
    const fiber = run(Effect.catchCause(answered, failed))
    response.once("close", () => {
      if (!response.writableEnded) fiber.interruptUnsafe()
    })
    return true
  }
})

const write = (response: ServerResponse, status: number, contentType: string, text: string): void => {
  if (response.destroyed) return
  response
    .writeHead(status, { "content-type": contentType, "content-length": Buffer.byteLength(text) })
    .end(text)
}

const writeProblem = (request: IncomingMessage, response: ServerResponse, problem: Problem): void => {
  if (response.destroyed) return
  const text = JSON.stringify(problem)
  // What is left of a body that was refused is not waited for.
  const isUnread = !request.complete
  if (isUnread) closeAfter(request, response)
  response
    .writeHead(problem.status, problem.title, {
      ...problemHeaders(problem),
      ...(isUnread || problem.code === "SHUTTING_DOWN" ? { connection: "close" } : {}),
      "content-length": Buffer.byteLength(text)
    })
    .end(text)
}
