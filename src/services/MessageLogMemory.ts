/**
 * The log in memory: for each topic the newest batches, bounded by messages, bytes and age, and all topics
 * together by bytes. Nothing outlives the process, nor the closing of a topic: opened again it has another epoch.
 */
import { Clock, Effect, Layer, Random } from "effect"
import { MessageLog, type TopicLog } from "./MessageLog.ts"
import { MemoryTopicLog, type TopicLimits } from "./memory/MemoryTopicLog.ts"
import { SegmentStore } from "./memory/SegmentStore.ts"

export interface MemoryLimits extends TopicLimits {
  /**
   * Bytes that all topics keep together, up to 16 GiB; also what is held for them, but for 256 KiB. When they are
   * reached, what is oldest in the hub is forgotten.
   */
  readonly totalBytes: number
}

/** Epochs rise with time, and differ for logs that were made in the same millisecond. */
const epochsPerMillisecond = 1024

export const make = Effect.fnUntraced(function* (limits: MemoryLimits) {
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const store = new SegmentStore(limits.totalBytes)
  let lastEpoch = 0
  const nextEpoch = (): number => {
    const first = clock.currentTimeMillisUnsafe() * epochsPerMillisecond
    lastEpoch = Math.max(lastEpoch + 1, first + Math.floor(random.nextDoubleUnsafe() * epochsPerMillisecond))
    return lastEpoch
  }
  const open = (): TopicLog => store.add((number) => new MemoryTopicLog(number, nextEpoch(), limits, store))
  return MessageLog.of({ open, bytes: () => store.bytes })
})

export const layer = (limits: MemoryLimits): Layer.Layer<MessageLog> => Layer.effect(MessageLog, make(limits))
