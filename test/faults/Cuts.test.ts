import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Polestar } from "../../src/sdk/Polestar.ts"
import * as Topic from "../../src/sdk/Topic.ts"
import { range, take } from "../contracts/sdk/Kit.ts"
import { busyHub } from "./BusyHub.ts"
import { CutProxy } from "./CutProxy.ts"
import { eventually, joined, openSocket, sdkClient, soon, wireClient } from "./Faults.ts"

const sessions = 1000

describe("faults - cuts", () => {
  it.live("cuts - in mid-frame, after every byte: what was whole is taken, the rest leaves no trace", () =>
    Effect.gen(function* () {
      const { goesOn, hub, port } = yield* busyHub()
      const writer = yield* wireClient(port)
      yield* writer.begin()
      const whole = writer.publishFrame("cut.frame", ["whole"]).bytes
      const cut = writer.publishFrame("cut.frame", ["this one is cut", "in the middle"]).bytes
      yield* Effect.forEach(
        range(cut.length),
        (length) =>
          Effect.scoped(
            Effect.gen(function* () {
              const client = yield* wireClient(port)
              yield* client.begin()
              client.raw(whole)
              client.raw(cut.subarray(0, length))
              client.duplex.end()
              yield* soon("the end", client.closed)
            })
          ),
        { concurrency: 10, discard: true }
      )
      yield* writer.subscribe("cut.frame", { start: { _tag: "Last", count: 1000 } })
      const messages = yield* writer.messages(1, cut.length)
      assert.isTrue(messages.every(({ text }) => text === "whole"))
      yield* goesOn
      const { actorFailures, messagesRejected } = yield* hub.metrics
      assert.deepStrictEqual([actorFailures, messagesRejected], [0, 0])
    })
  )

  it.live("cuts - a reset in mid-frame", () =>
    Effect.gen(function* () {
      const { goesOn, hub, port } = yield* busyHub()
      yield* Effect.forEach(
        range(50),
        () =>
          Effect.scoped(
            Effect.gen(function* () {
              const socket = yield* openSocket(port)
              socket.write(Uint8Array.of(40, 0, 0, 0, 1, 0, 83, 84))
              socket.resetAndDestroy()
            })
          ),
        { concurrency: 10, discard: true }
      )
      yield* eventually(
        "the connections to be gone",
        Effect.map(hub.metrics, ({ connections }) => connections === 2)
      )
      yield* goesOn
    })
  )

  it.live("cuts - 1,000 sessions on one connection, each by itself, also after it was cut", () =>
    Effect.gen(function* () {
      const { goesOn, hub, port } = yield* busyHub()
      const proxy = yield* CutProxy.make(port)
      const star = yield* sdkClient(proxy.port)
      const clients = yield* Effect.forEach(range(sessions), () => Polestar.fromClient(star.client), {
        concurrency: "unbounded"
      })
      const own = Topic.make("many.{who}", Schema.Number)
      const all = Topic.make("many", Schema.Number)
      const inboxes = yield* Effect.forEach(
        clients,
        (client, who) =>
          Effect.all({
            own: client.open(Topic.make(own.at({ who: `${who}` }).name, Schema.Number), { echo: false }),
            all: client.open(all)
          }),
        { concurrency: "unbounded" }
      )
      assert.strictEqual((yield* hub.metrics).connections, 3)
      // Each to its neighbour, so that nobody hears itself or anyone else.
      const round = (value: number) =>
        Effect.forEach(
          clients,
          (client, who) => client.publish(own.at({ who: `${(who + 1) % sessions}` }), value + who),
          { concurrency: "unbounded" }
        )
      const reading = yield* Effect.forkChild(
        Effect.forEach(
          inboxes,
          (inbox) => Effect.all([take(inbox.own.messages, 2), take(inbox.all.messages, 2)]),
          { concurrency: "unbounded" }
        ),
        { startImmediately: true }
      )
      yield* round(0)
      yield* star.publish(all, 1)
      proxy.cutAll()
      yield* round(10_000)
      yield* star.publish(all, 2)
      const heard = yield* joined("what was sent to each", reading)
      for (const [who, [mine, everyone]] of heard.entries()) {
        const from = (who + sessions - 1) % sessions
        assert.deepStrictEqual(
          mine.map(({ value }) => value),
          [from, 10_000 + from]
        )
        assert.deepStrictEqual(
          everyone.map(({ value }) => value),
          [1, 2]
        )
      }
      assert.strictEqual((yield* star.metrics).reconnects, 1)
      yield* eventually(
        "the sessions of the old connection to be gone",
        Effect.map(hub.metrics, (metrics) => metrics.sessions === sessions + 3)
      )
      yield* goesOn
    })
  )
})
