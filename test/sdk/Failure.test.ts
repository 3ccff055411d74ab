import { assert, describe, it } from "@effect/vitest"
import { Data, Duration, Schema } from "effect"
import * as Failure from "../../src/sdk/Failure.ts"

class Refused extends Data.TaggedError("Refused")<{ readonly id: number; readonly cause?: unknown }> {}
class Busy extends Data.TaggedError("Busy") {}
class Told extends Schema.TaggedError<Told>()("Told", { id: Schema.Number, message: Schema.String }) {}

describe("failure", () => {
  it("failure - the text of an error is its message, or what else it says", () => {
    const circular: Record<string, unknown> = {}
    circular.itself = circular
    for (const [error, text] of [
      ["busy", "busy"],
      [new Error("no"), "Error: no"],
      [new TypeError(""), "TypeError"],
      [new Busy(), "Busy"],
      [new Refused({ id: 3 }), 'Refused: {"id":3}'],
      [new Refused({ id: 3, cause: new Error("secret") }), 'Refused: {"id":3}'],
      [new Told({ id: 4, message: "it is closed" }), "Told: it is closed"],
      [{ _tag: "Plain", n: 1 }, '{"_tag":"Plain","n":1}'],
      [undefined, "undefined"],
      [7n, "7"],
      [circular, "[object Object]"]
    ] as const) {
      assert.strictEqual(Failure.errorText(error), text)
    }
  })

  it("failure - a delay is whole milliseconds that the wire can carry; what is none is the group's backoff", () => {
    const delayOf = (delay: Duration.Input) => Failure.refusalOf(Failure.retryAfter(delay), "").delay
    assert.strictEqual(delayOf("2 seconds"), 2000)
    assert.strictEqual(delayOf(Duration.micros(1500n)), 2)
    assert.strictEqual(delayOf(Duration.infinity), 0xffff_fffe)
    assert.strictEqual(delayOf(-5), 0)
    assert.isUndefined(Failure.refusalOf(Failure.retry(), "").delay)
  })
})
