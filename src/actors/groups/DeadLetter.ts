/**
 * A dead letter: a message that failed too often, as it is published to the dead-letter topic, with its history in its
 * headers. It has an id made of its origin, so that one which is published again after a crash is stored once.
 */
import { Batch } from "../../protocol/Batch.ts"
import { ByteWriter, encodeText } from "../../protocol/Bytes.ts"
import { checkRecords, encodeRecord, type Message } from "../../protocol/Message.ts"
import { beginPublish, endPublish, PublishHeader, readPublish } from "../../protocol/Publish.ts"
import { deadLetterPrefix } from "../../protocol/TopicName.ts"
import type { Topic } from "../Topic.ts"

const longestTopic = 255

/** Names of the headers that say where a dead letter comes from. */
export const Origin = {
  group: "polestar-group",
  topic: "polestar-topic",
  epoch: "polestar-epoch",
  offset: "polestar-offset",
  timestamp: "polestar-timestamp",
  attempts: "polestar-attempts",
  error: "polestar-error",
  id: "polestar-id"
} as const

const originNames: ReadonlySet<string> = new Set(Object.values(Origin))

export interface Death {
  readonly group: string
  readonly topic: string
  readonly epoch: number
  readonly offset: number
  readonly timestamp: number
  /** Attempts that failed. */
  readonly failures: number
  /** When it failed for the last time (ms). */
  readonly time: number
  readonly error: string
}

/** `$dead.<group>.<topic>`, or without the topic if that would be too long. */
export const deadLetterTopic = (group: string, topic: string): string => {
  const name = `${deadLetterPrefix}${group}.${topic}`
  return encodeText(name).length <= longestTopic ? name : `${deadLetterPrefix}${group}`
}

const originOf = (death: Death, id: string | undefined): Record<string, string> => ({
  [Origin.group]: death.group,
  [Origin.topic]: death.topic,
  [Origin.epoch]: `${death.epoch}`,
  [Origin.offset]: `${death.offset}`,
  [Origin.timestamp]: `${death.timestamp}`,
  [Origin.attempts]: `${death.failures}`,
  [Origin.error]: death.error,
  ...(id === undefined ? {} : { [Origin.id]: id })
})

/** The message's own headers, without any that say where a dead letter comes from. */
const ownHeaders = ({ headers }: Message): Record<string, string> =>
  Object.fromEntries(Object.entries(headers ?? {}).filter(([name]) => !originNames.has(name)))

/**
 * The batch to publish to `topic`: one message. If that has no room for more headers, or would be larger than `maxBytes`,
 * its own are left out.
 */
export const deadLetterBatch = (
  topic: Topic,
  publisherId: string,
  sequence: number,
  message: Message,
  death: Death,
  maxBytes: number
): Batch => {
  const writer = new ByteWriter(512 + message.payload.length)
  const start = beginPublish(writer, { session: 0, sequence, topic: topic.nameBytes, receipt: true })
  const origin = originOf(death, message.id)
  // An epoch is that of one log only. A message that was given to its group again and died again is another dead letter.
  const id = `${death.epoch}.${death.offset}.${death.time}`
  const records = writer.at
  const letter = { ...message, id, headers: { ...ownHeaders(message), ...origin } }
  const isRefused = encodeRecord(writer, letter) !== undefined
  if (isRefused || writer.at - start > maxBytes) {
    writer.at = records
    encodeRecord(writer, { ...letter, headers: origin })
  }
  endPublish(writer, start, 1)
  const bytes = writer.written()
  const header = new PublishHeader()
  readPublish(bytes, 0, bytes.length, header)
  const batch = new Batch(topic, bytes, 0, bytes.length, 1, 0, publisherId)
  batch.records = checkRecords(bytes, header.records, bytes.length, 1, Number.POSITIVE_INFINITY)
  batch.wantsReceipt = true
  batch.firstSequence = sequence
  batch.lastSequence = sequence
  return batch
}
