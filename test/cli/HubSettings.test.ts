/** Where `polestar hub` gets its settings from, as a process. */
import { fileURLToPath } from "node:url"
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { run, start } from "./Commands.ts"

/** A directory with these files. */
const directoryWith = Effect.fnUntraced(function* (contents: Readonly<Record<string, string>>) {
  const files = yield* FileSystem.FileSystem
  const directory = yield* files.makeTempDirectoryScoped()
  for (const [name, content] of Object.entries(contents)) {
    yield* files.writeFileString(`${directory}/${name}`, content)
  }
  return directory
}, Effect.provide(NodeFileSystem.layer))

const pulsarProxy = fileURLToPath(new URL("../fixtures/pulsar-proxy.yaml", import.meta.url))

describe("polestar hub - settings", () => {
  it.live("settings - .env in the working directory, and what it does not say without values", () =>
    Effect.gen(function* () {
      const env =
        "HOST=localhost\nPORT=0\nPOLESTAR_PORT=0\nPOLESTAR_AUTH_JWT_SECRET=hunter2-hunter2-hunter2-hunter2-hunter2\n"
      const directory = yield* directoryWith({ ".env": env })
      const hub = yield* start(["hub"], { POLESTAR_HTTP_PORT: "" }, directory)
      const [, address] = yield* hub.stdout(/^ready tcp=(\S+):\d+ http=\S+:\d+ /)
      assert.include(["127.0.0.1", "[::1]"], address)
      yield* hub.signal("SIGTERM")
      const { code, stderr, stdout } = yield* hub.ended
      assert.strictEqual(code, 0)
      assert.lengthOf(stderr.match(/other programs use too/g) ?? [], 1)
      assert.match(stderr, / INFO {2}settings from .*: ip \(HOST in \.env\), httpPort \(PORT in \.env\)\n/)
      assert.notMatch(stderr + stdout, /hunter2|localhost/)
    })
  )

  it.live("settings - another file of variables, weaker than the environment", () =>
    Effect.gen(function* () {
      const directory = yield* directoryWith({
        ".env": "not read",
        "hub.env": "POLESTAR_PORT=x\nPOLESTAR_LOG_FORMAT=json"
      })
      const flagged = yield* run(["hub", "--dotenv", "hub.env"], {}, directory)
      assert.strictEqual(flagged.code, 78)
      assert.match(flagged.stderr, /^polestar: port \(POLESTAR_PORT in hub\.env\): found "x"; allowed: .*\n$/)
      const named = yield* run(["hub"], { POLESTAR_ENV_FILE: "hub.env", POLESTAR_PORT: "y" }, directory)
      assert.match(
        named.stderr,
        /^polestar: port \(POLESTAR_PORT\): found "y"; .*\n.* in hub\.env\): found "x"/
      )
      const missing = yield* run(["hub"], { POLESTAR_ENV_FILE: "none.env" }, directory)
      assert.strictEqual(missing.code, 78)
      assert.match(missing.stderr, /^polestar: none\.env: cannot be read \(NotFound\); .*\n$/)
    })
  )

  it.live("settings - a .env that cannot be read stops the start, and is not shown", () =>
    Effect.gen(function* () {
      const directory = yield* directoryWith({
        ".env": "POLESTAR_PORT=0\nPOLESTAR_AUTH_JWT_SECRET: hunter2\n"
      })
      const { code, stderr } = yield* run(["hub"], {}, directory)
      assert.strictEqual(code, 78)
      assert.match(stderr, /^polestar: \.env: line 2 cannot be read; allowed: .*\n$/)
      assert.notInclude(stderr, "hunter2")
    })
  )

  it.live("settings - the file of pulsar-proxy as it stands, and HTTP turned off", () =>
    Effect.gen(function* () {
      const directory = yield* directoryWith({})
      const hub = yield* start(
        ["hub", "--config", pulsarProxy, "--port", "0", "--http-port", "off", "--ws-port", "off"],
        {},
        directory
      )
      yield* hub.stdout(/^ready tcp=127\.0\.0\.1:\d+ pid=/)
      yield* hub.signal("SIGTERM")
      const { code, stderr } = yield* hub.ended
      assert.strictEqual(code, 0)
      assert.lengthOf(stderr.match(/ WARN {2}/g) ?? [], 1)
      assert.match(stderr, / WARN {2}valkey \(.*\) has no effect: /)
    })
  )
})
