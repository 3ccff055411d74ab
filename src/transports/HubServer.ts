/**
 * Everything that a running hub is, as one Layer: settings, log, hub and listener. When its scope closes, the
 * listener stops accepting first; then the hub drains.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Layer } from "effect"
import type { Hub } from "../actors/Hub.ts"
import * as HubStorage from "../actors/HubStorage.ts"
import type { SettingsError } from "../protocol/SettingsError.ts"
import { Settings, type SettingsInput, type SettingsSources } from "../services/Settings.ts"
import { TcpServer, type TcpServerError } from "./TcpServer.ts"

/** What a running hub provides; `TcpServer` says where it listens. */
export type HubServer = Hub | TcpServer | Settings

export type HubServerError = SettingsError | TcpServerError | HubStorage.HubStorageError

/** With the settings that are in the context. */
export const layerSettings: Layer.Layer<Hub | TcpServer, HubServerError, Settings> = TcpServer.layer.pipe(
  Layer.provideMerge(HubStorage.layer),
  Layer.provide(NodeFileSystem.layer)
)

/** With settings read from flags, environment and file, as the command does. */
export const layer = (sources?: SettingsSources): Layer.Layer<HubServer, HubServerError> =>
  Layer.provideMerge(layerSettings, Layer.provide(Settings.layer(sources), NodeFileSystem.layer))

/** With these settings and otherwise defaults; nothing is read but the files of TLS. */
export const layerWith = (input: SettingsInput): Layer.Layer<HubServer, HubServerError> =>
  Layer.provideMerge(layerSettings, Settings.layerWith(input))
