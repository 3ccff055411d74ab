/**
 * Every setting of the hub in one table: its default, unit, bounds and a line of description. The schema, the names
 * of environment variables and the table of the README all come from here. Times are in milliseconds, sizes in bytes.
 */
import { LogLevel, Schema, Struct } from "effect"
import {
  type AnySetting,
  bytes,
  choice,
  flag,
  fraction,
  host,
  integer,
  milliseconds,
  optionalList,
  optionalPath,
  TextSchema
} from "../protocol/SettingKinds.ts"
import { schemaOf } from "../protocol/SettingsDecode.ts"
import { authSettings } from "./AuthSettings.ts"
import { alwaysMasked } from "./LogMasking.ts"
import { storageSettings } from "./StorageSettings.ts"
import { webSettings } from "./WebSettings.ts"

const SECOND = 1000
const HOUR = 3_600_000
const DAY = 24 * HOUR
const MIB = 1_048_576
const GIB = 1024 * MIB
const TIB = 1024 * GIB

const NO_POOL =
  "has no effect: an actor runs in its sender's turn or on its own fiber, so there is no worker pool"
const NO_DIAL = "has no effect: the hub never dials its clients, they connect to it"
const NO_RETRY = "has no effect: live delivery is at most once; for groups it is `maxRetries`"

