/** Requests to speak WebSocket: only at `/ws`, from allowed origins, and not while the hub drains. */
import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"
import { type Problem, problemOf } from "../../protocol/json/Problem.ts"
import { isAllowedOrigin, type OriginRules } from "../../protocol/Origins.ts"
import type { WebSockets } from "../websocket/WebSocketServer.ts"
import { Caller } from "./Caller.ts"
import { refuseSocket } from "./RefuseSocket.ts"
import type { Web, WebState } from "./Web.ts"

/** The listener of a node server's `upgrade`. */
export const upgradeTo =
  (sockets: WebSockets, web: Web["Service"], origins: OriginRules) =>
  (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    socket.on("error", () => {})
    const problem = problemWith(request, web.state, origins)
    if (problem === undefined) sockets.upgrade(request, socket, head)
    else refuseSocket(socket, new Caller(web, request).refused(problem))
  }

const problemWith = (
  { headers, url = "/" }: IncomingMessage,
  state: WebState,
  origins: OriginRules
): Problem | undefined => {
  const [path] = url.split("?", 1)
  if (path !== "/ws" || headers.upgrade?.toLowerCase() !== "websocket")
    return problemOf("NOT_FOUND", "WebSocket is at /ws")
  if (!isAllowedOrigin(headers, origins)) return problemOf("ORIGIN_NOT_ALLOWED")
  return state.isDraining ? problemOf("SHUTTING_DOWN") : undefined
}
