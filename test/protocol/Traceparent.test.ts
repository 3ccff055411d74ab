import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { formatTraceparent, parseTraceparent } from "../../src/protocol/Traceparent.ts"

const digits = (length: number) =>
  Arbitrary.filter(
    Arbitrary.map(
      Arbitrary.array(Arbitrary.schema(Schema.Literals([..."0123456789abcdef"])), {
        minLength: length,
        maxLength: length
      }),
      (list) => list.join("")
    ),
    (text) => !/^0+$/.test(text)
  )

const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
const span = "00f067aa0ba902b7"

describe("traceparent", () => {
  it.effect.prop(
    "traceparent - what is written is read",
    { traceId: digits(32), spanId: digits(16), sampled: Schema.Boolean },
    (parent) => Effect.sync(() => assert.deepStrictEqual(parseTraceparent(formatTraceparent(parent)), parent))
  )

  it("traceparent - the example of the specification", () => {
    assert.deepStrictEqual(parseTraceparent(`00-${trace}-${span}-01`), {
      traceId: trace,
      spanId: span,
      sampled: true
    })
  })

  const read: ReadonlyArray<readonly [string, boolean]> = [
    [`00-${trace}-${span}-00`, false],
    [`00-${trace}-${span}-03`, true],
    [`01-${trace}-${span}-01`, true],
    [`cc-${trace}-${span}-01-what-comes-later`, true]
  ]
  for (const [header, sampled] of read) {
    it(`traceparent - reads ${header}`, () => {
      assert.deepStrictEqual(parseTraceparent(header), { traceId: trace, spanId: span, sampled })
    })
  }

  for (const header of [
    "",
    `00-${trace}-${span}`,
    `00-${trace}-${span}-01-more`,
    `ff-${trace}-${span}-01`,
    `00-${"0".repeat(32)}-${span}-01`,
    `00-${trace}-${"0".repeat(16)}-01`,
    `00-${trace.toUpperCase()}-${span}-01`,
    `00-${trace}-${span}-0g`,
    ` 00-${trace}-${span}-01`,
    `00-${trace}-${span}-01x`
  ]) {
    it(`traceparent - refuses "${header}"`, () => {
      assert.isUndefined(parseTraceparent(header))
    })
  }
})
