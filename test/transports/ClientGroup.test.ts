import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { isGroupName } from "../../src/protocol/TopicName.ts"
import { clientGroupBeginnings, clientGroupName } from "../../src/transports/ClientGroup.ts"

describe("client groups", () => {
  it("client groups - a plain name is both in one", () => {
    assert.strictEqual(clientGroupName("client-123", "alerts"), "client-123~alerts")
  })

  it.prop(
    "client groups - always a group's name, and never the same for another client or topic",
    [Schema.String, Schema.String, Schema.String, Schema.String],
    ([client, pattern, otherClient, otherPattern]) => {
      const name = clientGroupName(client, pattern)
      assert.isTrue(isGroupName(name), name)
      const isSame = client === otherClient && pattern === otherPattern
      assert.strictEqual(clientGroupName(otherClient, otherPattern) === name, isSame)
    }
  )

  const mark = "~0123456789abcdef~"
  it.prop(
    "client groups - all names of a client begin as is said of it",
    [Schema.String, Schema.String, Schema.Literals(["", mark])],
    ([client, pattern, owner]) => {
      const name = clientGroupName(client, pattern, owner)
      assert.isTrue(
        clientGroupBeginnings(client, owner).some((beginning) => name.startsWith(beginning)),
        name
      )
    }
  )

  it.each(["", mark])("client groups - of many, only those of the client begin so (%s)", (owner) => {
    const names = Array.from({ length: 1000 }, (_, n) => clientGroupName(`c-${n}`, "a.*", owner))
    const beginnings = clientGroupBeginnings("c-7", owner)
    const begun = names.filter((name) => beginnings.some((beginning) => name.startsWith(beginning)))
    assert.deepStrictEqual(begun, [clientGroupName("c-7", "a.*", owner)])
  })

  it("client groups - those that look alike are told apart", () => {
    const pairs: ReadonlyArray<readonly [string, string]> = [
      ["a~b", "c"],
      ["a", "b~c"],
      ["a", "b.c"],
      ["a", "b-c"],
      ["a.b", "c"],
      ["a-b", "c"],
      ["", "a"],
      ["a", ""],
      ["x".repeat(300), "y"],
      ["x".repeat(299), "xy"],
      ["é", "e"],
      ["e", "é"],
      ["a", "b.*"],
      ["a", "b.>"]
    ]
    const names = pairs.map(([client, pattern]) => clientGroupName(client, pattern))
    assert.strictEqual(new Set(names).size, pairs.length)
    for (const name of names) assert.isTrue(isGroupName(name), name)
  })
})
