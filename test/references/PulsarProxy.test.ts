/**
 * The examples of pulsar-proxy's document, run as they are written there: what its curl line publishes reaches its
 * WebSocket client and its long-polling client.
 */
import { dirname } from "node:path"
import { assert, it } from "@effect/vitest"
import { Effect, Queue, Schedule } from "effect"
import { Hub } from "../../src/actors/Hub.ts"
import { WebServer } from "../../src/transports/WebServer.ts"
import { describeWith } from "../Tools.ts"
import { publish as publishOver } from "../transports/http/WebHub.ts"
import { apiKey, bash, example, guardedHub, openHub, type ReferenceHub, runClient } from "./ReferenceHub.ts"

const hello = { user_id: 123, message: "Hello, World!" }

/** Waits until it is so; a test that waits in vain ends by its own time limit. */
const until = <E, R>(isSo: Effect.Effect<boolean, E, R>) =>
  Effect.repeat(isSo, { until: (so) => so, schedule: Schedule.spaced("5 millis") })

const subscribed = (count: number) =>
  until(Effect.flatMap(Hub, (hub) => Effect.map(hub.metrics, (metrics) => metrics.subscriptions >= count)))

const members = (count: number) =>
  until(Effect.flatMap(Hub, (hub) => Effect.map(hub.metrics, ({ sessions }) => sessions >= count)))

interface Worn {
  /** Whether what the client acknowledges gets lost on the way. */
  readonly losesAcks: boolean
}

/** The reference's WebSocket client, connected; closing waits until the hub has heard all that it said. */
const webSocketClient = Effect.fnUntraced(function* (hub: ReferenceHub, { losesAcks }: Worn) {
  const opened: Array<WebSocket> = []
  class Watched extends WebSocket {
    constructor(url: string | URL) {
      super(url)
      opened.push(this)
    }
    override send(data: string): void {
      if (!(losesAcks && data.includes('"ack"'))) super.send(data)
    }
  }
  const logged = yield* runClient(yield* example("pulsar-proxy/websocket-client.js.txt", hub), {
    WebSocket: Watched
  })
  const close = Effect.callback<void>((resume) => {
    const [socket] = opened
    if (socket === undefined || socket.readyState === WebSocket.CLOSED) return resume(Effect.void)
    socket.addEventListener("close", () => resume(Effect.void))
    socket.close()
  })
  yield* Effect.addFinalizer(() => close)
  return { close, logged }
})

interface Called {
  readonly path: string
  readonly status: number
  readonly answer: unknown
}

/** The reference's long-polling client, which polls until the test is over; and what it asked. */
const pollingClient = Effect.fnUntraced(function* (hub: ReferenceHub) {
  const over = new AbortController()
  const calls = yield* Queue.unbounded<Called>()
  const watched = async (url: string | URL | Request, options?: RequestInit): Promise<Response> => {
    try {
      const response = await fetch(url, { ...options, signal: over.signal })
      const answer: unknown = await response.clone().json()
      Queue.offerUnsafe(calls, { path: new URL(String(url)).pathname, status: response.status, answer })
      return response
    } catch (error) {
      // It is no concern of the client's that the test is over.
      if (over.signal.aborted) return new Promise(() => {})
      throw error
    }
  }
  const logged = yield* runClient(yield* example("pulsar-proxy/long-polling-client.js.txt", hub), {
    fetch: watched
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => over.abort()))
  return { calls, logged }
})

