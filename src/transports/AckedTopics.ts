/**
 * The `message_ids` of an acknowledgement as the hub takes them: by topic, as ranges of offsets. Pure. What is answered
 * is how many different ones are of topics that the client's groups read; whether they wait there to be acknowledged is
 * not asked, so an id that was acknowledged before counts again.
 */
import { parseMessageId } from "../protocol/json/MessageId.ts"
import type { JsonFault } from "../protocol/json/Problem.ts"
import type { OffsetRange } from "../protocol/Position.ts"

/** Topics of one acknowledgement: each is looked for among all groups of the client. */
export const maxAckTopics = 1000

export interface AckedTopic {
  readonly topic: string
  readonly epoch: number
  /** In order, and none meets another. */
  readonly ranges: ReadonlyArray<OffsetRange>
  /** Different messages. */
  readonly count: number
}

export const ackedTopics = (ids: ReadonlyArray<string>): ReadonlyArray<AckedTopic> | JsonFault => {
  const found = new Map<string, { topic: string; epoch: number; offsets: Set<number> }>()
  for (const id of ids) {
    const place = parseMessageId(id)
    if (place === undefined)
      return { code: "BAD_REQUEST", message: "a `message_id` is not one that the hub gave" }
    const { epoch, offset, topic } = place
    const key = `${epoch} ${topic}`
    const same = found.get(key)
    if (same === undefined) found.set(key, { topic, epoch, offsets: new Set([offset]) })
    else same.offsets.add(offset)
  }
  if (found.size > maxAckTopics)
    return { code: "LIMIT_REACHED", message: `an ack is of at most ${maxAckTopics} topics` }
  return [...found.values()].map(({ epoch, offsets, topic }) => ({
    topic,
    epoch,
    ranges: rangesOf(offsets),
    count: offsets.size
  }))
}

const rangesOf = (offsets: ReadonlySet<number>): ReadonlyArray<OffsetRange> => {
  const ranges: Array<{ from: number; to: number }> = []
  for (const offset of [...offsets].sort((a, b) => a - b)) {
    const last = ranges.at(-1)
    if (last?.to === offset) last.to = offset + 1
    else ranges.push({ from: offset, to: offset + 1 })
  }
  return ranges
}
