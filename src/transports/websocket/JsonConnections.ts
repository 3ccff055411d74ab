/** All connections that speak JSON: how each begins, is pinged and ends. */
import type { Duplex as NodeDuplex } from "node:stream"
import { type Context, Effect, Exit, Predicate, Result, Scope } from "effect"
import type { WebSocket } from "ws"
import type { Hub } from "../../actors/Hub.ts"
import type { LocalConnection } from "../../actors/LocalConnection.ts"
import { type CloseReason, CloseReasons } from "../../protocol/CloseReason.ts"
import { defaultJsonLimits, type JsonLimits } from "../../protocol/json/JsonLimits.ts"
import { closeCodes } from "../../protocol/json/Problem.ts"
import type { Identity } from "../../services/auth/Identity.ts"
import type { Settings } from "../../services/Settings.ts"
import { forHub } from "../ClientGroup.ts"
import { EventFrames } from "./EventFrames.ts"
import { type Admission, JsonClient } from "./JsonClient.ts"
import { JsonOutlet } from "./JsonOutlet.ts"

/** Pings of an interval are spread over so many times, so that many connections are not pinged at once. */
export const pingSlots = 16

export interface JsonConnectionsOptions {
  readonly hub: Hub["Service"]
  readonly settings: Settings["Service"]
  readonly context: Context.Context<never>
  /** Bytes of a text frame. */
  readonly maxText: number
  /** Serves a client as one of the binary protocol; `early` has come already. */
  readonly serveBinary: (ws: WebSocket, socket: NodeDuplex, early: ReadonlyArray<Uint8Array>) => void
}

interface Open {
  readonly ws: WebSocket
  readonly socket: NodeDuplex
  readonly client: JsonClient
  readonly outlet: JsonOutlet
  readonly connection: LocalConnection
  readonly scope: Scope.Closeable
  readonly slot: number
  heard: number
  missed: number
}

export class JsonConnections {
  private readonly options: JsonConnectionsOptions
  private readonly limits: JsonLimits
  private readonly maxMissed: number
  private readonly events = new EventFrames()
  private readonly open = new Set<Open>()
  private opened = 0
  private turn = 0

  constructor(options: JsonConnectionsOptions) {
    const { maxText, settings } = options
    this.options = options
    this.limits = { ...defaultJsonLimits, maxBytes: maxText, maxPayload: settings.maxMessageSize }
    this.maxMissed = Math.max(1, Math.ceil(settings.readTimeout / settings.pingInterval))
  }

  /** Batches that were encoded for a dialect, since the beginning. */
  get encoded(): number {
    return this.events.encoded
  }

  serve(
    ws: WebSocket,
    socket: NodeDuplex,
    peer: string,
    identity: Identity,
    admit: Admission | undefined
  ): void {
    const { context, hub, settings } = this.options
    const scope = Scope.makeUnsafe()
    const outlet = new JsonOutlet(ws, socket, this.events)
    const connecting = Scope.provide(
      hub.connectLocal(outlet, { transport: "websocket", peer, identity: forHub(identity) }),
      scope
    )
    // Nothing in it waits.
    const exit = Effect.runSyncExitWith(context)(Effect.result(connecting))
    const connected = Exit.isSuccess(exit) ? exit.value : Result.fail<CloseReason>("hub-failed")
    if (Result.isFailure(connected)) {
      const id = crypto.randomUUID()
      hub.refused({
        id,
        transport: "websocket",
        peer,
        identity,
        code: closeCodes[connected.failure] ?? "INTERNAL"
      })
      ws.close(CloseReasons[connected.failure], connected.failure)
      return
    }
    const connection = connected.success
    const overflow = settings.clientOverflow
    const client = new JsonClient(connection, outlet, { identity, admit, limits: this.limits, overflow })
    outlet.attach(connection, client)
    const slot = this.opened++ % pingSlots
    const entry: Open = { ws, socket, connection, client, outlet, scope, slot, heard: -1, missed: 0 }
    this.open.add(entry)
    this.listen(entry)
    client.greet()
  }

  /** To be run `pingSlots` times an interval: asks some of the silent whether they are there, and ends the dead. */
  readonly ping: Effect.Effect<void> = Effect.sync(() => {
    const slot = this.turn++ % pingSlots
    if (slot === 0) this.events.clear()
    for (const entry of this.open) {
      if (entry.slot !== slot) continue
      const heard = heardFrom(entry.socket)
      // One that is not read cannot be heard.
      entry.missed = heard === entry.heard && !entry.ws.isPaused ? entry.missed + 1 : 0
      entry.heard = heard
      if (entry.missed >= this.maxMissed) entry.connection.end("ping-timeout")
      else entry.outlet.ping()
    }
  })

  private listen(entry: Open): void {
    const { client, connection, ws } = entry
    const message = (data: Buffer, isBinary: boolean) => {
      if (ws.readyState !== ws.OPEN) return
      if (!isBinary) {
        this.take(entry, data)
      } else if (client.hasSpoken) {
        connection.end("protocol-error")
      } else {
        ws.off("message", message)
        ws.off("close", close)
        this.release(entry)
        this.options.serveBinary(ws, entry.socket, [data])
      }
    }
    const close = (code: number) => {
      connection.end(code === abnormal ? "connection-lost" : "normal")
      this.release(entry)
    }
    ws.on("message", message)
    ws.on("close", close)
  }

  private release(entry: Open): void {
    this.open.delete(entry)
    entry.outlet.detach()
    entry.connection.fork(Scope.close(entry.scope, Exit.void))
  }

  private take({ client, connection }: Open, text: Buffer): void {
    try {
      client.take(text)
    } catch (error) {
      connection.fork(Effect.logError("a WebSocket connection failed", error))
      connection.end("hub-failed")
    }
  }
}

/** The code of a socket that broke. */
const abnormal = 1006

/** Bytes that ever came over the socket. */
const heardFrom = (socket: NodeDuplex): number =>
  Predicate.hasProperty(socket, "bytesRead") && Predicate.isNumber(socket.bytesRead) ? socket.bytesRead : 0
