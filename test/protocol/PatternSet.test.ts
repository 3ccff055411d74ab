import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import fc from "fast-check"
import { checkPattern, covers } from "../../src/protocol/Pattern.ts"
import { maxPatterns, PatternSet } from "../../src/protocol/PatternSet.ts"
import { checkTopicName, maxNameBytes } from "../../src/protocol/TopicName.ts"
import { allNames, naiveMatches } from "./TopicArbitraries.ts"

const segment = Arbitrary.schema(Schema.Literals(["a", "b", "$s", "*", "*"]))
const shortPattern = Arbitrary.map(
  Arbitrary.all([
    Arbitrary.array(segment, { minLength: 1, maxLength: 2 }),
    Arbitrary.schema(Schema.Literals(["none", "after", "alone"]))
  ]),
  ([list, tail]) => (tail === "alone" ? ">" : tail === "after" ? `${list.join(".")}.>` : list.join("."))
)
const patterns = Arbitrary.array(shortPattern, { maxLength: 6 })

/**
 * Every topic of up to four segments. No pattern names `x`, so it stands for every other segment; no pattern has more
 * than three, so what holds of four holds of all that are longer.
 */
const topics = allNames(["a", "b", "$s", "x"], 4)

const setOf = (patterns: ReadonlyArray<string>): PatternSet => {
  const set = PatternSet.make(patterns)
  if (!(set instanceof PatternSet)) return assert.fail(set.message)
  return set
}

describe("pattern set - properties", () => {
  it.effect.prop(
    "pattern set - allows a topic as any of its patterns matches it",
    { patterns },
    ({ patterns }) =>
      Effect.sync(() => {
        const set = setOf(patterns)
        for (const topic of topics) {
          assert.strictEqual(
            set.allowsTopic(topic),
            patterns.some((pattern) => naiveMatches(pattern, topic)),
            topic
          )
        }
      }),
    { arbitrary: { runs: 200 } }
  )

  it.effect.prop(
    "pattern set - allows a pattern exactly where it allows every topic of it",
    { patterns, asked: shortPattern },
    ({ asked, patterns }) =>
      Effect.sync(() => {
        const all = topics
          .filter((topic) => naiveMatches(asked, topic))
          .every((topic) => patterns.some((pattern) => naiveMatches(pattern, topic)))
        assert.strictEqual(setOf(patterns).allowsPattern(asked), all)
      }),
    { arbitrary: { runs: 3000 } }
  )

  it("pattern set - never throws, and refuses what is no topic and no pattern", () => {
    const text = fc.oneof(
      fc.string({ unit: "binary", maxLength: 300 }),
      fc
        .array(fc.constantFrom("a", ".", "*", ">", "$", " ", "\ud800", "\u0000", "é"), { maxLength: 300 })
        .map((x) => x.join(""))
    )
    const sets = [PatternSet.everything, setOf([">", "$s.>", "a.b"])]
    fc.assert(
      fc.property(text, fc.array(text, { maxLength: 3 }), (asked, given) => {
        const made = PatternSet.make(given)
        for (const set of made instanceof PatternSet ? [...sets, made] : sets) {
          if (checkTopicName(asked) !== undefined) assert.isFalse(set.allowsTopic(asked))
          if (checkPattern(asked) !== undefined) assert.isFalse(set.allowsPattern(asked))
          set.allowsTopic(asked)
          set.allowsPattern(asked)
        }
      }),
      { numRuns: 500 }
    )
  })
})

describe("pattern set", () => {
  it("pattern set - patterns allow together what none of them allows alone", () => {
    const together = ["a.*", "a.*.*", "a.*.*.>"]
    const set = setOf(together)
    assert.isFalse(together.some((pattern) => covers(pattern, "a.>")))
    assert.isTrue(set.allowsPattern("a.>"))
    assert.isTrue(set.allowsPattern("a.b.>"))
    assert.isFalse(set.allowsPattern(">"))
    assert.isFalse(setOf(["a.*", "a.*.*.>"]).allowsPattern("a.>"))
    assert.isFalse(setOf(["a.*", "a.*.*"]).allowsPattern("a.>"))
    assert.isTrue(setOf(["*", "*.>"]).allowsPattern(">"))
  })

  it("pattern set - a wider pattern, and a topic that only looks allowed, are refused", () => {
    const set = setOf(["weather.*.london", "orders.>", "café"])
    for (const asked of [
      "weather.>",
      "weather.*.*",
      "*.*.london",
      ">",
      "*",
      "*.>",
      "weather.*",
      "weather.*.london.>"
    ])
      assert.isFalse(set.allowsPattern(asked), asked)
    for (const topic of [
      "weather.london",
      "weather.x.londons",
      "weather.x.london.y",
      "orders",
      "Orders.a",
      "orders\u200b.a",
      "ordеrs.a",
      "cafe\u0301"
    ])
      assert.isFalse(set.allowsTopic(topic), topic)
    for (const asked of [
      "weather.x.london",
      "weather.*.london",
      "orders.*",
      "orders.>",
      "orders.a.>",
      "café"
    ])
      assert.isTrue(set.allowsPattern(asked), asked)
  })

  it("pattern set - the hub's own topics are allowed by name and never by a wildcard", () => {
    const channel = "$channel.6f0c2d0e-7b1a-4a7e-9d39-0a1b2c3d4e5f"
    assert.isFalse(setOf([">", "*.*"]).allowsTopic(channel))
    assert.isFalse(setOf([">"]).allowsPattern("$channel.*"))
    const set = setOf(["$channel.*", "$dead.billing.>"])
    assert.isTrue(set.allowsTopic(channel))
    assert.isTrue(set.allowsPattern(channel))
    assert.isTrue(set.allowsPattern("$dead.billing.a.*"))
    assert.isFalse(set.allowsPattern("$dead.>"))
    assert.isFalse(set.allowsPattern("$channel.>"))
  })

  it("pattern set - none allows nothing, everything all that has a valid name", () => {
    assert.isFalse(PatternSet.none.allowsTopic("a"))
    assert.isFalse(PatternSet.none.allowsPattern(">"))
    assert.isTrue(PatternSet.everything.allowsTopic("$hub.a"))
    assert.isTrue(PatternSet.everything.allowsPattern("$hub.>"))
    assert.isTrue(PatternSet.everything.isEverything)
    assert.isFalse(setOf([">"]).isEverything)
  })

  it("pattern set - says which text is no pattern, and quotes none", () => {
    assert.deepInclude(PatternSet.make(["a", "b.>.c"]), {
      _tag: "PatternSetError",
      reason: "tail-not-last",
      index: 1
    })
    assert.deepInclude(PatternSet.make(["a", "sécret b"]), { reason: "white-space", index: 1 })
    const wrong = PatternSet.make(["sécret b"])
    assert.notInclude(JSON.stringify(wrong), "sécret")
    assert.deepInclude(PatternSet.make(Array(maxPatterns + 1).fill("a")), { reason: "too-many" })
    assert.isTrue(setOf(Array(maxPatterns).fill("a")).allowsTopic("a"))
  })

  it("pattern set - the largest set answers the worst question", () => {
    const deep = (count: number) => Array(count).fill("*").join(".")
    const set = setOf(
      Array.from({ length: maxPatterns }, (_, index) =>
        index < 120 ? deep(index + 2) : `${deep(100)}.n${index}`
      )
    )
    assert.isFalse(set.allowsPattern(">"))
    assert.isFalse(set.allowsTopic("a".repeat(maxNameBytes)))
  })
})
