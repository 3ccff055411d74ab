/** A schedule run against a hub that crashes, with everything that its clients see checked against the model. */
import { assert } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { type HubLives, hubLives } from "../HubLives.ts"
import type { WireClient, WireClientError } from "../WireClient.ts"
import { connected, GroupMembers, type GroupRules, longestDelay, pick, type Run } from "./GroupMembers.ts"
import { GroupModel } from "./GroupModel.ts"
import { GroupPublisher } from "./GroupPublisher.ts"

export const StepKinds = [
  "publish",
  "publishAgain",
  "reconnect",
  "join",
  "credit",
  "leave",
  "lose",
  "acknowledge",
  "acknowledgeUpTo",
  "refuse",
  "advance",
  "crash",
  "crashMidway",
  "holdLog",
  "holdStore",
  "releaseLog",
  "releaseStore"
] as const

export interface Step {
  readonly kind: (typeof StepKinds)[number]
  readonly a: number
  readonly b: number
  readonly c: number
}

const topics = ["a.x", "a.y"] as const
const logged = [...topics, "$dead.g.a.x", "$dead.g.a.y"]
export class GroupRun {
  readonly lives: HubLives
  readonly model: GroupModel
  readonly publisher: GroupPublisher
  private readonly members: GroupMembers

  private constructor(lives: HubLives, rules: GroupRules, publisher: WireClient) {
    this.lives = lives
    this.model = new GroupModel(rules)
    this.members = new GroupMembers(lives, rules, this.model)
    this.publisher = new GroupPublisher(publisher, this.model)
  }

  static make(rules: GroupRules): Effect.Effect<GroupRun, WireClientError, Scope.Scope> {
    return Effect.gen(function* () {
      const lives = yield* hubLives({ deduplicationWindow: 3_600_000 })
      return new GroupRun(lives, rules, yield* connected(lives))
    })
  }

  step({ a, b, c, kind }: Step): Run {
    return Effect.andThen(this[kind](a, b, c), this.look)
  }

  publish(a: number, b: number, c: number): Run {
    return Effect.sync(() => {
      const sequence = this.publisher.nextSequence
      const texts = Array.from({ length: 1 + (b % 3) }, (_, index) => `${sequence}.${index}`)
      const key = pick(["k", "l", undefined], c)
      const id = texts.length === 1 && a % 4 < 2 ? `i${sequence}` : undefined
      this.publisher.publish({ topic: topics[a % 2]!, texts, key, id, priority: c % 5 === 0 ? 7 : 0 })
    })
  }

  /** A message of an id that was published before, as another frame. */
  publishAgain(a: number): Run {
    return Effect.sync(() => {
      const content = pick(this.publisher.known, a)
      if (content !== undefined) this.publisher.publish(content)
    })
  }

  /** The publisher's connection breaks, and it sends again what has no answer. */
  reconnect(): Run {
    return Effect.andThen(
      Effect.sync(() => this.publisher.wire.duplex.destroy()),
      this.connectPublisher()
    )
  }

  join(a: number): Run {
    return this.members.join(a)
  }

  credit(a: number, b: number): Run {
    return this.members.credit(a, b)
  }

  leave(a: number): Run {
    return this.members.leave(a)
  }

  lose(a: number): Run {
    return this.members.lose(a)
  }

  acknowledge(a: number, b: number, c: number): Run {
    return this.members.acknowledge(a, b, c)
  }

  acknowledgeUpTo(a: number, b: number): Run {
    return this.members.acknowledgeUpTo(a, b)
  }

  refuse(a: number, b: number, c: number): Run {
    return this.members.refuse(a, b, c)
  }

  advance(a: number): Run {
    return TestClock.adjust([1, 50, 400, 1000, 2000][a % 5]!)
  }

