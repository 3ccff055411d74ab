/**
 * What an application imports: `import { Polestar, Topic } from "polestar"`. For Node; in a browser the same service
 * runs over other Layers.
 */
export { type CloseReason, CloseReasons, mayReconnect } from "./protocol/CloseReason.ts"
export type { ErrorCode } from "./protocol/ErrorCode.ts"
export type { Durability, Overflow, Position } from "./protocol/Position.ts"
export { SettingsError, type SettingsProblem } from "./protocol/SettingsError.ts"
export type {
  DeadLetter,
  DeadLetters,
  DeadLetterTopic,
  GroupDetail,
  GroupInfo,
  Groups,
  LaneInfo,
  ResetTo
} from "./sdk/Administration.ts"
export * as Channel from "./sdk/Channel.ts"
export type { CircuitBreakerOptions } from "./sdk/CircuitGuard.ts"
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
export type { ConsumeOptions, Handler, Handlers } from "./sdk/Consuming.ts"
export type { Delivery, Dropped, Gap, Recovered, SubscriptionEvent, Undecodable } from "./sdk/Delivery.ts"
export * as Failure from "./sdk/Failure.ts"
export type { GroupConsumeOptions, GroupHandler, GroupHandlers } from "./sdk/GroupConsuming.ts"
export type { GroupOptions, GroupStart, NewGroupOptions } from "./sdk/GroupOptions.ts"
export type {
  Delivered,
  GroupDelivery,
  GroupEvent,
  GroupSubscription,
  JoinOptions,
  UndecodableDelivery
} from "./sdk/GroupSubscription.ts"
export * as PayloadCodec from "./sdk/PayloadCodec.ts"
export type { PolestarMetrics, PolestarOptions, TopicInfo } from "./sdk/Polestar.ts"
export type { EmbeddedOptions } from "./sdk/PolestarEmbedded.ts"
export * from "./sdk/PolestarError.ts"
export { Polestar } from "./sdk/PolestarNode.ts"
export type { TcpOptions, TcpTls } from "./sdk/PolestarTcp.ts"
export type { WebSocketOptions } from "./sdk/PolestarWebSocket.ts"
export type { PublishAllOptions, PublishOptions } from "./sdk/Publishing.ts"
export type { From, SubscribeOptions, Subscription } from "./sdk/Subscribing.ts"
export { consumerOptions, publisherOptions } from "./sdk/TcpSettings.ts"
export type { TimeInput } from "./sdk/Times.ts"
export type { Token } from "./sdk/Token.ts"
export * as Topic from "./sdk/Topic.ts"
export type { SettingsInput } from "./services/Settings.ts"
