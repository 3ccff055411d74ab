/**
 * What an application imports: `import { Polestar, Topic } from "polestar"`. For Node; in a browser the same service
 * runs over other Layers.
 */
export { type CloseReason, CloseReasons, mayReconnect } from "./protocol/CloseReason.ts"
export type { ErrorCode } from "./protocol/ErrorCode.ts"
export type { Durability, Overflow, Position } from "./protocol/Position.ts"
export { SettingsError, type SettingsProblem } from "./protocol/SettingsError.ts"
export * as Channel from "./sdk/Channel.ts"
export type {
  Client,
  ClientMetrics,
  ClientSession,
  ConnectionState,
  Receipt
} from "./sdk/Client.ts"
export {
  type ClientSettingsOptions,
  type ConsumerSettings,
  decodeConsumerSettings,
  decodePublisherSettings,
  type PublisherSettings
} from "./sdk/ClientSettings.ts"
export type { CircuitBreakerOptions, ConsumeOptions, Handler } from "./sdk/Consuming.ts"
export type { Delivery, Dropped, Gap, Recovered, SubscriptionEvent, Undecodable } from "./sdk/Delivery.ts"
export * as PayloadCodec from "./sdk/PayloadCodec.ts"
export type { PolestarMetrics, PolestarOptions, TopicInfo } from "./sdk/Polestar.ts"
export type { EmbeddedOptions } from "./sdk/PolestarEmbedded.ts"
export * from "./sdk/PolestarError.ts"
export { Polestar } from "./sdk/PolestarNode.ts"
export type { TcpOptions, TcpTls } from "./sdk/PolestarTcp.ts"
export type { PublishAllOptions, PublishOptions, TimeInput } from "./sdk/Publishing.ts"
export type { From, SubscribeOptions, Subscription } from "./sdk/Subscribing.ts"
export { consumerOptions, publisherOptions } from "./sdk/TcpSettings.ts"
export * as Topic from "./sdk/Topic.ts"
export type { SettingsInput } from "./services/Settings.ts"
