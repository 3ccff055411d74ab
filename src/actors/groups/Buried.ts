/**
 * What the hub before this one buried without having saved that it did. Within the window of time in which ids are remembered
 * it would be known when it is published again; a hub may have been down for longer.
 */
import { Effect } from "effect"
import type { ErrorCode } from "../../protocol/ErrorCode.ts"
import { forEachMessage } from "../../protocol/Publish.ts"
import { Lost, type MessageLogError } from "../../services/MessageLog.ts"
import type { Registry } from "../Registry.ts"
import { deadLetterId, deadLetterTopic } from "./DeadLetter.ts"
import type { GroupLane } from "./GroupLane.ts"
import { isOpenSoon } from "./GroupReader.ts"

/** The latest dead letters that are looked at, and the first of those that are to be buried: more than are ever not saved. */
const lookBack = 65_536
const readBytes = 262_144

/** The offsets, in order, of a lane's dying messages whose dead letters are there. Others run in between. */
export const findBuried = Effect.fnUntraced(function* (
  registry: Registry,
  group: string,
  place: GroupLane
): Effect.fn.Return<ReadonlyArray<number>, ErrorCode | MessageLogError> {
  const name = deadLetterTopic(group, place.topic)
  if (registry.placeOf(name) === undefined) return []
  const topic = registry.topicNamed(name)
  if (typeof topic === "string") return yield* Effect.fail(topic)
  if (!(yield* isOpenSoon(topic))) return yield* Effect.fail<ErrorCode>("topic-failed")
  const dying = new Map<string, number>()
  for (const { count, offset, until } of place.lane.dyingEntries()) {
    for (let at = offset; at < offset + count && dying.size < lookBack; at++)
      dying.set(deadLetterId(place.lane.epoch, at, until), at)
  }
  const found: Array<number> = []
  const { log } = topic
  let next = Math.max(log.firstOffset, log.nextOffset - lookBack)
  while (next < log.nextOffset) {
    const read = yield* log.read(next, readBytes)
    if (read.length === 0) break
    for (const item of read) {
      next = item.offset + item.count
      if (item instanceof Lost) continue
      forEachMessage(item.bytes, item.start, item.end, item.skip, item.count, ({ id = "" }) => {
        const offset = dying.get(id)
        if (offset !== undefined) found.push(offset)
      })
    }
    yield* Effect.yieldNow
  }
  return found.sort((a, b) => a - b)
})
