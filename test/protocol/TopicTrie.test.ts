import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { maxSegments } from "../../src/protocol/TopicName.ts"
import { TopicTrie } from "../../src/protocol/TopicTrie.ts"
import { allNames, naiveMatches, patternArbitrary, topicArbitrary } from "./TopicArbitraries.ts"

const patterns = [...allNames(["a", "$s", "*"], 3), ">", "a.>", "*.>", "$s.>", "*.a.>", "a.*.>", "$s.*.>"]

const steps = Arbitrary.array(
  Arbitrary.all({
    action: Arbitrary.schema(Schema.Literals(["set", "set", "delete"])),
    topic: topicArbitrary
  }),
  { maxLength: 60 }
)

const matchesOf = (trie: TopicTrie<number>, pattern: string): ReadonlyArray<string> => {
  const found: Array<string> = []
  trie.forEachMatch(pattern, (value, topic) => found.push(`${topic} ${value}`))
  return found.sort()
}

const trieOf = (topics: Iterable<string>): TopicTrie<number> => {
  const trie = new TopicTrie<number>()
  for (const topic of topics) trie.set(topic, 0)
  return trie
}

describe("topic trie", () => {
  it.effect.prop(
    "topic trie - sets, deletes and matches as a map does, and keeps nothing once emptied",
    { steps, pattern: patternArbitrary },
    ({ pattern, steps }) =>
      Effect.sync(() => {
        const trie = new TopicTrie<number>()
        const model = new Map<string, number>()
        steps.forEach(({ action, topic }, index) => {
          if (action === "set") {
            trie.set(topic, index)
            model.set(topic, index)
          } else {
            assert.strictEqual(trie.delete(topic), model.delete(topic))
          }
          assert.strictEqual(trie.size, model.size)
          assert.strictEqual(trie.get(topic), model.get(topic))
        })
        for (const each of [pattern, ...patterns]) {
          const expected = [...model].filter(([topic]) => naiveMatches(each, topic))
          assert.deepStrictEqual(matchesOf(trie, each), expected.map(([topic, n]) => `${topic} ${n}`).sort())
        }
        const all = new Map<string, number>()
        trie.forEach((value, topic) => {
          all.set(topic, value)
        })
        assert.deepStrictEqual([...all].sort(), [...model].sort())
        // What is left has the nodes of a trie in which nothing was ever deleted.
        assert.strictEqual(trie.nodes, trieOf(model.keys()).nodes)
        for (const topic of model.keys()) assert.isTrue(trie.delete(topic))
        assert.strictEqual(trie.size, 0)
        assert.strictEqual(trie.nodes, 0)
      }),
    { arbitrary: { runs: 300 } }
  )

  it("topic trie - keeps a value of undefined", () => {
    const trie = new TopicTrie<undefined>()
    trie.set("a.b", undefined)
    assert.strictEqual(trie.size, 1)
    let visits = 0
    trie.forEachMatch("a.*", () => visits++)
    assert.strictEqual(visits, 1)
    assert.isTrue(trie.delete("a.b"))
  })

  it("topic trie - has no topic where it only has a longer one", () => {
    const trie = trieOf(["a.b.c"])
    assert.isUndefined(trie.get("a.b"))
    assert.isFalse(trie.delete("a.b"))
    assert.isFalse(trie.delete("a.b.c.d"))
    assert.deepStrictEqual(matchesOf(trie, "a.*"), [])
    assert.strictEqual(trie.nodes, 3)
  })

  it("topic trie - visits the hub's own topics only for who names them, and in a walk of all", () => {
    const trie = trieOf(["$hub.a", "a.a", "a.$b"])
    assert.deepStrictEqual(matchesOf(trie, ">"), ["a.$b 0", "a.a 0"])
    assert.deepStrictEqual(matchesOf(trie, "*.a"), ["a.a 0"])
    assert.deepStrictEqual(matchesOf(trie, "$hub.>"), ["$hub.a 0"])
    const all: Array<string> = []
    trie.forEach((_, topic) => {
      all.push(topic)
    })
    assert.deepStrictEqual(all.sort(), ["$hub.a", "a.$b", "a.a"])
  })

  it("topic trie - may be deleted from while it is visited", () => {
    const topics = allNames(["a", "b", "c"], 3)
    for (const pattern of [">", "a.>", "*.*", "*.a.*"]) {
      const trie = trieOf(topics)
      const expected = topics.filter((topic) => naiveMatches(pattern, topic)).length
      let visits = 0
      trie.forEachMatch(pattern, (_, topic) => {
        visits++
        assert.isTrue(trie.delete(topic))
      })
      assert.strictEqual(visits, expected)
      assert.strictEqual(trie.size, topics.length - expected)
    }
  })

  it("topic trie - does not visit a topic that was deleted during the visit", () => {
    const trie = trieOf(allNames(["a", "b"], 3))
    let visits = 0
    trie.forEach((_, first) => {
      visits++
      for (const topic of allNames(["a", "b"], 3)) if (topic !== first) trie.delete(topic)
    })
    assert.strictEqual(visits, 1)
  })

  it("topic trie - holds the deepest topic", () => {
    const topic = Array(maxSegments).fill("a").join(".")
    const trie = trieOf([topic])
    assert.deepStrictEqual(matchesOf(trie, Array(maxSegments).fill("*").join(".")), [`${topic} 0`])
    assert.isTrue(trie.delete(topic))
    assert.strictEqual(trie.nodes, 0)
  })
})
