/** What a lane is to bury next, with its messages as the log still has them: many at a time, in the order of the log. */
import { Effect } from "effect"
import type { Batch } from "../../protocol/Batch.ts"
import type { Message } from "../../protocol/Message.ts"
import { forEachMessage } from "../../protocol/Publish.ts"
import { Lost, type MessageLogError, type TopicLog } from "../../services/MessageLog.ts"
import type { Letter } from "./DeadLetter.ts"
import type { GroupLane } from "./GroupLane.ts"

/** Messages that are buried together, and bytes of their batches, about. */
const mostAtOnce = 16_384
const bytesAtOnce = 8_388_608
/** Bytes that are read from the log at a time, at most. */
const readBytes = 262_144
/** Bytes of a message, until it is known how many those of the topic have. */
const smallest = 64

interface Dying {
  readonly offset: number
  readonly failures: number
  readonly time: number
  readonly error: string
}

export interface Found {
  readonly letters: ReadonlyArray<Letter>
  /** Offsets of those that the log no longer has. */
  readonly missing: ReadonlyArray<number>
}

/** The first of a lane's messages that are to be buried. */
const dyingOf = ({ lane }: GroupLane): ReadonlyArray<Dying> => {
  const dying: Array<Dying> = []
  for (const { count, error, failures, offset, until } of lane.dyingEntries()) {
    const end = offset + Math.min(count, mostAtOnce - dying.length)
    for (let at = offset; at < end; at++) dying.push({ offset: at, failures, time: until, error })
    if (dying.length === mostAtOnce) break
  }
  return dying
}

/** Reads the first of a lane's messages that are to be buried. Others run in between. */
export const readDying = Effect.fnUntraced(function* (
  group: string,
  place: GroupLane,
  log: TopicLog
): Effect.fn.Return<Found, MessageLogError> {
  const dying = dyingOf(place)
  const letters: Array<Letter> = []
  const missing: Array<number> = []
  let next = 0
  let bytes = 0
  let average = smallest
  const offsetOf = (index: number) => dying[index]?.offset ?? Number.POSITIVE_INFINITY
  const loseBefore = (offset: number) => {
    while (offsetOf(next) < offset) missing.push(offsetOf(next++))
  }
  const take = (message: Message, { epoch, timestamp }: Batch) => {
    const death = { group, topic: place.topic, epoch, timestamp, ...dying[next++]! }
    letters.push({ message, death })
  }
  const takeFrom = (batch: Batch) => {
    const end = batch.offset + batch.count
    while (offsetOf(next) < end) {
      const from = offsetOf(next)
      const skipped = from - batch.offset
      forEachMessage(
        batch.bytes,
        batch.start,
        batch.end,
        batch.skip + skipped,
        batch.count - skipped,
        (message, index) => {
          if (offsetOf(next) === from + index) take(message, batch)
        }
      )
      // What cannot be read is a dead letter all the same.
      if (offsetOf(next) === from) take(nothing, batch)
    }
  }
  while (next < dying.length && bytes < bytesAtOnce) {
    const from = offsetOf(next)
    // No more than stands side by side: the messages between may be many.
    let run = 1
    while (offsetOf(next + run) === from + run) run++
    for (const item of yield* log.read(from, Math.min(readBytes, run * average))) {
      loseBefore(item.offset)
      if (item instanceof Lost) {
        loseBefore(item.offset + item.count)
        continue
      }
      bytes += item.size
      average = item.size / item.count
      takeFrom(item)
    }
    if (offsetOf(next) === from) loseBefore(from + 1)
    if (next < dying.length) yield* Effect.yieldNow
  }
  return { letters, missing }
})

const nothing: Message = { payload: new Uint8Array(0) }
