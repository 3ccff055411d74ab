import crypto from "node:crypto"
import { syncBuiltinESMExports } from "node:module"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { onTestFinished, vi } from "vitest"
import { generateKey, keyIdOf, parseHash, verifyKey } from "../../../src/services/auth/ApiKey.ts"
import { type KeyEntry, readKeyEntries } from "../../../src/services/auth/KeyEntries.ts"
import { open, reasonOf } from "./Tokens.ts"

const entryOf = (name: string, more: Partial<KeyEntry> = {}) => {
  const { hash, id, key } = generateKey()
  const entry: KeyEntry = { id, hash, name, publish: [`${name}.>`], subscribe: `${name}.* shared`, ...more }
  return { key, entry }
}

describe("api key", () => {
  it("api key - is 32 random bytes and an id, of which a hash is kept", () => {
    const keys = Array.from({ length: 200 }, generateKey)
    assert.strictEqual(new Set(keys.map(({ key }) => key)).size, keys.length)
    assert.strictEqual(new Set(keys.map(({ id }) => id)).size, keys.length)
    for (const { hash, id, key } of keys) {
      assert.match(key, /^ps_[0-9a-f]{16}_[A-Za-z0-9_-]{43}$/)
      assert.strictEqual(Buffer.from(key.slice(-43), "base64url").length, 32)
      assert.strictEqual(keyIdOf(key), id)
      assert.strictEqual(hash, `sha256:${crypto.createHash("sha256").update(key).digest("hex")}`)
      assert.strictEqual(parseHash(hash)?.length, 32)
    }
  })

  it.effect("api key - says who it is and what it may do", () =>
    Effect.gen(function* () {
      const { entry, key } = entryOf("alice", { limits: { connections: 3 }, consumerGroups: ["billing"] })
      const auth = yield* open({ authType: "api-key", authKeys: [entry] })
      const identity = yield* auth.authenticate(key)
      assert.deepInclude(identity, {
        kind: "api-key",
        id: entry.id,
        name: "alice",
        limits: { connections: 3 }
      })
      assert.strictEqual(identity.expiresAt, Number.POSITIVE_INFINITY)
      assert.isTrue(identity.publish.allowsPattern("alice.>"))
      assert.isFalse(identity.publish.allowsTopic("bob.a"))
      assert.deepStrictEqual(identity.subscribe.patterns, ["alice.*", "shared"])
      assert.isFalse(identity.groups?.allowsTopic("other"))
    })
  )

  it.effect("api key - an entry that does not say it may do nothing", () =>
    Effect.gen(function* () {
      const { hash, id, key } = generateKey()
      const auth = yield* open({ authKeys: [{ id, hash }] })
      const identity = yield* auth.authenticate(key)
      assert.strictEqual(identity.name, id)
      assert.isFalse(identity.publish.allowsTopic("a") || identity.subscribe.allowsTopic("a"))
    })
  )

  it.effect("api key - a wrong secret, another's secret and an unknown id are the same to whoever asks", () =>
    Effect.gen(function* () {
      const alice = entryOf("alice")
      const bob = entryOf("bob")
      const auth = yield* open({ authKeys: [alice.entry, bob.entry] })
      const secretOf = (key: string) => key.slice(-43)
      const wrong = [
        generateKey().key,
        `ps_${alice.entry.id}_${secretOf(bob.key)}`,
        `ps_${bob.entry.id}_${secretOf(alice.key)}`,
        `ps_${alice.entry.id}_${"A".repeat(43)}`,
        `ps_${alice.entry.id.toUpperCase()}x_${secretOf(alice.key)}`
      ]
      for (const key of wrong) {
        const error = yield* Effect.flip(auth.authenticate(key))
        assert.strictEqual(error.reason, "unknown-key")
        assert.strictEqual(error.message, "the token is not accepted")
        assert.notInclude(JSON.stringify(error), key)
      }
      assert.strictEqual((yield* auth.authenticate(alice.key)).name, "alice")
    })
  )

  it("api key - a hash that was copied under another id is nobody's", () => {
    const { hash, key } = generateKey()
    const { keys, problems } = readKeyEntries([{ id: "mallory", hash }], "test")
    assert.isEmpty(problems)
    assert.isUndefined(verifyKey(keys, key))
    assert.isUndefined(verifyKey(keys, `ps_mallory_${key.slice(-43)}`))
  })

  it("api key - is compared in constant time, whether there is such a key or not", () => {
    const compare = vi.spyOn(crypto, "timingSafeEqual")
    // So that whoever has imported it by its name has this one.
    syncBuiltinESMExports()
    onTestFinished(() => {
      compare.mockRestore()
      syncBuiltinESMExports()
    })
    const { entry, key } = entryOf("alice")
    const { keys } = readKeyEntries([entry], "test")
    for (const asked of [key, `${key.slice(0, -2)}AA`, generateKey().key]) {
      compare.mockClear()
      verifyKey(keys, asked)
      assert.strictEqual(compare.mock.calls.length, 1)
      const [a, b] = compare.mock.calls[0] ?? []
      assert.deepStrictEqual([a?.byteLength, b?.byteLength], [32, 32])
    }
  })

  it.effect("api key - what is no key is malformed, and nothing throws", () =>
    Effect.gen(function* () {
      const { entry, key } = entryOf("alice")
      const auth = yield* open({ authType: "api-key", authKeys: [entry] })
      for (let length = 1; length < key.length; length++) {
        assert.strictEqual(yield* reasonOf(auth, key.slice(0, length)), "malformed")
      }
      const wrong = [
        `${key}A`,
        `${key}\n`,
        ` ${key}`,
        `Bearer ${key}`,
        `ps_${"_".repeat(65_536)}`,
        `ps_${"a".repeat(65_536)}_${"A".repeat(43)}`,
        `ps_\u0000_${"A".repeat(43)}`,
        `ps_../../x_${"A".repeat(43)}`,
        `PS_${key.slice(3)}`,
        "\ud800",
        "x".repeat(65_536)
      ]
      for (const each of wrong) assert.strictEqual(yield* reasonOf(auth, each), "malformed")
      assert.strictEqual(yield* reasonOf(auth, `ps___proto___${"A".repeat(43)}`), "malformed")
      assert.strictEqual(yield* reasonOf(auth, `ps_constructor_${"A".repeat(43)}`), "unknown-key")
      assert.strictEqual(yield* reasonOf(auth, undefined), "missing")
      assert.strictEqual(yield* reasonOf(auth, ""), "missing")
    })
  )
})