  /** At once, or after the disk took some of what is on its way without a word. */
  crash(a: number, b: number): Run {
    return Effect.gen({ self: this }, function* () {
      if (a % 3 === 0) for (const topic of logged) this.lives.log.keepUntold(topic, b % 3)
      if (a % 2 === 0) this.lives.store.keepUntold(b % 4)
      yield* this.lives.crash
      this.model.crashed()
      this.members.crashed()
      yield* this.lives.start
      yield* this.connectPublisher()
    })
  }

  /** In the midst of a publish, an acknowledgement or a death, at one of the points at which something is safe. */
  crashMidway(a: number, b: number, c: number): Run {
    return Effect.gen({ self: this }, function* () {
      const { log, store } = this.lives
      const point = a % 5
      const held = point === 0 ? topics : point < 3 ? logged.slice(2) : []
      for (const topic of held) log.holdsBack.add(topic)
      store.holdsBack ||= point > 2
      if (point === 0) yield* this.publish(b, c, b)
      else if (point < 3) yield* this.refuse(b, c, 1)
      else yield* this.acknowledge(b, c, 1)
      yield* this.look
      store.holdsBack ||= point === 2
      for (const topic of held) {
        if (point === 2) log.release(topic)
        else log.keepUntold(topic, b % 2)
      }
      if (point === 3) store.keepUntold(b % 2)
      if (point === 4) store.refuse()
      yield* this.look
      yield* this.crash(1, 0)
      for (const topic of held) log.holdsBack.delete(topic)
      if (point > 1) store.holdsBack = false
    })
  }

  holdLog(a: number): Run {
    return Effect.sync(() => void this.lives.log.holdsBack.add(logged[a % logged.length]!))
  }

  holdStore(): Run {
    return Effect.sync(() => {
      this.lives.store.holdsBack = true
    })
  }

  releaseLog(a: number, b: number, c: number): Run {
    return Effect.sync(() => {
      const { log } = this.lives
      const topic = logged[a % logged.length]!
      if (c % 4 === 0) log.refuse(topic, 1 + (b % 2), "full")
      else if (c % 4 === 1) log.release(topic, 1)
      else {
        log.holdsBack.delete(topic)
        log.release(topic)
      }
    })
  }

  releaseStore(a: number, b: number): Run {
    return Effect.sync(() => {
      const { store } = this.lives
      if (a % 4 === 0) store.refuse(1)
      else if (a % 4 === 1) store.release(1 + (b % 2))
      else {
        store.holdsBack = false
        store.release()
      }
    })
  }

  /** All faults end, one member is there, and everything must find its end. */
  readonly finish: Run = Effect.gen({ self: this }, function* () {
    this.lives.log.holdsBack.clear()
    this.lives.store.holdsBack = false
    for (const topic of logged) this.lives.log.release(topic)
    this.lives.store.release()
    yield* this.look
    while (this.members.members.length > 0) yield* Effect.andThen(this.leave(0), this.look)
    yield* this.join(0)
    // A save, or a dead letter, that failed is tried again after a second.
    for (const stage of ["", "released"]) {
      if (stage !== "") {
        this.model.isOrderChecked = false
        yield* this.members.members[0]!.client.ask("group.resume", { name: "g" }).pipe(Effect.orDie)
      }
      for (let second = 0; second <= 2 + longestDelay / 1000; second++) {
        yield* this.look
        for (let rounds = 0; this.members.members[0]!.held.size > 0; rounds++) {
          assert.isBelow(rounds, 500)
          // What waits for one that dies must come too.
          const end = rounds % 5 === 4 ? this.refuse(0, rounds, 1) : this.acknowledge(0, rounds, 1)
          yield* Effect.andThen(end, this.look)
        }
        yield* TestClock.adjust(1000)
      }
    }
    yield* this.look
  })

  /** Takes note of all that came, and judges it. */
  readonly look: Run = Effect.gen({ self: this }, function* () {
    yield* this.publisher.wire.settled
    yield* this.members.look
    this.publisher.readReceipts()
  })

  private connectPublisher(): Run {
    return Effect.flatMap(connected(this.lives), (wire) => this.publisher.reconnected(wire))
  }
}
