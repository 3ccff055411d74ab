import type { Duplex as NodeDuplex } from "node:stream"
import { type Context, Effect } from "effect"
import type { WebSocket } from "ws"
import type { Hub } from "../../actors/Hub.ts"
import type { Identity } from "../../services/auth/Identity.ts"
import type { Settings } from "../../services/Settings.ts"

export class JsonConnections {
  constructor(_hub: Hub["Service"], _settings: Settings["Service"], _context: Context.Context<never>) {}
  readonly ping: Effect.Effect<void> = Effect.void
  serve(
    _ws: WebSocket,
    _socket: NodeDuplex,
    _identity: Identity,
    _switchTo: (early: ReadonlyArray<Uint8Array>) => void
  ): void {}
}
