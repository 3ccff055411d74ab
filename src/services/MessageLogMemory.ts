/**
 * The log in memory: for each topic the newest batches, bounded by messages, bytes and age, and all topics
 * together by bytes. Nothing outlives the process. Of a topic that was closed only its place is kept, for the latest
 * of them: opened again it goes on there, so that who resumes after its last message has missed nothing.
 */
import { Clock, Effect, Layer, Random } from "effect"
import {
  epochsPerMillisecond,
  type LogOwner,
  MessageLog,
  type TopicLimits,
  type TopicLog
} from "./MessageLog.ts"
import { HeldBatches } from "./memory/HeldBatches.ts"
import { MemoryTopicLog, type Place, type Shared } from "./memory/MemoryTopicLog.ts"
import { SegmentStore } from "./memory/SegmentStore.ts"

export interface MemoryLimits extends TopicLimits {
  /**
   * Bytes that all topics keep together, up to 16 GiB; also what is held for them, but for 256 KiB. When they are
   * reached, what is oldest in the hub is forgotten.
   */
  readonly totalBytes: number
  /** Bytes that all topics together hold until their time; 64 MiB if absent. What is more is refused. */
  readonly heldBytes?: number | undefined
}

const defaultHeldBytes = 64 * 1024 * 1024

/** Closed topics whose place is remembered: about 10 MB. */
const maxPlaces = 65_536

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
  const places = new Map<string, Place>()
  const held = new HeldBatches(limits.heldBytes ?? defaultHeldBytes)
  const closed = (name: string, { epoch, lostUntil, nextOffset }: TopicLog) => {
    if (places.size >= maxPlaces) {
      const oldest = places.keys().next()
      if (oldest.done !== true) places.delete(oldest.value)
    }
    places.set(name, { epoch, lostUntil, nextOffset })
  }
  const shared: Shared = { limits, store, held, closed }
  const open = (topic: string, owner: LogOwner): TopicLog => {
    const place = places.get(topic) ?? { epoch: nextEpoch(), nextOffset: 0, lostUntil: 0 }
    places.delete(topic)
    return store.add((number) => new MemoryTopicLog(number, owner, place, shared))
  }
  return MessageLog.of({
    open,
    bytes: () => store.bytes,
    names: () => [],
    // A topic that is closed has no messages left.
    tidy: () => {},
    describe: () => undefined,
    nextDue: () => held.nextDue,
    due: (now, maxBytes) => Effect.sync(() => held.take(now, maxBytes))
  })
})

export const layer = (limits: MemoryLimits): Layer.Layer<MessageLog> => Layer.effect(MessageLog, make(limits))
