/**
 * What a topic knew of its publishers and of messages' ids before its log was closed, from the log itself: so that what is
 * sent again after a restart of the hub is not stored twice either.
 */
import { Effect } from "effect"
import { RecordFlags } from "../protocol/Message.ts"
import { Lost, type TopicLog } from "../services/MessageLog.ts"
import type { MessageIds } from "./MessageIds.ts"
import type { Producers } from "./Producers.ts"

/** Messages that are looked at, at most: the newest. */
const maxMessages = 262_144
const readBytes = 1_048_576

/** Reads what was published since `since` (ms). If that fails, what is sent again may be stored twice; a line says so. */
export const restore = (
  log: TopicLog,
  since: number,
  producers: Producers,
  ids: MessageIds
): Effect.Effect<void> =>
  Effect.gen(function* () {
    let offset = Math.max(yield* log.offsetAt(since), log.nextOffset - maxMessages)
    while (offset < log.nextOffset) {
      const read = yield* log.read(offset, readBytes)
      if (read.length === 0) return
      for (const batch of read) {
        offset = batch.offset + batch.count
        if (batch instanceof Lost) continue
        producers.remember(batch, `${batch.publisherId}/${batch.incarnation}`)
        if ((batch.records & RecordFlags.id) !== 0) ids.place(batch)
      }
      yield* Effect.yieldNow
    }
  }).pipe(
    Effect.catchCause((cause) => Effect.logWarning("what was published lately could not be read", cause)),
    Effect.withSpan("Topic.restore")
  )
