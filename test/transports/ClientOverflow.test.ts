/** What happens to a client that is too slow and did not say what is to happen: `clientOverflow`. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Hub } from "../../src/actors/Hub.ts"
import { openStream, publish, webHub } from "./http/WebHub.ts"
import { connectJson } from "./websocket/JsonPeer.ts"
import { WebSocketHub, webSocketHub } from "./websocket/WebSocketHub.ts"

const settings = { clientOverflow: "DISCONNECT", clientQueueSize: 10, clientWriteTimeout: 60_000 } as const
const payload = "x".repeat(500_000)

/** Publishes until something was dropped, and answers by which policy. */
const untilDropped = <E, R>(publishOne: Effect.Effect<unknown, E, R>) =>
  Effect.gen(function* () {
    const { metrics } = yield* Hub
    while (true) {
      const { closed: _, ...dropped } = (yield* metrics).messagesDropped
      const [policy] = Object.entries(dropped).find(([, count]) => count > 0) ?? []
      if (policy !== undefined) return policy
      yield* publishOne
    }
  })

describe("client overflow", () => {
  it.live.each([
    [{ type: "subscribe", topic: "a" }, "disconnect"],
    [{ type: "subscribe", topics: ["a"] }, "disconnect"],
    [{ type: "subscribe", topic: "a", overflow: "drop-newest" }, "drop-newest"]
  ] as const)("client overflow - WebSocket: %j", ([request, expected]) =>
    Effect.gen(function* () {
      const { url } = yield* WebSocketHub
      const slow = yield* connectJson(url)
      slow.send(request)
      yield* slow.nextOf("ack")
      slow.socket.pause()
      const other = yield* connectJson(url)
      const publishing = Effect.suspend(() => {
        other.send({ type: "publish", topic: "a", message: { id: crypto.randomUUID(), payload } })
        return other.nextOf("ack")
      })
      assert.strictEqual(yield* untilDropped(publishing), expected)
    }).pipe(Effect.scoped, Effect.provide(Layer.fresh(webSocketHub(settings))))
  )

  it.live.each([
    ["", "disconnect"],
    ["&overflow=drop-newest", "drop-newest"]
  ] as const)("client overflow - stream of events: %j", ([more, expected]) =>
    Effect.gen(function* () {
      const slow = yield* openStream(`/api/v1/stream?topics=a${more}`)
      yield* slow.says(/begin/)
      slow.socket.pause()
      assert.strictEqual(yield* untilDropped(publish("a", payload)), expected)
    }).pipe(Effect.scoped, Effect.provide(webHub(settings)))
  )
})
