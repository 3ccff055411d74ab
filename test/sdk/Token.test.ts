/** What a client shows to say who it is, and what it does when that is not accepted any more. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Duration, Effect, Fiber, Layer, Logger, Redacted, Stream } from "effect"
import { TestClock } from "effect/testing"
import { HubServer, TcpServer } from "../../src/hub.ts"
import { Polestar, type PolestarError, type Token, Topic } from "../../src/index.ts"
import { connect } from "../../src/promise.ts"
import { makeClient } from "../../src/sdk/MakeClient.ts"
import { WebServer } from "../../src/transports/WebServer.ts"
import { secret, sign } from "../services/auth/Tokens.ts"
import { connect as connectTo, reasonOf, start } from "./ClientFixture.ts"
import { FakeHub, settle } from "./FakeHub.ts"

const expire = (hub: FakeHub) =>
  Effect.andThen(
    Effect.sync(() => {
      hub.last.send({ _tag: "Goodbye", reason: "token-expired", message: "" })
      hub.last.duplex.end()
    }),
    settle
  )

const shownTo = (hub: FakeHub) =>
  hub.connections.flatMap((each) => each.of("Hello").map(({ token }) => token))

describe("token - what is shown", () => {
  for (const [form, token] of [
    ["a text", "me"],
    ["redacted", Redacted.make("me")],
    ["an effect", Effect.delay(Effect.succeed(Redacted.make("me")), "20 seconds")],
    ["a function", () => "me"],
    ["an async function", async () => "me"]
  ] satisfies ReadonlyArray<readonly [string, Token]>) {
    it.effect(`token - ${form}`, () =>
      Effect.gen(function* () {
        const hub = new FakeHub()
        const made = yield* start(makeClient({ dial: hub.dial, token }))
        yield* TestClock.adjust("20 seconds")
        yield* Fiber.join(made)
        assert.deepStrictEqual(shownTo(hub), ["me"])
      })
    )
  }

  it.effect("token - one that cannot be had is a failed attempt, and the next one asks again", () =>
    Effect.gen(function* () {
      const hub = new FakeHub()
      const answers = [
        Effect.succeed("1"),
        Effect.fail("no"),
        Effect.die("bug"),
        Effect.never,
        Effect.succeed("2")
      ]
      const token = Effect.suspend(() => answers.shift() ?? Effect.never)
      const { client } = yield* connectTo({ token }, hub)
      hub.last.cut()
      yield* settle
      for (let i = 0; i < 40; i++) {
        yield* TestClock.adjust("1 second")
        yield* settle
      }
      assert.deepStrictEqual(shownTo(hub), ["1", "2"])
      assert.strictEqual((yield* client.state)._tag, "Connected")
    })
  )

  it.effect("token - a first one that has expired meanwhile is asked for again, once", () =>
    Effect.gen(function* () {
      for (const [kept, state] of [
        [1, "Connected"],
        [2, undefined]
      ] as const) {
        const hub = new FakeHub()
        const welcome = hub.welcome
        hub.welcome = undefined
        let asked = 0
        const made = yield* start(makeClient({ dial: hub.dial, token: () => String(++asked) }))
        if (state === "Connected") hub.welcome = welcome
        for (let expired = 1; expired <= kept; expired++) yield* expire(hub)
        assert.deepStrictEqual(shownTo(hub), ["1", "2"])
        if (state === undefined) assert.include(JSON.stringify(reasonOf(made)), "token-expired")
        else assert.strictEqual((yield* (yield* Fiber.join(made)).state)._tag, state)
      }
    })
  )

  it.effect("token - without the first one there is no client", () =>
    Effect.gen(function* () {
      const hub = new FakeHub()
      const made = yield* start(makeClient({ dial: hub.dial, token: () => Promise.reject(new Error("no")) }))
      assert.strictEqual(reasonOf(made)?._tag, "ConnectFailed")
      assert.strictEqual(hub.dials, 0)
    })
  )
})

describe("token - that has expired", () => {
  it.effect("token - is not shown twice", () =>
    Effect.gen(function* () {
      const { client, hub } = yield* connectTo({ token: "me" })
      yield* expire(hub)
      assert.deepStrictEqual(yield* client.state, { _tag: "Closed", reason: "token-expired" })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(hub.dials, 1)
    })
  )

  it.effect("token - when nothing else is to be had, is shown ever more rarely", () =>
    Effect.gen(function* () {
      const { client, hub } = yield* connectTo({ token: () => "me" })
      hub.welcome = undefined
      yield* expire(hub)
      for (let millis = 0; millis < 60_000; millis += 50) {
        yield* TestClock.adjust(50)
        yield* settle
        if (hub.last.of("Hello").length > 0 && !hub.last.isClosed) yield* expire(hub)
      }
      assert.isAtLeast(hub.dials, 10)
      assert.isAtMost(hub.dials, 25)
      assert.strictEqual((yield* client.state)._tag, "Reconnecting")
    })
  )
})

/** A hub that wants tokens, over real sockets. */
const hub = Layer.fresh(
  HubServer.layerWith({ port: 0, httpPort: 0, authJwtSecret: Redacted.make(secret), authClockTolerance: 0 })
).pipe(Layer.provide(Logger.layer([])))

