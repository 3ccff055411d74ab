import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { checkPattern, covers, isLiteral, matches, type PatternReason } from "../../src/protocol/Pattern.ts"
import { checkTopicName } from "../../src/protocol/TopicName.ts"
import { allNames, naiveMatches, patternArbitrary, topicArbitrary } from "./TopicArbitraries.ts"

const many = { arbitrary: { runs: 2000 } }

/** Topics that stand for all that match a pattern: if another pattern matches these, it matches them all. */
const witnesses = (pattern: string): ReadonlyArray<string> => {
  const fresh = pattern.replaceAll("*", "fresh")
  return [fresh.replace(">", "fresh"), fresh.replace(">", "fresh.fresh")]
}

const naiveCovers = (wide: string, narrow: string): boolean =>
  witnesses(narrow).every((topic) => naiveMatches(wide, topic))

describe("pattern - validation", () => {
  for (const pattern of [
    "a",
    "a.b",
    "*",
    ">",
    "*.*",
    "a.*",
    "*.a",
    "a.*.b",
    "a.>",
    "*.>",
    "$hub.>",
    "a.$b",
    "é.*"
  ]) {
    it(`pattern - accepts ${pattern}`, () => {
      assert.isUndefined(checkPattern(pattern))
    })
  }

  const invalid: ReadonlyArray<readonly [PatternReason, string, string]> = [
    ["empty", "nothing", ""],
    ["too-long", "256 bytes", `${"a".repeat(254)}.>`],
    ["empty-segment", "two dots", "a..*"],
    ["empty-segment", "a dot last", "*."],
    ["empty-segment", "a dot first", ".>"],
    ["white-space", "a space", "* "],
    ["control-character", "NUL", "*.\u0000"],
    ["lone-surrogate", "half a pair", "*.\ud83d"],
    ["partial-wildcard", "a star at an end", "a*"],
    ["partial-wildcard", "a star at a beginning", "*a.b"],
    ["partial-wildcard", "two stars", "**"],
    ["partial-wildcard", "a star at the end of a later segment", "a.b*"],
    ["partial-wildcard", "a tail at an end", "a>"],
    ["partial-wildcard", "a tail at a beginning", ">a"],
    ["partial-wildcard", "a star and a tail", "*>"],
    ["tail-not-last", "a tail first", ">.a"],
    ["tail-not-last", "a tail within", "a.>.b"],
    ["tail-not-last", "two tails", ">.>"]
  ]
  for (const [reason, what, pattern] of invalid) {
    it(`pattern - refuses ${what} as ${reason}`, () => {
      assert.strictEqual(checkPattern(pattern)?.reason, reason)
      assert.match(checkPattern(pattern)?.message ?? "", /^the pattern \S/)
    })
  }

  it.effect.prop("pattern - a topic is a literal pattern", { topic: topicArbitrary }, ({ topic }) =>
    Effect.sync(() => {
      assert.isUndefined(checkTopicName(topic))
      assert.isUndefined(checkPattern(topic))
      assert.isTrue(isLiteral(topic))
    })
  )

  it.effect.prop(
    "pattern - a wildcard makes a pattern that no topic is called",
    { pattern: patternArbitrary },
    ({ pattern }) =>
      Effect.sync(() => {
        assert.isUndefined(checkPattern(pattern))
        assert.strictEqual(isLiteral(pattern), checkTopicName(pattern) === undefined)
      })
  )
})

