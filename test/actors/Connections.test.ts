import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Layer, Logger, References, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Hub } from "../../src/actors/Hub.ts"
import type { LocalClient, LocalOutlet } from "../../src/actors/LocalConnection.ts"
import type { CloseReason } from "../../src/protocol/CloseReason.ts"
import type { Transport } from "../../src/protocol/Transport.ts"
import { Auth } from "../../src/services/Auth.ts"
import { anonymous, type Identity } from "../../src/services/auth/Identity.ts"
import * as StateStoreMemory from "../../src/services/StateStoreMemory.ts"
import { hubWith, memoryLog } from "./TestHub.ts"
import { greeted } from "./WireClient.ts"

interface Line {
  readonly level: string
  readonly message: unknown
  readonly annotations: Readonly<Record<string, unknown>>
}

/** A hub and the lines of its log. */
const logged = () => {
  const lines: Array<Line> = []
  const logger = Logger.make<unknown, void>(({ fiber, logLevel, message }) => {
    lines.push({
      level: logLevel,
      message: Array.isArray(message) ? message.join(" ") : message,
      annotations: fiber.getRef(References.CurrentLogAnnotations)
    })
  })
  const log = Layer.mergeAll(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "Debug"))
  return { lines, layer: hubWith({}, memoryLog, StateStoreMemory.layer, Auth.layerOff, log) }
}

const outlet = (ended: (reason: CloseReason) => void = () => {}): LocalOutlet => ({
  isWritable: true,
  isWaiting: false,
  deliver: () => {},
  control: () => {},
  pumpLater: () => {},
  isTaking: () => true,
  ended
})

const alice: Identity = { ...anonymous, kind: "api-key", id: "alice", limits: { connections: 2 } }
const from = (transport: Transport, identity = anonymous): LocalClient => ({
  transport,
  peer: "10.0.0.1:1",
  identity
})

describe("connections", () => {
  it.effect("connections - are counted by what they came by, and no more once they are gone", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const scope = yield* Scope.make()
      for (const transport of ["websocket", "websocket", "event-stream"] as const)
        yield* Effect.provideService(hub.connectLocal(outlet(), from(transport)), Scope.Scope, scope)
      const { connections, connectionsByTransport } = yield* hub.metrics
      assert.strictEqual(connections, 3)
      assert.deepInclude(connectionsByTransport, { websocket: 2, "event-stream": 1, tcp: 0 })
      yield* Scope.close(scope, Exit.void)
      const after = yield* hub.metrics
      assert.strictEqual(after.connections, 0)
      assert.deepInclude(after.connectionsByTransport, { websocket: 0, "event-stream": 0 })
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("connections - one identity has no more than its limit, and one again when one has gone", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const scope = yield* Scope.make()
      yield* Effect.provideService(hub.connectLocal(outlet(), from("tcp", alice)), Scope.Scope, scope)
      yield* hub.connectLocal(outlet(), from("websocket", alice))
      const third = hub.connectLocal(outlet(), from("long-poll", alice))
      assert.strictEqual(yield* Effect.flip(third), "too-many-connections")
      assert.strictEqual((yield* hub.metrics).connections, 2)
      // Others are not touched by it.
      yield* hub.connectLocal(outlet(), from("tcp", { ...alice, id: "bob" }))
      yield* Scope.close(scope, Exit.void)
      yield* third
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("connections - what publishes by HTTP have in common takes nobody's place", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      yield* hub.connectLocal(outlet(), from("http"))
      yield* hub.connectLocal(outlet(), from("websocket"))
      assert.strictEqual(yield* Effect.flip(hub.connectLocal(outlet(), from("tcp"))), "too-many-connections")
      // Nor does it wait for one.
      yield* hub.connectLocal(outlet(), from("http"))
    }).pipe(Effect.provide(hubWith({ maxConnections: 1 })))
  )

  it.effect("connections - one whose identity expires is ended with a reason that says so", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const reason = yield* Deferred.make<CloseReason>()
      const identity = { ...anonymous, expiresAt: 5000 }
      yield* hub.connectLocal(
        outlet((ended) => Deferred.doneUnsafe(reason, Effect.succeed(ended))),
        from("event-stream", identity)
      )
      yield* TestClock.adjust(4999)
      assert.isFalse(yield* Deferred.isDone(reason))
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Deferred.await(reason), "token-expired")
    }).pipe(Effect.provide(hubWith()))
  )

  it.effect("connections - each leaves one line in the log, with who, whence, why and how long", () => {
    const { layer, lines } = logged()
    return Effect.gen(function* () {
      const hub = yield* Hub
      const client = Effect.gen(function* () {
        const connection = yield* hub.connectLocal(outlet(), from("websocket", alice))
        yield* TestClock.adjust(1234)
        return connection.id
      })
      const connection = yield* Effect.scoped(client)
      const ended = lines.filter(({ message }) => message === "connection ended")
      assert.deepStrictEqual(ended, [
        {
          level: "Info",
          message: "connection ended",
          annotations: {
            connection,
            transport: "websocket",
            peer: "10.0.0.1:1",
            identity: "api-key:alice",
            reason: "normal",
            milliseconds: 1234
          }
        }
      ])
    }).pipe(Effect.provide(layer))
  })
})

describe("refusals", () => {
  it.effect("refusals - name the connection, the code and the topic, and hold no payload", () => {
    const { layer, lines } = logged()
    return Effect.gen(function* () {
      const client = yield* greeted()
      client.publish("$hub.secret", ["the payload", "another"])
      yield* client.settled
      const refused = lines.filter(({ message }) => message === "refused")
      assert.lengthOf(refused, 1)
      assert.deepInclude(refused[0]?.annotations, { code: "FORBIDDEN", transport: "memory", times: 2 })
      assert.notInclude(JSON.stringify(lines), "payload")
      assert.deepInclude((yield* (yield* Hub).metrics).refusals, { FORBIDDEN: 2 })
    }).pipe(Effect.provide(layer))
  })

  it.effect("refusals - a client that asks for them without end gets no line for each", () => {
    const { layer, lines } = logged()
    return Effect.gen(function* () {
      const hub = yield* Hub
      const refuse = () =>
        hub.refused({ id: "1", transport: "http", peer: "?", identity: anonymous, code: "UNAUTHORIZED" })
      for (let time = 0; time < 1000; time++) refuse()
      assert.lengthOf(lines, 50)
      yield* TestClock.adjust(1000)
      refuse()
      assert.include(
        lines.map(({ message }) => message),
        "refused 950 times more, without a line each"
      )
      assert.deepInclude((yield* hub.metrics).refusals, { UNAUTHORIZED: 1001 })
    }).pipe(Effect.provide(layer))
  })

  it.effect("refusals - what a client wrote cannot break a line", () => {
    const { layer, lines } = logged()
    return Effect.gen(function* () {
      const hub = yield* Hub
      const what = `a\nERROR forged\u2028${"x".repeat(1000)}`
      hub.refused({ id: "1", transport: "http", peer: "?", identity: anonymous, code: "FORBIDDEN", what })
      const { what: said } = lines[0]?.annotations ?? {}
      assert.strictEqual(said, `a?ERROR forged?${"x".repeat(113)}…`)
    }).pipe(Effect.provide(layer))
  })
})
