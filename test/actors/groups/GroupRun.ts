/** A schedule run against a hub that crashes, with everything that its clients see checked against the model. */
import { assert } from "@effect/vitest"
import { Clock, Effect, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { unlimitedCredit } from "../../../src/protocol/Op.ts"
import type { Fate } from "../../../src/protocol/Position.ts"
import { type HubLives, hubLives } from "../HubLives.ts"
import type { Received, WireClient, WireClientError } from "../WireClient.ts"
import { GroupClient } from "./GroupClient.ts"
import { GroupModel, type ModelMessage, type ModelRules } from "./GroupModel.ts"
import { GroupPublisher } from "./GroupPublisher.ts"

export interface GroupRules extends ModelRules {
  readonly backoff: number
}

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

interface Member {
  readonly client: GroupClient
  /** What it was given and has said nothing of. */
  readonly held: Map<ModelMessage, Received>
}

interface Said {
  readonly client: GroupClient
  readonly request: number
  readonly messages: ReadonlyArray<ModelMessage>
  /** If it was for everything before an offset. */
  readonly upTo: { readonly topic: string; readonly to: number } | undefined
}

const topics = ["a.x", "a.y"] as const
const logged = [...topics, "$dead.g.a.x", "$dead.g.a.y"]
const fates = ["again", "dead", "park", "back", "hold"] as const satisfies ReadonlyArray<Fate>
const mostMembers = 3
const longestDelay = 3000

const pick = <A>(all: ReadonlyArray<A>, at: number): A | undefined => all[at % all.length]

const connected = Effect.fnUntraced(function* (lives: HubLives) {
  const wire = yield* lives.connect
  wire.answersPings = true
  yield* wire.begin(1)
  return wire
})

type Run<A = void> = Effect.Effect<A, WireClientError>

export class GroupRun {
  readonly lives: HubLives
  readonly model: GroupModel
  private readonly rules: GroupRules
  private members: ReadonlyArray<Member> = []
  /** Given in an earlier life, and nothing was said of it. */
  private readonly orphans = new Map<ModelMessage, Received>()
  private said: ReadonlyArray<Said> = []
  readonly publisher: GroupPublisher
  private seen = 0

  private constructor(lives: HubLives, rules: GroupRules, publisher: WireClient) {
    this.lives = lives
    this.rules = rules
    this.model = new GroupModel(rules)
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
    if (this.members.length >= mostMembers) return Effect.void
    return Effect.gen({ self: this }, function* () {
      const wire = yield* connected(this.lives)
      const client = new GroupClient(wire)
      const { ackWait, backoff, maxDeliveries, maxInFlight, order } = this.rules
      client.askToJoin("g", "a.*", {
        order,
        creditMessages: [unlimitedCredit, 0, 2][a % 3]!,
        ackWait,
        maxDeliveries,
        maxInFlight,
        backoff,
        maxBackoff: longestDelay
      })
      this.members = [...this.members, { client, held: new Map() }]
    })
  }

  credit(a: number, b: number): Run {
    return Effect.sync(() => pick(this.members, a)?.client.wire.credit(1, b % 5))
  }

  leave(a: number): Run {
    return this.end(a, (client) => client.wire.unsubscribe(1))
  }

  lose(a: number): Run {
    return this.end(a, (client) => client.wire.duplex.destroy())
  }

  acknowledge(a: number, b: number, c: number): Run {
    const member = pick(this.members, a)
    if (member === undefined) return Effect.void
    // One may acknowledge what was delivered before a crash.
    const own = c % 3 === 0 ? this.orphans : member.held
    const all = [...own.keys()]
    const first = pick(all, b)
    if (first === undefined) return Effect.void
    const chosen = all.filter((each) => each.topic === first.topic).slice(0, 1 + (c % 4))
    const messages = c % 2 === 0 ? [first] : chosen
    const received = messages.flatMap((message) => own.get(message) ?? [])
    return Effect.sync(() => {
      const request = member.client.sendAck("g", received)
      this.done(member.client, request, messages)
    })
  }

  acknowledgeUpTo(a: number, b: number): Run {
    const member = pick(this.members, a)
    const received = pick([...(member?.held.values() ?? [])], b)
    if (member === undefined || received === undefined) return Effect.void
    return Effect.sync(() => {
      const ranges = [{ from: 0, to: received.offset + 1 }]
      const request = member.client.sendAckOf("g", received, ranges)
      const isOne = ({ offset, topic }: ModelMessage) => topic === received.topic && offset <= received.offset
      const upTo = { topic: received.topic, to: received.offset + 1 }
      this.done(member.client, request, [...this.model.messages.values()].filter(isOne), upTo)
    })
  }

  refuse(a: number, b: number, c: number): Run {
    const member = pick(this.members, a)
    const message = pick([...(member?.held.keys() ?? [])], b)
    const received = message === undefined ? undefined : member?.held.get(message)
    if (member === undefined || message === undefined || received === undefined) return Effect.void
    const fate = pick(fates, c) ?? "again"
    return Effect.gen({ self: this }, function* () {
      const options = { fate, error: "no", ...(b % 2 === 0 ? { delay: (b * 7) % longestDelay } : {}) }
      member.client.sendRefusal("g", [received], options)
      if (fate === "hold") {
        const now = yield* Clock.currentTimeMillis
        if (message.flyingUntil > now && message.member === member)
          message.flyingUntil = now + this.rules.ackWait
        return
      }
      member.held.delete(message)
      this.model.landed(message)
      if (fate === "dead") message.isCondemned = true
      if (fate === "dead" || fate === "park") message.isOpen = false
    })
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
      for (const { held } of this.members) for (const [key, value] of held) this.orphans.set(key, value)
      this.members = []
      this.said = []
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
    while (this.members.length > 0) yield* Effect.andThen(this.leave(0), this.look)
    yield* this.join(0)
    // A save, or a dead letter, that failed is tried again after a second.
    for (const stage of ["", "released"]) {
      if (stage !== "") {
        this.model.isOrderChecked = false
        yield* this.members[0]!.client.ask("group.resume", { name: "g" }).pipe(Effect.orDie)
      }
      for (let second = 0; second <= 2 + longestDelay / 1000; second++) {
        yield* this.look
        for (let rounds = 0; this.members[0]!.held.size > 0; rounds++) {
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
    for (const { client } of this.members) yield* client.wire.settled
    const now = yield* Clock.currentTimeMillis
    const came = this.members.flatMap((member) =>
      member.client.wire.delivered(1).map((received) => ({ member, received }))
    )
    // Who was given something first is not known.
    came.sort(
      (one, other) =>
        one.received.offset - other.received.offset || one.received.attempt - other.received.attempt
    )
    for (const { member, received } of came) {
      this.model.delivered(received, member, this.seen, now)
      const message = this.model.find(received)!
      for (const other of this.members) if (other !== member) other.held.delete(message)
      member.held.set(message, received)
      this.orphans.delete(message)
    }
    for (const { client } of this.members) {
      assert.deepStrictEqual(client.wire.takeAll("Failure"), [])
      assert.deepStrictEqual(client.wire.takeAll("Gap"), [])
      client.wire.takeAll("Ping")
    }
    // Only now, so that what was on its way before is not taken for what came after.
    this.said = this.said.filter(({ client, messages, request, upTo }) => {
      if (!client.wasAcked(request)) return true
      for (const message of messages) message.isAcked = true
      if (upTo !== undefined) this.model.acknowledgedUpTo(upTo.topic, upTo.to)
      return false
    })
    this.publisher.readReceipts()
    this.seen = now
  })

  private connectPublisher(): Run {
    return Effect.flatMap(connected(this.lives), (wire) => this.publisher.reconnected(wire))
  }

  private end(at: number, how: (client: GroupClient) => void): Run {
    const member = pick(this.members, at)
    if (member === undefined) return Effect.void
    return Effect.gen({ self: this }, function* () {
      how(member.client)
      yield* this.publisher.wire.settled
      // What it was given until then it has had.
      const now = yield* Clock.currentTimeMillis
      for (const received of member.client.wire.delivered(1))
        this.model.delivered(received, member, this.seen, now)
      this.model.left(member)
      this.members = this.members.filter((each) => each !== member)
    })
  }

  private done(
    client: GroupClient,
    request: number,
    messages: ReadonlyArray<ModelMessage>,
    upTo?: Said["upTo"]
  ): void {
    this.said = [...this.said, { client, request, messages, upTo }]
    const { saidFloors } = this.model
    if (upTo !== undefined) saidFloors.set(upTo.topic, Math.max(upTo.to, saidFloors.get(upTo.topic) ?? 0))
    for (const message of messages) {
      message.isOpen = false
      message.isSaidDone = true
      this.model.landed(message)
      this.orphans.delete(message)
      for (const { held } of this.members) held.delete(message)
    }
  }
}
