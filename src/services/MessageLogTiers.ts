/**
 * Two engines as one log: topics that the settings keep on disk are in the one, all others in the other. What both
 * engines hold until its time is given in the order of time.
 */
import { Effect } from "effect"
import { deadLetterPrefix, isReserved } from "../protocol/TopicName.ts"
import { ruleFor, type TopicRule } from "../protocol/TopicRules.ts"
import type { MessageLog } from "./MessageLog.ts"
import type { durabilities } from "./StorageSettings.ts"

export type TopicDurability = (typeof durabilities)[number]

/** Where a topic is: what the rules say; dead letters are always stored, and the hub's other topics never. */
export const durabilityOf = (
  rules: ReadonlyArray<TopicRule<TopicDurability>>,
  topic: string
): TopicDurability => {
  if (topic.startsWith(deadLetterPrefix)) return "stored"
  if (isReserved(topic)) return "memory"
  return ruleFor(rules, topic) ?? "memory"
}

type Log = MessageLog["Service"]

/** Which engine a topic belongs to must not change while it is open. */
export const tiered = (memory: Log, disk: Log, isOnDisk: (topic: string) => boolean): Log => ({
  open: (topic, owner) => (isOnDisk(topic) ? disk : memory).open(topic, owner),
  bytes: () => memory.bytes() + disk.bytes(),
  names: disk.names,
  describe: (topic) => (isOnDisk(topic) ? disk.describe(topic) : undefined),
  tidy: disk.tidy,
  nextDue: () => Math.min(memory.nextDue(), disk.nextDue()),
  due: (now, maxBytes) => {
    const [first, second] = memory.nextDue() <= disk.nextDue() ? [memory, disk] : [disk, memory]
    return Effect.flatMap(first.due(now, maxBytes), (due) =>
      due.length > 0 ? Effect.succeed(due) : second.due(now, maxBytes)
    )
  }
})
