/**
 * How many messages become few batches. A topic's messages keep their order; those that follow one another with the same
 * options share a batch. A message with an id is alone, since a batch has one receipt, and of its messages some may be
 * duplicates. Pure.
 */

import type { TopicMessage } from "../../protocol/json/MessageJson.ts"
import type { Message } from "../../protocol/Message.ts"

export interface PlannedBatch {
  readonly topic: string
  readonly ttl: number
  readonly priority: number
  readonly deliverAt: number
  readonly messages: Array<Message>
  /** The place of each message among all. */
  readonly places: Array<number>
}

interface Open {
  readonly batch: PlannedBatch
  bytes: number
}

/** One batch is handled in one turn of the topic's. */
const maxMessages = 1000
const maxBytes = 1_048_576

/** Batches in the order in which they are to be published. */
export const planBatches = (
  messages: Iterable<readonly [place: number, message: TopicMessage]>
): ReadonlyArray<PlannedBatch> => {
  const batches: Array<PlannedBatch> = []
  const open = new Map<string, Open>()
  for (const [place, { deliverAt, message, priority, topic, ttl }] of messages) {
    const size = message.payload.length
    const same = open.get(topic)
    if (message.id === undefined && same !== undefined && fits(same, ttl, priority, deliverAt, size)) {
      same.batch.messages.push(message)
      same.batch.places.push(place)
      same.bytes += size
      continue
    }
    const batch = { topic, ttl, priority, deliverAt, messages: [message], places: [place] }
    batches.push(batch)
    if (message.id === undefined) open.set(topic, { batch, bytes: size })
    else open.delete(topic)
  }
  return batches
}

const fits = (
  { batch, bytes }: Open,
  ttl: number,
  priority: number,
  deliverAt: number,
  size: number
): boolean =>
  batch.ttl === ttl &&
  batch.priority === priority &&
  batch.deliverAt === deliverAt &&
  batch.messages.length < maxMessages &&
  bytes + size <= maxBytes
