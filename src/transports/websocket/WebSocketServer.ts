/**
 * The WebSocket side of a hub: it takes the upgrade requests of an HTTP server. A client that asks for the subprotocol
 * `polestar.v1`, or whose first message is binary, speaks the binary protocol; any other speaks JSON.
 *
 * A connection outlives the scope: when the hub drains it ends them all, with the reason's number as the close code.
 */
import type { IncomingMessage } from "node:http"
import type { Duplex as NodeDuplex } from "node:stream"
import { Effect, FiberSet, Schedule, type Scope } from "effect"
import { type WebSocket, WebSocketServer } from "ws"
import { Hub } from "../../actors/Hub.ts"
import { authCodes, type Problem, problemOf } from "../../protocol/json/Problem.ts"
import { webSocketProtocol } from "../../protocol/WebSocketProtocol.ts"
import type { AuthError } from "../../services/auth/AuthError.ts"
import type { Identity } from "../../services/auth/Identity.ts"
import { Settings } from "../../services/Settings.ts"
import { peerOf } from "../PeerText.ts"
import type { Admission } from "./JsonClient.ts"
import { JsonConnections, pingSlots } from "./JsonConnections.ts"
import { WebSocketDuplex } from "./WebSocketDuplex.ts"

export interface WebSockets {
  /** Takes an `upgrade` event of an HTTP server. Whoever calls it has looked at the path and the origin. */
  readonly upgrade: (request: IncomingMessage, socket: NodeDuplex, head: Buffer) => void
  /** Those that are open now. */
  readonly connections: () => number
  /** How often a batch was encoded for a dialect of JSON: once for all its subscribers. */
  readonly encoded: () => number
}

export interface WebSocketOptions {
  /**
   * Whose connection it is; asked once for each that speaks JSON, before it is taken. One that asks for the binary
   * protocol says who it is in its hello.
   */
  readonly authenticate: (request: IncomingMessage) => Effect.Effect<Identity, AuthError>
  /** Answers an upgrade that is refused, and closes its socket; `why` is for the log. */
  readonly refuse: (request: IncomingMessage, socket: NodeDuplex, problem: Problem, why?: string) => void
  /** Asked once for each connection that speaks JSON: what it answers is asked before each of its publishes. */
  readonly admission: (request: IncomingMessage, identity: Identity) => Admission | undefined
}

/** Room in a message for what surrounds one payload of the largest size. */
const messageOverhead = 131_072

/** Bytes that the fragments of the largest message have on average at least; one in more of them is refused (1008). */
const smallFragment = 1024
/** The same of the chunks in which a socket brings it. */
const smallChunk = 64

/** Takes connections until the scope closes. */
export const makeWebSockets = Effect.fnUntraced(function* ({
  admission,
  authenticate,
  refuse
}: WebSocketOptions): Effect.fn.Return<WebSockets, never, Hub | Settings | Scope.Scope> {
  const hub = yield* Hub
  const settings = yield* Settings
  const context = yield* Effect.context<never>()
  const fork = yield* FiberSet.makeRuntime<never>()
  const maxPayload = settings.maxMessageSize + messageOverhead
  const server = new WebSocketServer(serverOptions(settings, maxPayload))
  let open = 0
  const left = () => {
    open--
  }
  const serveBinary = (ws: WebSocket, socket: NodeDuplex, early: ReadonlyArray<Uint8Array>) => {
    hub.serve(new WebSocketDuplex(ws, socket, peerOf(socket), early))
  }
  const json = new JsonConnections({ hub, settings, context, maxText: maxPayload, serveBinary })
  const pingEvery = Math.max(1, settings.pingInterval / pingSlots)
  yield* Effect.forkScoped(Effect.repeat(json.ping, Schedule.spaced(pingEvery)))

  // Nothing that lives as long as a connection may refer to its request.
  const serve = (
    ws: WebSocket,
    socket: NodeDuplex,
    identity: Identity | undefined,
    admit: Admission | undefined
  ) => {
    open++
    ws.on("close", left)
    // What is wrong with a socket is followed by its close, which is what is heard.
    ws.on("error", ignore)
    if (ws.protocol === webSocketProtocol) serveBinary(ws, socket, [])
    else if (identity !== undefined) json.serve(ws, socket, peerOf(socket), identity, admit)
    else ws.terminate()
  }
  const accept = (request: IncomingMessage, socket: NodeDuplex, head: Buffer, identity?: Identity) => {
    socket.off("error", ignore)
    const admit = identity === undefined ? undefined : admission(request, identity)
    server.handleUpgrade(request, socket, head, (ws) => serve(ws, socket, identity, admit))
  }

  let isClosed = false
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isClosed = true
    })
  )
  return {
    upgrade: (request, socket, head) => {
      // Until `ws` listens, a socket that breaks must not end the process.
      socket.on("error", ignore)
      if (isClosed) {
        refuse(request, socket, problemOf("SHUTTING_DOWN"))
      } else if (asksForBinary(request)) {
        // Its token comes in its hello.
        accept(request, socket, head)
      } else {
        fork(
          Effect.match(authenticate(request), {
            onSuccess: (identity) => accept(request, socket, head, identity),
            onFailure: ({ message, reason, why }) =>
              refuse(request, socket, problemOf(authCodes[reason], message), why)
          }).pipe(
            Effect.onInterrupt(() => Effect.sync(() => refuse(request, socket, problemOf("SHUTTING_DOWN"))))
          )
        )
      }
    },
    connections: () => open,
    encoded: () => json.encoded
  }
})

const ignore = () => {}

const asksForBinary = ({ headers }: IncomingMessage): boolean =>
  (headers["sec-websocket-protocol"] ?? "").split(",").some((name) => name.trim() === webSocketProtocol)

const serverOptions = (settings: Settings["Service"], maxPayload: number) => ({
  noServer: true,
  clientTracking: false,
  // Then nothing is shared between connections. What is inflated is bounded by `maxPayload` too, as it is inflated.
  perMessageDeflate: settings.wsDeflate,
  maxPayload,
  // Every piece of a message that is not whole yet pins the chunk of the socket in which it came.
  maxFragments: Math.ceil(maxPayload / smallFragment),
  maxBufferedChunks: Math.ceil(maxPayload / smallChunk),
  closeTimeout: settings.writeTimeout,
  handleProtocols: (protocols: ReadonlySet<string>): string | false =>
    protocols.has(webSocketProtocol) ? webSocketProtocol : false
})
