/**
 * Clients that take too little, ask too much or send too fast, by WebSocket. Each overflow policy does what it says, what
 * waits is bounded, and the other clients notice nothing.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schedule } from "effect"
import { Hub } from "../../../src/actors/Hub.ts"
import type { Overflow } from "../../../src/protocol/Position.ts"
import { connectJson, type JsonPeer, type Said, standsStill } from "./JsonPeer.ts"
import { connectRaw, Opcode, rawFrame } from "./RawPeer.ts"
import { WebSocketHub, webSocketHub } from "./WebSocketHub.ts"

const connect = Effect.flatMap(WebSocketHub, ({ url }) => connectJson(url))

const until = <E, R>(isSo: Effect.Effect<boolean, E, R>) =>
  Effect.repeat(isSo, { until: (so) => so, schedule: Schedule.spaced("5 millis") })

const large = "x".repeat(200_000)
const count = 100

/** Text of publishes that are not waited for, but read. */
const flood = (peer: JsonPeer, topic: string) =>
  Effect.gen(function* () {
    for (let n = 0; n < count; n++) {
      peer.send({ type: "publish", topic, message: { id: `${n}`, payload: { n, large } }, request_id: n })
      yield* peer.nextOf("ack")
    }
  })

const numberOf = ({ message }: Said): number => JSON.parse(JSON.stringify(message)).payload.n

/** A client that has stopped reading. */
const stuck = (topic: string, overflow: Overflow) =>
  Effect.gen(function* () {
    const peer = yield* connect
    peer.send({ type: "subscribe", topic, overflow })
    yield* peer.nextOf("ack")
    peer.socket.pause()
    return peer
  })

/** What it has when it reads again, up to the last that is there for it. */
const drained = (peer: JsonPeer) =>
  Effect.gen(function* () {
    peer.socket.resume()
    peer.send({ type: "publish", topic: "end", message: { id: crypto.randomUUID(), payload: { n: -1 } } })
    const numbers: Array<number> = []
    let dropped = 0
    while (numbers.length + dropped < count) {
      const said = yield* peer.next
      if (said.type === "event") numbers.push(numberOf(said))
      if (said.type === "dropped") dropped += Number(said.count)
    }
    return { numbers, dropped }
  })

const inOrder = (numbers: ReadonlyArray<number>): boolean =>
  numbers.every((n, i) => i === 0 || n > numbers[i - 1]!)

const pressed = () => Layer.fresh(webSocketHub({ clientQueueSize: 10, clientWriteTimeout: 60_000 }))