/** In the order in which they are shown. */
export const settingsTable = {
  ip: host({
    default: "127.0.0.1",
    description:
      "Address to listen on: loopback only unless told otherwise. `0.0.0.0` listens on every interface."
  }),
  port: integer({
    default: 24_353,
    minimum: 0,
    maximum: 65_535,
    description: "TCP port to listen on. 0 takes any free port."
  }),
  ...webSettings,
  queueSize: integer({
    default: 1_000_000,
    minimum: 1,
    maximum: 1_000_000_000,
    unit: "messages",
    description: "Messages that may wait in a topic's mailbox."
  }),
  queueBytes: bytes({
    default: 256 * MIB,
    minimum: 1,
    maximum: TIB,
    description: "Bytes that may wait in a topic's mailbox."
  }),
  queueTotalBytes: bytes({
    default: GIB,
    minimum: 1,
    maximum: TIB,
    description: "Bytes that may wait in all mailboxes together; beyond it each takes one batch at a time."
  }),
  clientQueueSize: integer({
    default: 1000,
    minimum: 1,
    maximum: 1_000_000_000,
    unit: "messages",
    description: "Messages that may wait for a subscription."
  }),
  clientQueueBytes: bytes({
    default: 64 * MIB,
    minimum: 1,
    maximum: TIB,
    description: "Bytes that may wait for a subscription."
  }),
  dialTimeout: milliseconds({
    default: SECOND,
    minimum: 1,
    maximum: HOUR,
    description: "How long a new connection may take to say hello."
  }),
  readTimeout: milliseconds({
    default: 30 * SECOND,
    minimum: 1,
    maximum: DAY,
    description:
      "A peer that was silent this long is dead. Unless given: `pingInterval` times `maxMissedPings`."
  }),
  writeTimeout: milliseconds({
    default: 2 * SECOND,
    minimum: 1,
    maximum: HOUR,
    description: "How long the last writes of a closing connection may take."
  }),
  clientWriteTimeout: milliseconds({
    default: 2 * SECOND,
    minimum: 1,
    maximum: HOUR,
    description: "A client whose socket accepts nothing for this long is closed."
  }),
  pingInterval: milliseconds({
    default: 15 * SECOND,
    minimum: 1,
    maximum: HOUR,
    description: "Time between two pings of a connection."
  }),
  maxMissedPings: integer({
    default: 2,
    minimum: 1,
    maximum: 20,
    unit: "pings",
    description: "Pings without an answer after which a peer is dead."
  }),
  maxMessageSize: bytes({
    default: MIB,
    minimum: 1,
    maximum: GIB,
    description: "The largest message that is accepted."
  }),
  maxConnections: integer({
    default: 10_000,
    minimum: 1,
    maximum: 1_000_000,
    unit: "connections",
    description: "Connections that may be open at once."
  }),
  maxSessionsPerConnection: integer({
    default: 10_000,
    minimum: 1,
    maximum: 1_000_000,
    unit: "sessions",
    description: "Sessions that one connection may carry."
  }),
  maxSubscriptionsPerSession: integer({
    default: 10_000,
    minimum: 1,
    maximum: 1_000_000,
    unit: "subscriptions",
    description:
      "Subscriptions and memberships of groups that one session may hold: a message comes to each that it matches. Beyond it a further one is refused (limit-reached)."
  }),
  maxSubscriptionsPerConnection: integer({
    default: 10_000,
    minimum: 1,
    maximum: 1_000_000,
    unit: "subscriptions",
    description: "The same of all sessions of one connection together."
  }),
  maxTopics: integer({
    default: 1_000_000,
    minimum: 1,
    maximum: 100_000_000,
    unit: "topics",
    description: "Topics that may exist at once."
  }),
  autoCreateTopics: flag({
    default: true,
    description: "Whether a topic is created when it is first used, or only when asked to."
  }),
  topicIdleTimeout: milliseconds({
    default: 5 * 60 * SECOND,
    minimum: 1,
    maximum: 7 * DAY,
    description: "A topic that was idle this long is passivated."
  }),
  hotTierMessages: integer({
    default: 10_000,
    minimum: 0,
    maximum: 1_000_000_000,
    unit: "messages",
    description: "Latest messages that a topic keeps in memory for replay and resuming. 0 keeps none."
  }),
  hotTierBytes: bytes({
    default: MIB,
    minimum: 1,
    maximum: TIB,
    description: "Bytes of latest messages that a topic keeps in memory."
  }),
  hotTierRetention: milliseconds({
    default: 10 * 60 * SECOND,
    minimum: 1,
    maximum: 7 * DAY,
    description: "How long a topic keeps a message in memory."
  }),
  hotTierTotalBytes: bytes({
    default: 64 * MIB,
    minimum: 1,
    maximum: TIB,
    description: "Bytes that all topics together keep in memory."
  }),
  deduplicationWindow: milliseconds({
    default: 2 * 60 * SECOND,
    minimum: 0,
    maximum: DAY,
    description:
      "How long a topic remembers its publishers and the ids of messages, so that what is published again is not stored twice."
  }),
  ...storageSettings,
  ...authSettings,
  restartLimit: integer({
    default: 5,
    minimum: 0,
    maximum: 1000,
    unit: "restarts",
    description: "Restarts of an actor within `restartWindow` after which its failure goes up."
  }),
  restartWindow: milliseconds({
    default: 10 * SECOND,
    minimum: 1,
    maximum: DAY,
    description: "The time within which restarts are counted."
  }),
  restartBackoff: milliseconds({
    default: 100,
    minimum: 1,
    maximum: HOUR,
    description: "Wait before the first restart of an actor; it doubles with each."
  }),
  restartBackoffMax: milliseconds({
    default: 5 * SECOND,
    minimum: 1,
    maximum: HOUR,
    description: "The longest wait before a restart."
  }),
  drainTimeout: milliseconds({
    default: 10 * SECOND,
    minimum: 0,
    maximum: HOUR,
    description: "How long a shutdown may take to flush mailboxes and say goodbye."
  }),
  tlsCert: optionalPath({ description: "Certificate of the listeners (PEM). Turns TLS on, with `tlsKey`." }),
  tlsKey: optionalPath({ description: "Private key of `tlsCert` (PEM)." }),
  tlsCa: optionalPath({ description: "Certificates that clients' certificates are checked against (PEM)." }),
  tlsRequestClientCertificate: flag({
    default: false,
    description: "Whether a client must show a certificate that `tlsCa` vouches for."
  }),
  traceSampleRatio: fraction({
    default: 1,
    minimum: 0,
    maximum: 1,
    description: "Share of new traces that are kept."
  }),
  logFormat: choice(["pretty", "json"], { default: "pretty", description: "How log lines are written." }),
  logLevel: choice(LogLevel.values, {
    default: "Info",
    description: "The least severe log line that is written."
  }),
  maskedFields: optionalList(TextSchema, {
    allowed: "text",
    description: `Further fields of log lines whose values are masked, however their names are written, beside ${alwaysMasked.join(", ")}.`
  }),
  workerCount: integer({
    default: 100,
    minimum: 1,
    maximum: 100_000,
    unit: "workers",
    description: "Workers that process messages.",
    noEffect: NO_POOL
  }),
  clientWorkerCount: integer({
    default: 100,
    minimum: 1,
    maximum: 100_000,
    unit: "workers",
    description: "Workers per client.",
    noEffect: NO_POOL
  }),
  clientDialTimeout: milliseconds({
    default: SECOND,
    minimum: 1,
    maximum: HOUR,
    description: "How long dialling a client may take.",
    noEffect: NO_DIAL
  }),
  clientMaxRetries: integer({
    default: 3,
    minimum: 0,
    maximum: 1000,
    unit: "attempts",
    description: "Attempts to deliver a message to a client.",
    noEffect: NO_RETRY
  })
}

export type SettingKey = keyof typeof settingsTable

/** The one schema that decodes all settings; its encoded side is what a setting may be given as. */
export const SettingsSchema = Schema.Struct(Struct.map(settingsTable, schemaOf))

export type SettingsValues = typeof SettingsSchema.Type

/** Every setting with its key, in the order of the table. */
export const settingRows: ReadonlyArray<readonly [key: SettingKey, setting: AnySetting]> = Struct.keys(
  settingsTable
).map((key) => [key, settingsTable[key]])
