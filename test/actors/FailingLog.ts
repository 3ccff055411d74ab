/** A log in memory that fails when a test says so. */
import { Effect, Layer } from "effect"
import { MessageLog, MessageLogError, type TopicLog } from "../../src/services/MessageLog.ts"
import * as MessageLogMemory from "../../src/services/MessageLogMemory.ts"

export interface Faults {
  /** Of topics that are named here the next so many appends fail, or throw. */
  readonly failures: Map<string, number>
  readonly throws: Map<string, number>
}

export const noFaults = (): Faults => ({ failures: new Map(), throws: new Map() })

const takeOne = (counts: Map<string, number>, topic: string): boolean => {
  const left = counts.get(topic) ?? 0
  counts.set(topic, left - 1)
  return left > 0
}

const failing = (topic: string, log: TopicLog, faults: Faults): TopicLog => ({
  get epoch() {
    return log.epoch
  },
  get durability() {
    return log.durability
  },
  get nextOffset() {
    return log.nextOffset
  },
  get firstOffset() {
    return log.firstOffset
  },
  get lostUntil() {
    return log.lostUntil
  },
  get messages() {
    return log.messages
  },
  get bytes() {
    return log.bytes
  },
  append: (batch) => {
    if (takeOne(faults.throws, topic)) throw new Error("a fault of the test's")
    if (takeOne(faults.failures, topic)) return Effect.fail(new MessageLogError({ reason: "io", topic }))
    return log.append(batch)
  },
  read: (offset, maxBytes) => log.read(offset, maxBytes),
  offsetAt: (time) => log.offsetAt(time),
  expire: (now) => log.expire(now),
  close: () => log.close()
})

export const failingLog = (faults: Faults): Layer.Layer<MessageLog> =>
  Layer.effect(
    MessageLog,
    Effect.gen(function* () {
      const limits = { messages: 1000, bytes: 1_000_000, age: 600_000, totalBytes: 10_000_000 }
      const inner = yield* MessageLogMemory.make(limits)
      return MessageLog.of({
        bytes: inner.bytes,
        open: (topic) => {
          const log = inner.open(topic)
          return Effect.isEffect(log)
            ? Effect.map(log, (opened) => failing(topic, opened, faults))
            : failing(topic, log, faults)
        }
      })
    })
  )
