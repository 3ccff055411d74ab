import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Logger, References } from "effect"
import { TestClock } from "effect/testing"
import { stringify } from "yaml"
import { SettingsError } from "../../../src/protocol/SettingsError.ts"
import { generateKey } from "../../../src/services/auth/ApiKey.ts"
import { appendEntry, withEntry } from "../../../src/services/auth/AppendEntry.ts"
import { makeFolder, open, reasonOf } from "./Tokens.ts"

const entryOf = (name: string) => {
  const { hash, id, key } = generateKey()
  return { key, entry: { id, hash, name } }
}

describe("keys file", () => {
  it.effect("keys file - is read again when it changes, and its keys are those of the settings too", () =>
    Effect.gen(function* () {
      const { write } = yield* makeFolder
      const [own, first, second] = [entryOf("own"), entryOf("first"), entryOf("second")]
      const file = yield* write("keys.yaml", stringify({ authKeys: [first.entry] }))
      const auth = yield* open({ authKeys: [own.entry], authKeysFile: file })
      assert.strictEqual((yield* auth.authenticate(own.key)).name, "own")
      assert.strictEqual((yield* auth.authenticate(first.key)).name, "first")
      yield* write("keys.yaml", stringify({ authKeys: [second.entry] }))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* auth.authenticate(second.key)).name, "second")
      assert.strictEqual(yield* reasonOf(auth, first.key), "unknown-key")
      assert.strictEqual((yield* auth.authenticate(own.key)).name, "own")
    })
  )

  it.effect("keys file - one that breaks or goes away changes nothing, until it is right again", () =>
    Effect.gen(function* () {
      const { remove, write } = yield* makeFolder
      const [first, second] = [entryOf("first"), entryOf("second")]
      const file = yield* write("keys.json", JSON.stringify({ authKeys: [first.entry] }))
      const auth = yield* open({ authKeysFile: file })
      const broken = ["{", '{"authKeys": 5}', '{"authKey": []}', '{"authKeys": [{"id": "a"}]}']
      for (const content of broken) {
        yield* write("keys.json", content)
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* auth.authenticate(first.key)).name, "first")
      }
      yield* remove("keys.json")
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* auth.authenticate(first.key)).name, "first")
      yield* write("keys.json", JSON.stringify({ authKeys: [second.entry] }))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* auth.authenticate(second.key)).name, "second")
      assert.strictEqual(yield* reasonOf(auth, first.key), "unknown-key")
    })
  )

  it.effect("keys file - what came and went is said in one line, and nothing where nothing did", () => {
    const lines: Array<unknown> = []
    const logger = Logger.make<unknown, void>(({ fiber, logLevel }) => {
      lines.push({ logLevel, ...fiber.getRef(References.CurrentLogAnnotations) })
    })
    return Effect.gen(function* () {
      const { write } = yield* makeFolder
      const [first, second, third] = [entryOf("first"), entryOf("second"), entryOf("third")]
      const file = yield* write("keys.yaml", stringify({ authKeys: [first.entry, second.entry] }))
      const auth = yield* open({ authKeysFile: file })
      yield* TestClock.adjust("1 second")
      yield* auth.authenticate(first.key)
      assert.deepStrictEqual(lines, [])
      const changed = { ...second.entry, publish: ["a"] }
      yield* write("keys.yaml", stringify({ authKeys: [changed, third.entry] }))
      for (let look = 0; look < 3; look++) {
        yield* TestClock.adjust("1 second")
        yield* auth.authenticate(second.key)
      }
      assert.deepStrictEqual(lines, [
        {
          logLevel: "Info",
          file,
          keys: 2,
          added: third.entry.id,
          removed: first.entry.id,
          changed: second.entry.id
        }
      ])
      const many = Array.from({ length: 30 }, () => entryOf("one of many"))
      yield* write(
        "keys.yaml",
        stringify({ authKeys: [changed, third.entry, ...many.map(({ entry }) => entry)] })
      )
      yield* TestClock.adjust("1 second")
      yield* auth.authenticate(second.key)
      assert.match(JSON.stringify(lines[1]), /"keys":32,"added":"[0-9a-f, ]+ and 10 more"/)
    }).pipe(Effect.provide(Logger.layer([logger])))
  })

  it.effect("keys file - one that was left alone for long is known by its time and size", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.now() + 3_600_000)
      const { write } = yield* makeFolder
      const [first, second] = [entryOf("first"), entryOf("second")]
      const auth = yield* open({
        authKeysFile: yield* write("keys.yaml", stringify({ authKeys: [first.entry] }))
      })
      for (let look = 0; look < 3; look++) {
        yield* TestClock.adjust("1 second")
        yield* auth.authenticate(first.key)
      }
      yield* write("keys.yaml", stringify({ authKeys: [first.entry, second.entry] }))
      assert.strictEqual(yield* reasonOf(auth, second.key), "unknown-key")
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* auth.authenticate(second.key)).name, "second")
    })
  )

  it.effect("keys file - an empty list takes all keys back", () =>
    Effect.gen(function* () {
      const { write } = yield* makeFolder
      const first = entryOf("first")
      const auth = yield* open({
        authKeysFile: yield* write("keys.yaml", stringify({ authKeys: [first.entry] }))
      })
      yield* write("keys.yaml", "authKeys: []\n")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* reasonOf(auth, first.key), "unknown-key")
    })
  )

  it.effect("keys file - one that cannot be used does not let the hub start", () =>
    Effect.gen(function* () {
      const { folder, write } = yield* makeFolder
      const { entry } = entryOf("twice")
      const twice = yield* write("twice.yaml", stringify({ authKeys: [entry] }))
      for (const options of [
        { authKeysFile: `${folder}/none.yaml` },
        { authKeysFile: yield* write("bad.yaml", "authKeys: [") },
        { authKeysFile: yield* write("other.yaml", "queueSize: 5\n") },
        { authKeysFile: twice, authKeys: [entry] }
      ]) {
        assert.instanceOf(yield* Effect.flip(open(options)), SettingsError)
      }
    })
  )
})

