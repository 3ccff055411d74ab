import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { makeActorSystem } from "../../src/actors/ActorSystem.ts"
import { Registry } from "../../src/actors/Registry.ts"
import { Counters } from "../../src/services/Counters.ts"
import { MessageLog } from "../../src/services/MessageLog.ts"
import { Settings } from "../../src/services/Settings.ts"
import { memoryLog } from "./TestHub.ts"

const services = Layer.provideMerge(memoryLog, Layer.orDie(Settings.layerWith({ topicIdleTimeout: 1000 })))

const makeRegistry = Effect.gen(function* () {
  return new Registry({
    system: yield* makeActorSystem(),
    counters: new Counters(),
    settings: yield* Settings,
    messageLog: yield* MessageLog,
    tracer: undefined,
    failed: () => Effect.void,
    refused: () => undefined,
    held: () => {},
    topicMade: () => {},
    topicLeaving: () => {},
    topicRemoved: () => {},
    topicKept: () => {}
  })
})

describe("registry - sweep", () => {
  it.effect("registry - a topic that is removed and made anew meanwhile is not taken for the idle one", () =>
    Effect.gen(function* () {
      const registry = yield* makeRegistry
      const before = registry.create("a")
      registry.create("b")
      yield* TestClock.adjust(2000)
      const sweeping = yield* Effect.forkChild(registry.sweep, { startImmediately: true })
      assert.isTrue(yield* registry.removeTopic("a"))
      const after = registry.create("a")
      assert.isUndefined(sweeping.pollUnsafe())
      for (let turn = 0; turn < 10; turn++) yield* Effect.yieldNow
      assert.isDefined(sweeping.pollUnsafe())
      assert.notStrictEqual(after, before)
      assert.strictEqual(registry.topicNamed("a"), after)
      assert.isUndefined(registry.topics.get("b"))
      assert.deepStrictEqual(registry.names.slice(">", "").names, ["a"])
    }).pipe(Effect.provide(services))
  )
})
