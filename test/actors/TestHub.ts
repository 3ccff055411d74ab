/** The hub with its log in memory, with the settings of a test and otherwise defaults. */
import { Clock, Effect, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import { Hub } from "../../src/actors/Hub.ts"
import { Auth } from "../../src/services/Auth.ts"
import type { MessageLog } from "../../src/services/MessageLog.ts"
import * as MessageLogMemory from "../../src/services/MessageLogMemory.ts"
import { Settings, type SettingsInput } from "../../src/services/Settings.ts"
import type { StateStore } from "../../src/services/StateStore.ts"
import * as StateStoreMemory from "../../src/services/StateStoreMemory.ts"

/** The log in memory as the settings bound it. */
export const memoryLog: Layer.Layer<MessageLog, never, Settings> = Layer.unwrap(
  Effect.map(Settings, (settings) =>
    MessageLogMemory.layer({
      messages: settings.hotTierMessages,
      bytes: settings.hotTierBytes,
      age: settings.hotTierRetention,
      totalBytes: settings.hotTierTotalBytes,
      heldBytes: settings.maxHeldBytes
    })
  )
)

/** Lets the time limits of the hub's end pass, where time is the test's, so that no test hangs when it is over. */
const timePasses = Effect.gen(function* () {
  if (!("adjust" in (yield* Clock.Clock))) return
  for (let second = 0; second < 60; second++) {
    for (let turn = 0; turn < 20; turn++) yield* Effect.yieldNow
    yield* TestClock.adjust(1000)
  }
})
const endsInTime = Layer.effectDiscard(
  Effect.andThen(
    Hub,
    Effect.addFinalizer(() => Effect.forkDetach(timePasses))
  )
)

export const hubWith = (
  input: SettingsInput = {},
  log: Layer.Layer<MessageLog, never, Settings> = memoryLog,
  store: Layer.Layer<StateStore> = StateStoreMemory.layer,
  auth: Layer.Layer<Auth> = Auth.layerOff,
  logger: Layer.Layer<never> = Logger.layer([])
): Layer.Layer<Hub | Settings> =>
  endsInTime.pipe(
    Layer.provideMerge(Layer.orDie(Hub.layer)),
    Layer.provide(log),
    Layer.provide(store),
    Layer.provide(auth),
    Layer.provideMerge(Layer.orDie(Settings.layerWith(input))),
    Layer.provideMerge(logger)
  )
