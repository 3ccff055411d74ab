/** Settings of a publisher or a consumer, as decoded by `ClientSettings.ts`, as the options of a client over TCP. */
import { Duration } from "effect"
import type { ConsumerSettings, PublisherSettings } from "./ClientSettings.ts"
import type { TcpOptions } from "./PolestarTcp.ts"

/** For `Polestar.layerTcp`. */
export const publisherOptions = (settings: PublisherSettings): TcpOptions => ({
  ...shared(settings),
  host: settings.address,
  port: settings.port
})

/** For `Polestar.layerTcp`. The topics are for the caller to subscribe to. */
export const consumerOptions = (settings: ConsumerSettings): TcpOptions => ({
  ...shared(settings),
  name: settings.name,
  host: settings.hubAddress,
  port: settings.hubPort
})

const shared = (settings: PublisherSettings | ConsumerSettings) => ({
  queueSize: settings.queueSize,
  dialTimeout: Duration.millis(settings.dialTimeout),
  writeTimeout: Duration.millis(settings.writeTimeout),
  maxRetries: settings.maxRetries
})
