import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { PatternTrie } from "../../src/protocol/PatternTrie.ts"
import { maxSegments } from "../../src/protocol/TopicName.ts"
import { allNames, naiveMatches, patternArbitrary } from "./TopicArbitraries.ts"

const topics = allNames(["a", "b", "$s"], 3)

const value = Arbitrary.schema(Schema.Literals([1, 2, 3]))
const step = Arbitrary.all({
  action: Arbitrary.schema(Schema.Literals(["add", "add", "remove"])),
  pattern: patternArbitrary,
  value
})
const steps = Arbitrary.array(step, { maxLength: 60 })

/** Patterns and values as a flat list of pairs. */
const makeModel = () => {
  const pairs = new Map<string, { readonly pattern: string; readonly value: number }>()
  return {
    pairs,
    add(pattern: string, value: number): boolean {
      const key = `${pattern} ${value}`
      const isNew = !pairs.has(key)
      pairs.set(key, { pattern, value })
      return isNew
    },
    remove: (pattern: string, value: number): boolean => pairs.delete(`${pattern} ${value}`),
    matches: (topic: string) => [...pairs.values()].filter(({ pattern }) => naiveMatches(pattern, topic))
  }
}

const pairsOf = (trie: PatternTrie<number>, topic: string): ReadonlyArray<string> => {
  const pairs: Array<string> = []
  trie.forEachMatch(topic, (value, pattern) => pairs.push(`${pattern} ${value}`))
  return pairs.sort()
}

describe("pattern trie", () => {
  it.effect.prop(
    "pattern trie - adds, removes and matches as a list of pairs does, and keeps nothing once emptied",
    { steps },
    ({ steps }) =>
      Effect.sync(() => {
        const trie = new PatternTrie<number>()
        const model = makeModel()
        for (const { action, pattern, value } of steps) {
          assert.strictEqual(trie[action](pattern, value), model[action](pattern, value))
          assert.strictEqual(trie.size, model.pairs.size)
        }
        for (const topic of topics) {
          const expected = model.matches(topic)
          assert.deepStrictEqual(
            pairsOf(trie, topic),
            expected.map((pair) => `${pair.pattern} ${pair.value}`).sort()
          )
          const values = [...trie.matches(topic)].sort()
          assert.deepStrictEqual(values, [...new Set(expected.map((pair) => pair.value))].sort())
        }
        // What is left has the nodes of a trie in which nothing was ever removed.
        const fresh = new PatternTrie<number>()
        for (const { pattern, value } of model.pairs.values()) fresh.add(pattern, value)
        assert.strictEqual(trie.nodes, fresh.nodes)
        for (const { pattern, value } of model.pairs.values()) assert.isTrue(trie.remove(pattern, value))
        assert.strictEqual(trie.size, 0)
        assert.strictEqual(trie.nodes, 0)
      }),
    { arbitrary: { runs: 300 } }
  )

  it("pattern trie - adds a value to a pattern once", () => {
    const trie = new PatternTrie<string>()
    assert.isTrue(trie.add("a.*", "x"))
    assert.isFalse(trie.add("a.*", "x"))
    assert.isTrue(trie.add("a.*", "y"))
    assert.strictEqual(trie.size, 2)
    assert.isTrue(trie.remove("a.*", "x"))
    assert.isFalse(trie.remove("a.*", "x"))
    assert.isFalse(trie.remove("a", "y"))
    assert.isFalse(trie.remove("a.*.b", "y"))
    assert.deepStrictEqual(trie.matches("a.b"), ["y"])
  })

  it("pattern trie - answers a value once, and visits it once for each pattern", () => {
    const trie = new PatternTrie<number>()
    for (const pattern of ["a.b", "a.*", "*.b", "a.>", ">", "b.>"]) trie.add(pattern, 1)
    assert.deepStrictEqual(trie.matches("a.b"), [1])
    assert.deepStrictEqual(pairsOf(trie, "a.b"), ["*.b 1", "> 1", "a.* 1", "a.> 1", "a.b 1"])
  })

  it("pattern trie - a wildcard in the first segment leaves the hub's own topics alone", () => {
    const trie = new PatternTrie<number>()
    trie.add(">", 1)
    trie.add("*.x", 2)
    trie.add("$hub.*", 3)
    trie.add("$hub.>", 4)
    assert.deepStrictEqual([...trie.matches("$hub.x")].sort(), [3, 4])
    assert.deepStrictEqual([...trie.matches("a.x")].sort(), [1, 2])
  })

  it("pattern trie - a node with a pattern of its own outlives the patterns below it, and the other way round", () => {
    const trie = new PatternTrie<number>()
    trie.add("a.b", 1)
    trie.add("a.b.c.d", 2)
    trie.remove("a.b.c.d", 2)
    assert.strictEqual(trie.nodes, 2)
    trie.add("a.b.c.d", 2)
    trie.remove("a.b", 1)
    assert.strictEqual(trie.nodes, 4)
    assert.deepStrictEqual(trie.matches("a.b"), [])
    assert.deepStrictEqual(trie.matches("a.b.c.d"), [2])
  })

  it("pattern trie - may be removed from while it is visited", () => {
    const trie = new PatternTrie<number>()
    const patterns = ["a.b", "a.*", "*.b", "*.*", "a.>", ">"]
    for (const pattern of patterns) for (const value of [1, 2]) trie.add(pattern, value)
    let visits = 0
    trie.forEachMatch("a.b", (value, pattern) => {
      visits++
      assert.isTrue(trie.remove(pattern, value))
      assert.isTrue(trie.remove(pattern, 3 - value))
    })
    assert.strictEqual(visits, patterns.length)
    assert.strictEqual(trie.size, 0)
    assert.strictEqual(trie.nodes, 0)
  })

  it("pattern trie - holds the deepest pattern", () => {
    const trie = new PatternTrie<number>()
    const stars = Array(maxSegments).fill("*").join(".")
    const topic = Array(maxSegments).fill("a").join(".")
    trie.add(stars, 1)
    assert.deepStrictEqual(trie.matches(topic), [1])
    trie.remove(stars, 1)
    assert.strictEqual(trie.nodes, 0)
  })
})
