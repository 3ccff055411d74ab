/**
 * Moves messages that failed too often to their dead-letter topic, many at a time. The group lets go of one only when its
 * dead letter is stored; if that fails, it is tried again.
 */
import { Effect, Fiber } from "effect"
import type { Batch, Publisher } from "../../protocol/Batch.ts"
import type { ErrorCode } from "../../protocol/ErrorCode.ts"
import type { MessageLogError } from "../../services/MessageLog.ts"
import type { Topic } from "../Topic.ts"
import { findBuried } from "./Buried.ts"
import { deadLetterBatch, deadLetterTopic, type Letter } from "./DeadLetter.ts"
import { readDying } from "./DyingMessages.ts"
import type { Group } from "./Group.ts"
import type { GroupLane } from "./GroupLane.ts"
import { isOpenSoon } from "./GroupReader.ts"

/** Milliseconds before a dead letter that could not be stored is tried again. */
const retryAfter = 1000

/** Bytes that the headers of a dead letter may take in a frame, which has room for more. */
const headerRoom = 65_536

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
      const dying = [...this.group.lanes.values()].filter(
        ({ lane, notBefore }) => lane.dying > 0 && notBefore < Number.POSITIVE_INFINITY
      )
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

  /** Buries many of a lane's dying messages, and has that saved once. */
  private readonly burySome = Effect.fnUntraced(
    { self: this },
    function* (this: Burial, place: GroupLane): Effect.fn.Return<void, ErrorCode | MessageLogError> {
      const { group } = this
      const topic = group.registry.topicNamed(place.topic)
      if (typeof topic === "string") return yield* Effect.fail(topic)
      if (!(yield* isOpenSoon(topic))) return yield* Effect.fail<ErrorCode>("topic-failed")
      group.align(place, topic)
      const { generation } = place
      const isOver = () => place.generation !== generation || group.closed
      if (place.mayBeBuried) {
        this.letGo(place, yield* findBuried(group.registry, group.name, place))
        place.mayBeBuried = false
        if (isOver()) return
      }
      const { letters, missing } = yield* readDying(group.name, place, topic.log)
      if (isOver()) return
      const failure = yield* this.publishAll(place, letters, isOver)
      if (isOver()) return
      this.letGo(place, missing)
      forEachRun(missing, (from, to) => group.lost(place, from, to, to - from))
      group.save(place)
      // What stands after it in the order of its key may be delivered now.
      group.registry.system.turn(() => group.dispatch())
      if (failure !== undefined) return yield* Effect.fail(failure)
    }
  )

  private letGo(place: GroupLane, offsets: ReadonlyArray<number>): void {
    forEachRun(offsets, (from, to) => this.group.update(place, (lane) => lane.acknowledge(from, to)))
  }

  /** Lets go of those whose dead letters are stored, and answers why the others' are not. Others run in between. */
  private readonly publishAll = Effect.fnUntraced(
    { self: this },
    function* (
      this: Burial,
      place: GroupLane,
      letters: ReadonlyArray<Letter>,
      isOver: () => boolean
    ): Effect.fn.Return<ErrorCode | undefined, ErrorCode> {
      if (letters.length === 0) return undefined
      const { group } = this
      const to = group.registry.topicNamed(deadLetterTopic(group.name, place.topic))
      if (typeof to === "string") return yield* Effect.fail(to)
      const maxBytes = group.registry.settings.maxMessageSize + headerRoom
      const publishing: Array<Fiber.Fiber<ErrorCode | undefined>> = []
      for (let from = 0; from < letters.length; ) {
        if (from > 0) yield* Effect.yieldNow
        const batch = deadLetterBatch(to, this.hubId, ++this.sequence, letters, from, maxBytes)
        const offsets = letters.slice(from, from + batch.count).map(({ death }) => death.offset)
        const published = this.publish(to, batch, () => {
          if (isOver()) return
          // At once, so that whoever sees the dead letter can give it to the group again.
          this.letGo(place, offsets)
          group.count("deadLettered", offsets.length)
        })
        publishing.push(yield* Effect.forkChild(published, { startImmediately: true }))
        from += batch.count
      }
      let failure: ErrorCode | undefined
      for (const published of publishing) failure = (yield* Fiber.join(published)) ?? failure
      return failure
    }
  )

  /** Answers why not, once that is known, or nothing once it is stored. */
  private publish(to: Topic, batch: Batch, stored: () => void): Effect.Effect<ErrorCode | undefined> {
    return Effect.callback<ErrorCode | undefined>((resume) => {
      batch.publisher = new Undertaker(this.hubId, (code) => {
        if (code === undefined) stored()
        resume(Effect.succeed(code))
      })
      this.group.registry.system.fork(to.tell(batch))
    })
  }

  private complain(place: GroupLane, why: ErrorCode | MessageLogError): Effect.Effect<void> {
    const details = { group: this.group.name, topic: place.topic, why }
    return Effect.logWarning("a dead letter could not be stored", details)
  }
}

/** Calls `f` for each run of offsets, which are in order, from its first to after its last. */
const forEachRun = (offsets: ReadonlyArray<number>, f: (from: number, to: number) => void): void => {
  for (let index = 0; index < offsets.length; ) {
    const from = offsets[index]!
    let to = from
    while (offsets[index] === to) {
      index++
      to++
    }
    f(from, to)
  }
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
