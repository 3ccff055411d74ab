/**
 * The log on disk, and the small values of groups beside it, in one LMDB environment: what was said to be stored is
 * flushed and outlives a crash of the hub or the machine. One hub at a time owns the folder.
 */
import { Clock, Context, Effect, Layer } from "effect"
import { Slab } from "../protocol/Batch.ts"
import { decodeText, encodeText } from "../protocol/Bytes.ts"
import { deadLetterPrefix } from "../protocol/TopicName.ts"
import { Compaction } from "./lmdb/Compaction.ts"
import { PublisherBytes } from "./lmdb/EntryKey.ts"
import { openFolder } from "./lmdb/Folder.ts"
import { HeldMessages } from "./lmdb/HeldMessages.ts"
import { make as makeState } from "./lmdb/LmdbState.ts"
import { LmdbTopicLog } from "./lmdb/LmdbTopicLog.ts"
import { decodeTopic, type TopicRecord } from "./lmdb/Records.ts"
import { Removal } from "./lmdb/Removal.ts"
import type { LmdbOptions, Shared } from "./lmdb/Shared.ts"
import { bytesOf, messagesOf, newNumbers, numbersOf } from "./lmdb/TopicPlace.ts"
import {
  epochsPerMillisecond,
  type LogOwner,
  MessageLog,
  MessageLogError,
  type TopicLimits,
  type TopicLog,
  type TopicPlace
} from "./MessageLog.ts"
import { StateStore } from "./StateStore.ts"

export type { LmdbOptions } from "./lmdb/Shared.ts"

/** Closed topics that are looked at each time the log is tidied. */
const tidiedAtOnce = 500

/** The owner of a log that is opened only to be trimmed. */
class Nobody implements LogOwner {
  readonly name: string
  readonly slab = new Slab()
  delivered = 0
  dropped = 0

  constructor(name: string) {
    this.name = name
  }

  stored(): void {}
  held(): void {}
  refused(): void {}
}

/** Names that are read at a time. */
const namesAtOnce = 1000

const limitsFor = (options: LmdbOptions): ((topic: string) => TopicLimits) => {
  const dead = { ...options.topic, age: options.deadLetterAge }
  return (topic) => (topic.startsWith(deadLetterPrefix) ? dead : options.topic)
}

/** Both services, from one folder, which is let go of with the scope. */
export const make = Effect.fnUntraced(function* (options: LmdbOptions) {
  const clock = yield* Clock.Clock
  const { environment, writer } = yield* openFolder(options)
  const publishers = new PublisherBytes()
  const held = new HeldMessages(environment, writer, publishers, options.maxHeldBytes)
  const removal = new Removal(environment, writer, held)
  const logs = new Map<string, LmdbTopicLog>()
  const shared: Shared = {
    options,
    environment,
    writer,
    held,
    publishers,
    removal,
    compaction: new Compaction(environment, options.compactionKeys),
    limitsOf: limitsFor(options),
    released: (log) => {
      if (logs.get(log.owner.name) === log) logs.delete(log.owner.name)
    }
  }
  removal.resume()

  let lastEpoch = writer.folder.lastEpoch
  const nextEpoch = (): number => {
    lastEpoch = Math.max(lastEpoch + 1, clock.currentTimeMillisUnsafe() * epochsPerMillisecond)
    return lastEpoch
  }

  /** Throws what LMDB throws, or that the record is damaged. */
  const recordOf = (topic: string): TopicRecord | undefined => {
    const bytes = environment.topics.get(encodeText(topic))
    if (bytes === undefined) return undefined
    const record = decodeTopic(bytes)
    if (record === undefined) throw new Error(`the record of topic ${topic} is damaged`)
    return record
  }

  /** What is damaged is found by who opens it. */
  const knownRecord = (topic: string): TopicRecord | undefined => {
    try {
      return recordOf(topic)
    } catch {
      return undefined
    }
  }

  const openNow = (topic: string, owner: LogOwner): TopicLog => {
    const record = recordOf(topic)
    const log =
      record === undefined
        ? new LmdbTopicLog(shared, owner, nextEpoch(), newNumbers())
        : new LmdbTopicLog(shared, owner, record.epoch, numbersOf(environment.messages, record))
    logs.set(topic, log)
    return log
  }

  const tryOpen = (topic: string, owner: LogOwner): TopicLog | Effect.Effect<TopicLog, MessageLogError> => {
    try {
      return openNow(topic, owner)
    } catch (cause) {
      return Effect.fail(new MessageLogError({ reason: "damaged", topic, cause }))
    }
  }

  /** Until what was queued of a log that was closed is written. */
  const released = (log: LmdbTopicLog): Effect.Effect<void> =>
    Effect.suspend(() =>
      logs.get(log.owner.name) === log ? Effect.andThen(writer.settled, released(log)) : Effect.void
    )

  const open = (topic: string, owner: LogOwner): TopicLog | Effect.Effect<TopicLog, MessageLogError> => {
    const before = logs.get(topic)
    if (before === undefined) return tryOpen(topic, owner)
    return Effect.flatMap(before.isOpen ? writer.idle : released(before), () => {
      const log = tryOpen(topic, owner)
      return Effect.isEffect(log) ? log : Effect.succeed(log)
    })
  }

  const describe = (topic: string): TopicPlace | undefined => {
    const log = logs.get(topic)
    if (log !== undefined) {
      const { bytes, epoch, firstOffset, messages, nextOffset } = log
      return log.numbers.id === 0 ? undefined : { epoch, firstOffset, nextOffset, messages, bytes }
    }
    const record = knownRecord(topic)
    if (record === undefined) return undefined
    const numbers = numbersOf(environment.messages, record)
    const { firstOffset, nextOffset } = numbers
    const [messages, bytes] = [messagesOf(numbers), bytesOf(numbers)]
    return { epoch: record.epoch, firstOffset, nextOffset, messages, bytes }
  }

  function* names(after = ""): Generator<string> {
    let from: Uint8Array | undefined = new Uint8Array([...encodeText(after), 0])
    while (from !== undefined) {
      const keys: ReadonlyArray<Uint8Array> = [
        ...environment.topics.getKeys({ start: from, limit: namesAtOnce })
      ]
      for (const key of keys) yield decodeText(key) ?? ""
      const last = keys.length < namesAtOnce ? undefined : keys.at(-1)
      from = last === undefined ? undefined : new Uint8Array([...last, 0])
    }
  }

  /** Where the walk through the closed topics is. */
  let walk = names()
  const tidy = (now: number): void => {
    for (let left = tidiedAtOnce; left > 0; left--) {
      const next = walk.next()
      if (next.done === true) {
        walk = names()
        return
      }
      if (!logs.has(next.value)) tidyClosed(next.value, now)
    }
  }

  const tidyClosed = (topic: string, now: number): void => {
    if (options.isCompacted(topic)) return
    const log = tryOpen(topic, new Nobody(topic))
    if (Effect.isEffect(log)) return
    log.expire(now)
    log.close()
  }

  const log = MessageLog.of({
    open,
    tidy,
    bytes: () => writer.folder.bytes,
    names,
    describe,
    nextDue: () => held.nextDue(),
    due: (now, maxBytes) =>
      Effect.try({
        try: () => held.take(now, maxBytes),
        catch: (cause) => new MessageLogError({ reason: "damaged", topic: "", cause })
      })
  })
  return Context.make(MessageLog, log).pipe(Context.add(StateStore, makeState(environment, writer)))
})

export const layer = (options: LmdbOptions): Layer.Layer<MessageLog | StateStore, MessageLogError> =>
  Layer.effectContext(make(options))
