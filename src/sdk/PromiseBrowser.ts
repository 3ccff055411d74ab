/** The promise face as a browser has it: `await connect({ url: "wss://hub.example/ws" })`. Nothing here knows Node. */
import { Layer } from "effect"
import type { Polestar } from "./Polestar.ts"
import { layerWebSocket, type WebSocketOptions } from "./PolestarWebSocket.ts"
import { connect as connectLayer, type PromiseClient } from "./PromiseClient.ts"

/** Connects, and fails if the first connection cannot be made. A Layer of `Polestar` will do as well. */
export const connect = (options: WebSocketOptions | Layer.Layer<Polestar, unknown>): Promise<PromiseClient> =>
  connectLayer(isLayer(options) ? options : layerWebSocket(options))

const isLayer = (
  options: WebSocketOptions | Layer.Layer<Polestar, unknown>
): options is Layer.Layer<Polestar, unknown> => Layer.isLayer(options)
