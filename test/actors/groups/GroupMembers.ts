/** The members of a group in a run of a schedule: what they are given, and what they say of it. */
import { assert } from "@effect/vitest"
import { Clock, Effect } from "effect"
import type { FrameOf } from "../../../src/protocol/Frame.ts"
import { unlimitedCredit } from "../../../src/protocol/Op.ts"
import type { Fate } from "../../../src/protocol/Position.ts"
import type { HubLives } from "../HubLives.ts"
import type { Received, WireClientError } from "../WireClient.ts"
import { GroupClient } from "./GroupClient.ts"
import type { GroupModel, ModelMessage, ModelRules } from "./GroupModel.ts"

export interface GroupRules extends ModelRules {
  readonly backoff: number
}

interface Member {
  readonly client: GroupClient
  /** What it was given and has said nothing of. */
  readonly held: Map<ModelMessage, Received>
  /** Asks to join. */
  readonly ask: () => void
}

interface Said {
  readonly client: GroupClient
  readonly request: number
  readonly messages: ReadonlyArray<ModelMessage>
  /** If it was for everything before an offset. */
  readonly upTo: { readonly topic: string; readonly to: number } | undefined
}

export type Run<A = void> = Effect.Effect<A, WireClientError>

const fates = ["again", "dead", "park", "back", "hold"] as const satisfies ReadonlyArray<Fate>
const mostMembers = 3
/** Milliseconds that a message waits at most for its next attempt. */
export const longestDelay = 3000

export const pick = <A>(all: ReadonlyArray<A>, at: number): A | undefined => all[at % all.length]

/** A client of the hub that runs, with one session. */
export const connected = Effect.fnUntraced(function* (lives: HubLives) {
  const wire = yield* lives.connect
  wire.answersPings = true
  yield* wire.begin(1)
  return wire
})

export class GroupMembers {
  members: ReadonlyArray<Member> = []
  private readonly lives: HubLives
  private readonly rules: GroupRules
  private readonly model: GroupModel
  /** Given in an earlier life, and nothing was said of it. */
  private readonly orphans = new Map<ModelMessage, Received>()
  private said: ReadonlyArray<Said> = []
  /** When it was looked at last. */
  private seen = 0

  constructor(lives: HubLives, rules: GroupRules, model: GroupModel) {
    this.lives = lives
    this.rules = rules
    this.model = model
  }

  join(a: number): Run {
    if (this.members.length >= mostMembers) return Effect.void
    return Effect.gen({ self: this }, function* () {
      const wire = yield* connected(this.lives)
      const client = new GroupClient(wire)
      const { ackWait, backoff, maxDeliveries, maxInFlight, order } = this.rules
      const ask = () =>
        client.askToJoin("g", "a.*", {
          order,
          creditMessages: [unlimitedCredit, 0, 2][a % 3]!,
          ackWait,
          maxDeliveries,
          maxInFlight,
          backoff,
          maxBackoff: longestDelay
        })
      ask()
      this.members = [...this.members, { client, held: new Map(), ask }]
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

  crashed(): void {
    for (const { held } of this.members) for (const [key, value] of held) this.orphans.set(key, value)
    this.members = []
    this.said = []
  }

  /** Takes note of all that came, and judges it. */
  readonly look: Run = Effect.gen({ self: this }, function* () {
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
    for (const { ask, client } of this.members) {
      const failures = client.wire.takeAll("Failure")
      // A group that cannot be stored in time is not made; whoever wants it asks again.
      const isUnstored = ({ code }: FrameOf<"Failure">) => code === "storage-full"
      assert.deepStrictEqual(
        failures.filter((failure) => !isUnstored(failure)),
        []
      )
      if (failures.some(isUnstored)) ask()
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
    this.seen = now
  })

  private end(at: number, how: (client: GroupClient) => void): Run {
    const member = pick(this.members, at)
    if (member === undefined) return Effect.void
    return Effect.gen({ self: this }, function* () {
      how(member.client)
      const watcher = yield* connected(this.lives)
      yield* watcher.settled
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
