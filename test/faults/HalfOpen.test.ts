import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Schema } from "effect"
import { Polestar } from "../../src/sdk/Polestar.ts"
import * as Topic from "../../src/sdk/Topic.ts"
import { range, take } from "../contracts/sdk/Kit.ts"
import { busyHub } from "./BusyHub.ts"
import { CutProxy } from "./CutProxy.ts"
import { eventually, joined, sdkClient, soon, watchStates, wireClient } from "./Faults.ts"

const topic = Topic.make("half.open", Schema.Number)
const retainAll = { hotTierMessages: 1_000_000, hotTierBytes: 268_435_456, hotTierTotalBytes: 268_435_456 }
const pings = { pingInterval: Duration.millis(500) }

describe("faults - half-open connections", () => {
  it.live("half-open - both ends find out by themselves, and the client resumes on another connection", () =>
    Effect.gen(function* () {
      const { goesOn, hub, port } = yield* busyHub({ pingInterval: 500, ...retainAll })
      const proxy = yield* CutProxy.make(port)
      const star = yield* sdkClient(proxy.port, pings)
      const states = yield* watchStates(star)
      const { events } = yield* star.open(topic, { overflow: "wait" })
      const publisher = yield* sdkClient(port)
      yield* publisher.publishAll(topic, range(10))
      const reading = yield* Effect.forkChild(take(events, 21), { startImmediately: true })
      proxy.stallAll()
      yield* publisher.publishAll(
        topic,
        range(10).map((n) => 10 + n)
      )
      const heard = yield* joined("what was published meanwhile", reading)
      assert.deepStrictEqual(
        heard.flatMap((event) => (event._tag === "Message" ? [event.value] : [])),
        range(20)
      )
      assert.deepStrictEqual(
        heard.flatMap((event) => (event._tag === "Message" ? [] : [event._tag])),
        ["Recovered"]
      )
      assert.deepStrictEqual(
        states.map(({ _tag }) => _tag),
        ["Connected", "Reconnecting", "Connected"]
      )
      const [, lost] = states
      const reason = lost?._tag === "Reconnecting" ? lost.cause.reason : undefined
      assert.strictEqual(reason?._tag === "ConnectionLost" ? reason.closeReason : "", "ping-timeout")
      yield* eventually(
        "the hub to end the dead connection",
        Effect.map(hub.metrics, ({ connectionsClosed }) => connectionsClosed["ping-timeout"] === 1)
      )
      yield* goesOn
    })
  )

  it.live("half-open - what an old connection held back comes late, and nothing is twice in the log", () =>
    Effect.gen(function* () {
      // Only the client finds out, so the hub still reads what comes on the old connection.
      const { goesOn, hub, port } = yield* busyHub({ pingInterval: 20_000, ...retainAll })
      const proxy = yield* CutProxy.make(port)
      const star = yield* sdkClient(proxy.port, pings)
      const other = yield* sdkClient(port)
      yield* star.publishAll(topic, range(10))
      const old = proxy.stallAll()
      const total = 2000
      const publishing = yield* Effect.forkChild(
        Effect.forEach(
          range(total / 10),
          (call) =>
            star.publishAll(
              topic,
              range(10).map((n) => 10 + call * 10 + n)
            ),
          {
            concurrency: 50
          }
        ),
        { startImmediately: true }
      )
      yield* eventually(
        "the client to reconnect",
        Effect.map(star.metrics, ({ reconnects }) => reconnects === 1)
      )
      for (const link of old) link.release()
      yield* joined("all receipts", publishing)
      // The old connection is gone once the hub has read all of it.
      yield* eventually(
        "the old connection to end",
        Effect.map(hub.metrics, ({ connections }) => connections === 4)
      )
      yield* other.publish(topic, 10 + total)
      const all = yield* take(other.subscribe(topic, { from: { last: 1_000_000 } }), 11 + total)
      assert.deepStrictEqual(
        all.map(({ value }) => value),
        range(11 + total)
      )
      yield* goesOn
    })
  )

  it.live("half-open - a publisher that the hub itself does not read is not a dead peer", () =>
    Effect.gen(function* () {
      const { port } = yield* busyHub({
        pingInterval: 400,
        clientQueueSize: 10,
        queueSize: 10,
        ...retainAll
      })
      const slow = yield* wireClient(port)
      yield* slow.begin()
      yield* slow.subscribe("half.held", { overflow: "wait", creditMessages: 5 })
      const client = yield* wireClient(port)
      client.answersPings = true
      yield* client.begin()
      const messages = range(32).map(() => ({ payload: new Uint8Array(30_000) }))
      const frames = 24
      for (const _ of range(frames)) client.publish("half.held", messages)
      client.publish("half.held", ["the last"], { receipt: true })
      // The hub has stopped reading this connection, and stays so for much more than two pings.
      for (const _ of range(6)) {
        const { token } = yield* slow.next("Ping")
        slow.send({ _tag: "Pong", token })
      }
      assert.isFalse(client.isClosed)
      slow.answersPings = true
      slow.credit(1, 1_000_000)
      const receipt = yield* client.next("Receipt")
      assert.strictEqual(receipt.position.offset, frames * messages.length)
      yield* slow.messages(1, frames * messages.length + 1)
    })
  )

  it.live("half-open - a client that waits for itself, and is not read any more, gets on", () =>
    Effect.gen(function* () {
      const limits = { clientQueueSize: 10, queueSize: 10, hotTierMessages: 10_000 }
      const { hub, port } = yield* busyHub({ pingInterval: 400, ...retainAll, ...limits })
      const star = yield* sdkClient(port, { queueSize: 10_000, writeTimeout: Duration.millis(500) })
      const sessions = yield* Effect.forEach(range(4), () => Polestar.fromClient(star.client))
      const big = Topic.raw("half.own")
      const { messages } = yield* star.open(big, { overflow: "wait", queueSize: 5 })
      const each = 100
      // More than the hub holds of a connection: it stops reading it, and with it the credit.
      const publishing = yield* Effect.forkChild(
        Effect.forEach(
          sessions,
          (session, who) =>
            Effect.forEach(
              range(each),
              (n) => {
                const payload = new Uint8Array(60_000)
                payload[0] = who
                payload[1] = n
                return session.publish(big, payload)
              },
              { concurrency: "unbounded" }
            ),
          { concurrency: "unbounded" }
        ),
        { startImmediately: true }
      )
      yield* eventually(
        "the hub to be full",
        Effect.map(hub.metrics, ({ queueDepth }) => queueDepth >= 9)
      )
      const all = yield* soon("all messages", take(messages, sessions.length * each))
      yield* joined("all receipts", publishing)
      for (const who of range(sessions.length)) {
        assert.deepStrictEqual(
          all.filter(({ value }) => value[0] === who).map(({ value }) => value[1]),
          range(each)
        )
      }
    })
  )
})
