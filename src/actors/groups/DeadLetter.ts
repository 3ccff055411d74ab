/**
 * A dead letter: a message that failed too often, as it is published to the dead-letter topic, with its history in its
 * headers. It has an id made of its origin, so that one which is published again after a crash is stored once. Many are
 * published as one frame, which has one receipt, also if some of it are there already.
 */
import { Batch } from "../../protocol/Batch.ts"
import { ByteWriter, encodeText } from "../../protocol/Bytes.ts"
import { checkRecords, encodeRecord, type Message } from "../../protocol/Message.ts"
import {
  beginPublish,
  endPublish,
  maxRecordsPerFrame,
  PublishHeader,
  readPublish
} from "../../protocol/Publish.ts"
import { deadLetterPrefix } from "../../protocol/TopicName.ts"
import type { Topic } from "../Topic.ts"

const longestTopic = 255
/** A frame with so much in it is full. */
const enoughBytes = 262_144

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

/**
 * An epoch is that of one log only. A message that was given to its group again, and died again at another time, is another
 * dead letter.
 */
export const deadLetterId = (epoch: number, offset: number, time: number): string =>
  `${epoch}.${offset}.${time}`

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

/** A message that died, and how. */
export interface Letter {
  readonly message: Message
  readonly death: Death
}

/** A dead letter that has no room for more headers, or would be longer than `maxBytes`, leaves the message's own out. */
const writeLetter = (writer: ByteWriter, { death, message }: Letter, maxBytes: number): void => {
  const origin = originOf(death, message.id)
  const id = deadLetterId(death.epoch, death.offset, death.time)
  const start = writer.at
  const letter = { ...message, id, headers: { ...ownHeaders(message), ...origin } }
  const isRefused = encodeRecord(writer, letter) !== undefined
  if (!isRefused && writer.at - start <= maxBytes) return
  writer.at = start
  encodeRecord(writer, { ...letter, headers: origin })
}

/**
 * The batch to publish to `topic`: one frame of as many of the letters from `from` on as it has room for, at least one. It
 * is longer than `maxBytes` only if one letter is, without the headers of its own.
 */
export const deadLetterBatch = (
  topic: Topic,
  publisherId: string,
  sequence: number,
  letters: ReadonlyArray<Letter>,
  from: number,
  maxBytes: number
): Batch => {
  const writer = new ByteWriter(1024)
  const start = beginPublish(writer, { session: 0, sequence, topic: topic.nameBytes, receipt: true })
  const headerBytes = writer.at
  const end = Math.min(letters.length, from + maxRecordsPerFrame)
  let to = from
  for (; to < end; to++) {
    const before = writer.at
    writeLetter(writer, letters[to]!, maxBytes - headerBytes)
    if (to > from && writer.at > Math.min(enoughBytes, maxBytes)) {
      writer.at = before
      break
    }
  }
  const count = to - from
  endPublish(writer, start, count)
  const bytes = writer.written()
  const header = new PublishHeader()
  readPublish(bytes, 0, bytes.length, header)
  const batch = new Batch(topic, bytes, 0, bytes.length, count, 0, publisherId)
  batch.records = checkRecords(bytes, header.records, bytes.length, count, Number.POSITIVE_INFINITY)
  batch.wantsReceipt = true
  batch.firstSequence = sequence
  batch.lastSequence = sequence
  return batch
}
