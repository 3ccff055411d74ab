/** What became of a group's messages, as its members say and as is asked for by hand: done, failed, or wanted again. */
import type { Fate, OffsetRange } from "../../protocol/Position.ts"
import { deadLetterPrefix } from "../../protocol/TopicName.ts"
import type { Session } from "../Session.ts"
import type { Group } from "./Group.ts"
import type { GroupLane } from "./GroupLane.ts"
import type { Member } from "./Member.ts"

/** Messages that are set aside in one topic at most; beyond it they become dead letters. */
const maxParked = 10_000

/** Done, for good. Positions that are not pending, or of another epoch, are passed over. */
export const acknowledge = (
  group: Group,
  topic: string,
  epoch: number,
  ranges: ReadonlyArray<OffsetRange>
): void => {
  const place = group.lanes.get(topic)
  if (place === undefined || place.lane.epoch !== epoch) return
  let done = 0
  group.update(place, (lane) => {
    for (const { from, to } of ranges) {
      // What the hub before this one delivered is not taken from the log yet, and must not come again.
      lane.extendTo(Math.min(to, place.foundEnd ?? 0, group.registry.placeOf(topic)?.nextOffset ?? 0))
      done += lane.acknowledge(from, to)
    }
  })
  if (done === 0) return
  group.count("acknowledged", done)
  group.save(place)
  group.dispatch()
}

/** What a session has and does not acknowledge. */
export const refuse = (
  group: Group,
  session: Session,
  topic: string,
  epoch: number,
  ranges: ReadonlyArray<OffsetRange>,
  outcome: { readonly fate: Fate; readonly delay: number | undefined; readonly error: string }
): void => {
  const place = group.lanes.get(topic)
  if (place === undefined || place.lane.epoch !== epoch) return
  const now = group.registry.system.steady()
  const { error } = outcome
  const fate = fateOf(place, outcome.fate)
  const delay = fate === "hold" ? group.record.options.ackWait : outcome.delay
  const isFor = (member: Member) => member.session === session
  let changed = 0
  group.update(place, (lane) => {
    for (const { from, to } of ranges) changed += lane.refuse(from, to, isFor, fate, now, delay, error)
  })
  if (changed === 0 || fate === "hold") return
  group.save(place)
  group.afterFailures()
  group.dispatch()
}

/** Dead letters have no dead letters of their own, and of what is set aside there is a limit. */
const fateOf = ({ lane, topic }: GroupLane, fate: Fate): Fate => {
  if (fate === "dead" && topic.startsWith(deadLetterPrefix)) return "park"
  return fate === "park" && lane.parked >= maxParked ? "dead" : fate
}

/** Gives a message that was done with to the group again; `false` if its topic's log no longer has it. */
export const requeue = (group: Group, topic: string, epoch: number, offset: number): boolean => {
  const place = group.lanes.get(topic)
  const log = group.registry.placeOf(topic)
  if (place === undefined || place.lane.epoch !== epoch || log?.epoch !== epoch) return false
  if (!Number.isSafeInteger(offset) || offset < log.firstOffset) return false
  if (!group.update(place, (lane) => lane.requeue(offset))) return false
  group.save(place)
  group.dispatch()
  return true
}
