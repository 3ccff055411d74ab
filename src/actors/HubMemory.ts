/** The hub as it is run and embedded now: its log in memory, as large as the settings say. */
import { Effect, Layer } from "effect"
import type { MessageLog } from "../services/MessageLog.ts"
import * as MessageLogMemory from "../services/MessageLogMemory.ts"
import { Settings } from "../services/Settings.ts"
import { Hub } from "./Hub.ts"

/** The log in memory, bounded by the settings of the hot tier. */
export const layerLog: Layer.Layer<MessageLog, never, Settings> = Layer.unwrap(
  Effect.map(Settings, (settings) =>
    MessageLogMemory.layer({
      messages: settings.hotTierMessages,
      bytes: settings.hotTierBytes,
      age: settings.hotTierRetention,
      totalBytes: settings.hotTierTotalBytes
    })
  )
)

/** A hub on that log. It drains when its scope closes. */
export const layer: Layer.Layer<Hub, never, Settings> = Layer.provide(Hub.layer, layerLog)
