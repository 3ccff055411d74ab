/** A group's place in one topic: the lane, and what the group knows of the topic's log. */
import { deadLetterPrefix } from "../../protocol/TopicName.ts"
import type { GroupRecord } from "./GroupRecord.ts"
import type { Lane, LaneRules } from "./Lane.ts"
import type { Member } from "./Member.ts"

export interface GroupLane {
  readonly topic: string
  readonly lane: Lane<Member>
  /** Whether the log has more than the lane has taken. */
  isBehind: boolean
  /** Changes when the lane is reset, so that what was read before is not taken for what is wanted now. */
  generation: number
  /** Where the log ended when this hub found it: what stands before may have been delivered by the hub before it. */
  foundEnd: number | undefined
  /** Whether the hub before this one may have buried some of what is dying here. */
  mayBeBuried: boolean
  /** Its log is not read before this time of the steady clock, after it could not be; `Infinity` while it is removed. */
  notBefore: number
}

/** Where the group begins or goes on; whether the log has more is not known yet. */
export const newGroupLane = (topic: string, lane: Lane<Member>): GroupLane => ({
  topic,
  lane,
  isBehind: true,
  generation: 0,
  foundEnd: undefined,
  mayBeBuried: lane.dying > 0,
  notBefore: 0
})

/** A dead letter that fails is delivered again for ever: it has no dead letters of its own. */
export const rulesOf = ({ options }: GroupRecord, topic: string): LaneRules =>
  topic.startsWith(deadLetterPrefix) ? { ...options, maxDeliveries: 0 } : options
