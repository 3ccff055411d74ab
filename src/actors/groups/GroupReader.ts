/** How a group catches up: what its members have room for is read from the topic's log. */
import { Effect } from "effect"
import { Lost, type MessageLogError, type TopicLog } from "../../services/MessageLog.ts"
import type { Topic } from "../Topic.ts"
import type { Group } from "./Group.ts"
import type { GroupLane } from "./GroupLane.ts"

/** Bytes that are read from a log at a time. */
const fillBytes = 262_144
/** Milliseconds before a log that could not be read is read again. */
const retryAfter = 1000

/** Whether the topic's log is open, or is within a second: one that cannot be opened must not hold up all others. */
export const isOpenSoon = (topic: Topic): Effect.Effect<boolean> =>
  topic.isOpen
    ? Effect.succeed(true)
    : Effect.map(Effect.timeoutOption(topic.whenOpen, retryAfter), () => topic.isOpen)

/** Leaves what the log no longer has: all of it if the log is another one. */
export const align = (group: Group, place: GroupLane, log: TopicLog): void => {
  const { lane } = place
  if (lane.epoch !== log.epoch) {
    const { epoch, floor: from, pending: missed } = lane
    place.generation++
    place.foundEnd = log.nextOffset
    group.update(place, () => lane.reset(log.epoch, log.firstOffset))
    group.save(place)
    // One that began before the log was open was in none yet.
    if (epoch > 0) group.lost(place, from, log.firstOffset, missed, epoch)
    return
  }
  if (lane.floor >= log.firstOffset) return
  const from = lane.floor
  const next = lane.next
  let missed = group.update(place, () => lane.forget(log.firstOffset))
  if (next < log.firstOffset) {
    missed += log.firstOffset - next
    group.update(place, () => lane.skipTo(log.firstOffset))
  }
  group.save(place)
  if (missed > 0) group.lost(place, from, log.firstOffset, missed)
}

/** Brings the lane one thing that it needs: the messages of its next entry, or more from the log. */
export const fillOne = (group: Group, place: GroupLane): Effect.Effect<void> =>
  Effect.suspend(() => {
    const topic = group.registry.topicNamed(place.topic)
    if (typeof topic === "string" || !topic.isOpen) {
      group.postpone(place, retryAfter)
      return Effect.void
    }
    return Effect.suspend(() => {
      align(group, place, topic.log)
      const entry = place.lane.peek()
      return entry === undefined || entry.batch !== undefined
        ? readOn(group, place, topic.log)
        : readAgain(group, place, topic.log, entry.offset)
    })
  }).pipe(
    Effect.catch((error: MessageLogError) => {
      group.postpone(place, retryAfter)
      return Effect.logWarning("a group could not read its topic", error)
    })
  )

/** The messages after those that the lane has. */
const readOn = (group: Group, place: GroupLane, log: TopicLog): Effect.Effect<void, MessageLogError> => {
  const { generation, lane } = place
  const end = log.nextOffset
  return Effect.map(log.read(lane.next, fillBytes), (read) => {
    if (place.generation !== generation) return
    for (const item of read) {
      if (!(item instanceof Lost)) group.update(place, () => lane.push(item))
      else {
        group.update(place, () => lane.skipTo(item.offset + item.count))
        group.lost(place, item.offset, item.offset + item.count, item.count)
      }
    }
    // A log that has lost what it says it has must not be read for ever.
    if (read.length === 0) group.update(place, () => lane.skipTo(end))
    place.isBehind = lane.next < log.nextOffset
  })
}

/** The messages of an entry that was delivered before. */
const readAgain = (
  group: Group,
  place: GroupLane,
  log: TopicLog,
  offset: number
): Effect.Effect<void, MessageLogError> => {
  const { generation, lane } = place
  return Effect.map(log.read(offset, fillBytes), (read) => {
    const entry = lane.peek()
    if (place.generation !== generation || entry?.offset !== offset || entry.batch !== undefined) return
    const end = offset + entry.count
    const index = read.findIndex((item) => !(item instanceof Lost) && item.offset < end)
    const found = read[index]
    if (found === undefined || found instanceof Lost || found.offset > offset) {
      const to = found === undefined ? end : found.offset
      const missed = group.update(place, () => lane.acknowledge(offset, to))
      group.save(place)
      const [first] = read
      // What is in no batch and not lost was compacted away.
      if (first === undefined || first instanceof Lost) group.lost(place, offset, to, missed)
      return
    }
    // Also for the entries after it: what was read for one must not be read again for each.
    group.update(place, () => {
      lane.supply(entry, found)
      for (const item of read.slice(index + 1)) if (!(item instanceof Lost)) lane.supplyMore(item)
    })
  })
}
