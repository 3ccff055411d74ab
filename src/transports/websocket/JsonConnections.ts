/** All connections that speak JSON: how each begins, is pinged and ends. */
import type { Duplex as NodeDuplex } from "node:stream"
import { type Context, Effect, Exit, Predicate, Result, Scope } from "effect"
import type { WebSocket } from "ws"
import type { Hub } from "../../actors/Hub.ts"
import { type CloseReason, CloseReasons } from "../../protocol/CloseReason.ts"
import { defaultJsonLimits, type JsonLimits } from "../../protocol/json/JsonLimits.ts"
import type { Identity } from "../../services/auth/Identity.ts"
import type { Settings } from "../../services/Settings.ts"
import { EventFrames } from "./EventFrames.ts"
import { type Admission, JsonClient } from "./JsonClient.ts"
import { JsonOutlet } from "./JsonOutlet.ts"

/** Pings of an interval are spread over so many times, so that many connections are not pinged at once. */
export const pingSlots = 16

export interface JsonConnectionOptions {
  readonly identity: Identity
  readonly admit: Admission | undefined
  /** Serves the client as one of the binary protocol; `early` has come already. */
  readonly switchToBinary: (early: ReadonlyArray<Uint8Array>) => void
}

interface Open {
  readonly ws: WebSocket
  readonly socket: NodeDuplex
  readonly client: JsonClient
  readonly outlet: JsonOutlet
  readonly end: (reason: CloseReason) => void
  readonly slot: number
  heard: number
  missed: number
}

export class JsonConnections {
  private readonly hub: Hub["Service"]
  private readonly context: Context.Context<never>
  private readonly limits: JsonLimits
  private readonly maxMissed: number
  private readonly events = new EventFrames()
  private readonly open = new Set<Open>()
  private opened = 0
  private turn = 0

  constructor(
    hub: Hub["Service"],
    settings: Settings["Service"],
    context: Context.Context<never>,
    maxText: number
  ) {
    this.hub = hub
    this.context = context
    this.limits = { ...defaultJsonLimits, maxBytes: maxText, maxPayload: settings.maxMessageSize }
    this.maxMissed = Math.max(1, Math.ceil(settings.readTimeout / settings.pingInterval))
  }

  /** Batches that were encoded for a dialect, since the beginning. */
  get encoded(): number {
    return this.events.encoded
  }

  serve(ws: WebSocket, socket: NodeDuplex, options: JsonConnectionOptions): void {
    const scope = Scope.makeUnsafe()
    let client: JsonClient | undefined
    const outlet = new JsonOutlet(ws, socket, this.events, {
      control: (frame) => client?.control(frame),
      broke: () => connection.end("hub-failed")
    })
    const connecting = Scope.provide(this.hub.connectLocal(outlet), scope)
    const exit = Effect.runSyncExitWith(this.context)(Effect.result(connecting))
    // It cannot be anything else, since nothing in it waits.
    const connected = Exit.isSuccess(exit) ? exit.value : Result.fail<CloseReason>("hub-failed")
    if (Result.isFailure(connected)) {
      ws.close(CloseReasons[connected.failure], connected.failure)
      return
    }
    const connection = connected.success
    outlet.connection = connection
    const { admit, identity } = options
    client = new JsonClient(connection, outlet, {
      identity,
      admit,
      limits: this.limits,
      context: this.context
    })
    const slot = this.opened++ % pingSlots
    const end = (reason: CloseReason) => connection.end(reason)
    const entry: Open = { ws, socket, client, outlet, end, slot, heard: -1, missed: 0 }
    this.open.add(entry)
    const release = () => {
      this.open.delete(entry)
      Effect.runForkWith(this.context)(Scope.close(scope, Exit.void))
    }
    this.listen(entry, release, options.switchToBinary)
    client.greet()
  }

  /** To be run `pingSlots` times an interval: asks some of the silent whether they are there, and ends the dead. */
  readonly ping: Effect.Effect<void> = Effect.sync(() => {
    const slot = this.turn++ % pingSlots
    if (slot === 0) this.events.clear()
    for (const entry of this.open) {
      if (entry.slot !== slot || entry.client.isExpired) continue
      const heard = heardFrom(entry.socket)
      // One that is not read cannot be heard.
      entry.missed = heard === entry.heard && !entry.ws.isPaused ? entry.missed + 1 : 0
      entry.heard = heard
      if (entry.missed >= this.maxMissed) entry.end("ping-timeout")
      else entry.outlet.ping()
    }
  })

  private listen(
    entry: Open,
    release: () => void,
    switchToBinary: JsonConnectionOptions["switchToBinary"]
  ): void {
    const { client, outlet, ws } = entry
    const message = (data: Buffer, isBinary: boolean) => {
      if (ws.readyState !== ws.OPEN) return
      if (!isBinary) {
        this.take(entry, data)
      } else if (client.hasSpoken) {
        entry.end("protocol-error")
      } else {
        ws.off("message", message)
        ws.off("close", close)
        outlet.detach()
        release()
        switchToBinary([data])
      }
    }
    const close = (code: number) => {
      entry.end(code === abnormal ? "connection-lost" : "normal")
      outlet.detach()
      release()
    }
    ws.on("message", message)
    ws.on("close", close)
  }

  private take({ client, end }: Open, text: Buffer): void {
    try {
      client.take(text)
    } catch (error) {
      Effect.runForkWith(this.context)(Effect.logError("a WebSocket connection failed", error))
      end("hub-failed")
    }
  }
}

/** The code of a socket that broke. */
const abnormal = 1006

/** Bytes that ever came over the socket. */
const heardFrom = (socket: NodeDuplex): number =>
  Predicate.hasProperty(socket, "bytesRead") && Predicate.isNumber(socket.bytesRead) ? socket.bytesRead : 0
