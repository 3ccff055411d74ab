import { assert } from "@effect/vitest"
import { Clock, Deferred, Effect, Fiber, Latch, Queue, Schedule, Schema } from "effect"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import { Polestar } from "../../../src/sdk/Polestar.ts"
import * as Topic from "../../../src/sdk/Topic.ts"
import { ownPrefix, range, silently, type Tests, take } from "./Kit.ts"

/** What was published before counts too, so a test need not know when the consumer has subscribed. */
const fromAll = { from: { last: 1000 } } as const

const published = Effect.fnUntraced(function* (count: number) {
  const star = yield* Polestar
  const topic = Topic.make(`${ownPrefix()}.consumed`, Schema.Number)
  yield* star.publishAll(topic, range(count))
  return { star, topic }
})

export const consumerTests = (it: Tests): void => {
  it.effect("sdk - consume handles one message after the other, in order, and goes on with what comes", () =>
    Effect.gen(function* () {
      const { star, topic } = yield* published(5)
      const handled = yield* Queue.unbounded<number>()
      let running = 0
      const fiber = yield* Effect.forkChild(
        star.consume(topic, fromAll, ({ value }) =>
          Effect.gen(function* () {
            running++
            assert.strictEqual(running, 1)
            yield* Effect.yieldNow
            running--
            yield* Queue.offer(handled, value)
          })
        )
      )
      assert.deepStrictEqual(yield* Queue.takeN(handled, 5), range(5))
      yield* star.publish(topic, 5)
      assert.strictEqual(yield* Queue.take(handled), 5)
      yield* Fiber.interrupt(fiber)
      const [info] = yield* star.topics(topic.name)
      assert.strictEqual(info?.subscribers, 0)
    })
  )

  it.effect("sdk - consume runs as many handlers at once as it may, and no more", () =>
    Effect.gen(function* () {
      const { star, topic } = yield* published(10)
      const started = yield* Queue.unbounded<number>()
      const gate = yield* Latch.make()
      const finished = yield* Queue.unbounded<number>()
      yield* Effect.forkChild(
        star.consume(topic, { ...fromAll, concurrency: 4 }, ({ value }) =>
          Queue.offer(started, value).pipe(
            Effect.andThen(gate.await),
            Effect.andThen(Queue.offer(finished, value)),
            Effect.asVoid
          )
        )
      )
      assert.deepStrictEqual(yield* Queue.takeN(started, 4), [0, 1, 2, 3])
      yield* Effect.yieldNow
      assert.strictEqual(yield* Queue.size(started), 0)
      yield* gate.open
      assert.sameMembers(yield* Queue.takeN(finished, 10), range(10))
    })
  )

  it.effect("sdk - consume tries a failed handler again, then gives the failure up and goes on", () =>
    Effect.gen(function* () {
      const { star, topic } = yield* published(3)
      const before = yield* star.metrics
      const attempts: Array<number> = []
      const failures: Array<readonly [string, number]> = []
      const done = yield* Deferred.make<void>()
      yield* Effect.forkChild(
        star.consume(
          topic,
          { ...fromAll, retry: Schedule.recurs(2) },
          {
            handle: ({ value }) => {
              attempts.push(value)
              if (value === 0 && attempts.length < 3) return Effect.fail("busy")
              if (value === 1) return Effect.fail("broken")
              return value === 2 ? Effect.asVoid(Deferred.succeed(done, undefined)) : Effect.void
            },
            onFailure: (error, { value }) => {
              failures.push([error, value])
              return Effect.void
            }
          }
        )
      )
      yield* Deferred.await(done)
      assert.deepStrictEqual(attempts, [0, 0, 0, 1, 1, 1, 2])
      assert.deepStrictEqual(failures, [["broken", 1]])
      assert.strictEqual((yield* star.metrics).handlerFailures - before.handlerFailures, 1)
    })
  )

  it.effect("sdk - a failed handler without onFailure is counted and not fatal", () =>
    Effect.gen(function* () {
      const { star, topic } = yield* published(3)
      const before = yield* star.metrics
      const done = yield* Deferred.make<void>()
      yield* Effect.forkChild(
        star.consume(topic, fromAll, ({ value }) =>
          value < 2 ? Effect.fail(new Error("no")) : Effect.asVoid(Deferred.succeed(done, undefined))
        )
      )
      yield* Deferred.await(done)
      assert.strictEqual((yield* star.metrics).handlerFailures - before.handlerFailures, 2)
    }).pipe(silently)
  )

  it.effect("sdk - a failing onFailure, or a defect, ends the consumer", () =>
    Effect.gen(function* () {
      const { star, topic } = yield* published(1)
      const stopping = star.consume(topic, fromAll, {
        handle: () => Effect.fail("bad"),
        onFailure: (error) => Effect.fail(`stop: ${error}`)
      })
      assert.strictEqual(yield* Effect.flip(stopping), "stop: bad")
      const exit = yield* Effect.exit(star.consume(topic, fromAll, () => Effect.die("defect")))
      assert.strictEqual(exit._tag, "Failure")
    })
  )

  it.effect("sdk - an open circuit pauses the consumer, and nothing is left out", () =>
    Effect.gen(function* () {
      const { star, topic } = yield* published(20)
      const openFor = 60
      const seen: Array<number> = []
      let trippedAt = 0
      let resumedAt = 0
      const done = yield* Deferred.make<void>()
      yield* Effect.forkChild(
        star.consume(
          topic,
          {
            ...fromAll,
            circuitBreaker: { tripPolicy: CircuitBreaker.consecutive(2), openDuration: openFor }
          },
          {
            handle: ({ value }) =>
              Effect.gen(function* () {
                seen.push(value)
                const now = yield* Clock.currentTimeMillis
                if (value < 2) {
                  trippedAt = now
                  return yield* Effect.fail("down")
                }
                if (value === 2) resumedAt = now
                if (value === 19) yield* Deferred.succeed(done, undefined)
              }),
            onFailure: () => Effect.void
          }
        )
      )
      yield* Deferred.await(done)
      assert.deepStrictEqual(seen, range(20))
      // A timer may fire up to a millisecond early by the clock of whole milliseconds.
      assert.isAtLeast(resumedAt - trippedAt, openFor - 1)
    })
  )

  it.effect("sdk - with many handlers at once an open circuit leaves nothing out either", () =>
    Effect.gen(function* () {
      const { star, topic } = yield* published(40)
      const succeeded = yield* Queue.unbounded<number>()
      const failed = yield* Queue.unbounded<number>()
      let failures = 0
      yield* Effect.forkChild(
        star.consume(
          topic,
          {
            ...fromAll,
            concurrency: 8,
            circuitBreaker: { tripPolicy: CircuitBreaker.consecutive(3), openDuration: 5 }
          },
          {
            handle: ({ value }) =>
              Effect.andThen(
                Effect.yieldNow,
                Effect.suspend(() =>
                  failures++ < 6 ? Effect.fail("down") : Effect.asVoid(Queue.offer(succeeded, value))
                )
              ),
            onFailure: (_, { value }) => Effect.asVoid(Queue.offer(failed, value))
          }
        )
      )
      const good = yield* Queue.takeN(succeeded, 34)
      const bad = yield* Queue.takeN(failed, 6)
      assert.sameMembers([...good, ...bad], range(40))
    })
  )

  it.effect("sdk - a handler runs in its message's trace, and publishes in it", () =>
    Effect.gen(function* () {
      const { star, topic } = yield* published(0)
      const traceparent = `00-${"ab".repeat(16)}-${"cd".repeat(8)}-01`
      yield* star.publish(topic, 1, { headers: { traceparent } })
      const replies = Topic.make(`${ownPrefix()}.replies`, Schema.Number)
      const { messages } = yield* star.open(replies)
      const consumer = (trace: "child" | "off") =>
        star.consume(topic, { ...fromAll, trace }, ({ value }) => Effect.asVoid(star.publish(replies, value)))
      yield* Effect.forkChild(consumer("child"))
      const [child] = yield* take(messages, 1)
      assert.include(child?.headers.traceparent, "ab".repeat(16))
      const again = yield* star.open(replies)
      yield* Effect.forkChild(consumer("off"))
      const [off] = yield* take(again.messages, 1)
      assert.isUndefined(off?.headers.traceparent)
    })
  )
}
