/** The hub with its log in memory, with the settings of a test and otherwise defaults. */
import { Effect, Layer, Logger } from "effect"
import { Hub } from "../../src/actors/Hub.ts"
import type { MessageLog } from "../../src/services/MessageLog.ts"
import * as MessageLogMemory from "../../src/services/MessageLogMemory.ts"
import { Settings, type SettingsInput } from "../../src/services/Settings.ts"

/** The log in memory as the settings bound it. */
export const memoryLog: Layer.Layer<MessageLog, never, Settings> = Layer.unwrap(
  Effect.map(Settings, (settings) =>
    MessageLogMemory.layer({
      messages: settings.hotTierMessages,
      bytes: settings.hotTierBytes,
      age: settings.hotTierRetention,
      totalBytes: settings.hotTierTotalBytes
    })
  )
)

export const hubWith = (
  input: SettingsInput = {},
  log: Layer.Layer<MessageLog, never, Settings> = memoryLog
): Layer.Layer<Hub | Settings> =>
  Hub.layer.pipe(
    Layer.provide(log),
    Layer.provideMerge(Layer.orDie(Settings.layerWith(input))),
    Layer.provideMerge(Logger.layer([]))
  )
