/** What waits in a mailbox while the socket is full must come when the socket takes more, without another publish. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { hubWith } from "./TestHub.ts"
import { greeted } from "./WireClient.ts"

const large = "x".repeat(200_000)

describe("a full socket", () => {
  for (const overflow of ["wait", "drop-oldest"] as const) {
    it.effect(`pressed - credit that comes while the socket is full is not forgotten, ${overflow}`, () =>
      Effect.gen(function* () {
        const publisher = yield* greeted()
        const reader = yield* greeted()
        reader.answersPings = true
        yield* reader.subscribe("a")
        yield* reader.subscribe("b", { overflow, creditMessages: 0, creditBytes: 0 })
        yield* publisher.publishAndWait("b", ["held"])
        reader.duplex.pause()
        for (let i = 0; i < 30; i++) yield* publisher.publishAndWait("a", [large])
        reader.credit(2, 100, 1_000_000)
        yield* TestClock.adjust(1)
        reader.duplex.resume()
        assert.deepStrictEqual(
          (yield* reader.messages(2, 1)).map(({ text }) => text),
          ["held"]
        )
      }).pipe(Effect.provide(hubWith()))
    )
  }
})