const tokenFor = (seconds: number) =>
  sign({
    sub: "me",
    exp: Math.floor(Date.now() / 1000) + seconds,
    publish: [">"],
    subscribe: [">"]
  })

const over: Readonly<
  Record<string, (ports: { tcp: number; web: number }, token: Token) => Layer.Layer<Polestar, PolestarError>>
> = {
  tcp: ({ tcp }, token) => Polestar.layerTcp({ port: tcp, token }),
  websocket: ({ web }, token) => Polestar.layerWebSocket({ url: `ws://127.0.0.1:${web}/ws`, token })
}

const ports = Effect.gen(function* () {
  return { tcp: (yield* TcpServer).port, web: (yield* WebServer).port ?? 0 }
})

const topic = Topic.dynamic("a.b")

describe("token - a hub whose tokens expire", () => {
  for (const [transport, layerOf] of Object.entries(over)) {
    it.live(`token - a new one goes on where the old one ended, over ${transport}`, () =>
      Effect.gen(function* () {
        const at = yield* ports
        const other = Context.get(yield* Layer.build(layerOf(at, tokenFor(60))), Polestar)
        const mayRenew = yield* Deferred.make<void>()
        let asked = 0
        const token = Effect.suspend(() => {
          asked++
          return asked === 1 ? tokenFor(3) : Effect.andThen(Deferred.await(mayRenew), tokenFor(60))
        })
        const star = Context.get(yield* Layer.build(layerOf(at, token)), Polestar)
        const { events } = yield* star.open(topic)
        yield* other.publish(topic, "before")
        const lost = yield* star.states.pipe(
          Stream.filter((state) => state._tag === "Reconnecting"),
          Stream.runHead
        )
        assert.include(JSON.stringify(lost), "token-expired")
        yield* other.publish(topic, "meanwhile")
        yield* Deferred.succeed(mayRenew, undefined)
        const heard = yield* Stream.runCollect(Stream.take(events, 3))
        assert.deepStrictEqual(
          heard.map((event) => (event._tag === "Message" ? event.value : event._tag)),
          ["before", "meanwhile", "Recovered"]
        )
        assert.strictEqual(asked, 2)
      }).pipe(Effect.scoped, Effect.provide(hub), Effect.timeout(Duration.seconds(20)))
    )

    it.live(`token - what is wrong or too old is refused for good, over ${transport}`, () =>
      Effect.gen(function* () {
        const at = yield* ports
        for (const [token, closeReason] of [
          ["mallory", "unauthorized"],
          [yield* tokenFor(-1), "token-expired"]
        ] as const) {
          const { reason } = yield* Effect.flip(Effect.scoped(Layer.build(layerOf(at, token))))
          assert.deepInclude(reason, { _tag: "Disconnected", closeReason })
        }
      }).pipe(Effect.scoped, Effect.provide(hub), Effect.timeout(Duration.seconds(20)))
    )
  }

  it.live("token - promises: an async function is asked again", () =>
    Effect.gen(function* () {
      const { tcp } = yield* ports
      const heard = yield* Effect.promise(async () => {
        let asked = 0
        const renewed = Promise.withResolvers<void>()
        const token = async () => {
          asked++
          if (asked === 2) renewed.resolve()
          return Effect.runPromise(tokenFor(asked === 1 ? 3 : 60))
        }
        const client = await connect({ port: tcp, token })
        const values: Array<unknown> = []
        const messages = client.subscribe("a.b")
        await messages.ready()
        await client.publish("a.b", "before")
        for await (const { value } of messages) {
          values.push(value)
          if (value === "after") break
          await renewed.promise
          await client.publish("a.b", "after")
        }
        await client.close()
        return [...values, asked]
      })
      assert.deepStrictEqual(heard, ["before", "after", 2])
    }).pipe(Effect.scoped, Effect.provide(hub), Effect.timeout(Duration.seconds(20)))
  )
})
