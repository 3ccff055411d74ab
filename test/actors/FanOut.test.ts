import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Hub } from "../../src/actors/Hub.ts"
import type { LocalOutlet } from "../../src/actors/LocalConnection.ts"
import type { Frame } from "../../src/protocol/Frame.ts"
import { unlimitedCredit } from "../../src/protocol/Op.ts"
import { hubWith } from "./TestHub.ts"
import { greeted } from "./WireClient.ts"

/** A client whose way out breaks at the first message. */
const breaking = Effect.gen(function* () {
  const said: Array<Frame> = []
  const outlet: LocalOutlet = {
    isWritable: true,
    isWaiting: false,
    deliver: () => {
      throw new RangeError("Invalid string length")
    },
    control: (frame) => said.push(frame),
    pumpLater: () => {},
    isTaking: () => true,
    ended: () => {}
  }
  const connection = yield* (yield* Hub).connectLocal(outlet)
  connection.send({
    _tag: "Open",
    session: 1,
    request: 1,
    id: crypto.randomUUID(),
    incarnation: 0,
    name: ""
  })
  connection.send({
    _tag: "Subscribe",
    session: 1,
    request: 2,
    subscription: 1,
    pattern: "orders.>",
    overflow: "drop-oldest",
    echo: true,
    creditMessages: unlimitedCredit,
    creditBytes: unlimitedCredit,
    start: { _tag: "Now" }
  })
  return said
})

describe("fan-out", () => {
  it.effect("fan-out - a client whose way out fails is ended, and the others lose nothing", () =>
    Effect.gen(function* () {
      const said = yield* breaking
      const client = yield* greeted()
      const { subscription } = yield* client.subscribe("orders.>")
      client.publish("orders.eu", ["1", "2"], { receipt: true })
      yield* client.settled
      assert.deepStrictEqual(
        client.delivered(subscription).map(({ text }) => text),
        ["1", "2"]
      )
      const closed = said.filter(({ _tag }) => _tag === "Closed")
      assert.lengthOf(closed, 1)
      assert.deepInclude(closed[0], { reason: "hub-failed" })
      // The topic has not failed.
      client.publish("orders.eu", ["3"])
      yield* client.settled
      assert.lengthOf(client.delivered(subscription), 1)
      assert.strictEqual((yield* (yield* Hub).metrics).actorFailures, 0)
    }).pipe(Effect.provide(hubWith()))
  )
})
