/** `Polestar` as a browser has it: the same service, with a Layer over WebSocket. */
import { Polestar as Service } from "./Polestar.ts"
import { layerWebSocket } from "./PolestarWebSocket.ts"

/** The class of `Polestar.ts` itself, as in `PolestarNode.ts`, with the one Layer that needs no Node. */
export const Polestar = Object.assign(Service, {
  /** A hub over a WebSocket. */
  layerWebSocket
})
export type Polestar = Service
