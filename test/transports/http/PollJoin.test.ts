/** How long a poll with a `client_id` waits for its group to be made, and what stays of it when nobody waits any more. */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Logger, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Hub } from "../../../src/actors/Hub.ts"
import { Auth } from "../../../src/services/Auth.ts"
import type { SettingsInput } from "../../../src/services/Settings.ts"
import { StateStore } from "../../../src/services/StateStore.ts"
import { WebServer } from "../../../src/transports/WebServer.ts"
import { makeFailingStore, StoreFaults } from "../../actors/FailingStore.ts"
import { hubWith, memoryLog } from "../../actors/TestHub.ts"
import { ask, publish, rawSocket } from "./WebHub.ts"
import { socketsDo, timely, until } from "./WebTime.ts"

const storeOf = (faults: StoreFaults) => Layer.sync(StateStore, () => makeFailingStore(faults))

const hubOn = (faults: StoreFaults, input: SettingsInput = {}) =>
  WebServer.layer.pipe(
    Layer.provideMerge(hubWith({ port: 0, httpPort: 0, ...input }, memoryLog, storeOf(faults))),
    Layer.provideMerge(Auth.layerOff),
    Layer.provideMerge(NodeFileSystem.layer),
    Layer.provide(Logger.layer([]))
  )

const poll = (timeout: number) => ask(`/api/v1/poll?topics=a&client_id=c&timeout=${timeout}`)

const isAsked = (faults: StoreFaults) =>
  Effect.gen(function* () {
    while (faults.waitingCount === 0) yield* Effect.sleep(2)
  })

describe("http poll join", () => {
  it.effect("http poll join - one that hung up and was then refused is not in the way of the next", () => {
    const faults = new StoreFaults()
    return Effect.gen(function* () {
      faults.holdsBack = true
      const raw = yield* rawSocket
      raw.write("GET /api/v1/poll?topics=a&client_id=c HTTP/1.1\r\nHost: localhost\r\n\r\n")
      yield* until(Effect.sync(() => faults.waitingCount > 0))
      raw.socket.destroy()
      yield* socketsDo
      // So long the hub waits for its store.
      yield* TestClock.adjust("6 seconds")
      faults.holdsBack = false
      faults.release()
      assert.deepInclude((yield* timely(poll(0))).json, { messages: [] })
      yield* timely(publish("a", 1))
      assert.lengthOf((yield* timely(poll(5))).json.messages, 1)
    }).pipe(Effect.scoped, Effect.provide(hubOn(faults)))
  })

  it.effect(
    "http poll join - a poll waits no longer than it asked to, and the next one for the same group",
    () => {
      const faults = new StoreFaults()
      return Effect.gen(function* () {
        faults.holdsBack = true
        const asked = yield* Effect.forkScoped(poll(1), { startImmediately: true })
        yield* until(Effect.sync(() => faults.waitingCount > 0))
        yield* TestClock.adjust(900)
        yield* socketsDo
        assert.isUndefined(asked.pollUnsafe())
        yield* TestClock.adjust(120)
        const early = yield* Fiber.join(asked)
        assert.deepInclude(early.json, { status: 503, code: "QUEUE_FULL" })
        assert.isDefined(early.headers["retry-after"])
        const next = yield* Effect.forkScoped(poll(5), { startImmediately: true })
        yield* socketsDo
        assert.isUndefined(next.pollUnsafe())
        assert.strictEqual(faults.waitingCount, 1)
        faults.holdsBack = false
        faults.release()
        const hub = yield* Hub
        yield* until(Effect.map(hub.metrics, ({ groups }) => groups === 1))
        yield* publish("a", 1)
        assert.lengthOf((yield* Fiber.join(next)).json.messages, 1)
      }).pipe(Effect.scoped, Effect.provide(hubOn(faults)))
    }
  )

  it.live("http poll join - ends when the hub drains", () => {
    const faults = new StoreFaults()
    return Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(hubOn(faults, { drainTimeout: 500 }), scope)
      faults.holdsBack = true
      const asking = yield* Effect.forkScoped(Effect.provideContext(poll(60), context), {
        startImmediately: true
      })
      yield* isAsked(faults)
      const closing = yield* Effect.forkScoped(Scope.close(scope, Exit.void), { startImmediately: true })
      const answer = yield* Effect.timeout(Fiber.join(asking), 400)
      assert.deepInclude(answer.json, { status: 503, code: "SHUTTING_DOWN" })
      faults.holdsBack = false
      faults.release()
      yield* Fiber.join(closing)
    }).pipe(Effect.scoped)
  })
})