describe("appending an entry", () => {
  const { entry } = entryOf("new")
  const other = entryOf("old").entry

  it.effect("append - makes a file that the hub reads, and leaves what was there", () =>
    Effect.gen(function* () {
      const files = yield* FileSystem.FileSystem
      const { folder } = yield* makeFolder
      for (const name of ["a.yaml", "a.json"]) {
        const [first, second] = [entryOf("first"), entryOf("second")]
        const path = `${folder}/${name}`
        yield* appendEntry(path, first.entry)
        assert.strictEqual((yield* files.stat(path)).mode & 0o777, 0o600)
        yield* files.chmod(path, 0o640)
        yield* appendEntry(path, second.entry)
        assert.strictEqual((yield* files.stat(path)).mode & 0o777, 0o640)
        const auth = yield* open({ authKeysFile: path })
        assert.strictEqual((yield* auth.authenticate(first.key)).name, "first")
        assert.strictEqual((yield* auth.authenticate(second.key)).name, "second")
      }
      assert.deepStrictEqual((yield* files.readDirectory(folder)).sort(), ["a.json", "a.yaml"])
    }).pipe(Effect.provide(NodeFileSystem.layer))
  )

  it("append - keeps comments, other settings and their order", () => {
    const before = `# Ours.\nport: 1 # any\nauthKeys:\n  # The old one.\n  - id: ${other.id}\n    hash: ${other.hash}\nip: \${IP:-::1}\n`
    const after = withEntry("hub.yaml", before, entry)
    for (const line of before.trimEnd().split("\n")) assert.include(after, line)
    assert.include(after, entry.hash)
    assert.include(withEntry("hub.yaml", "# Only this.", entry), "# Only this.\nauthKeys:\n")
    assert.include(withEntry("hub.yaml", "port: 1\nauthKeys:\n", entry), entry.id)
    assert.deepStrictEqual(JSON.parse(withEntry("hub.json", '{"port": 1}', entry) ?? ""), {
      port: 1,
      authKeys: [entry]
    })
  })

  it("append - refuses what it cannot add to", () => {
    for (const [name, content] of [
      ["a.yaml", "authKeys: {"],
      ["a.yaml", "authKeys: 5"],
      ["a.yaml", "- 1"],
      ["a.yaml", "~"],
      ["a.json", "[]"],
      ["a.json", "// comment\n{}"],
      ["a.json", '{"authKeys": {}}']
    ] as const)
      assert.isUndefined(withEntry(name, content, entry), content)
  })
})
