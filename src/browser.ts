/**
 * What a program in a browser imports: `import { Polestar, Topic } from "polestar/browser"`. The same service with
 * `Polestar.layerWebSocket`, and without the Layers that need Node. Nothing here knows Node.
 */
export { type CloseReason, CloseReasons, mayReconnect } from "./protocol/CloseReason.ts"
export type { Duplex, DuplexListeners } from "./protocol/Duplex.ts"
export type { Durability, Overflow, Position } from "./protocol/Position.ts"
export * as Channel from "./sdk/Channel.ts"
export type { ConnectionState, Receipt } from "./sdk/Client.ts"
export * as Failure from "./sdk/Failure.ts"
export * as PayloadCodec from "./sdk/PayloadCodec.ts"
export { Polestar } from "./sdk/PolestarBrowser.ts"
export * from "./sdk/PolestarError.ts"
export type { WebSocketOptions } from "./sdk/PolestarWebSocket.ts"
export { connect } from "./sdk/PromiseBrowser.ts"
export type { Token } from "./sdk/Token.ts"
export * as Topic from "./sdk/Topic.ts"
