import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { plainVariables } from "../../src/services/SettingsAliases.ts"
import { parseEnvFile } from "../../src/services/SettingsEnvFile.ts"
import { environmentName } from "../../src/services/SettingsEnvironment.ts"
import { load, loadFile, loadWith, problemsOf } from "./SettingsLoading.ts"

/** As it stands in inmem-pubsub's document. */
const reference = `export HOST=localhost
export PORT=8080
export READ_TIMEOUT=30s
export WRITE_TIMEOUT=30s
export DEFAULT_PUBLISH_POLICY=DROP_OLDEST
export DEFAULT_WS_BUFFER_SIZE=100
`

const noticeBefore = "settings from names that other programs use too: "

describe("settings - the environment of inmem-pubsub", () => {
  it.effect("is taken as it stands", () =>
    Effect.gen(function* () {
      const { problems, variables } = parseEnvFile("environment", reference)
      assert.deepStrictEqual(problems, [])
      const settings = yield* load({ env: variables })
      const { clientOverflow, clientQueueSize, clientWriteTimeout, httpPort, httpReadTimeout, ip } = settings
      assert.deepStrictEqual(
        [ip, httpPort, httpReadTimeout, clientWriteTimeout, clientOverflow, clientQueueSize],
        ["localhost", 8080, 30_000, 30_000, "drop-oldest", 100]
      )
      assert.deepStrictEqual(settings.warnings, [])
    })
  )

  it.effect.each([
    ["HOST", "0.0.0.0", "0.0.0.0"],
    ["PORT", "9000", 9000],
    ["PORT", "off", undefined],
    ["READ_TIMEOUT", "7s", 7000],
    ["WRITE_TIMEOUT", "1m", 60_000],
    ["DEFAULT_PUBLISH_POLICY", "DISCONNECT", "disconnect"],
    ["DEFAULT_PUBLISH_POLICY", "DROP_NEWEST", "drop-newest"],
    ["DEFAULT_WS_BUFFER_SIZE", "7", 7],
    ["DEFAULT_RING_BUFFER_SIZE", "8", 8],
    ["LOG_LEVEL", "debug", "Debug"]
  ] as const)("%s may be %s", ([name, text, expected]) =>
    Effect.gen(function* () {
      const key = plainVariables[name]!
      const settings = yield* load({ env: { [name]: text } })
      assert.strictEqual(settings[key], expected)
      assert.deepStrictEqual(settings.notices, [`${noticeBefore}${key} (${name})`])
    })
  )

  it.effect("the path of WebSocket is what it is", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* load({ env: { WS_PATH: "/ws", SERVER_NAME: "x" } })).warnings, [])
      assert.deepStrictEqual((yield* load({ env: { WS_PATH: "/socket" } })).warnings, [
        "WS_PATH in the environment has no effect: WebSocket is at /ws"
      ])
    })
  )
})

describe("settings - plain names", () => {
  it.effect.each(Object.entries(plainVariables))("%s is weaker than all else that gives %s", ([name, key]) =>
    Effect.gen(function* () {
      // For another program, and so neither taken nor checked.
      const foreign = { [name]: "tcp://other" }
      const value = { ip: "::1", clientOverflow: "wait", logLevel: "Error" }[String(key)] ?? "17"
      const expected = Number(value) || value
      const sources = [
        load({ env: foreign, flags: { [key]: value } }),
        load({ env: { ...foreign, [environmentName(key)]: value } }),
        loadFile("c.json", JSON.stringify({ [key]: value }), { env: foreign })
      ]
      for (const source of sources) {
        const settings = yield* source
        assert.strictEqual(settings[key], expected)
        assert.deepStrictEqual([settings.notices, settings.warnings], [[], []])
      }
    })
  )

  it.effect.each(["READ_TIMEOUT", "WRITE_TIMEOUT"])("%s is a duration, and no bare number", (name) =>
    Effect.gen(function* () {
      const key = plainVariables[name] ?? "ip"
      const [problem, ...rest] = yield* problemsOf(load({ env: { [name]: "30" } }))
      assert.deepStrictEqual(rest, [])
      assert.strictEqual(
        problem.message,
        `${key} (${name}): found "30"; allowed: a duration with its unit, such as "30s" or "500ms"`
      )
      // By the hub's own names a number is milliseconds, as everywhere.
      const settings = yield* load({ env: { [name]: "30", [environmentName(key)]: "40" } })
      assert.strictEqual(settings[key], 40)
    })
  )

  it.effect("stop the start where nothing else is given and they are wrong", () =>
    Effect.gen(function* () {
      const [problem, ...rest] = yield* problemsOf(load({ env: { PORT: "tcp://other" } }))
      assert.deepStrictEqual(rest, [])
      assert.match(problem.message, /^httpPort \(PORT\): found "tcp:\/\/other"; allowed: /)
    })
  )

  it.effect("are said in one line, without values", () =>
    Effect.gen(function* () {
      const env = { HOST: "10.9.8.7", PORT: "4321", LOG_LEVEL: "", READ_TIMEOUT: "9s" }
      const { notices } = yield* load({ env, flags: { httpReadTimeout: "1s" } })
      assert.deepStrictEqual(notices, [`${noticeBefore}ip (HOST), httpPort (PORT)`])
    })
  )

  it.effect("are not read by an embedded hub", () =>
    Effect.gen(function* () {
      process.env.PORT = "4321"
      const { httpPort, notices } = yield* Effect.ensuring(
        loadWith({}),
        Effect.sync(() => {
          delete process.env.PORT
        })
      )
      assert.deepStrictEqual([httpPort, notices], [undefined, []])
    })
  )
})
