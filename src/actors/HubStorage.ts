/**
 * What a hub keeps its messages and groups in, as its settings say: in memory, and if there is a folder for it, on disk
 * what is to be stored.
 */
import { Context, Effect, Layer } from "effect"
import { matches } from "../protocol/Pattern.ts"
import type { SettingsError } from "../protocol/SettingsError.ts"
import { parsePatterns, parseTopicRules, type TopicRule } from "../protocol/TopicRules.ts"
import { Auth } from "../services/Auth.ts"
import { MessageLog, type MessageLogError } from "../services/MessageLog.ts"
import * as MessageLogLmdb from "../services/MessageLogLmdb.ts"
import * as MessageLogMemory from "../services/MessageLogMemory.ts"
import { durabilityOf, type TopicDurability, tiered } from "../services/MessageLogTiers.ts"
import { Settings } from "../services/Settings.ts"
import type { StateStore, StateStoreError } from "../services/StateStore.ts"
import * as StateStoreMemory from "../services/StateStoreMemory.ts"
import { durabilities } from "../services/StorageSettings.ts"
import { Hub } from "./Hub.ts"

/** The folder of the log cannot be used, or what is in it cannot be read. */
export type HubStorageError = MessageLogError | StateStoreError

type SettingsValues = Settings["Service"]

const memoryOf = (settings: SettingsValues) =>
  MessageLogMemory.layer({
    messages: settings.hotTierMessages,
    bytes: settings.hotTierBytes,
    age: settings.hotTierRetention,
    totalBytes: settings.hotTierTotalBytes,
    heldBytes: settings.maxHeldBytes
  })

type Rules = ReadonlyArray<TopicRule<TopicDurability>>

/** Both engines; a topic is in one of them for as long as the hub runs. */
const onDisk = (settings: SettingsValues, rules: Rules, path: string) => {
  const compacted =
    settings.compactedTopics === undefined ? [] : (parsePatterns(settings.compactedTopics) ?? [])
  const disk = MessageLogLmdb.layer({
    path,
    maxBytes: settings.dataMaxBytes,
    maxHeldBytes: settings.maxHeldBytes,
    topic: {
      messages: settings.maxMessagesPerTopic,
      bytes: settings.persistentTierBytes,
      age: settings.persistentTierRetention
    },
    deadLetterAge: settings.deadLetterRetention,
    isCompacted: (topic) => compacted.some((pattern) => matches(pattern, topic)),
    isReceiptEarly: (topic) => durabilityOf(rules, topic) === "accepted"
  })
  return Layer.effectContext(
    Effect.gen(function* () {
      const stored = yield* Layer.build(disk)
      const memory = Context.get(yield* Layer.build(memoryOf(settings)), MessageLog)
      const isOnDisk = (topic: string) => durabilityOf(rules, topic) !== "memory"
      const log = tiered(memory, Context.get(stored, MessageLog), isOnDisk)
      return Context.add(stored, MessageLog, log)
    })
  )
}

/** The log and the store of groups. */
export const layerLog: Layer.Layer<MessageLog | StateStore, MessageLogError, Settings> = Layer.unwrap(
  Effect.map(Settings, (settings): Layer.Layer<MessageLog | StateStore, MessageLogError> => {
    const rules = parseTopicRules(settings.durability, durabilities) ?? []
    const path = rules.every(({ word }) => word === "memory") ? undefined : settings.dataDir
    return path === undefined
      ? Layer.merge(memoryOf(settings), StateStoreMemory.layer)
      : onDisk(settings, rules, path)
  })
)

/** A hub on that, for clients that the settings let in. It drains when its scope closes. */
export const layer: Layer.Layer<Hub | Auth, HubStorageError | SettingsError, Settings> = Hub.layer.pipe(
  Layer.provide(layerLog),
  Layer.provideMerge(Auth.layer)
)
