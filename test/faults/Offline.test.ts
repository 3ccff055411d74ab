import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Schema, Scope } from "effect"
import { TcpServer } from "../../src/hub.ts"
import type { PolestarOptions } from "../../src/sdk/Polestar.ts"
import * as Topic from "../../src/sdk/Topic.ts"
import * as HubServer from "../../src/transports/HubServer.ts"
import { range, reasonOf, take } from "../contracts/sdk/Kit.ts"
import { CutProxy } from "./CutProxy.ts"
import { eventually, isRunning, joined, sdkClient, soon } from "./Faults.ts"

const topic = Topic.make("offline.one", Schema.Number)

/** A client behind a proxy that can go down, and one that is always there. */
const offline = Effect.fnUntraced(function* (options: Partial<PolestarOptions> = {}) {
  const context = yield* Layer.build(HubServer.layerWith({ port: 0 }))
  const { port } = yield* Effect.provide(TcpServer, context)
  const proxy = yield* CutProxy.make(port)
  const scope = yield* Scope.fork(yield* Effect.scope)
  const star = yield* Scope.provide(sdkClient(proxy.port, options), scope)
  const other = yield* sdkClient(port)
  const goDown = Effect.gen(function* () {
    proxy.down()
    yield* eventually(
      "the client to notice",
      Effect.map(star.state, ({ _tag }) => _tag === "Reconnecting")
    )
  })
  /** What is in the log, after so many messages. */
  const stored = (count: number) =>
    Effect.map(take(other.subscribe(topic, { from: { last: 10_000 } }), count), (all) =>
      all.map(({ value }) => value)
    )
  return { star, other, proxy, goDown, stored, scope }
})

const publishEach = (star: Effect.Success<ReturnType<typeof sdkClient>>, values: ReadonlyArray<number>) =>
  Effect.forkChild(
    Effect.forEach(values, (value) => star.publish(topic, value), { concurrency: "unbounded" }),
    { startImmediately: true }
  )

describe("faults - while there is no connection", () => {
  it.live("offline - what is published waits, and goes out later in order", () =>
    Effect.gen(function* () {
      const { goDown, proxy, star, stored } = yield* offline()
      yield* star.publish(topic, 0)
      yield* goDown
      const publishing = yield* publishEach(
        star,
        range(200).map((n) => n + 1)
      )
      assert.strictEqual((yield* star.metrics).queuedMessages, 200)
      assert.isTrue(isRunning(publishing))
      proxy.up()
      const receipts = yield* joined("the receipts", publishing)
      assert.deepStrictEqual(
        receipts.map(({ position }) => position.offset),
        range(200).map((n) => n + 1)
      )
      assert.deepStrictEqual(yield* stored(201), range(201))
    })
  )

  it.live("offline - no more waits than queueSize; the others wait for room, in order", () =>
    Effect.gen(function* () {
      const { goDown, proxy, star, stored } = yield* offline({ queueSize: 10 })
      yield* goDown
      const publishing = yield* publishEach(star, range(100))
      const { queueShare, queuedMessages } = yield* star.metrics
      assert.deepStrictEqual([queuedMessages, queueShare], [10, 1])
      proxy.up()
      yield* joined("the receipts", publishing)
      assert.deepStrictEqual(yield* stored(100), range(100))
    })
  )

  it.live("offline - whenFull fail: what has no room fails at once, and is not sent", () =>
    Effect.gen(function* () {
      const { goDown, proxy, star, stored } = yield* offline({ queueSize: 10, whenFull: "fail" })
      yield* goDown
      const publishing = yield* publishEach(star, range(10))
      const reason = yield* soon("the failure", reasonOf(star.publish(topic, 10)))
      assert.strictEqual(reason._tag, "QueueFull")
      proxy.up()
      yield* joined("the receipts", publishing)
      yield* star.publish(topic, 11)
      assert.deepStrictEqual(yield* stored(11), [...range(10), 11])
    })
  )

  it.live("offline - a publish that is interrupted before it was sent is not sent", () =>
    Effect.gen(function* () {
      const { goDown, proxy, star, stored } = yield* offline()
      yield* goDown
      const fibers = yield* Effect.forEach(range(20), (value) =>
        Effect.forkChild(star.publish(topic, value), { startImmediately: true })
      )
      for (const [value, fiber] of fibers.entries()) if (value % 2 === 1) yield* Fiber.interrupt(fiber)
      assert.strictEqual((yield* star.metrics).queuedMessages, 10)
      proxy.up()
      for (const [value, fiber] of fibers.entries()) if (value % 2 === 0) yield* joined("a receipt", fiber)
      assert.deepStrictEqual(
        yield* stored(10),
        range(10).map((n) => 2 * n)
      )
    })
  )

  it.live("offline - closing the client's scope sends what waits", () =>
    Effect.gen(function* () {
      const { scope, star, stored } = yield* offline({ queueSize: 5000 })
      const publishing = yield* publishEach(star, range(3000))
      yield* soon("the client to close", Scope.close(scope, Exit.void))
      const receipts = yield* joined("the receipts", publishing)
      assert.strictEqual(receipts.length, 3000)
      assert.deepStrictEqual(yield* stored(3000), range(3000))
    })
  )

  it.live("offline - closing it while there is no hub ends in time, and what waits fails", () =>
    Effect.gen(function* () {
      const { goDown, scope, star } = yield* offline({ writeTimeout: Duration.millis(200) })
      yield* goDown
      const publishing = yield* Effect.forkChild(reasonOf(star.publish(topic, 0)), { startImmediately: true })
      yield* soon("the client to close", Scope.close(scope, Exit.void))
      const reason = yield* joined("the failure", publishing)
      assert.strictEqual(reason._tag, "Closed")
      assert.strictEqual((yield* star.state)._tag, "Closed")
    })
  )
})
