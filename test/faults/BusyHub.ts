/** A hub in the test's process with clients that work on it without a pause, to see that a fault touches nobody else. */
import { assert } from "@effect/vitest"
import { Effect, Layer, Schema, type Scope, Stream } from "effect"
import { Hub, TcpServer } from "../../src/hub.ts"
import type { PolestarError } from "../../src/sdk/PolestarError.ts"
import * as Topic from "../../src/sdk/Topic.ts"
import type { SettingsInput } from "../../src/services/Settings.ts"
import * as HubServer from "../../src/transports/HubServer.ts"
import { eventually, type FaultError, sdkClient } from "./Faults.ts"

export interface BusyHub {
  readonly hub: Hub["Service"]
  readonly port: number
  /** Waits until the others have gone on for a while; fails if they lost anything or their connections. */
  readonly goesOn: Effect.Effect<void, FaultError>
}

/** Publishes and receives on a hub until the scope closes; answers `goesOn`. */
export const workOn = Effect.fnUntraced(function* (
  port: number
): Effect.fn.Return<BusyHub["goesOn"], PolestarError, Scope.Scope> {
  const topic = Topic.make("work.on", Schema.Number)
  const subscriber = yield* sdkClient(port)
  const publisher = yield* sdkClient(port)
  const { messages } = yield* subscriber.open(topic, { overflow: "wait" })
  let heard = 0
  let isInOrder = true
  yield* Effect.forkScoped(
    Stream.runForEach(messages, ({ value }) =>
      Effect.sync(() => {
        isInOrder &&= value === heard
        heard++
      })
    )
  )
  let next = 0
  yield* Effect.forkScoped(Effect.forever(Effect.suspend(() => publisher.publish(topic, next++))))
  return Effect.gen(function* () {
    const before = heard
    yield* eventually(
      "the others to go on",
      Effect.sync(() => heard > before + 20)
    )
    assert.isTrue(isInOrder)
    for (const star of [subscriber, publisher]) assert.strictEqual((yield* star.metrics).reconnects, 0)
  })
})

export const busyHub = Effect.fnUntraced(function* (
  settings: SettingsInput = {}
): Effect.fn.Return<BusyHub, PolestarError | HubServer.HubServerError, Scope.Scope> {
  const context = yield* Layer.build(HubServer.layerWith({ port: 0, ...settings }))
  return yield* Effect.gen(function* () {
    const { port } = yield* TcpServer
    return { hub: yield* Hub, port, goesOn: yield* workOn(port) }
  }).pipe(Effect.provide(context))
})
