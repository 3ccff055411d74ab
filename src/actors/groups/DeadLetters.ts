/**
 * The dead letters that somebody should look at: what is in the dead-letter topics and was neither given to its group
 * again nor dropped. Which ones were is kept beside the groups.
 */
import { Effect } from "effect"
import type { ErrorCode } from "../../protocol/ErrorCode.ts"
import type { Message } from "../../protocol/Message.ts"
import { forEachMessage } from "../../protocol/Publish.ts"
import { deadLetterPrefix } from "../../protocol/TopicName.ts"
import { Lost, type MessageLogError } from "../../services/MessageLog.ts"
import type { StateStore, StateStoreError } from "../../services/StateStore.ts"
import type { Registry } from "../Registry.ts"
import type { Topic } from "../Topic.ts"
import { Origin } from "./DeadLetter.ts"
import type { Group } from "./Group.ts"
import type { Groups } from "./Groups.ts"
import { OffsetSet } from "./OffsetSet.ts"
import { requeue } from "./Outcomes.ts"
import { Saver } from "./Saver.ts"

export interface DeadLetterTopic {
  readonly topic: string
  readonly group: string
  /** The topic whose messages these are; empty if they are of several. */
  readonly origin: string
  readonly messages: number
}

export interface DeadLetter {
  readonly epoch: number
  readonly offset: number
  readonly timestamp: number
  readonly message: Message
}

export interface ShowOptions {
  /** Only those after this offset. */
  readonly after?: number | undefined
  /** So many at most, and about so many bytes of payload: at least one if there is any. */
  readonly limit: number
  readonly maxBytes: number
}

const prefix = "dead/"
const keyOf = (topic: string): string => `${prefix}${topic}`
const readBytes = 262_144
/** Dead letters that one request takes. */
const maxTaken = 10_000

export class DeadLetters {
  private readonly registry: Registry
  private readonly groups: Groups
  private readonly store: StateStore["Service"]
  private readonly saver: Saver
  /** Of each dead-letter topic, which of its messages are settled. */
  private readonly settled = new Map<string, OffsetSet>()

  constructor(registry: Registry, store: StateStore["Service"], groups: Groups) {
    this.registry = registry
    this.groups = groups
    this.store = store
    this.saver = new Saver(registry.system, store)
  }

  readonly load: Effect.Effect<void, StateStoreError> = Effect.suspend(() =>
    Effect.map(this.store.entries(prefix), (entries) => {
      for (const [key, value] of entries) this.settled.set(key.slice(prefix.length), OffsetSet.decode(value))
    })
  )

  /** The dead-letter topics that have something in them, by name; of one group if it is given. */
  readonly list = (group: string | undefined): ReadonlyArray<DeadLetterTopic> => {
    const found: Array<DeadLetterTopic> = []
    this.registry.wake(`${deadLetterPrefix}>`)
    this.registry.forEachTopic(`${deadLetterPrefix}>`, (topic) => {
      // Else its log would be taken for another one.
      if (!topic.isOpen) return
      const [name = "", ...origin] = topic.name.slice(deadLetterPrefix.length).split(".")
      const { firstOffset, nextOffset } = topic.log
      const messages = nextOffset - firstOffset - this.settledOf(topic).countIn(firstOffset, nextOffset)
      if (messages > 0 && (group === undefined || group === name))
        found.push({ topic: topic.name, group: name, origin: origin.join("."), messages })
    })
    return found.sort((a, b) => (a.topic < b.topic ? -1 : 1))
  }

  /** The first dead letters of a topic. */
  readonly show = Effect.fn("DeadLetters.show")(
    { self: this },
    function* (
      this: DeadLetters,
      name: string,
      { after = -1, limit, maxBytes }: ShowOptions
    ): Effect.fn.Return<ReadonlyArray<DeadLetter>, ErrorCode | MessageLogError> {
      const topic = yield* this.topicNamed(name)
      const letters: Array<DeadLetter> = []
      let bytes = 0
      yield* this.forEach(
        topic,
        undefined,
        (letter) => {
          bytes += letter.message.payload.length
          if (letters.length === 0 || bytes <= maxBytes) letters.push(letter)
          return letters.length < limit && bytes <= maxBytes
        },
        after + 1
      )
      return letters
    }
  )

