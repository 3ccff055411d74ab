import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { encodeText } from "../../src/protocol/Bytes.ts"
import type { CloseReason } from "../../src/protocol/CloseReason.ts"
import { encodeFrame } from "../../src/protocol/Frame.ts"
import type { WireClient } from "../actors/WireClient.ts"
import { range } from "../contracts/sdk/Kit.ts"
import { chance, mutated } from "../protocol/Chance.ts"
import { busyHub, workOn } from "./BusyHub.ts"
import { eventually, openSocket, seeded, soon, wireClient } from "./Faults.ts"
import { startHub } from "./HubProcess.ts"

/** A u32 length and nothing else. */
const announced = (length: number): Uint8Array => {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, length, true)
  return bytes
}

const tlsHello = Uint8Array.of(0x16, 0x03, 0x01, 0x00, 0x05, 0x01, 0x00, 0x00, 0x01, 0x03)

const strangers: ReadonlyArray<readonly [what: string, bytes: Uint8Array]> = [
  ["an HTTP request", encodeText("GET / HTTP/1.1\r\nHost: hub\r\n\r\n")],
  ["zeros", new Uint8Array(64)],
  ["ones", new Uint8Array(64).fill(255)],
  ["a frame that is too long before the hello", announced(131_073)],
  ["another frame than hello", encodeFrame({ _tag: "Ping", token: 1 })]
]

const reasonFor = (port: number, act: (client: WireClient) => void) =>
  Effect.scoped(
    Effect.gen(function* () {
      const client = yield* wireClient(port)
      act(client)
      return yield* client.goodbye
    })
  )

describe("faults - bad peers", () => {
  it.live("bad peers - each is sent away with a reason, and nobody else notices", () =>
    Effect.gen(function* () {
      const { goesOn, hub, port } = yield* busyHub({ dialTimeout: 1000 })
      for (const [what, bytes] of strangers) {
        assert.strictEqual(yield* reasonFor(port, (client) => client.raw(bytes)), "protocol-error", what)
      }
      const cases: ReadonlyArray<readonly [CloseReason, (client: WireClient) => void]> = [
        ["unsupported-version", (client) => client.hello({ minVersion: 2, maxVersion: 9 })],
        ["unsupported-version", (client) => client.hello({ minVersion: 0, maxVersion: 0 })],
        ["protocol-error", (client) => client.hello({ magic: 1 })],
        ["hello-timeout", () => {}],
        // Its first bytes read as the length of a frame that could be a hello.
        ["hello-timeout", (client) => client.raw(tlsHello)],
        ["hello-timeout", (client) => client.raw(encodeText("\u0010"))]
      ]
      yield* Effect.forEach(
        cases,
        ([reason, act]) => Effect.map(reasonFor(port, act), (given) => assert.strictEqual(given, reason)),
        { concurrency: "unbounded" }
      )
      const welcomed = yield* wireClient(port)
      const { maxFrame } = yield* welcomed.begin()
      welcomed.raw(announced(maxFrame + 1))
      assert.strictEqual(yield* welcomed.goodbye, "frame-too-large")
      yield* goesOn
      const { actorFailures, connections } = yield* hub.metrics
      assert.strictEqual(actorFailures, 0)
      assert.strictEqual(connections, 2)
    })
  )

  it.live("bad peers - random bytes and broken frames by the hundred", () =>
    seeded(4711, (seed) =>
      Effect.gen(function* () {
        const random = chance(seed)
        const { goesOn, hub, port } = yield* busyHub({ dialTimeout: 1000 })
        const one = Effect.scoped(
          Effect.gen(function* () {
            const client = yield* wireClient(port)
            client.hello()
            client.open(1)
            const good = client.publishFrame("bad.one", ["one", "two", "three"], { receipt: true }).bytes
            client.raw(random.below(3) === 0 ? random.bytes(200) : mutated(random, good))
            // Whatever it was, the hub answers, sends the peer away, or waits for the rest.
            client.send({ _tag: "Ping", token: 7 })
            client.send({ _tag: "Goodbye", reason: "normal", message: "" })
            client.duplex.end()
            yield* soon("the end of a bad peer", client.closed)
          })
        )
        yield* Effect.forEach(range(400), () => one, { concurrency: 20, discard: true })
        yield* goesOn
        yield* eventually(
          "the bad peers to be gone",
          Effect.map(hub.metrics, ({ connections }) => connections === 2)
        )
        assert.strictEqual((yield* hub.metrics).actorFailures, 0)
      })
    )
  )

  it.live("bad peers - thousands that say nothing: the hub is full for a while, then free again", () =>
    Effect.gen(function* () {
      const silent = 2000
      const limit = 400
      const hub = yield* startHub({ maxConnections: limit, dialTimeout: 4000 })
      const goesOn = yield* workOn(hub.port)
      let closed = 0
      const openSilent = (count: number) =>
        Effect.forEach(
          range(count),
          () =>
            Effect.map(openSocket(hub.port), (socket) => {
              socket.resume()
              socket.on("close", () => closed++)
            }),
          { concurrency: 100, discard: true }
        )
      yield* openSilent(limit)
      // The newcomer is told why, before the silent ones have had their time.
      assert.strictEqual(yield* reasonFor(hub.port, () => {}), "too-many-connections")
      yield* openSilent(silent - limit)
      yield* goesOn
      yield* eventually(
        "all silent connections to be closed",
        Effect.sync(() => closed === silent),
        () => closed
      )
      const late = yield* wireClient(hub.port)
      yield* late.begin()
      yield* goesOn
      const request = late.request("stats", "{}")
      const answer = yield* late.next("Response", (frame) => frame.request === request)
      const stats = JSON.parse(new TextDecoder().decode(answer.body))
      assert.strictEqual(stats.connections, 3)
      const { "hello-timeout": silenced, "too-many-connections": refused } = stats.connectionsClosed
      assert.strictEqual(silenced + refused, silent + 1)
      assert.isAtLeast(silenced, limit - 2)
      assert.isAbove(refused, 0)
    })
  )
})
