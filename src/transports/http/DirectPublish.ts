/**
 * `POST /api/v1/messages` of JSON without the router in between, which would cost more than the publish itself. It is
 * the same function that answers; whatever is not as plain as that takes the ordinary way.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import { Context, Effect, References, Tracer } from "effect"
import { problemHeaders } from "../../protocol/json/Problem.ts"
import { isAllowedOrigin } from "../../protocol/Origins.ts"
import { anonymous } from "../../services/auth/Identity.ts"
import { isJson, type PublishContext, publishJson } from "./Publishing.ts"
import type { Refusal } from "./Refusal.ts"
import type { WebAppOptions } from "./WebApp.ts"

/** Answers whether it has taken the request. */
export type DirectPublish = (request: IncomingMessage, response: ServerResponse) => boolean

export const directPublish = (
  { auth, origins, web }: WebAppOptions,
  services: Context.Context<never>
): DirectPublish => {
  const isTraced =
    Context.get(services, Tracer.Tracer) !== Tracer.nativeTracer &&
    Context.get(services, References.TracerEnabled)
  // Where a token must be checked, or spans are made, the way is the ordinary one.
  if (auth.isOn || isTraced) return () => false
  const run = Effect.runForkWith(services)
  return (request, response) => {
    const { headers } = request
    const isPlain =
      request.url === "/api/v1/messages" &&
      request.method === "POST" &&
      headers.origin === undefined &&
      isJson(headers["content-type"]) &&
      !web.state.isDraining &&
      isAllowedOrigin(headers, origins)
    if (!isPlain) return false
    const context: PublishContext = { web, identity: anonymous, request }
    const fiber = run(
      Effect.match(publishJson(context), {
        onSuccess: (receipt) => write(response, 202, "application/json", JSON.stringify(receipt)),
        onFailure: (refused) => writeProblem(request, response, refused)
      })
    )
    response.once("close", () => {
      if (!response.writableEnded) fiber.interruptUnsafe()
    })
    return true
  }
}

const write = (response: ServerResponse, status: number, contentType: string, text: string): void => {
  if (response.destroyed) return
  response
    .writeHead(status, { "content-type": contentType, "content-length": Buffer.byteLength(text) })
    .end(text)
}

const writeProblem = (request: IncomingMessage, response: ServerResponse, { problem }: Refusal): void => {
  if (response.destroyed) return
  const { socket } = request
  const text = JSON.stringify(problem)
  // What is left of a body that was refused is not waited for.
  const isUnread = !request.complete
  if (isUnread) response.once("finish", () => closeSoon(socket))
  response
    .writeHead(problem.status, {
      ...problemHeaders(problem),
      ...(isUnread ? { connection: "close" } : {}),
      "content-length": Buffer.byteLength(text)
    })
    .end(text)
}

/** Milliseconds for the peer to read why, while what it still sends is not read. */
const grace = 500

const closeSoon = (socket: IncomingMessage["socket"]): void => {
  socket.end()
  const timer = setTimeout(() => socket.destroy(), grace)
  timer.unref()
  socket.once("close", () => clearTimeout(timer))
}
