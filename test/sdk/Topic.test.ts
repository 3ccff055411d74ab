import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Arbitrary, Effect, Result, Schema, SchemaGetter } from "effect"
import { matches } from "../../src/protocol/Pattern.ts"
import { checkTopicName } from "../../src/protocol/TopicName.ts"
import * as PayloadCodec from "../../src/sdk/PayloadCodec.ts"
import * as Topic from "../../src/sdk/Topic.ts"

const Reading = Schema.Struct({ celsius: Schema.Number })
const Temperature = Topic.make("weather.temperature.{city}", Reading)
const Sensor = Topic.make("{site}.sensors.{id}.state", Schema.String)
const Literal = Topic.make("weather.report", Schema.String)

const many = { arbitrary: { runs: 1000 } }

/** Values that can be segments, and many that cannot. */
const segment = Arbitrary.map(
  Arbitrary.array(Arbitrary.schema(Schema.Literals(["a", "B", "7", "é", "🙂", "-", "_", "{", "}", "$"])), {
    minLength: 1,
    maxLength: 6
  }),
  (list) => list.join("")
)
const anyText = Arbitrary.map(
  Arbitrary.array(
    Arbitrary.schema(Schema.Literals(["a", ".", "*", ">", " ", "\n", "$", "\u0000", "\ud83d"])),
    {
      maxLength: 4
    }
  ),
  (list) => list.join("")
)

describe("topic - templates", () => {
  it("topic - a parameter becomes a wildcard in the pattern", () => {
    assert.strictEqual(Temperature.pattern, "weather.temperature.*")
    assert.strictEqual(Sensor.pattern, "*.sensors.*.state")
    assert.isUndefined(Temperature.patternFault)
  })

  it("topic - one without parameters is a target itself", () => {
    assert.strictEqual(Literal.name, "weather.report")
    assert.strictEqual(Literal.pattern, "weather.report")
    assert.isUndefined(Literal.nameFault)
    assert.deepStrictEqual(Literal.parse("weather.report"), {})
    assert.isUndefined(Literal.parse("weather.reports"))
  })

  const bad: ReadonlyArray<readonly [string, RegExp]> = [
    ["", /empty/],
    ["a..{b}", /empty segment/],
    ["a.{b}.", /empty segment/],
    ["a b.{c}", /white space/],
    ["a.*.{b}", /only a pattern/],
    ["a.>", /only a pattern/],
    ["a.x{b}", /brace/],
    ["a.{}", /brace/],
    ["a.{b", /brace/],
    ["a.{b c}", /brace/],
    ["a.{__proto__}", /brace/],
    ["a.{b}.{b}", /twice/],
    [`${"a".repeat(255)}.{b}`, /longer/]
  ]
  for (const [template, expected] of bad) {
    it(`topic - keeps what is wrong with ${JSON.stringify(template.slice(0, 20))}`, () => {
      const topic = Topic.make<string, string>(template, Schema.String)
      assert.match(topic.patternFault ?? "", expected)
      assert.match(topic.at({ b: "x", c: "x" }).nameFault ?? "", expected)
    })
  }
})

describe("topic - at and parse", () => {
  it("topic - at names one topic", () => {
    const target = Temperature.at({ city: "london" })
    assert.strictEqual(target.name, "weather.temperature.london")
    assert.isUndefined(target.nameFault)
    assert.strictEqual(target.codec, Temperature.codec)
  })

  it("topic - parse refuses names of other topics", () => {
    for (const name of ["weather.temperature", "weather.humidity.london", "weather.temperature.a.b", ""]) {
      assert.isUndefined(Temperature.parse(name))
    }
    assert.deepStrictEqual(Temperature.parse("weather.temperature.london"), { city: "london" })
  })

  const badValues: ReadonlyArray<readonly [string, RegExp]> = [
    ["", /city is empty/],
    ["a.b", /city has a dot/],
    [".", /city has a dot/],
    ["*", /city has a wildcard/],
    ["a>", /city has a wildcard/],
    ["a b", /city has white space/],
    ["\u0007", /city has a control/],
    ["\ud83d", /city has half/],
    ["a".repeat(256), /city is longer/],
    ["a".repeat(250), /longer than 255/]
  ]
  for (const [value, expected] of badValues) {
    it(`topic - at keeps what is wrong with ${JSON.stringify(value.slice(0, 10))} (${value.length})`, () => {
      assert.match(Temperature.at({ city: value }).nameFault ?? "", expected)
    })
  }

  it("topic - a value in the first segment does not reach the hub's own topics", () => {
    assert.match(Sensor.at({ site: "$channel", id: "1" }).nameFault ?? "", /site begins with/)
    assert.isUndefined(Sensor.at({ site: "a", id: "$1" }).nameFault)
  })

  it("topic - a value that is not there is a fault, whatever the parameter is called", () => {
    const odd = Topic.make<string, string>("a.{constructor}", Schema.String)
    assert.match(odd.at({}).nameFault ?? "", /constructor is missing/)
    assert.deepStrictEqual(odd.parse("a.b"), { constructor: "b" })
  })

  it.prop(
    "topic - parse undoes at",
    { site: Arbitrary.filter(segment, (text) => !text.startsWith("$")), id: segment },
    (params) => {
      const target = Sensor.at(params)
      assert.isUndefined(target.nameFault)
      assert.isUndefined(checkTopicName(target.name))
      assert.isTrue(matches(Sensor.pattern, target.name))
      assert.deepStrictEqual(Sensor.parse(target.name), { site: params.site, id: params.id })
    },
    many
  )

  it.prop(
    "topic - what at does not refuse is a name of the pattern, and parse gives it back",
    { site: anyText, id: anyText },
    (params) => {
      const target = Sensor.at(params)
      if (target.nameFault !== undefined) return
      assert.isUndefined(checkTopicName(target.name))
      assert.isTrue(matches(Sensor.pattern, target.name))
      assert.deepStrictEqual(Sensor.parse(target.name), { site: params.site, id: params.id })
    },
    many
  )
})