describe("pattern - matching", () => {
  const cases: ReadonlyArray<readonly [string, string, boolean]> = [
    ["a.b", "a.b", true],
    ["a.b", "a", false],
    ["a", "a.b", false],
    ["a.b", "a.bc", false],
    ["a.bc", "a.b", false],
    ["*", "a", true],
    ["*", "a.b", false],
    ["a.*", "a", false],
    ["a.*", "a.b", true],
    ["a.*.c", "a.b.c", true],
    ["a.*.c", "a.b.d", false],
    [">", "a", true],
    [">", "a.b.c", true],
    ["a.>", "a", false],
    ["a.>", "a.b", true],
    ["a.>", "a.b.c", true],
    ["*.>", "a", false],
    ["*.>", "a.b", true],
    ["*", "$a", false],
    [">", "$a.b", false],
    ["*.b", "$a.b", false],
    ["*.>", "$a.b", false],
    ["$a.*", "$a.b", true],
    ["$a.>", "$a.$b.c", true],
    ["*.*", "a.$b", true],
    ["a.>", "a.$b", true]
  ]
  for (const [pattern, topic, expected] of cases) {
    it(`pattern - ${pattern} ${expected ? "matches" : "does not match"} ${topic}`, () => {
      assert.strictEqual(matches(pattern, topic), expected)
      assert.strictEqual(naiveMatches(pattern, topic), expected)
    })
  }

  it.effect.prop(
    "pattern - matches as the naive matcher does",
    { pattern: patternArbitrary, topic: topicArbitrary },
    ({ pattern, topic }) =>
      Effect.sync(() => assert.strictEqual(matches(pattern, topic), naiveMatches(pattern, topic))),
    many
  )
})

describe("pattern - covering", () => {
  const cases: ReadonlyArray<readonly [string, string, boolean]> = [
    ["a.b", "a.b", true],
    ["a.*", "a.b", true],
    ["a.b", "a.*", false],
    ["a.>", "a.*", true],
    ["a.>", "a.*.>", true],
    ["a.*.>", "a.>", false],
    ["a.*", "a.>", false],
    [">", "*", true],
    ["*", ">", false],
    [">", "*.>", true],
    ["*.>", ">", false],
    ["*.>", "*.*", true],
    ["*.*", "*.>", false],
    [">", ">", true],
    [">", "$a", false],
    ["*", "$a", false],
    ["$a.>", "$a.*.b", true],
    ["$a", "*", false],
    ["a.*", "a.$b", true]
  ]
  for (const [wide, narrow, expected] of cases) {
    it(`pattern - ${wide} ${expected ? "covers" : "does not cover"} ${narrow}`, () => {
      assert.strictEqual(covers(wide, narrow), expected)
    })
  }

  it("pattern - covers exactly when no topic tells the two apart, for every small pair", () => {
    // One segment more than any pattern, and one name more than any of them uses: enough to tell two patterns apart.
    const topics = allNames(["a", "$s", "c"], 4)
    const heads = ["", ...allNames(["a", "$s", "*"], 2)]
    const patterns = [
      ...allNames(["a", "$s", "*"], 3),
      ...heads.map((head) => (head === "" ? ">" : `${head}.>`))
    ]
    const matched = patterns.map((pattern) => topics.map((topic) => naiveMatches(pattern, topic)))
    let covered = 0
    const wrong: Array<string> = []
    patterns.forEach((wide, w) => {
      patterns.forEach((narrow, n) => {
        const expected = matched[n]!.every((isMatched, topic) => !isMatched || matched[w]![topic]!)
        if (expected) covered++
        if (covers(wide, narrow) !== expected) wrong.push(`${wide} over ${narrow}`)
      })
    })
    assert.deepStrictEqual(wrong, [])
    assert.isAbove(covered, patterns.length * 2)
  })

  it.effect.prop(
    "pattern - covers when it matches all that stands for the other",
    { wide: patternArbitrary, narrow: patternArbitrary },
    ({ narrow, wide }) =>
      Effect.sync(() => assert.strictEqual(covers(wide, narrow), naiveCovers(wide, narrow))),
    many
  )

  it.effect.prop(
    "pattern - what a covered pattern matches, the one that covers it matches",
    { wide: patternArbitrary, narrow: patternArbitrary, topic: topicArbitrary },
    ({ narrow, topic, wide }) =>
      Effect.sync(() => {
        assert.isTrue(covers(narrow, narrow))
        if (covers(wide, narrow) && naiveMatches(narrow, topic)) assert.isTrue(naiveMatches(wide, topic))
      }),
    many
  )
})
