import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Scope, Stream } from "effect"
import { Polestar, type PolestarError, Topic } from "../../src/index.ts"
import { sdkContract } from "../contracts/SdkContract.ts"
import { WebSocketHub, webSocketHub } from "../transports/websocket/WebSocketHub.ts"

/** A client over a real WebSocket, the one that browsers have, to a hub that listens on a free port. */
const overWebSocket = (hub: Layer.Layer<WebSocketHub>) =>
  Layer.unwrap(Effect.map(WebSocketHub, ({ url }) => Polestar.layerWebSocket({ url }))).pipe(
    Layer.provide(hub)
  )

sdkContract("websocket", overWebSocket(webSocketHub()))

const connect = (url: string) => Effect.provide(Polestar, Layer.fresh(Polestar.layerWebSocket({ url })))

const failure = (error: PolestarError) => {
  assert.strictEqual(error.reason._tag, "ConnectFailed")
  return `${error.message} ${error.reason._tag === "ConnectFailed" ? String(error.reason.cause) : ""}`
}

describe("sdk over websocket", () => {
  it.live("websocket - where nobody listens it fails, and does not tell what the query holds", () =>
    Effect.gen(function* () {
      const text = failure(yield* Effect.flip(connect("ws://user:secret@127.0.0.1:1/ws?token=secret#secret")))
      assert.include(text, "ws://127.0.0.1:1/ws")
      assert.notInclude(text, "secret")
    })
  )

  it.live("websocket - what is no address fails as well", () =>
    Effect.gen(function* () {
      failure(yield* Effect.flip(connect("http//nowhere")))
    })
  )

  it.live(
    "websocket - payloads larger than a WebSocket message, and many in one turn, with compression too",
    () =>
      Effect.gen(function* () {
        const star = yield* Polestar
        const topic = Topic.raw("large")
        const { messages } = yield* star.open(topic)
        const payloads = Array.from({ length: 40 }, (_, i) => new Uint8Array(200_000 + i).fill(i))
        yield* Effect.forkScoped(star.publishAll(topic, payloads))
        const got = yield* messages.pipe(Stream.take(payloads.length), Stream.runCollect)
        assert.deepStrictEqual(
          Array.from(got, ({ value }) => [value.length, value[0], value.at(-1)]),
          payloads.map((payload, i) => [payload.length, i, i])
        )
      }).pipe(Effect.scoped, Effect.provide(overWebSocket(Layer.fresh(webSocketHub({ wsDeflate: true })))))
  )

  it.live("websocket - goes on where it was when the hub is back", () =>
    Effect.gen(function* () {
      const first = yield* Scope.make()
      const build = (port: number) => Layer.build(Layer.fresh(webSocketHub({}, {}, port)))
      const { port, url } = Context.get(yield* Scope.provide(build(0), first), WebSocketHub)
      const star = yield* Polestar.pipe(Effect.provide(yield* Layer.build(Polestar.layerWebSocket({ url }))))
      const { events } = yield* star.open(Topic.dynamic("again"))
      yield* star.publish(Topic.dynamic("again"), "before")
      yield* Scope.close(first, Exit.void)
      yield* build(port)
      yield* Effect.forkScoped(star.publish(Topic.dynamic("again"), "after"))
      const tags = yield* events.pipe(
        Stream.takeUntil((event) => event._tag === "Message" && event.value === "after"),
        Stream.map(({ _tag }) => _tag),
        Stream.runCollect
      )
      assert.deepStrictEqual(Array.from(tags), ["Message", "Gap", "Message"])
    }).pipe(Effect.scoped)
  )
})