describe("topic - names and patterns", () => {
  it("topic - a pattern has nothing to publish to", () => {
    assert.isUndefined(Topic.raw("images.>").patternFault)
    assert.match(Topic.raw<string>("images.>").nameFault ?? "", /wildcard|only a pattern/)
    assert.isUndefined(Topic.raw("images.logo").nameFault)
  })

  it("topic - keeps what is wrong with a pattern", () => {
    assert.match(Topic.pattern("a.b*", Schema.String).patternFault ?? "", /not a whole segment/)
    assert.match(Topic.dynamic("a..b").patternFault ?? "", /empty segment/)
  })
})

describe("topic - types", () => {
  it("topic - the compiler knows the parameters", () => {
    expectTypeOf(Temperature.at).parameter(0).toEqualTypeOf<{ readonly city: string }>()
    expectTypeOf(Sensor.parse("")).toEqualTypeOf<{ readonly site: string; readonly id: string } | undefined>()
    expectTypeOf(Temperature.at({ city: "london" })).toEqualTypeOf<
      Topic.TopicTarget<{ readonly celsius: number }>
    >()
    expectTypeOf(Literal).toExtend<Topic.TopicTarget<string>>()
    expectTypeOf(Topic.dynamic("a")).toExtend<Topic.TopicTarget<number>>()
    expectTypeOf<Topic.ParamNames<"a.{b}.c.{d}">>().toEqualTypeOf<"b" | "d">()
    expectTypeOf<Topic.ParamNames<"a.b">>().toEqualTypeOf<never>()
    expectTypeOf(Topic.raw("a.b")).toEqualTypeOf<Topic.LiteralTopic<Uint8Array>>()
    expectTypeOf(Topic.raw("a.>")).toEqualTypeOf<Topic.TopicSource<Uint8Array>>()
    expectTypeOf(Topic.pattern("a.*", Reading)).toEqualTypeOf<
      Topic.TopicSource<{ readonly celsius: number }>
    >()

    // @ts-expect-error a name that is not in the template
    Temperature.at({ town: "london" })
    // @ts-expect-error one too many
    Temperature.at({ city: "london", town: "x" })
    // @ts-expect-error one too few
    Sensor.at({ id: "7" })
    // @ts-expect-error not a text
    Temperature.at({ city: 7 })
    // @ts-expect-error a topic without parameters has no `at`
    Literal.at
    // @ts-expect-error a family is not a target
    Temperature satisfies Topic.TopicTarget<{ readonly celsius: number }>
    // @ts-expect-error a pattern is not a target
    Topic.raw("a.>") satisfies Topic.TopicTarget<Uint8Array>
  })
})

