import { Effect, Layer } from "effect"
import { Polestar } from "../../src/index.ts"
import { sdkContract } from "../contracts/SdkContract.ts"
import { WebSocketHub, webSocketHub } from "../transports/websocket/WebSocketHub.ts"

/** A client over a real WebSocket, the one that browsers have, to a hub that listens on a free port. */
const overWebSocket = Layer.unwrap(
  Effect.map(WebSocketHub, ({ url }) => Polestar.layerWebSocket({ url }))
).pipe(Layer.provide(webSocketHub()))

sdkContract("websocket", overWebSocket)
