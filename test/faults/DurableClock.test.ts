/** A hub whose clock is set forward and back by hours while it works: order, replay by time and groups do not mind. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer, type Scope, Stream } from "effect"
import { TcpServer } from "../../src/hub.ts"
import * as Topic from "../../src/sdk/Topic.ts"
import type { SettingsInput } from "../../src/services/Settings.ts"
import * as HubServer from "../../src/transports/HubServer.ts"
import { temporaryFolder } from "../cli/DurableHub.ts"
import { range, silently } from "../contracts/sdk/Kit.ts"
import { sdkClient, soon } from "./Faults.ts"
import { type JumpingClock, makeJumpingClock } from "./JumpingClock.ts"
import { type Found, replay, Value } from "./Ledger.ts"

const hour = 3_600_000
const topic = Topic.make("clock.one", Value)

/** A hub in this process with that clock; answers its port. */
const hubWith = (
  { clock }: JumpingClock,
  settings: SettingsInput
): Effect.Effect<number, HubServer.HubServerError, Scope.Scope> =>
  Effect.gen(function* () {
    const context = yield* Layer.build(Layer.fresh(HubServer.layerWith({ port: 0, ...settings })))
    return yield* Effect.map(TcpServer, ({ port }) => port).pipe(Effect.provide(context))
  }).pipe(Effect.provideService(Clock.Clock, clock), silently)

const jumps = [0, 5, -7, 3, 48, -20, 0]

const numbersOf = (found: ReadonlyArray<Found>): ReadonlyArray<number> =>
  found.map((item) => ("value" in item ? item.value[1] : Number.NaN))

describe("faults - a clock that jumps", () => {
  it.live("clock - offsets and times stay in order, also for who replays by time, and after a restart", () =>
    Effect.gen(function* () {
      const dataDir = yield* temporaryFolder
      const clock = yield* makeJumpingClock
      const settings = { dataDir, persistentTierRetention: 1000 * hour }
      const each = 20
      const check = (port: number) =>
        Effect.gen(function* () {
          const star = yield* sdkClient(port)
          const { found } = yield* replay(star, topic.name)
          assert.deepStrictEqual(numbersOf(found), range(jumps.length * each))
          const times = found.map((item) => ("value" in item ? item.timestamp : 0))
          assert.deepStrictEqual(
            times,
            times.toSorted((a, b) => a - b)
          )
          for (const time of new Set([times[0]!, times[each]!, times[each * 4]!, times.at(-1)!])) {
            const first = times.indexOf(time)
            const events = star.subscribe(topic, { from: { time }, overflow: "wait" })
            const heard = yield* soon(
              "what is replayed from a time",
              Stream.runCollect(Stream.take(events, times.length - first))
            )
            assert.deepStrictEqual(
              heard.map(({ value }) => value[1]),
              range(times.length - first).map((index) => first + index)
            )
          }
        })
      yield* Effect.scoped(
        Effect.gen(function* () {
          const port = yield* hubWith(clock, settings)
          const star = yield* sdkClient(port)
          for (const [index, hours] of jumps.entries()) {
            clock.set(hours * hour)
            const values = range(each).map((n): Value => [0, index * each + n, ""])
            const receipts = yield* star.publishAll(topic, values)
            assert.deepStrictEqual(
              receipts.map(({ position }) => position.offset),
              values.map(([, n]) => n)
            )
          }
          yield* check(port)
          assert.strictEqual((yield* star.metrics).reconnects, 0)
        })
      )
      clock.set(-30 * hour)
      yield* Effect.scoped(Effect.flatMap(hubWith(clock, settings), check))
    })
  )

  for (const hours of [6, -6])
    it.live(
      `clock - set by ${hours} hours, a group delivers again what was refused, and what nobody acknowledged`,
      () =>
        Effect.gen(function* () {
          const dataDir = yield* temporaryFolder
          const clock = yield* makeJumpingClock
          const port = yield* hubWith(clock, { dataDir })
          const star = yield* sdkClient(port)
          const member = yield* star.join(topic, {
            group: "workers",
            start: "first",
            ackWait: "400 millis",
            backoff: "300 millis",
            maxDeliveries: 0
          })
          yield* star.publishAll(topic, [
            [0, 0, "refused"],
            [0, 1, "forgotten"]
          ])
          const attempts: Array<string> = []
          yield* soon(
            "both to come again",
            Stream.runForEachWhile(member.messages, (delivery) =>
              Effect.gen(function* () {
                const [, n, text] = delivery.value
                attempts.push(`${n} ${delivery.attempt}`)
                if (delivery.attempt > 1) yield* member.acknowledge(delivery)
                else if (text === "refused")
                  yield* member.refuse(delivery, { _tag: "Retry", delay: undefined })
                if (attempts.length === 2) clock.set(hours * hour)
                return attempts.length < 4
              })
            ),
            () => attempts
          )
          assert.deepStrictEqual(attempts.toSorted(), ["0 1", "0 2", "1 1", "1 2"])
          assert.strictEqual((yield* star.groups.info("workers")).lag, 0)
          assert.strictEqual((yield* star.metrics).reconnects, 0)
        })
    )

  it.live("clock - retention goes by the clock, and takes no more than that", () =>
    Effect.gen(function* () {
      const dataDir = yield* temporaryFolder
      const clock = yield* makeJumpingClock
      const port = yield* hubWith(clock, { dataDir, persistentTierRetention: 24 * hour })
      const star = yield* sdkClient(port)
      for (const [n, hours] of [0, 12, -3, 20].entries()) {
        clock.set(hours * hour)
        yield* star.publish(topic, [0, n, ""])
      }
      // The first is 30 hours old now; those of before the clock was set back have the time of the one before them.
      clock.set(30 * hour)
      const gone = Effect.map(star.topics(topic.name), ([info]) => info!.firstOffset)
      yield* soon("retention", Effect.repeat(gone, { until: (first) => first > 0 }))
      assert.strictEqual(yield* gone, 1)
      assert.deepStrictEqual(numbersOf((yield* replay(star, topic.name)).found), [1, 2, 3])
    })
  )
})