describeWith("curl", "reference pulsar-proxy", (curl) => {
  const shell = (lines: string) => bash(lines, dirname(curl))

  for (const hub of [openHub, guardedHub]) {
    const publish = Effect.flatMap(example("pulsar-proxy/send-a-message.sh", hub), shell)
    const publishText = (text: string) =>
      Effect.flatMap(example("pulsar-proxy/send-a-message.sh", hub), (lines) =>
        shell(lines.replace("Hello, World!", text))
      )

    it.live(`pulsar-proxy - curl's message is answered by its receipt, where ${hub.name}`, () =>
      Effect.gen(function* () {
        const receipt: Record<string, unknown> = JSON.parse(yield* publish)
        assert.deepInclude(receipt, { topic: "notifications", offset: 0, duplicate: false })
        assert.match(String(receipt.message_id), /^notifications@\d+-0$/)
      }).pipe(Effect.provide(hub.layer()))
    )

    it.live(
      `pulsar-proxy - the WebSocket client has it, and what it acknowledged never again, where ${hub.name}`,
      () =>
        Effect.gen(function* () {
          const first = yield* webSocketClient(hub, { losesAcks: false })
          yield* members(1)
          yield* publish
          assert.deepStrictEqual(yield* Queue.take(first.logged), ["Received:", hello])
          yield* first.close
          // It is kept for a client that is away.
          yield* publishText("while it was away")
          const second = yield* webSocketClient(hub, { losesAcks: false })
          assert.deepStrictEqual(yield* Queue.take(second.logged), [
            "Received:",
            { ...hello, message: "while it was away" }
          ])
          yield* publishText("live")
          const [, payload] = yield* Queue.take(second.logged)
          assert.deepInclude(payload, { message: "live" })
        }).pipe(Effect.scoped, Effect.provide(hub.layer({ groupAckWait: 60_000 })))
    )

    it.live(
      `pulsar-proxy - what the WebSocket client did not acknowledge comes again, where ${hub.name}`,
      () =>
        Effect.gen(function* () {
          const first = yield* webSocketClient(hub, { losesAcks: true })
          yield* members(1)
          yield* publish
          assert.deepStrictEqual(yield* Queue.take(first.logged), ["Received:", hello])
          yield* first.close
          const second = yield* webSocketClient(hub, { losesAcks: false })
          assert.deepStrictEqual(yield* Queue.take(second.logged), ["Received:", hello])
        }).pipe(Effect.scoped, Effect.provide(hub.layer({ groupAckWait: 60_000 })))
    )

    it.live(
      `pulsar-proxy - the long-polling client receives, acknowledges and polls again, where ${hub.name}`,
      () =>
        Effect.gen(function* () {
          const { calls, logged } = yield* pollingClient(hub)
          for (const text of ["one", "two"]) {
            yield* subscribed(1)
            yield* publishText(text)
            assert.deepStrictEqual(yield* Queue.take(logged), ["Received:", { ...hello, message: text }])
            assert.deepInclude(yield* Queue.take(calls), { path: "/api/v1/poll", status: 200 })
            // It names no client, so nothing waits for its acknowledgement.
            assert.deepStrictEqual(yield* Queue.take(calls), {
              path: "/api/v1/ack",
              status: 200,
              answer: { acknowledged: 0 }
            })
          }
        }).pipe(Effect.scoped, Effect.provide(hub.layer()))
    )
  }

  it.live("pulsar-proxy - the long-polling client misses nothing between two of its polls", () =>
    Effect.gen(function* () {
      const { logged } = yield* pollingClient(openHub)
      yield* subscribed(1)
      const numbers = Array.from({ length: 300 }, (_, n) => n)
      for (const n of numbers) {
        yield* publishOver("notifications", n)
        yield* Effect.sleep(5)
      }
      const seen: Array<unknown> = []
      while (!seen.includes(299)) seen.push((yield* Queue.take(logged))[1])
      assert.deepStrictEqual(seen, numbers)
    }).pipe(Effect.scoped, Effect.provide(openHub.layer()))
  )

  it.live("pulsar-proxy - a key that nobody has is refused where keys are asked for", () =>
    Effect.gen(function* () {
      const lines = (yield* example("pulsar-proxy/send-a-message.sh", openHub)).replace("curl", "curl -s -i")
      const answer = yield* shell(lines)
      assert.match(answer, /^HTTP\/1\.1 401 /)
      assert.match(answer, /"code":"UNAUTHORIZED"/)
    }).pipe(Effect.provide(guardedHub.layer()))
  )

  it.live("pulsar-proxy - health, readiness and metrics at their addresses", () =>
    Effect.gen(function* () {
      const { port } = yield* WebServer
      const get = (path: string) =>
        shell(`curl -s -f http://localhost:${port}${path} -H "Authorization: Bearer ${apiKey}"`)
      const health: Record<string, unknown> = JSON.parse(yield* get("/health"))
      assert.strictEqual(health.status, "healthy")
      assert.isString(yield* get("/ready"))
      yield* Effect.flatMap(example("pulsar-proxy/send-a-message.sh", guardedHub), shell)
      const metrics = yield* get("/metrics")
      for (const name of [
        "proxy_connections_total",
        "proxy_messages_received_total",
        "proxy_messages_delivered_total",
        "proxy_message_latency_seconds",
        "proxy_queue_depth"
      ])
        assert.include(metrics, `# TYPE ${name} `)
    }).pipe(Effect.provide(guardedHub.layer()))
  )
})
