/**
 * The node server under HTTP and WebSocket, plain or TLS 1.3, with the bounds of what comes before there is a request:
 * the head's size and time, idle connections, sockets that say nothing; and of what is answered and not read.
 */
import * as Http from "node:http"
import * as Https from "node:https"
import { Socket } from "node:net"
import type { Duplex } from "node:stream"
import type { TlsOptions } from "node:tls"
import { Option } from "effect"
import { problemOf } from "../../protocol/json/Problem.ts"
import { Caller } from "./Caller.ts"
import type { OpenRequests } from "./OpenRequests.ts"
import { refuseNoRequest, refuseSocket } from "./RefuseSocket.ts"
import { isUpgrade } from "./Upgrades.ts"
import type { Web } from "./Web.ts"

/** Bytes of a request's head. */
export const maxHeaderSize = 16_384

/** For those who ask whether the hub is ready, when it has all the clients that it takes. */
const spareConnections = 1000

/** Does not listen yet. What is no request is answered and closed here. */
export const makeNodeServer = (
  secure: Option.Option<TlsOptions>,
  web: Web["Service"],
  open: OpenRequests
): Http.Server => {
  const { hub, settings } = web
  const { clientWriteTimeout, httpIdleTimeout, httpReadTimeout, maxConnections } = settings
  const options = {
    noDelay: true,
    maxHeaderSize,
    headersTimeout: httpReadTimeout,
    keepAliveTimeout: httpIdleTimeout,
    // Bodies have limits of their own, since a poll or a stream of lines may take long.
    requestTimeout: 0,
    connectionsCheckingInterval: Math.min(1000, httpReadTimeout),
    shouldUpgradeCallback: isUpgrade
  }
  const server = Option.isNone(secure)
    ? Http.createServer(options)
    : Https.createServer({ ...options, ...secure.value })
  // Sockets that have said nothing yet count too. Beyond this the oldest of them must end first.
  server.maxConnections = maxConnections + spareConnections
  server.on("tlsClientError", (_error: Error, socket: Duplex) => {
    socket.destroy()
  })
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => {
    // What still comes of one that was refused.
    if (socket.writableEnded) return
    const isAnswering = socket instanceof Socket && open.isAnswering(socket)
    if (error.code === "ECONNRESET" || !socket.writable || isAnswering) return void socket.destroy()
    refuseNoRequest(hub, socket, noRequest(error.code))
  })
  server.on("connect", (request: Http.IncomingMessage, socket: Duplex) => {
    socket.on("error", () => {})
    if (open.owes(socket)) return void socket.destroy()
    refuseSocket(socket, new Caller(web, request).refused(problemOf("METHOD_NOT_ALLOWED")))
  })
  // Of one on which nothing moves; whatever is waited for has limits of its own.
  server.setTimeout(clientWriteTimeout, (socket) => {
    if (open.isOver(socket)) socket.destroy()
  })
  return server
}

const noRequest = (code: string | undefined) => {
  if (code === "HPE_HEADER_OVERFLOW")
    return problemOf("HEAD_TOO_LARGE", `the head is larger than ${maxHeaderSize} bytes`)
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return problemOf("REQUEST_TIMEOUT")
  return { ...problemOf("BAD_REQUEST", "it is not a request of HTTP/1.1"), status: 400, title: "Bad Request" }
}
