/**
 * Settings of a publisher and of a consumer, under the names of the reference's configuration files. Decoding answers
 * either values that are all within bounds, or every problem at once, one line each. Pure: nothing is read here.
 */
import { Predicate, Result, Schema, Struct } from "effect"
import { host, integer, milliseconds, TextSchema, text } from "../protocol/SettingKinds.ts"
import {
  decodeSettings,
  expandVariables,
  givenIn,
  type SettingsTable,
  schemaOf,
  type Variables
} from "../protocol/SettingsDecode.ts"
import { type SettingsError, settingsError, showFound } from "../protocol/SettingsError.ts"

const HOUR = 3_600_000

/** A consumer may name so many patterns at most: as many subscriptions as a hub grants one session by default. */
const TOPICS_LIMIT = 10_000

const NO_DIAL = "has no effect: the hub never dials its consumers, they connect to it"

const shared = {
  queueSize: integer({
    default: 1000,
    minimum: 1,
    maximum: 1_000_000_000,
    unit: "messages",
    description: "Messages that may wait in the client."
  }),
  dialTimeout: milliseconds({
    default: 1000,
    minimum: 1,
    maximum: HOUR,
    description: "How long connecting to the hub may take."
  }),
  writeTimeout: milliseconds({
    default: 2000,
    minimum: 1,
    maximum: HOUR,
    description: "How long a silent hub is waited for."
  }),
  maxRetries: integer({
    default: 3,
    minimum: 0,
    maximum: 1000,
    unit: "retries",
    description: "How often something that failed is tried again."
  })
}

const hubHost = host({ default: "127.0.0.1", description: "Address of the hub." })
const hubPort = integer({ default: 24_353, minimum: 1, maximum: 65_535, description: "Port of the hub." })

export const publisherTable = { address: hubHost, port: hubPort, ...shared }

export const consumerTable = {
  name: text({ description: "Name of the consumer. Required." }),
  hubAddress: hubHost,
  hubPort,
  address: host({ default: "0.0.0.0", description: "Address of the consumer itself.", noEffect: NO_DIAL }),
  port: {
    schema: Schema.UndefinedOr(integer({ minimum: 0, maximum: 65_535, description: "" }).schema),
    default: undefined,
    unit: "",
    allowed: "an integer from 0 to 65535",
    description: "Port of the consumer itself.",
    noEffect: NO_DIAL
  },
  ...shared,
  topics: {
    schema: Schema.Array(TextSchema).check(Schema.isBetweenLength(1, TOPICS_LIMIT)),
    default: undefined,
    unit: "",
    allowed: `a list of 1 to ${TOPICS_LIMIT} patterns, none of them blank`,
    description: "Patterns of the topics to subscribe to. Required.",
    noEffect: undefined
  }
}

const PublisherSchema = Schema.Struct(Struct.map(publisherTable, schemaOf))
const ConsumerSchema = Schema.Struct(Struct.map(consumerTable, schemaOf))

interface Warnings {
  /** What was given and changes nothing, one line each. */
  readonly warnings: ReadonlyArray<string>
}

export type PublisherSettings = typeof PublisherSchema.Type & Warnings
export type ConsumerSettings = typeof ConsumerSchema.Type & Warnings

export interface ClientSettingsOptions {
  /** Given, `${NAME}` and `${NAME:-default}` in texts are replaced by these; otherwise they stay as they are. */
  readonly variables?: Variables
}

/** Decodes the settings of a publisher, such as the parsed text of its JSON file. */
export const decodePublisherSettings = (
  input: unknown,
  options: ClientSettingsOptions = {}
): Result.Result<PublisherSettings, SettingsError> =>
  decodeClient("publisher", publisherTable, PublisherSchema, input, options)

/** Decodes the settings of a consumer. Its topics are texts that are not blank; whether they are patterns is not checked. */
export const decodeConsumerSettings = (
  input: unknown,
  options: ClientSettingsOptions = {}
): Result.Result<ConsumerSettings, SettingsError> =>
  decodeClient("consumer", consumerTable, ConsumerSchema, input, options)

const decodeClient = <S extends Schema.ConstraintDecoder<object>>(
  owner: string,
  table: SettingsTable,
  schema: S,
  input: unknown,
  { variables }: ClientSettingsOptions
): Result.Result<S["Type"] & Warnings, SettingsError> => {
  if (!Predicate.isObject(input)) {
    const message = `${owner} settings: found ${showFound(input)}; allowed: one object of settings`
    return Result.fail(settingsError([{ reason: "bad-syntax", message }]))
  }
  const given = givenIn(input, owner)
  const expanded = variables === undefined ? { given, problems: [] } : expandVariables(given, variables)
  const { values, problems, warnings } = decodeSettings({
    table,
    schema,
    sources: [expanded.given],
    earlier: expanded.problems,
    owner
  })
  if (problems.length > 0 || values === undefined) return Result.fail(settingsError(problems))
  return Result.succeed({ ...values, warnings })
}
