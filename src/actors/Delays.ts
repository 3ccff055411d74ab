/**
 * Messages that wait for their time: when it comes they are handed to their topics, which give them a place then. A batch
 * stays in the log's keeping until the topic's log has it.
 */
import { Effect } from "effect"
import type { Batch, Publisher } from "../protocol/Batch.ts"
import type { Held, MessageLog } from "../services/MessageLog.ts"
import { Alarm } from "./Alarm.ts"
import type { Registry } from "./Registry.ts"

/** Bytes that are taken from the log at a time. */
const batchBytes = 1_048_576
/** Milliseconds before what a topic refused is handed to it again. */
const retryAfter = 1000
/** Frames that are remembered. Two that are the same are due at the same time, one after the other. */
const maxLatest = 4096

export class Delays {
  private readonly registry: Registry
  private readonly messageLog: MessageLog["Service"]
  private readonly alarm: Alarm
  private isRunning = false
  /** The frames that were handed over last. */
  private readonly latest = new Map<string, Held>()

  constructor(registry: Registry, messageLog: MessageLog["Service"]) {
    this.registry = registry
    this.messageLog = messageLog
    this.alarm = new Alarm(registry.system, () => this.run())
  }

  /** To be called at the beginning, and when something is held. */
  check(): void {
    this.alarm.set(this.messageLog.nextDue())
  }

  private run(): void {
    if (this.isRunning) return
    this.isRunning = true
    const ended = Effect.sync(() => {
      this.isRunning = false
      this.check()
    })
    this.registry.system.fork(Effect.ensuring(this.handOver(), ended))
  }

  private readonly handOver = Effect.fn("Delays.handOver")(
    { self: this },
    function* (this: Delays) {
      const { system } = this.registry
      while (this.messageLog.nextDue() <= system.now()) {
        const due = yield* this.messageLog.due(system.now(), batchBytes)
        if (due.length === 0) return
        for (const held of due) yield* this.give(held)
      }
    },
    Effect.catchCause((cause) =>
      Effect.andThen(Effect.logError("held messages could not be read", cause), Effect.sleep(retryAfter))
    )
  )

  private give(held: Held): Effect.Effect<void> {
    return Effect.suspend(() => {
      const topic = this.registry.topicNamed(held.topic)
      if (typeof topic === "string") {
        this.again(held)
        return Effect.void
      }
      const batch = held.batch(topic)
      if (this.isTwice(held, batch)) {
        held.forget()
        return Effect.void
      }
      batch.publisher = new HeldPublisher(batch, () => this.again(held))
      // A topic that is full must not hold up the others'.
      if (!topic.tellUnsafe(batch)) this.registry.system.fork(topic.tell(batch))
      return Effect.void
    })
  }

  /** Whether it is what its publisher sent again because a restart of the hub took the receipt of the first. */
  private isTwice(held: Held, batch: Batch): boolean {
    const frame = `${batch.publisherId}/${batch.incarnation}/${batch.firstSequence}`
    const latest = this.latest.get(frame)
    if (latest !== undefined) return latest !== held
    this.latest.set(frame, held)
    if (this.latest.size > maxLatest) {
      const oldest = this.latest.keys().next()
      if (oldest.done !== true) this.latest.delete(oldest.value)
    }
    return false
  }

  private again(held: Held): void {
    const { system } = this.registry
    system.fork(Effect.delay(this.give(held), retryAfter))
  }
}

/** Stands for the publisher of what was held, who has had its receipt. */
class HeldPublisher implements Publisher {
  readonly id: string
  readonly ordinal = 0
  readonly producer: string
  private readonly onRejected: () => void

  constructor(batch: Batch, onRejected: () => void) {
    this.id = batch.publisherId
    this.producer = batch.publisherId
    this.onRejected = onRejected
  }

  receipt(): void {}

  reject(): void {
    this.onRejected()
  }
}
