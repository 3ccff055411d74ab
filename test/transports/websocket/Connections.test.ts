/** What becomes of many connections, of bad ones, and of those that change their protocol. */
import { connect as connectTcp, type Socket } from "node:net"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Layer, Schedule } from "effect"
import { Hub } from "../../../src/actors/Hub.ts"
import { encodeFrame, magic } from "../../../src/protocol/Frame.ts"
import { patience } from "../../Patience.ts"
import { connectJson, openJson, type Said, standsStill } from "./JsonPeer.ts"
import { WebSocketHub, webSocketHub } from "./WebSocketHub.ts"

const connect = Effect.flatMap(WebSocketHub, ({ url }) => connectJson(url))

const until = (what: string, isSo: Effect.Effect<boolean>) =>
  Effect.flatMap(isSo, (so) => (so ? Effect.void : Effect.fail(what))).pipe(
    Effect.retry({ schedule: Schedule.spaced("20 millis"), times: patience / 20 })
  )

/** So many that a machine which stalls between two of them ends nobody who answers. */
const missed = 8

const upgrade =
  "GET /ws HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

/** A socket that upgrades, and then neither says nor answers anything. */
const openSilent = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<Socket>((resume) => {
      const socket = connectTcp(port, "127.0.0.1", () => socket.write(upgrade))
      socket.once("data", () => resume(Effect.succeed(socket)))
      socket.on("error", () => {})
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

const hello = encodeFrame({
  _tag: "Hello",
  magic,
  minVersion: 1,
  maxVersion: 1,
  features: 0,
  name: "test",
  token: ""
})

layer(webSocketHub({ maxConnections: 5000 }), { excludeTestServices: true })(
  "websocket connections",
  (it) => {
    it.effect("connections - a binary frame first makes it the binary protocol", () =>
      Effect.gen(function* () {
        const peer = yield* connect
        peer.sendRaw(hello)
        const said = yield* peer.next
        assert.strictEqual(said.type, "binary")
        // WELCOME
        assert.strictEqual((said.data as Buffer)[4], 2)
      })
    )

    it.effect("connections - the subprotocol makes it the binary protocol, without a greeting in JSON", () =>
      Effect.gen(function* () {
        const { url } = yield* WebSocketHub
        const peer = yield* openJson(url, ["other", "polestar.v1"])
        assert.strictEqual(peer.socket.protocol, "polestar.v1")
        // Cut anywhere: the messages are one stream of bytes.
        for (const byte of hello) peer.sendRaw(new Uint8Array([byte]))
        assert.strictEqual((yield* peer.next).type, "binary")
      })
    )

    it.effect("connections - thousands that say nothing disturb nobody, and are all let go", () =>
      Effect.gen(function* () {
        const { port, sockets } = yield* WebSocketHub
        const before = sockets.connections()
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* Effect.forEach(Array.from({ length: 3000 }), () => openSilent(port), { concurrency: 100 })
            assert.strictEqual(sockets.connections(), 3000)
            const peer = yield* connect
            peer.send({ type: "subscribe", topic: "quiet" })
            yield* peer.nextOf("ack")
            peer.send({ type: "publish", topic: "quiet", message: { id: "m", payload: 1 } })
            yield* peer.nextOf("event")
          })
        )
        yield* until(
          "all are gone",
          Effect.sync(() => sockets.connections() <= before)
        )
      })
    )

    it.effect("connections - a batch is encoded once for all who get it", () =>
      Effect.gen(function* () {
        const { sockets } = yield* WebSocketHub
        const peers = yield* Effect.forEach(Array.from({ length: 50 }), () => connect)
        for (const [index, peer] of peers.entries()) {
          peer.send(
            index % 2 === 0 ? { type: "subscribe", topic: "once" } : { type: "subscribe", topics: ["once"] }
          )
          yield* peer.nextOf("ack")
        }
        const before = sockets.encoded()
        peers[0]!.send({ type: "publish", topic: "once", message: { id: "m", payload: { text: "é☃" } } })
        for (const [index, peer] of peers.entries()) {
          const said: Said = yield* peer.nextOf(index % 2 === 0 ? "event" : "message")
          const payload = index % 2 === 0 ? (said.message as Said).payload : said.payload
          assert.deepStrictEqual(payload, { text: "é☃" })
        }
        // Once for each dialect.
        assert.strictEqual(sockets.encoded() - before, 2)
      })
    )

    it.effect("connections - an upgrade that is not one is answered as HTTP", () =>
      Effect.gen(function* () {
        const { port } = yield* WebSocketHub
        const answer = yield* Effect.callback<string>((resume) => {
          const socket = connectTcp(port, "127.0.0.1", () =>
            socket.write(upgrade.replace("Version: 13", "Version: 99"))
          )
          socket.once("data", (data) => resume(Effect.succeed(data.toString())))
        })
        assert.match(answer, /^HTTP\/1\.1 400 /)
      })
    )
  }
)