describe("websocket pressure", () => {
  it.live("pressure - drop-oldest keeps the newest, in order, and tells how many it dropped", () =>
    Effect.gen(function* () {
      const slow = yield* stuck("a", "drop-oldest")
      yield* flood(yield* connect, "a")
      const { dropped, numbers } = yield* drained(slow)
      assert.isAbove(dropped, 0)
      assert.isTrue(inOrder(numbers))
      // The queue holds ten.
      assert.deepStrictEqual(numbers.slice(-10), [90, 91, 92, 93, 94, 95, 96, 97, 98, 99])
      assert.strictEqual((yield* (yield* Hub).metrics).messagesDropped["drop-oldest"], dropped)
    }).pipe(Effect.scoped, Effect.provide(pressed()))
  )

  it.live("pressure - drop-newest keeps the oldest, in order, and tells how many it dropped", () =>
    Effect.gen(function* () {
      const slow = yield* stuck("a", "drop-newest")
      yield* flood(yield* connect, "a")
      const { dropped, numbers } = yield* drained(slow)
      assert.isAbove(dropped, 0)
      assert.deepStrictEqual(
        numbers,
        Array.from({ length: count - dropped }, (_, n) => n)
      )
      assert.strictEqual((yield* (yield* Hub).metrics).messagesDropped["drop-newest"], dropped)
    }).pipe(Effect.scoped, Effect.provide(pressed()))
  )

  it.live("pressure - wait holds the publisher, and nobody else, and loses nothing", () =>
    Effect.gen(function* () {
      const slow = yield* stuck("a", "wait")
      const publisher = yield* connect
      const acked: Array<unknown> = []
      publisher.socket.on("message", (data) => acked.push(JSON.parse(String(data)).request_id))
      for (let n = 0; n < count; n++)
        publisher.send({
          type: "publish",
          topic: "a",
          message: { id: `${n}`, payload: { n, large } },
          request_id: n
        })
      const other = yield* connect
      other.send({ type: "subscribe", topic: "b" })
      yield* other.nextOf("ack")
      // It stands still: an answer to the other comes, and in all the time none to the publisher.
      yield* standsStill(other, () => publisher.socket.bufferedAmount + acked.length)
      other.send({ type: "publish", topic: "b", message: { id: "b", payload: { n: 1 } } })
      yield* other.nextOf("event")
      assert.isBelow(acked.length, count)
      const { dropped, numbers } = yield* drained(slow)
      assert.strictEqual(dropped, 0)
      assert.deepStrictEqual(
        numbers,
        Array.from({ length: count }, (_, n) => n)
      )
      yield* until(Effect.sync(() => acked.length === count))
    }).pipe(Effect.scoped, Effect.provide(pressed()))
  )

  it.live("pressure - what wait leaves unread is bounded, however much is sent", () =>
    Effect.gen(function* () {
      const slow = yield* stuck("a", "wait")
      const publisher = yield* connect
      const before = process.memoryUsage()
      // 200 MB, of which the hub and the machine between take a few.
      for (let n = 0; n < 1000; n++)
        publisher.send({ type: "publish", topic: "a", message: { id: `${n}`, payload: { n, large } } })
      yield* standsStill(yield* connect, () => publisher.socket.bufferedAmount)
      assert.isAbove(publisher.socket.bufferedAmount, 150_000_000)
      const { buffered, queued } = yield* Effect.gen(function* () {
        const metrics = yield* (yield* Hub).metrics
        return { buffered: metrics.clientQueueDepth, queued: metrics.queueDepth }
      })
      assert.isBelow(buffered + queued, 100)
      // Besides what the publisher itself, in the same process, has still to send.
      const grown = process.memoryUsage().arrayBuffers - before.arrayBuffers
      assert.isBelow(grown - publisher.socket.bufferedAmount, 50_000_000)
      slow.socket.terminate()
      publisher.socket.terminate()
    }).pipe(Effect.scoped, Effect.provide(pressed()))
  )

  it.live("pressure - a client that does not read its answers is not read either", () =>
    Effect.gen(function* () {
      const { port, url } = yield* WebSocketHub
      const raw = yield* connectRaw(port)
      raw.socket.pause()
      const ask = JSON.stringify({ type: "ping", request_id: "x".repeat(255) })
      const many = Buffer.concat(
        Array.from({ length: 1000 }, () => rawFrame({ opcode: Opcode.text, payload: ask }))
      )
      for (let n = 0; n < 100; n++) raw.socket.write(many)
      const other = yield* connectJson(url)
      yield* standsStill(other, () => raw.socket.writableLength)
      // 30 MB were sent.
      assert.isAbove(raw.socket.writableLength, 10_000_000)
      other.send({ type: "ping", request_id: 1 })
      assert.deepInclude(yield* other.next, { type: "pong", request_id: 1 })
      // All is answered once it reads.
      raw.socket.resume()
      for (let n = 0; n < 100_000; n++) assert.strictEqual((yield* raw.nextJson).type, "pong")
    }).pipe(Effect.scoped, Effect.provide(Layer.fresh(webSocketHub({ clientWriteTimeout: 60_000 }))))
  )

  it.live("pressure - what one client publishes as fast as it can keeps its order, and so do the acks", () =>
    Effect.gen(function* () {
      const peer = yield* connect
      const { url } = yield* WebSocketHub
      const reader = yield* connectJson(url)
      reader.send({ type: "subscribe", topics: ["order.*"], overflow: "wait" })
      yield* reader.nextOf("ack")
      for (let n = 0; n < 2000; n++)
        peer.send({
          type: "publish",
          topic: `order.${n % 2}`,
          message: { id: `${n}`, payload: n },
          request_id: n
        })
      const heard: Record<string, Array<unknown>> = { "order.0": [], "order.1": [] }
      for (let n = 0; n < 2000; n++) {
        const { payload, topic } = yield* reader.nextOf("message")
        heard[String(topic)]?.push(payload)
      }
      for (const [topic, payloads] of Object.entries(heard)) {
        const first = topic === "order.0" ? 0 : 1
        assert.deepStrictEqual(
          payloads,
          Array.from({ length: 1000 }, (_, n) => 2 * n + first)
        )
      }
      const acked: Array<unknown> = []
      while (acked.length < 2000) acked.push((yield* peer.nextOf("ack")).request_id)
      assert.deepStrictEqual(
        acked,
        Array.from({ length: 2000 }, (_, n) => n)
      )
    }).pipe(Effect.scoped, Effect.provide(Layer.fresh(webSocketHub())))
  )

  it.live("pressure - subscribing and unsubscribing without end leaves nothing behind", () =>
    Effect.gen(function* () {
      const peer = yield* connect
      const rounds = 5000
      for (let n = 0; n < rounds; n++) {
        peer.send({ type: "subscribe", topic: "flood", request_id: n })
        peer.send({ type: "subscribe", topics: ["flood.*", "flood"], request_id: n })
        peer.send({ type: "unsubscribe", topic: "flood", request_id: n })
        peer.send({ type: "unsubscribe", topics: ["flood", "flood.*"], request_id: n })
      }
      for (let n = 0; n < rounds * 4; n++) assert.strictEqual((yield* peer.next).type, "ack")
      const metrics = yield* (yield* Hub).metrics
      assert.strictEqual(metrics.subscriptions, 0)
      peer.send({ type: "subscribe", topic: "flood" })
      yield* peer.nextOf("ack")
      peer.send({ type: "publish", topic: "flood", message: { id: "m", payload: 1 } })
      yield* peer.nextOf("event")
    }).pipe(Effect.scoped, Effect.provide(Layer.fresh(webSocketHub())))
  )

  it.live(
    "pressure - ten thousand subscriptions of one client, the next is refused, and all end with it",
    () =>
      Effect.gen(function* () {
        const hub = yield* Hub
        const peer = yield* connect
        const named = (from: number, count: number) =>
          Array.from({ length: count }, (_, n) => `many.${from + n}`)
        for (let at = 0; at < 10_000; at += 1000) {
          peer.send({ type: "subscribe", topics: named(at, 1000), request_id: at })
          yield* peer.nextOf("ack")
        }
        peer.send({ type: "subscribe", topic: "one.more" })
        assert.deepInclude((yield* peer.next).error, { code: "LIMIT_REACHED" })
        peer.send({ type: "publish", topic: "many.9999", message: { id: "m", payload: 1 } })
        assert.deepInclude(yield* peer.nextOf("message"), { topic: "many.9999" })
        peer.send({ type: "subscribe", topics: Array.from({ length: 1001 }, (_, n) => `t.${n}`) })
        assert.deepInclude((yield* peer.nextOf("error")).error, { code: "LIMIT_REACHED" })
        assert.strictEqual((yield* hub.metrics).subscriptions, 10_000)
        const removing = Effect.fnUntraced(function* (from: number, to: number, each: number) {
          const began = performance.now()
          for (let n = from; n < to; n += each)
            peer.send({ type: "unsubscribe", topics: named(n, each), request_id: n })
          for (let n = from; n < to; n += each) yield* peer.nextOf("ack")
          return performance.now() - began
        })
        // However many there are, to find one of them takes no longer; a busy machine may stall.
        const ofMany = yield* removing(0, 2000, 1)
        yield* removing(2000, 8000, 1000)
        const ofFew = yield* removing(8000, 10_000, 1)
        assert.isBelow(ofMany, 4 * ofFew + 2000)
        peer.socket.terminate()
        yield* until(Effect.map(hub.metrics, ({ subscriptions }) => subscriptions === 0))
      }).pipe(Effect.scoped, Effect.provide(Layer.fresh(webSocketHub())))
  )
})
