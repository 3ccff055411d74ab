/**
 * The promise face: `import { connect } from "polestar/promise"`.
 *
 *     const client = await connect({ host: "127.0.0.1", port: 24353 })   // or { url: "ws://…/ws" }, or { embedded: true }
 *     await client.publish("weather.london", { celsius: 12 })
 *     for await (const { topic, value } of client.subscribe("weather.>")) console.log(topic, value)
 *     await client.close()
 */
import { Effect, Layer } from "effect"
import { Polestar } from "./sdk/Polestar.ts"
import { type EmbeddedOptions, layerEmbedded } from "./sdk/PolestarEmbedded.ts"
import { ConnectFailed, PolestarError } from "./sdk/PolestarError.ts"
import { layerTcp, type TcpOptions } from "./sdk/PolestarTcp.ts"
import { layerWebSocket, type WebSocketOptions } from "./sdk/PolestarWebSocket.ts"
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

/** A hub over TCP, one over WebSocket, or a hub of its own in this process, with these settings. */
export type ConnectOptions =
  | (TcpOptions & { readonly embedded?: false | undefined; readonly url?: undefined })
  | (WebSocketOptions & { readonly embedded?: false | undefined } & None<"host" | "port" | "tls">)
  | (EmbeddedOptions & { readonly embedded: true | SettingsInput } & None<"host" | "port" | "tls" | "url">)

type None<Keys extends string> = { readonly [Key in Keys]?: undefined }

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

const layerOf = (options: ConnectOptions): Layer.Layer<Polestar, unknown> => {
  const isEmbedded = options.embedded !== undefined && options.embedded !== false
  const ways = {
    embedded: isEmbedded,
    url: options.url !== undefined,
    "host, port and tls": [options.host, options.port, options.tls].some((given) => given !== undefined)
  }
  // What is passed over would be a connection to another hub.
  const given = Object.entries(ways).flatMap(([name, isGiven]) => (isGiven ? [name] : []))
  if (given.length > 1) return refused(`found ${given.join(" together with ")}; allowed: one of them`)
  if (options.embedded !== undefined && options.embedded !== false) {
    const { embedded, ...rest } = options
    return layerEmbedded(embedded === true ? {} : embedded, rest)
  }
  return options.url === undefined ? layerTcp(options) : layerWebSocket(options)
}

const refused = (message: string): Layer.Layer<Polestar, PolestarError> =>
  Layer.effect(
    Polestar,
    Effect.fail(new PolestarError({ reason: new ConnectFailed({ cause: new Error(message) }) }))
  )
