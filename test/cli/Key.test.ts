/** `polestar key create` as a process, and the key with the service that reads what it wrote. */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, FileSystem, Layer } from "effect"
import { parse } from "yaml"
import { Auth, type AuthOptions } from "../../src/services/Auth.ts"
import { jsonLines, run } from "./Commands.ts"

const authenticate = (options: AuthOptions, key: string) =>
  Effect.gen(function* () {
    const context = yield* Layer.build(Layer.provide(Auth.layerWith(options), NodeFileSystem.layer))
    return yield* Context.get(context, Auth).authenticate(key)
  })

describe("polestar key create", () => {
  it.live("key create - prints the key and the entry that lets it in", () =>
    Effect.gen(function* () {
      const ended = yield* run([
        "key",
        "create",
        "--name",
        "sensors",
        "--publish",
        "weather.>",
        "--publish",
        "x"
      ])
      assert.strictEqual(ended.code, 0)
      const [key = "", ...entry] = ended.stdout.split("\n")
      assert.match(key, /^ps_[0-9a-f]{16}_[A-Za-z0-9_-]{43}$/)
      assert.notInclude(entry.join("\n") + ended.stderr, key.slice(-43))
      const identity = yield* authenticate(parse(entry.join("\n")), key)
      assert.deepInclude(identity, { kind: "api-key", name: "sensors" })
      assert.deepStrictEqual(identity.publish.patterns, ["weather.>", "x"])
      assert.isFalse(identity.subscribe.allowsTopic("x"))
    })
  )

  it.live("key create --append - prints the key alone and adds the entry to the file", () =>
    Effect.gen(function* () {
      const files = yield* FileSystem.FileSystem
      const file = `${yield* files.makeTempDirectoryScoped()}/keys.yaml`
      const command = ["key", "create", "--name", "a", "--subscribe", ">", "--append", file]
      const first = yield* run([...command, "--message-size", "1024", "--group", "billing"])
      assert.strictEqual(first.code, 0)
      const second = yield* run([...command, "--json"])
      const [line] = jsonLines(second.stdout)
      assert.nestedPropertyVal(line, "entry.name", "a")
      const options = { authKeysFile: file }
      const identity = yield* authenticate(options, first.stdout.trim())
      assert.deepStrictEqual(identity.limits, { messageSize: 1024 })
      assert.deepStrictEqual(identity.groups?.patterns, ["billing"])
      const key = typeof line === "object" && line !== null && "key" in line ? String(line.key) : ""
      assert.strictEqual((yield* authenticate(options, key)).name, "a")
      assert.notInclude(yield* files.readFileString(file), key.slice(-43))
    }).pipe(Effect.provide(NodeFileSystem.layer))
  )

  it.live("key create - what is wrong makes no key", () =>
    Effect.gen(function* () {
      const wrong: ReadonlyArray<readonly [ReadonlyArray<string>, number, string]> = [
        [["--name", "a"], 2, "give --publish or --subscribe"],
        [["--name", " ", "--publish", "a"], 2, "--name"],
        [["--name", "a", "--publish", "a.>.b"], 2, '--publish: found "a.>.b"'],
        [["--name", "a", "--publish", "a", "--connections", "0"], 2, "connections"],
        [["--name", "a", "--publish", "a", "--append", "/nowhere/at/all.yaml"], 1, "/nowhere/at/all.yaml"]
      ]
      for (const [args, code, message] of wrong) {
        const ended = yield* run(["key", "create", ...args])
        assert.strictEqual(ended.code, code, message)
        assert.strictEqual(ended.stdout, "")
        assert.match(ended.stderr, /^polestar: .*\n$/)
        assert.include(ended.stderr, message)
      }
    })
  )
})
