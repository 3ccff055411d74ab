/** `Polestar` as Node has it: the same service, with Layers over TCP, a WebSocket, and a hub in this process. */
import { Polestar as Service } from "./Polestar.ts"
import { layerEmbedded, layerHub, layerHubWith } from "./PolestarEmbedded.ts"
import { layerTcp } from "./PolestarTcp.ts"
import { layerWebSocket } from "./PolestarWebSocket.ts"

/**
 * The class of `Polestar.ts` itself, not another one: what provides either provides both. The Layers are added
 * here so that a browser, which loads `Polestar.ts`, loads no Node.
 */
export const Polestar = Object.assign(Service, {
  /** A hub over TCP. */
  layerTcp,
  /** A hub over a WebSocket, as in a browser. */
  layerWebSocket,
  /** A hub of its own in this process. */
  layerEmbedded,
  /** The hub that is in the context. */
  layerHub,
  /** The same, with options. */
  layerHubWith
})
export type Polestar = Service
