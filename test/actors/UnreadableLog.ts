/** The log in memory with topics that cannot be opened or read, or from which messages are missing. */
import { Effect, Layer } from "effect"
import { sliceBatch } from "../../src/protocol/Batch.ts"
import { Lost, MessageLog, MessageLogError, type TopicLog } from "../../src/services/MessageLog.ts"
import type { Settings } from "../../src/services/Settings.ts"
import { memoryLog } from "./TestHub.ts"

export class Unreadable {
  readonly unopened = new Set<string>()
  readonly unread = new Set<string>()
  /** Offsets that cannot be read, of any topic; whether they are said to be lost, or were compacted away. */
  readonly missing = new Set<number>()
  isDamaged = false
  /** How often a log was read. */
  reads = 0
}

const failed = (topic: string) => new MessageLogError({ reason: "io", topic })

/** What was read without what is missing. */
const without = (faults: Unreadable, read: Effect.Success<ReturnType<TopicLog["read"]>>) =>
  read.flatMap((item) => {
    if (item instanceof Lost) return [item]
    return Array.from({ length: item.count }, (_, at) => at).flatMap((at) => {
      if (!faults.missing.has(item.offset + at)) return [sliceBatch(item, at, at + 1)]
      return faults.isDamaged ? [new Lost(item.offset + at, 1)] : []
    })
  })

const unreadable = (faults: Unreadable, name: string, log: TopicLog): TopicLog => {
  const read: TopicLog["read"] = (offset, maxBytes) =>
    Effect.suspend(() => {
      faults.reads++
      return faults.unread.has(name)
        ? Effect.fail(failed(name))
        : Effect.map(log.read(offset, maxBytes), (found) => without(faults, found))
    })
  return new Proxy(log, {
    get: (target, property) => {
      if (property === "read") return read
      const value: unknown = Reflect.get(target, property, target)
      return typeof value === "function" ? value.bind(target) : value
    }
  })
}

export const unreadableLog = (faults: Unreadable): Layer.Layer<MessageLog, never, Settings> =>
  Layer.effect(
    MessageLog,
    Effect.map(MessageLog, (inner) =>
      MessageLog.of({
        ...inner,
        open: (topic, owner) => {
          const log = inner.open(topic, owner)
          if (Effect.isEffect(log)) return log
          const opened = unreadable(faults, topic, log)
          const isClosed = () => faults.unopened.has(topic)
          return isClosed()
            ? Effect.suspend(() => (isClosed() ? Effect.fail(failed(topic)) : Effect.succeed(opened)))
            : opened
        }
      })
    )
  ).pipe(Layer.provide(memoryLog))
