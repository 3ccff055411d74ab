/**
 * Members of groups for tests in which the hub dies: they come back by themselves, acknowledge nearly all that they get,
 * and write into a record what they saw. Those of the SDK are `join` and `consume`; the raw one is frames over TCP.
 */
import { Effect, type Scope, Stream } from "effect"
import type { FrameOf } from "../../src/protocol/Frame.ts"
import { notGiven, unlimitedCredit } from "../../src/protocol/Op.ts"
import * as Failure from "../../src/sdk/Failure.ts"
import type { GroupDelivery } from "../../src/sdk/GroupSubscription.ts"
import type { PolestarOptions } from "../../src/sdk/Polestar.ts"
import type { PolestarError } from "../../src/sdk/PolestarError.ts"
import * as Topic from "../../src/sdk/Topic.ts"
import type { DeliverFrame, WireClient } from "../actors/WireClient.ts"
import type { Chance } from "../protocol/Chance.ts"
import { sdkClient, wireClient } from "./Faults.ts"
import type { GroupRecord } from "./GroupRecord.ts"
import { Value } from "./Ledger.ts"

export interface MemberOptions {
  readonly port: number
  readonly pattern: `${string}>`
  readonly record: GroupRecord
  readonly random: Chance
  /** One in so many deliveries is not acknowledged. */
  readonly failsOneIn: number
  readonly life: () => number
}

const groupOptions = {
  start: "first",
  maxDeliveries: 0,
  backoff: "20 millis",
  maxBackoff: "100 millis"
} as const

/** Takes part with `join` until the scope ends. */
export const joinMember = Effect.fnUntraced(function* (
  options: MemberOptions,
  client: Partial<PolestarOptions> = {}
): Effect.fn.Return<void, PolestarError, Scope.Scope> {
  const { failsOneIn, life, pattern, port, random, record } = options
  const star = yield* sdkClient(port, client)
  const group = yield* star.join(Topic.pattern(pattern, Value), { group: record.name, ...groupOptions })
  const settle = (deliveries: ReadonlyArray<GroupDelivery<Value>>) => {
    for (const { position, topic } of deliveries) record.came(topic, position.offset)
    // A refusal over a connection that is lost fails, and the messages come again all the same.
    if (random.below(failsOneIn) === 0) return Effect.ignore(group.refuse(deliveries, Failure.retry()))
    for (const { position, topic } of deliveries) record.acknowledging(topic, position.offset)
    return Effect.map(group.acknowledge(deliveries), () => {
      for (const { position, topic } of deliveries)
        record.confirmedAll({ topic, from: position.offset, to: position.offset + 1 }, life())
    })
  }
  yield* Stream.runForEachArray(group.messages, (deliveries) =>
    Effect.asVoid(Effect.forkScoped(Effect.orDie(settle(deliveries)), { startImmediately: true }))
  )
})

/** Takes part with `consume` until it is interrupted. Its acknowledgements are not confirmed to anybody. */
export const consumeMember = Effect.fnUntraced(function* (
  options: MemberOptions,
  client: Partial<PolestarOptions> = {}
): Effect.fn.Return<void, PolestarError, Scope.Scope> {
  const { failsOneIn, pattern, port, random, record } = options
  const star = yield* sdkClient(port, client)
  const source = Topic.pattern(pattern, Value)
  yield* star.consume(
    source,
    { group: record.name, ...groupOptions, concurrency: 8 },
    {
      handle: ({ position, topic }: GroupDelivery<Value>) =>
        Effect.suspend(() => {
          record.came(topic, position.offset)
          if (random.below(failsOneIn) === 0) return Effect.fail("refused" as const)
          record.acknowledging(topic, position.offset)
          return Effect.void
        }),
      onFailure: () => Failure.retry()
    }
  )
})

/** Connects again and again until it is interrupted. A delivery that is not acknowledged comes after the ack wait. */
export const rawMember = (options: MemberOptions): Effect.Effect<never> =>
  Effect.forever(Effect.andThen(Effect.exit(Effect.scoped(rawLife(options))), Effect.sleep("10 millis")))

/** What the hub has not confirmed, by request. */
interface Asked {
  last: number
  readonly acks: Map<number, FrameOf<"Ack">>
}

const joinRequest = 1000

const rawLife = Effect.fnUntraced(function* (options: MemberOptions) {
  const { life, pattern, port, record } = options
  // Who is refused is not told: nobody listens while the hub is down.
  const client = yield* Effect.timeout(wireClient(port), "200 millis")
  client.answersPings = true
  yield* client.begin()
  client.send({
    _tag: "Join",
    session: 1,
    request: joinRequest,
    subscription: 1,
    group: record.name,
    pattern,
    creditMessages: unlimitedCredit,
    creditBytes: unlimitedCredit,
    start: { _tag: "First" },
    order: "key",
    ackWait: 400,
    maxDeliveries: 0,
    maxInFlight: notGiven.u32,
    backoff: 20,
    maxBackoff: 100
  })
  const inLife = life()
  const asked: Asked = { last: joinRequest, acks: new Map() }
  for (;;) {
    const frames = yield* client.until("frames", () =>
      client.inbox.length === 0 ? undefined : client.inbox.splice(0)
    )
    for (const frame of frames) {
      if (frame._tag === "Deliver") acknowledge(client, options, frame, asked)
      else if (frame._tag === "Acked") {
        const ack = asked.acks.get(frame.request)
        asked.acks.delete(frame.request)
        for (const range of ack?.ranges ?? []) record.confirmedAll({ ...range, topic: ack!.topic }, inLife)
      } else if (frame._tag === "Failure" || frame._tag === "Gap" || frame._tag === "Left") {
        record.faults.push(`${record.name} was told ${JSON.stringify(frame)}`)
      }
    }
  }
})

const acknowledge = (
  client: WireClient,
  { random, record, failsOneIn }: MemberOptions,
  { messages }: DeliverFrame,
  asked: Asked
): void => {
  for (const { key, offset, topic } of messages) record.came(topic, offset, key)
  const [first] = messages
  if (first === undefined || random.below(failsOneIn) === 0) return
  for (const { key, offset, topic } of messages) record.acknowledging(topic, offset, key)
  const { epoch, offset, topic } = first
  const ranges = [{ from: offset, to: offset + messages.length }]
  const ack = {
    _tag: "Ack",
    session: 1,
    request: ++asked.last,
    group: record.name,
    topic,
    epoch,
    ranges
  } as const
  asked.acks.set(ack.request, ack)
  client.send(ack)
}
