/** `Polestar` over a hub in this process: the same frames over a connection in memory. */
import { Effect, Layer } from "effect"
import { Hub } from "../actors/Hub.ts"
import * as HubStorage from "../actors/HubStorage.ts"
import type { SettingsError } from "../protocol/SettingsError.ts"
import { Settings, type SettingsInput } from "../services/Settings.ts"
import { Polestar, type PolestarOptions } from "./Polestar.ts"
import type { PolestarError } from "./PolestarError.ts"

export type EmbeddedOptions = Omit<PolestarOptions, "dial">

/** A client of the hub that is in the context, with options of its own. */
export const layerHubWith = (options: EmbeddedOptions): Layer.Layer<Polestar, PolestarError, Hub> =>
  Layer.effect(
    Polestar,
    Effect.flatMap(Hub, (hub) => Polestar.make({ ...options, dial: hub.connect }))
  )

/** A client of the hub that is in the context. */
export const layerHub: Layer.Layer<Polestar, PolestarError, Hub> = layerHubWith({})

/**
 * A hub of its own and a client of it. It listens nowhere. Its log is in memory, or on disk if `dataDir` is given. The
 * settings are those of the hub; nothing is read from the environment. It drains when the scope closes.
 */
export const layerEmbedded = (
  settings: SettingsInput = {},
  options: EmbeddedOptions = {}
): Layer.Layer<Polestar, PolestarError | SettingsError | HubStorage.HubStorageError> =>
  layerHubWith(options).pipe(Layer.provide(HubStorage.layer), Layer.provide(Settings.layerWith(settings)))