describe("api key - entries", () => {
  const { hash } = generateKey()
  const id = "a"
  const wrong: ReadonlyArray<readonly [string, unknown, string]> = [
    ["no list", { id, hash }, "authKeys"],
    ["no object", [7], "authKeys[0]"],
    ["no id", [{ hash }], "authKeys[0].id"],
    ["a bad id", [{ id: "a_b", hash }], "authKeys[0].id"],
    ["no hash", [{ id }], "authKeys[0].hash"],
    ["a bad hash", [{ id, hash: hash.slice(0, -1) }], "authKeys[0].hash"],
    ["a hash in upper case", [{ id, hash: hash.toUpperCase() }], "authKeys[0].hash"],
    [
      "the same id twice",
      [
        { id, hash },
        { id, hash }
      ],
      "authKeys[1].id"
    ],
    ["a bad pattern", [{ id, hash, publish: ["a.>.b"] }], "authKeys[0].publish"],
    ["a bad list", [{ id, hash, subscribe: 5 }], "authKeys[0].subscribe"],
    ["a bad group", [{ id, hash, consumerGroups: ["a b"] }], "authKeys[0].consumerGroups"],
    ["a bad limit", [{ id, hash, limits: { connections: 1.5 } }], "authKeys[0].limits"],
    ["an unknown limit", [{ id, hash, limits: { connection: 1 } }], "authKeys[0].limits"],
    ["an unknown member", [{ id, hash, pubish: ["a"] }], "authKeys[0].pubish"],
    ["a bad name", [{ id, hash, name: "a\nb" }], "authKeys[0].name"]
  ]
  for (const [what, given, key] of wrong) {
    it(`entries - ${what} is a problem that names it`, () => {
      const { problems } = readKeyEntries(given, "keys.yaml")
      assert.deepStrictEqual(
        problems.map((problem) => problem.key),
        [key]
      )
      assert.include(problems[0]?.message, "(keys.yaml)")
    })
  }

  it("entries - a key in the place of its hash is not quoted", () => {
    const { id, key } = generateKey()
    const given = [{ id, hash: key }, { id: key, hash }, key]
    for (const { message } of readKeyEntries(given, "test").problems)
      assert.notInclude(message, key.slice(-43))
  })
})
