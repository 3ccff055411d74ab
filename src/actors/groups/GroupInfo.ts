/** What the hub shows of its groups. */
import type { Order } from "../../protocol/Position.ts"
import type { Group } from "./Group.ts"
import type { GroupLane } from "./GroupLane.ts"

/** Times in milliseconds; counts in messages, the last four since the hub started. */
export interface GroupInfo {
  readonly name: string
  readonly pattern: string
  readonly order: Order
  readonly paused: boolean
  readonly members: number
  readonly topics: number
  /** Not done yet: what was not delivered, and what was and is not acknowledged. */
  readonly lag: number
  readonly inFlight: number
  readonly waiting: number
  readonly parked: number
  readonly acknowledged: number
  readonly redelivered: number
  readonly deadLettered: number
  readonly lost: number
  readonly ackWait: number
  readonly maxDeliveries: number
  readonly maxInFlight: number
  readonly backoff: number
  readonly maxBackoff: number
  /** Without a member for so long it is removed; absent if it never is. */
  readonly inactiveThreshold?: number
}

export interface LaneInfo {
  readonly topic: string
  readonly epoch: number
  /** Everything before it is done. */
  readonly floor: number
  /** The first that was not delivered yet. */
  readonly next: number
  /** After the topic's newest message. */
  readonly end: number
  readonly lag: number
  readonly inFlight: number
  readonly waiting: number
  readonly parked: number
}

const laneInfoOf = (group: Group, { lane, topic }: GroupLane): LaneInfo => {
  const end = Math.max(group.registry.placeOf(topic)?.nextOffset ?? 0, lane.next)
  const { epoch, floor, inFlight, next, parked, pending, waiting } = lane
  // What is ready was not delivered yet, or will be again.
  const lag = end - next + pending
  return { topic, epoch, floor, next: next - lane.ready, end, lag, inFlight, waiting, parked }
}

/** The group's places, by topic: `limit` of them. */
export const lanesOf = (group: Group, limit: number): ReadonlyArray<LaneInfo> =>
  [...group.lanes.values()]
    .sort((a, b) => (a.topic < b.topic ? -1 : 1))
    .slice(0, limit)
    .map((place) => laneInfoOf(group, place))

export const groupInfoOf = (group: Group): GroupInfo => {
  const sums = { lag: 0, waiting: 0, parked: 0 }
  for (const place of group.lanes.values()) {
    const { lag, parked, waiting } = laneInfoOf(group, place)
    sums.lag += lag
    sums.waiting += waiting
    sums.parked += parked
  }
  const { isPaused, name, options, pattern } = group.record
  return {
    name,
    pattern,
    paused: isPaused,
    members: group.members.length,
    topics: group.lanes.size,
    inFlight: group.inFlight,
    ...sums,
    ...group.counts,
    ...options
  }
}
