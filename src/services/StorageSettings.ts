/** The settings of what outlives the hub, and of groups: rows of the table in `SettingsTable.ts`. */
import {
  bytes,
  integer,
  milliseconds,
  optionalPath,
  optionalPatterns,
  topicRules
} from "../protocol/SettingKinds.ts"

const SECOND = 1000
const HOUR = 3_600_000
const DAY = 24 * HOUR
const GIB = 1_073_741_824
const TIB = 1024 * GIB

/** Where a topic's messages are, and what a receipt waits for. */
export const durabilities = ["memory", "accepted", "stored"] as const

export const storageSettings = {
  dataDir: optionalPath({
    description:
      "Directory of the durable log. Unless given: `./data` for `polestar hub`, and nothing on disk for an embedded hub."
  }),
  durability: topicRules(durabilities, {
    default: "> = stored",
    description:
      "Which topics are kept on disk, by rules of which the first that matches holds: `stored` (receipts and deliveries wait until the disk has it), `accepted` (receipts do not wait) or `memory`. If all say `memory`, nothing is on disk."
  }),
  dataMaxBytes: bytes({
    default: 10 * GIB,
    minimum: 1,
    maximum: 1024 * TIB,
    description:
      "Bytes that all topics keep on disk together; beyond it publishes are refused (storage-full)."
  }),
  persistentTierRetention: milliseconds({
    default: DAY,
    minimum: 1,
    maximum: 3650 * DAY,
    description: "How long a topic on disk keeps a message."
  }),
  persistentTierBytes: bytes({
    default: GIB,
    minimum: 1,
    maximum: 1024 * TIB,
    description: "Bytes that a topic keeps on disk."
  }),
  maxMessagesPerTopic: integer({
    default: 1_000_000,
    minimum: 1,
    maximum: 1_000_000_000_000,
    unit: "messages",
    description: "Messages that a topic keeps on disk."
  }),
  deadLetterRetention: milliseconds({
    default: 7 * DAY,
    minimum: 1,
    maximum: 3650 * DAY,
    description: "How long a dead letter is kept on disk."
  }),
  compactedTopics: optionalPatterns({
    description:
      "Patterns of topics on disk of which only the last message of each key is kept, separated by commas."
  }),
  maxHeldBytes: bytes({
    default: GIB / 4,
    minimum: 1,
    maximum: 1024 * TIB,
    description: "Bytes of messages that wait for their time."
  }),
  maxDelay: milliseconds({
    default: 30 * DAY,
    minimum: 1,
    maximum: 3650 * DAY,
    description:
      "How far off the time of a message may be (`deliver_at`, `deliverAt`, `delay`); beyond it the publish is refused (delay-too-long)."
  }),
  maxGroups: integer({
    default: 10_000,
    minimum: 1,
    maximum: 1_000_000,
    unit: "groups",
    description: "Groups that may exist at once."
  }),
  maxGroupsPerClient: integer({
    default: 1000,
    minimum: 1,
    maximum: 1_000_000,
    unit: "groups",
    description:
      "Groups that one identity, or one address, may have made of those that exist; beyond it a further one is refused (too-many-groups)."
  }),
  clientGroupInactiveThreshold: milliseconds({
    default: DAY,
    minimum: 0,
    maximum: 3650 * DAY,
    description:
      "A group that a `client_id` made is removed, with what it had not done, once it has had no member for this long. 0 is never."
  }),
  groupAckWait: milliseconds({
    default: 30 * SECOND,
    minimum: 1,
    maximum: DAY,
    description:
      "How long a member of a group may take to acknowledge a message, unless the group says otherwise."
  }),
  maxRetries: integer({
    default: 3,
    minimum: 0,
    maximum: 1000,
    unit: "attempts",
    description:
      "How often a message of a group is delivered again after a failure before it becomes a dead letter, unless the group says otherwise."
  }),
  groupMaxInFlight: integer({
    default: 10_000,
    minimum: 1,
    maximum: 1_000_000,
    unit: "messages",
    description: "Messages that the members of a group may have and not have acknowledged."
  }),
  groupBackoff: milliseconds({
    default: SECOND,
    minimum: 1,
    maximum: DAY,
    description: "Wait before a message that failed is delivered again; it doubles with each failure."
  }),
  groupMaxBackoff: milliseconds({
    default: 60 * SECOND,
    minimum: 1,
    maximum: DAY,
    description: "The longest wait before a message is delivered again."
  })
}
