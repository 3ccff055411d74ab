/**
 * The promise face: `import { connect } from "polestar/promise"`.
 *
 *     const client = await connect({ host: "127.0.0.1", port: 24353 })   // or { embedded: true }
 *     await client.publish("weather.london", { celsius: 12 })
 *     for await (const { topic, value } of client.subscribe("weather.>")) console.log(topic, value)
 *     await client.close()
 */
import { Layer } from "effect"
import type { Polestar } from "./sdk/Polestar.ts"
import { type EmbeddedOptions, layerEmbedded } from "./sdk/PolestarEmbedded.ts"
import { layerTcp, type TcpOptions } from "./sdk/PolestarTcp.ts"
import { connect as connectLayer, type PromiseClient } from "./sdk/PromiseClient.ts"
import type { SettingsInput } from "./services/Settings.ts"

export type { ConnectionState, Receipt } from "./sdk/Client.ts"
export type { Delivery } from "./sdk/Delivery.ts"
export * as Failure from "./sdk/Failure.ts"
export type { GroupDelivery } from "./sdk/GroupSubscription.ts"
export * as PayloadCodec from "./sdk/PayloadCodec.ts"
export type { PolestarMetrics, TopicInfo } from "./sdk/Polestar.ts"
export * from "./sdk/PolestarError.ts"
export type { PromiseClient, PromiseGroupOptions, PromiseSubscription } from "./sdk/PromiseClient.ts"
export type { PublishAllOptions, PublishOptions } from "./sdk/Publishing.ts"
export type { SubscribeOptions } from "./sdk/Subscribing.ts"
export type { Token } from "./sdk/Token.ts"
export * as Topic from "./sdk/Topic.ts"

/** A hub over TCP, or a hub of its own in this process, with these settings. */
export type ConnectOptions =
  | (TcpOptions & { readonly embedded?: false | undefined })
  | (EmbeddedOptions & { readonly embedded: true | SettingsInput })

/**
 * Connects, and fails if the first connection cannot be made. A Layer of `Polestar` will do as well. A hub of its
 * own ends with `close`.
 */
export const connect = (
  options: ConnectOptions | Layer.Layer<Polestar, unknown> = {}
): Promise<PromiseClient> => connectLayer(isLayer(options) ? options : layerOf(options))

const isLayer = (
  options: ConnectOptions | Layer.Layer<Polestar, unknown>
): options is Layer.Layer<Polestar, unknown> => Layer.isLayer(options)

const layerOf = ({ embedded, ...options }: ConnectOptions): Layer.Layer<Polestar, unknown> =>
  embedded === undefined || embedded === false
    ? layerTcp(options)
    : layerEmbedded(embedded === true ? {} : embedded, options)
