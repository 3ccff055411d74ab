import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Stream } from "effect"
import * as Failure from "../../src/sdk/Failure.ts"
import { resultOf, start, valueOf } from "./ClientFixture.ts"
import { settle } from "./FakeHub.ts"
import { acks, connected, inGroup, Numbers, refusals } from "./GroupFixture.ts"

describe("group subscription", () => {
  it.effect(
    "group subscription - acknowledges one, several, up to one; refuses; each answered by the hub",
    () =>
      Effect.gen(function* () {
        const { give, hub, star } = yield* connected
        const group = yield* star.join(Numbers, inGroup)
        const taking = yield* start(Stream.runCollect(Stream.take(group.messages, 5)))
        yield* give(0, [0, 1, 2, 3, 4])
        const [zero, one, two, three, four] = valueOf(taking)
        assert.deepInclude(zero, {
          topic: "numbers",
          value: 0,
          attempt: 1,
          position: { epoch: 1, offset: 0 }
        })
        assert.isDefined(four)
        if (!zero || !one || !two || !three || !four) return
        hub.ignored.add("Ack")
        const telling = yield* start(group.acknowledge([zero, one, three]))
        assert.deepStrictEqual(acks(hub), [
          [0, 2],
          [3, 4]
        ])
        assert.isUndefined(resultOf(telling))
        hub.last.send({ _tag: "Acked", session: 2, request: hub.last.of("Ack")[0]?.request ?? 0 })
        yield* settle
        assert.isDefined(resultOf(telling))
        hub.ignored.clear()
        yield* group.acknowledgeUpTo(two)
        assert.deepStrictEqual(acks(hub).at(-1), [0, 3])
        yield* group.refuse(four, Failure.deadLetter, new Error("why"))
        assert.deepStrictEqual(refusals(hub), [["dead", "backoff", "Error: why", 4]])
        yield* group.acknowledge([])
      })
  )

  it.effect(
    "group subscription - events have what cannot be decoded and what is lost, to be settled by hand",
    () =>
      Effect.gen(function* () {
        const { give, hub, star } = yield* connected
        const group = yield* star.join(Numbers, inGroup)
        const taking = yield* start(Stream.runCollect(Stream.take(group.events, 2)))
        yield* give(0, ["?"], 2)
        hub.last.send({
          _tag: "Gap",
          session: 2,
          subscription: 1,
          topic: "numbers",
          from: { epoch: 1, offset: 1 },
          to: { epoch: 1, offset: 9 }
        })
        yield* settle
        const [bad, gap] = valueOf(taking)
        assert.deepInclude(bad, { _tag: "Undecodable", attempt: 2 })
        assert.strictEqual(gap?._tag, "Gap")
        assert.lengthOf(hub.last.of("Refuse"), 0)
        if (bad?._tag === "Undecodable") yield* group.acknowledge(bad)
        assert.deepStrictEqual(acks(hub), [[0, 1]])
      })
  )

  it.effect("group subscription - leaving gives back, and its streams end", () =>
    Effect.gen(function* () {
      const { hub, star } = yield* connected
      const done = yield* Deferred.make<void>()
      const scoped = Effect.gen(function* () {
        const group = yield* star.join(Numbers, inGroup)
        yield* Effect.forkDetach(
          Effect.andThen(Stream.runDrain(group.messages), Deferred.succeed(done, undefined)),
          { startImmediately: true }
        )
      }).pipe(Effect.scoped)
      yield* scoped
      yield* Deferred.await(done)
      assert.lengthOf(hub.last.of("Unsubscribe"), 1)
    })
  )
})