describe("payload codec", () => {
  const Rich = Schema.Struct({ at: Schema.Date, big: Schema.BigInt, note: Schema.optionalKey(Schema.String) })
  const rich = { at: new Date(0), big: 12_345_678_901_234_567_890n }

  for (const [name, format] of [
    ["json", PayloadCodec.json],
    ["binary", PayloadCodec.binary]
  ] as const) {
    it(`payload codec - ${name} round trip`, () => {
      const codec = format(Rich)
      const payload = Result.getOrThrow(codec.encode(rich))
      assert.deepStrictEqual(Result.getOrThrow(codec.decode(payload, codec.contentType)), rich)
    })

    it(`payload codec - ${name} answers any bytes without throwing`, () => {
      const codec = format(Rich)
      for (let first = 0; first < 256; first++) {
        assert.isTrue(Result.isFailure(codec.decode(Uint8Array.of(first, 0xff, 0x7b), codec.contentType)))
      }
      assert.isTrue(Result.isFailure(codec.decode(new Uint8Array(0), codec.contentType)))
    })

    it(`payload codec - ${name} refuses a value that its schema does not allow`, () => {
      const codec = format(Schema.String.check(Schema.isMaxLength(2)))
      assert.isTrue(Result.isSuccess(codec.encode("ab")))
      assert.isTrue(Result.isFailure(codec.encode("abc")))
    })
  }

  it("payload codec - payloads that share memory do not share bytes", () => {
    const codec = PayloadCodec.json(Schema.String)
    const texts = Array.from({ length: 2000 }, (_, index) => "é🙂x".repeat(index % 150) + index)
    const payloads = texts.map((text) => Result.getOrThrow(codec.encode(text)))
    assert.deepStrictEqual(
      payloads.map((payload) => Result.getOrThrow(codec.decode(payload, codec.contentType))),
      texts
    )
  })

  it("payload codec - a binary topic reads what calls itself JSON", () => {
    const payload = Result.getOrThrow(PayloadCodec.json(Rich).encode(rich))
    assert.deepStrictEqual(
      Result.getOrThrow(PayloadCodec.binary(Rich).decode(payload, "application/json")),
      rich
    )
  })

  it("payload codec - what JSON cannot hold is a failure", () => {
    const codec = PayloadCodec.json(Schema.Unknown)
    assert.isTrue(Result.isFailure(codec.encode(() => 1)))
    const circular: Record<string, unknown> = {}
    circular.self = circular
    assert.isTrue(Result.isFailure(codec.encode(circular)))
  })

  it("payload codec - a schema that waits is a failure, not a defect", () => {
    const slow = Schema.String.pipe(
      Schema.decode({
        decode: SchemaGetter.transformEffect((text: string) => Effect.as(Effect.sleep(1), text)),
        encode: SchemaGetter.transformEffect((text: string) => Effect.as(Effect.sleep(1), text))
      })
    )
    const codec = PayloadCodec.json(slow)
    assert.isTrue(Result.isFailure(codec.encode("a")))
    assert.isTrue(Result.isFailure(codec.decode(new TextEncoder().encode('"a"'), "application/json")))
  })

  it("payload codec - a format of one's own", () => {
    const reversed = PayloadCodec.format({
      contentType: "application/x-reversed",
      encode: (json) => new TextEncoder().encode(JSON.stringify(json)).reverse(),
      decode: (payload) => JSON.parse(new TextDecoder().decode(payload.slice().reverse()))
    })
    const topic = Topic.make("a.{b}", Rich, { codec: reversed })
    const payload = Result.getOrThrow(topic.codec.encode(rich))
    assert.strictEqual(payload.at(-1), 0x7b)
    assert.deepStrictEqual(Result.getOrThrow(topic.codec.decode(payload, "application/x-reversed")), rich)
    assert.isTrue(Result.isFailure(topic.codec.decode(Uint8Array.of(1), "application/x-reversed")))
  })

  it("payload codec - text is strict UTF-8", () => {
    assert.strictEqual(Result.getOrThrow(PayloadCodec.text.decode(Uint8Array.of(0xc3, 0xa9), "")), "é")
    assert.isTrue(Result.isFailure(PayloadCodec.text.decode(Uint8Array.of(0xc3), "")))
  })

  it("payload codec - dynamic reads by content type", () => {
    const { decode } = PayloadCodec.dynamic
    const seven = Uint8Array.of(0x37)
    assert.strictEqual(Result.getOrThrow(decode(seven, "application/json")), 7)
    assert.strictEqual(Result.getOrThrow(decode(seven, "application/geo+json")), 7)
    assert.strictEqual(Result.getOrThrow(decode(seven, "text/plain; charset=utf-8")), "7")
    assert.deepStrictEqual(Result.getOrThrow(decode(seven, "application/octet-stream")), seven)
    assert.isTrue(Result.isFailure(decode(Uint8Array.of(0x7b), "application/json")))
    assert.isTrue(Result.isFailure(PayloadCodec.dynamic.encode(undefined)))
    assert.isTrue(Result.isFailure(PayloadCodec.dynamic.encode(seven)))
  })
})
