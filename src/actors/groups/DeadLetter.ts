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
const longestError = 4096

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
  [Origin.error]: death.error.slice(0, longestError),
  ...(id === undefined ? {} : { [Origin.id]: id })
})

/** The batch to publish to `topic`: one message. If the message has no room for more headers, its own are left out. */
export const deadLetterBatch = (
  topic: Topic,
  publisherId: string,
  sequence: number,
  message: Message,
  death: Death
): Batch => {
  const writer = new ByteWriter(512 + message.payload.length)
  const start = beginPublish(writer, { session: 0, sequence, topic: topic.nameBytes, receipt: true })
  const origin = originOf(death, message.id)
  // An epoch is that of one log only. A message that was given to its group again and died again is another dead letter.
  const id = `${death.epoch}.${death.offset}.${death.time}`
  const letter = { ...message, id, headers: { ...message.headers, ...origin } }
  if (encodeRecord(writer, letter) !== undefined) encodeRecord(writer, { ...letter, headers: origin })
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
