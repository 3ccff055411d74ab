/** The page of tokens and keys against the code: its examples are let in as they stand, and every reason is in its table. */
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { AuthReason } from "../../../src/services/auth/AuthError.ts"
import { readKeyEntries } from "../../../src/services/auth/KeyEntries.ts"
import { forge, jwtOptions, open, secret } from "./Tokens.ts"

const page = readFileSync(new URL("../../../src/services/auth/README.md", import.meta.url), "utf8")

const example = (name: string) => {
  const text = new RegExp(`^\`\`\`json ${name}\\n([^\`]*)\`\`\`$`, "m").exec(page)?.[1]
  assert.isDefined(text, name)
  return JSON.parse(text ?? "")
}

/** The names in the first column of the table with this head. */
const namesIn = (head: string): ReadonlyArray<string> => {
  const rows = page.split(`| ${head} |`)[1]?.split("\n\n")[0]?.split("\n").slice(2) ?? []
  return rows.flatMap((row) =>
    [...(row.split("|")[1]?.matchAll(/`([^`]+)`/g) ?? [])].map(([, name]) => name ?? "")
  )
}

describe("the page of tokens and keys", () => {
  it("readme - the entry of a key is one", () => {
    const { keys, problems } = readKeyEntries(example("key").authKeys, "README.md")
    assert.deepStrictEqual(problems, [])
    const [key] = keys.values()
    assert.deepInclude(key?.identity, {
      name: "sensors",
      limits: { messagesPerMinute: 6000, connections: 10, messageSize: 65_536 }
    })
  })

  it.effect("readme - the claims are those of a token, and in the table", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_789_999_999_000)
      const claims: object = example("claims")
      const auth = yield* open(jwtOptions)
      const identity = yield* auth.authenticate(forge({ alg: "HS256" }, claims, secret))
      assert.deepInclude(identity, { id: "alice", name: "Alice" })
      assert.deepStrictEqual(identity.subscribe.patterns, ["orders.>", "prices.*"])
      const { connections, messageSize, messagesPerMinute } = identity.limits
      assert.deepStrictEqual([messagesPerMinute, connections, messageSize], [6000, 10, 65_536])
      assert.includeMembers([...namesIn("claim")], Object.keys(claims))
    })
  )

  it("readme - every reason is in the table, and no other", () => {
    assert.sameMembers([...namesIn("why")], [...AuthReason.literals])
  })
})
