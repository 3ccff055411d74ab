/** Requests to speak WebSocket: only at `/ws`, from allowed origins, and not while the hub drains. */
import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"
import type { OriginRules } from "../../protocol/Origins.ts"
import { Caller } from "./Caller.ts"
import type { OpenRequests } from "./OpenRequests.ts"
import { pathOf, webSocketPath } from "./Paths.ts"
import { badRequest, type Refusal, refusal } from "./Refusal.ts"
import { refusedOrigin } from "./RefusedOrigins.ts"
import { refuseSocket } from "./RefuseSocket.ts"
import type { Web, WebState } from "./Web.ts"

/** The listener of a node server's `upgrade`. */
export type Upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

/** Has `upgrade` take those that may. */
export const upgradeTo =
  (upgrade: Upgrade, web: Web["Service"], origins: OriginRules, open: OpenRequests): Upgrade =>
  (request, socket, head) => {
    socket.on("error", () => {})
    // Whatever is said now would be taken for the answer to what was asked before.
    if (open.owes(socket)) return void socket.destroy()
    const refused = isUpgrade(request) ? refusalOf(request, web.state, origins) : unknown(request)
    if (refused === undefined) upgrade(request, socket, head)
    else refuseSocket(socket, new Caller(web, request).refused(refused.problem, refused))
  }

/** Whether it asks to speak WebSocket. Any other upgrade is ignored, and its request answered as usual. */
export const isUpgrade = ({ headers }: IncomingMessage): boolean =>
  headers.upgrade?.toLowerCase() === "websocket"

/** For a Node that hands over every upgrade: before 24.9. */
const unknown = ({ url }: IncomingMessage): Refusal =>
  pathOf(url) === webSocketPath
    ? refusal("UPGRADE_REQUIRED")
    : badRequest("there is no upgrade but to WebSocket, at /ws: ask again without the header Upgrade")

const refusalOf = (request: IncomingMessage, state: WebState, origins: OriginRules): Refusal | undefined => {
  if (pathOf(request.url) !== webSocketPath) return refusal("NOT_FOUND", "WebSocket is at /ws")
  return refusedOrigin(request, origins) ?? (state.isDraining ? refusal("SHUTTING_DOWN") : undefined)
}