  /** Gives dead letters to their groups again: all, or those at `offsets`. Those whose origin is gone stay. */
  readonly requeue = Effect.fn("DeadLetters.requeue")(
    { self: this },
    function* (
      this: DeadLetters,
      name: string,
      offsets: ReadonlyArray<number> | undefined
    ): Effect.fn.Return<{ requeued: number; missing: number }, ErrorCode | MessageLogError> {
      const topic = yield* this.topicNamed(name)
      const counts = { requeued: 0, missing: 0 }
      const given = new Set<Group>()
      yield* this.forEach(topic, offsets, (letter) => {
        const group = this.giveAgain(letter.message.headers ?? {})
        if (group !== undefined) {
          given.add(group)
          this.settle(topic, letter.offset)
          counts.requeued++
        } else counts.missing++
        return counts.requeued + counts.missing < maxTaken
      })
      // Until its group has it for good, it must not be settled for good.
      for (const { saver } of given) yield* saver.saved
      yield* this.saveSettled(topic)
      return counts
    }
  )

  /** Lets go of dead letters: all, or those at `offsets`. Answers how many. */
  readonly drop = Effect.fn("DeadLetters.drop")(
    { self: this },
    function* (
      this: DeadLetters,
      name: string,
      offsets: ReadonlyArray<number> | undefined
    ): Effect.fn.Return<number, ErrorCode | MessageLogError> {
      const topic = yield* this.topicNamed(name)
      let dropped = 0
      yield* this.forEach(topic, offsets, (letter) => {
        this.settle(topic, letter.offset)
        dropped++
        return true
      })
      yield* this.saveSettled(topic)
      return dropped
    }
  )

  private readonly topicNamed = Effect.fnUntraced(
    { self: this },
    function* (this: DeadLetters, name: string): Effect.fn.Return<Topic, ErrorCode> {
      if (!name.startsWith(deadLetterPrefix)) return yield* Effect.fail<ErrorCode>("bad-request")
      this.registry.wake(name)
      const topic = this.registry.topics.get(name)
      if (topic === undefined) return yield* Effect.fail<ErrorCode>("topic-not-found")
      yield* topic.whenOpen
      return topic
    }
  )

  /** The topic is gone for good, and so is what was settled in it; another of its name may be there already. */
  topicRemoved({ name }: Topic): void {
    const set = this.settled.get(name)
    if (set === undefined || set.epoch === this.registry.topics.get(name)?.log.epoch) return
    this.settled.delete(name)
    this.saver.changed(keyOf(name), () => this.settled.get(name)?.encode())
  }

  private settledOf(topic: Topic): OffsetSet {
    let set = this.settled.get(topic.name)
    if (set === undefined || set.epoch !== topic.log.epoch) {
      set = new OffsetSet(topic.log.epoch)
      this.settled.set(topic.name, set)
    }
    return set
  }

  private settle(topic: Topic, offset: number): void {
    const set = this.settledOf(topic)
    set.forget(topic.log.firstOffset)
    set.add(offset, offset + 1)
  }

  private saveSettled(topic: Topic): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.saver.changed(keyOf(topic.name), () => this.settledOf(topic).encode())
      return this.saver.saved
    })
  }

  /** Calls `f` with the dead letters that are not settled, in order, while it answers `true`. */
  private readonly forEach = Effect.fnUntraced(
    { self: this },
    function* (
      this: DeadLetters,
      topic: Topic,
      offsets: ReadonlyArray<number> | undefined,
      f: (letter: DeadLetter) => boolean,
      from = 0
    ): Effect.fn.Return<void, MessageLogError> {
      const wanted = offsets === undefined ? undefined : new Set(offsets)
      const set = this.settledOf(topic)
      let at = Math.max(topic.log.firstOffset, from)
      let goesOn = true
      while (goesOn && at < topic.log.nextOffset) {
        const read = yield* topic.log.read(at, readBytes)
        if (read.length === 0) return
        for (const batch of read) {
          at = batch.offset + batch.count
          if (batch instanceof Lost) continue
          const { bytes, count, end, epoch, offset, skip, start, timestamp } = batch
          forEachMessage(bytes, start, end, skip, count, (message, index) => {
            const isWanted = wanted === undefined || wanted.has(offset + index)
            if (goesOn && isWanted && !set.has(offset + index))
              goesOn = f({ epoch, offset: offset + index, timestamp, message })
          })
        }
      }
    }
  )

  /** Answers to which group, if its topic still has the message. */
  private giveAgain(headers: Readonly<Record<string, string>>): Group | undefined {
    const group = this.groups.find(headers[Origin.group] ?? "")
    const topic = headers[Origin.topic] ?? ""
    if (group === undefined) return undefined
    const isGiven = requeue(group, topic, Number(headers[Origin.epoch]), Number(headers[Origin.offset]))
    return isGiven ? group : undefined
  }
}
