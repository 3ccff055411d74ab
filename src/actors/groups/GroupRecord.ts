/** A group as it outlives the hub: its pattern and its options. Where it is in each topic is kept beside it. */
import { Result, Schema } from "effect"
import { decodeText, encodeText } from "../../protocol/Bytes.ts"
import { Orders } from "../../protocol/Position.ts"

/** Times in milliseconds. */
const GroupOptionsSchema = Schema.Struct({
  order: Schema.Literals(Orders),
  /** How long a member may take to acknowledge a message. */
  ackWait: Schema.Number,
  /** Attempts that may fail before a message becomes a dead letter; 0 is any number. */
  maxDeliveries: Schema.Number,
  /** Messages that all members together may have and not have acknowledged. */
  maxInFlight: Schema.Number,
  /** Before the second delivery of a message that was refused; doubled for each one after that. */
  backoff: Schema.Number,
  maxBackoff: Schema.Number,
  /** Without a member for so long it is removed; if absent, never. */
  inactiveThreshold: Schema.optionalKey(Schema.Number)
})

export type GroupOptions = typeof GroupOptionsSchema.Type

const GroupRecordSchema = Schema.fromJsonString(
  Schema.Struct({
    name: Schema.String,
    pattern: Schema.String,
    isPaused: Schema.Boolean,
    /** Whose share of groups it is of; if absent, nobody's. */
    owner: Schema.optionalKey(Schema.String),
    options: GroupOptionsSchema
  })
)

export type GroupRecord = typeof GroupRecordSchema.Type

const decode = Schema.decodeUnknownResult(GroupRecordSchema)
const encode = Schema.encodeSync(GroupRecordSchema)

export const encodeRecord = (record: GroupRecord): Uint8Array => encodeText(encode(record))

/** `undefined` if it is not a record. */
export const decodeRecord = (bytes: Uint8Array): GroupRecord | undefined =>
  Result.getOrUndefined(decode(decodeText(bytes)))

/** Where things are in the store. A group's name has no slash in it. */
export const groupKey = (name: string): string => `group/${name}`
export const lanePrefix = (name: string): string => `lane/${name}/`
export const laneKey = (name: string, topic: string): string => `${lanePrefix(name)}${topic}`
export const groupsPrefix = "group/"
