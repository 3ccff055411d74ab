/**
 * Moves messages that failed too often to their dead-letter topic. The group lets go of one only when its dead letter is
 * stored; if that fails, it is tried again.
 */
import { Effect } from "effect"
import type { Batch, Publisher } from "../../protocol/Batch.ts"
import type { ErrorCode } from "../../protocol/ErrorCode.ts"
import type { Message } from "../../protocol/Message.ts"
import { forEachMessage } from "../../protocol/Publish.ts"
import { Lost, type MessageLogError } from "../../services/MessageLog.ts"
import type { Topic } from "../Topic.ts"
import { deadLetterBatch, deadLetterTopic } from "./DeadLetter.ts"
import type { Group, GroupLane } from "./Group.ts"
import { isOpenSoon } from "./GroupReader.ts"

/** Milliseconds before a dead letter that could not be stored is tried again. */
const retryAfter = 1000

/** Messages that are buried together. */
const burialsAtOnce = 64
/** Bytes that the headers of a dead letter may take in a frame, which has room for more. */
const headerRoom = 65_536

interface Dying {
  readonly offset: number
  readonly failures: number
  readonly time: number
  readonly error: string
}

/** The first of a lane's messages that are to be buried. */
const dyingOf = ({ lane }: GroupLane): ReadonlyArray<Dying> => {
  const dying: Array<Dying> = []
  for (const { count, error, failures, offset, until } of lane.dyingEntries()) {
    for (let at = offset; at < offset + count; at++) dying.push({ offset: at, failures, time: until, error })
    if (dying.length >= burialsAtOnce) return dying.slice(0, burialsAtOnce)
  }
  return dying
}

export class Burial {
  private readonly group: Group
  private readonly hubId: string
  private sequence = 0
  private isRunning = false
  /** Whether something died that may not be safe yet. */
  private isUnsaved = false

  constructor(group: Group, hubId: string) {
    this.group = group
    this.hubId = hubId
  }

  /** To be called when a lane has something that dies. */
  start(): void {
    this.isUnsaved = true
    if (this.isRunning) return
    this.isRunning = true
    const ended = Effect.sync(() => {
      this.isRunning = false
    })
    this.group.registry.system.fork(Effect.ensuring(this.run(), ended))
  }

  private readonly run = Effect.fn("Group.buryAll")({ self: this }, function* (this: Burial) {
    const failing = new Set<GroupLane>()
    for (;;) {
      const dying = [...this.group.lanes.values()].filter(({ lane }) => lane.dying > 0)
      if (dying.length === 0 || this.group.closed) return
      const place = dying.find((each) => !failing.has(each))
      if (place === undefined) {
        failing.clear()
        yield* Effect.sleep(retryAfter)
        continue
      }
      if (this.isUnsaved) {
        this.isUnsaved = false
        // Else it would die again after a crash, at another time, and there would be two dead letters.
        yield* this.group.saver.saved
      }
      yield* Effect.catch(this.burySome(place), (why) => {
        failing.add(place)
        return this.complain(place, why)
      })
    }
  })

  /** Buries some of a lane's dying messages, and saves that once. */
  private readonly burySome = Effect.fnUntraced(
    { self: this },
    function* (this: Burial, place: GroupLane): Effect.fn.Return<void, ErrorCode | MessageLogError> {
      const { group } = this
      const topic = group.registry.topicNamed(place.topic)
      if (typeof topic === "string") return yield* Effect.fail(topic)
      if (!(yield* isOpenSoon(topic))) return yield* Effect.fail<ErrorCode>("topic-failed")
      group.align(place, topic)
      const { generation } = place
      const buried = yield* Effect.forEach(
        dyingOf(place),
        (dying) =>
          Effect.map(this.bury(place, topic, dying), (isThere) => ({ offset: dying.offset, isThere })),
        { concurrency: burialsAtOnce }
      )
      if (place.generation !== generation) return
      group.update(place, (lane) => {
        for (const { offset } of buried) lane.acknowledge(offset, offset + 1)
      })
      group.save(place)
      for (const { isThere, offset } of buried) {
        if (isThere) group.count("deadLettered", 1)
        else group.lost(place, offset, offset + 1, 1)
      }
      // What stands after it in the order of its key may be delivered now.
      group.registry.system.turn(() => group.dispatch())
    }
  )

  /** Answers whether the message was still there. */
  private bury(
    place: GroupLane,
    topic: Topic,
    { error, failures, offset, time }: Dying
  ): Effect.Effect<boolean, ErrorCode | MessageLogError> {
    return Effect.flatMap(topic.log.read(offset, 1), ([found]) => {
      if (found === undefined || found instanceof Lost || found.offset !== offset)
        return Effect.succeed(false)
      const { epoch, timestamp } = found
      const death = { epoch, offset, timestamp, failures, time, error }
      return Effect.as(this.publish(place.topic, firstOf(found), death), true)
    })
  }

  private publish(
    topic: string,
    message: Message,
    death: {
      readonly epoch: number
      readonly offset: number
      readonly timestamp: number
      readonly failures: number
      readonly time: number
      readonly error: string
    }
  ): Effect.Effect<void, ErrorCode> {
    return Effect.suspend(() => {
      const group = this.group.name
      const to = this.group.registry.topicNamed(deadLetterTopic(group, topic))
      if (typeof to === "string") return Effect.fail(to)
      const { maxMessageSize } = this.group.registry.settings
      const batch = deadLetterBatch(
        to,
        this.hubId,
        ++this.sequence,
        message,
        { group, topic, ...death },
        maxMessageSize + headerRoom
      )
      return Effect.callback<void, ErrorCode>((resume) => {
        batch.publisher = new Undertaker(this.hubId, (code) =>
          resume(code === undefined ? Effect.void : Effect.fail(code))
        )
        this.group.registry.system.fork(to.tell(batch))
      })
    })
  }

  private complain(place: GroupLane, why: ErrorCode | MessageLogError): Effect.Effect<void> {
    const details = { group: this.group.name, topic: place.topic, why }
    return Effect.logWarning("a dead letter could not be stored", details)
  }
}

const nothing: Message = { payload: new Uint8Array(0) }

const firstOf = (batch: Batch): Message => {
  let first = nothing
  forEachMessage(batch.bytes, batch.start, batch.end, batch.skip, 1, (message) => {
    first = message
  })
  return first
}

/** The hub as the publisher of a dead letter. */
class Undertaker implements Publisher {
  readonly id: string
  readonly ordinal = 0
  readonly producer: string
  private readonly settled: (code: ErrorCode | undefined) => void

  constructor(id: string, settled: (code: ErrorCode | undefined) => void) {
    this.id = id
    this.producer = id
    this.settled = settled
  }

  receipt(): void {
    this.settled(undefined)
  }

  reject(_batch: Batch, code: ErrorCode): void {
    this.settled(code)
  }
}
