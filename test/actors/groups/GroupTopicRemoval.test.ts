/** What becomes of groups when a topic is to be removed and its log takes its time, or refuses. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { MessageLogError } from "../../../src/services/MessageLog.ts"
import { hubLives } from "../HubLives.ts"
import { numbered } from "../WireClient.ts"
import { attempts, memberOf, reborn, texts } from "./GroupClient.ts"

/** A member of `g` on the topic `a` that has acknowledged the first of four messages and has the second; the others are in the log. */
const working = Effect.fnUntraced(function* () {
  const lives = yield* hubLives()
  const gate = yield* Deferred.make<void, MessageLogError>()
  lives.log.removing = Deferred.await(gate)
  const client = yield* memberOf(lives)
  const remover = yield* memberOf(lives)
  yield* client.join("g", "a", { maxInFlight: 1 })
  const { position } = yield* client.wire.publishAndWait("a", numbered(1))
  for (const text of numbered(3, "m", 1)) yield* client.wire.publishAndWait("a", [text])
  yield* client.ack("g", yield* client.received())
  const second = yield* client.received()
  assert.deepStrictEqual(texts(second), ["m1"])
  const removing = yield* Effect.forkChild(Effect.exit(remover.ask("topic.remove", { name: "a" })), {
    startImmediately: true
  })
  yield* client.wire.settled
  return { lives, gate, client, remover, removing, second, position }
})

const refuse = Effect.fnUntraced(function* ({ gate, removing }: Effect.Success<ReturnType<typeof working>>) {
  yield* Deferred.fail(gate, new MessageLogError({ reason: "full", topic: "a" }))
  assert.strictEqual((yield* Fiber.join(removing))._tag, "Failure")
})

describe("group - a topic that is removed", () => {
  it.effect("group - goes on where it is if the log refuses, and so does the topic", () =>
    Effect.gen(function* () {
      const before = yield* working()
      const { client, lives, position, second } = before
      // What it acknowledges meanwhile counts.
      yield* client.ack("g", second)
      assert.deepStrictEqual(texts(yield* client.received()), [])
      yield* refuse(before)
      assert.deepStrictEqual(attempts(yield* client.received()), ["m2#1"])
      const { position: next } = yield* client.wire.publishAndWait("a", ["new"])
      assert.deepStrictEqual(next, { ...position, offset: 4 })
      const after = yield* reborn(lives)
      yield* after.join("g", "a", { maxInFlight: 10 })
      assert.deepStrictEqual(texts(yield* after.received()), ["m2", "m3", "new"])
    })
  )

  it.effect("group - does not make it anew while it goes", () =>
    Effect.gen(function* () {
      const { client, gate, lives, removing, second } = yield* working()
      yield* client.ack("g", second)
      assert.deepStrictEqual(texts(yield* client.received()), [])
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* Fiber.join(removing))._tag, "Success")
      yield* client.wire.settled
      assert.deepStrictEqual(yield* client.ask("topics"), [])
      assert.deepInclude(yield* client.info("g"), { topics: 0, lag: 0, inFlight: 0, lost: 2 })
      assert.deepStrictEqual(
        [...lives.store.values.keys()].filter((key) => key.startsWith("lane/")),
        []
      )
      yield* client.wire.publishAndWait("a", ["new"])
      assert.deepStrictEqual(texts(yield* client.received()), ["new"])
    })
  )
})