describe("websocket connections", () => {
  it.live("connections - one that does not answer pings is closed with its reason", () =>
    Effect.gen(function* () {
      const { port, sockets } = yield* WebSocketHub
      const { metrics } = yield* Hub
      yield* openSilent(port)
      const { socket } = yield* connect
      let pings = 0
      socket.on("ping", () => pings++)
      // The other answers by itself, as every WebSocket does.
      yield* until(
        "the silent one is gone, and the other was asked more often than that",
        Effect.sync(() => sockets.connections() === 1 && pings > 2 * missed)
      )
      assert.strictEqual(socket.readyState, socket.OPEN)
      assert.strictEqual((yield* metrics).connectionsClosed["ping-timeout"], 1)
    }).pipe(
      Effect.scoped,
      Effect.provide(Layer.fresh(webSocketHub({ pingInterval: 50, maxMissedPings: missed })))
    )
  )

  it.live("connections - one that takes nothing for too long is cut", () =>
    Effect.gen(function* () {
      const { sockets } = yield* WebSocketHub
      const slow = yield* connect
      slow.send({ type: "subscribe", topic: "big" })
      yield* slow.nextOf("ack")
      slow.socket.pause()
      const other = yield* connect
      const payload = "x".repeat(900_000)
      for (let i = 0; i < 20; i++) {
        other.send({ type: "publish", topic: "big", message: { id: `m${i}`, payload } })
        yield* other.nextOf("ack")
      }
      yield* until(
        "the slow one is gone",
        Effect.sync(() => sockets.connections() === 1)
      )
      assert.strictEqual((yield* (yield* Hub).metrics).connectionsClosed["write-timeout"], 1)
    }).pipe(Effect.scoped, Effect.provide(Layer.fresh(webSocketHub({ clientWriteTimeout: 200 }))))
  )

  it.live("connections - a publisher that is faster than a subscriber that is waited for is not read", () =>
    Effect.gen(function* () {
      const slow = yield* connect
      slow.send({ type: "subscribe", topic: "held", overflow: "wait" })
      yield* slow.nextOf("ack")
      slow.socket.pause()
      const fast = yield* connect
      const payload = "x".repeat(20_000)
      for (let i = 0; i < 2000; i++)
        fast.send({ type: "publish", topic: "held", message: { id: `m${i}`, payload } })
      // What neither the hub nor the machine between takes stays with the publisher.
      yield* standsStill(yield* connect, () => fast.socket.bufferedAmount)
      assert.isAbove(fast.socket.bufferedAmount, 1_000_000)
      slow.socket.resume()
      for (let i = 0; i < 2000; i++) {
        const { message } = yield* slow.nextOf("event")
        assert.strictEqual((message as { id: string }).id, `m${i}`)
      }
    }).pipe(
      Effect.scoped,
      Effect.provide(
        Layer.fresh(webSocketHub({ clientQueueSize: 10, queueSize: 10, clientWriteTimeout: 60_000 }))
      )
    )
  )

  it.live("connections - compressed where that is on and asked for", () =>
    Effect.gen(function* () {
      const peer = yield* connect
      assert.include(peer.socket.extensions, "permessage-deflate")
      peer.send({ type: "subscribe", topic: "zipped", request_id: 1 })
      yield* peer.nextOf("ack")
      const payload = "x".repeat(100_000)
      for (let i = 0; i < 50; i++)
        peer.send({ type: "publish", topic: "zipped", message: { id: `m${i}`, payload: `${i}${payload}` } })
      const ids: Array<unknown> = []
      while (ids.length < 50) {
        const { message } = yield* peer.nextOf("event")
        ids.push((message as { id: string }).id)
      }
      assert.deepStrictEqual(
        ids,
        Array.from({ length: 50 }, (_, i) => `m${i}`)
      )
    }).pipe(Effect.scoped, Effect.provide(Layer.fresh(webSocketHub({ wsDeflate: true }))))
  )
})
