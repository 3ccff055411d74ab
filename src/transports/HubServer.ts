/**
 * Everything that a running hub is, as one Layer: settings, log, hub and listeners. When its scope closes, the
 * listeners stop accepting first; then the hub drains.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Layer } from "effect"
import type { Hub } from "../actors/Hub.ts"
import * as HubStorage from "../actors/HubStorage.ts"
import type { SettingsError } from "../protocol/SettingsError.ts"
import { Settings, type SettingsInput, type SettingsSources } from "../services/Settings.ts"
import { TcpServer, type TcpServerError } from "./TcpServer.ts"
import { WebServer } from "./WebServer.ts"

/** What a running hub provides; `TcpServer` and `WebServer` say where it listens. */
export type HubServer = Hub | TcpServer | WebServer | Settings

export type HubServerError = SettingsError | TcpServerError | HubStorage.HubStorageError

/**
 * With the settings that are in the context. Of the listeners that of the web ends last, since it has the hub drain and
 * answers meanwhile.
 */
export const layerSettings: Layer.Layer<Hub | TcpServer | WebServer, HubServerError, Settings> =
  TcpServer.layer.pipe(
    Layer.provideMerge(WebServer.layer),
    Layer.provideMerge(HubStorage.layer),
    Layer.provide(NodeFileSystem.layer)
  )

/** With settings read from flags, environment and file, as the command does. */
export const layer = (sources?: SettingsSources): Layer.Layer<HubServer, HubServerError> =>
  Layer.provideMerge(layerSettings, Layer.provide(Settings.layer(sources), NodeFileSystem.layer))

/** With these settings and otherwise defaults; nothing is read but the files of TLS. */
export const layerWith = (input: SettingsInput): Layer.Layer<HubServer, HubServerError> =>
  Layer.provideMerge(layerSettings, Settings.layerWith(input))
