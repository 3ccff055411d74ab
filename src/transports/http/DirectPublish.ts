/**
 * `POST /api/v1/messages` without the router in between, which would cost more than the publish itself; and so without
 * the authorization that the API declares. Who asks, and what they may do, is asked by the same functions, and the same
 * one answers; what a page of a browser asks, and what is to have a span, takes the ordinary way.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import { Cause, Context, Effect, FiberSet, References, type Scope, Tracer } from "effect"
import { type Problem, problemHeaders, problemOf } from "../../protocol/json/Problem.ts"
import { isAllowedOrigin } from "../../protocol/Origins.ts"
import { authenticate, Caller, hasTwo, refusalOfAuth } from "./Caller.ts"
import { closeAfter } from "./CloseSoon.ts"
import { publishPath } from "./Paths.ts"
import { publishOne } from "./Publishing.ts"
import { headerPrefix, queryNames } from "./RawMessage.ts"
import type { Refusal } from "./Refusal.ts"
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
    const { headers, method, rawHeaders, url = "" } = request
    const isPlain =
      method === "POST" &&
      url.startsWith(publishPath) &&
      (url.length === publishPath.length || url[publishPath.length] === "?") &&
      headers.origin === undefined &&
      headers["sec-fetch-site"] === undefined &&
      !web.state.isDraining &&
      isAllowedOrigin(headers, origins) &&
      !hasTwo(rawHeaders, "host") &&
      isPlainQuery(url.slice(publishPath.length))
    if (!isPlain) return false
    let caller: Caller | undefined
    const publishing = Effect.flatMap(
      Effect.mapError(authenticate(web.auth, request), refusalOfAuth),
      (identity) => {
        caller = new Caller(web, request, identity)
        return publishOne(caller)
      }
    )
    const refuse = (problem: Problem, about?: Refusal) =>
      writeProblem(request, response, (caller ?? new Caller(web, request)).refused(problem, about))
    const answered = Effect.match(publishing, {
      onSuccess: (receipt) => write(response, 202, "application/json", JSON.stringify(receipt)),
      onFailure: (refusal) => refuse(refusal.problem, refusal)
    })
    const failed = (cause: Cause.Cause<never>) => {
      // Nobody is left to be answered.
      if (Cause.hasInterruptsOnly(cause)) return Effect.void
      return Effect.andThen(
        Effect.logError("a request failed", cause),
        Effect.sync(() => refuse(problemOf("INTERNAL")))
      )
    }
    const fiber = run(Effect.catchCause(answered, failed))
    response.once("close", () => {
      if (!response.writableEnded) fiber.interruptUnsafe()
    })
    return true
  }
})

/** Whether each parameter is there once, and is one that is read: about others the API says what is wrong. */
const isPlainQuery = (query: string): boolean => {
  if (query.length < 2) return true
  const seen = new Set<string>()
  for (const name of new URLSearchParams(query).keys()) {
    if (seen.has(name) || !(queryNames.has(name) || name.startsWith(headerPrefix))) return false
    seen.add(name)
  }
  return true
}

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
