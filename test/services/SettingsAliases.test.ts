import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { fileAliases, resolveFileKeys } from "../../src/services/SettingsAliases.ts"
import { settingRows } from "../../src/services/SettingsTable.ts"
import { load, loadFile, problemsOf } from "./SettingsLoading.ts"

const fixture = new URL("../fixtures/pulsar-proxy.yaml", import.meta.url)
const reference = readFileSync(fixture, "utf8")

/** What a file of this object gives, by key. */
const resolved = (object: object) => {
  const given = Object.entries(object).map(([key, value]) => ({ key, value, origin: "c.yaml" }))
  const { problems, ...rest } = resolveFileKeys("c.yaml", given)
  return {
    values: Object.fromEntries(rest.given.map(({ key, value }) => [key, value])),
    problems: problems.map(({ message }) => message),
    warnings: rest.warnings
  }
}

describe("settings - the file of pulsar-proxy", () => {
  it.effect("is taken as it stands", () =>
    Effect.gen(function* () {
      const settings = yield* load({ file: fixture.pathname })
      const { httpPort, wsPort, httpReadTimeout, clientWriteTimeout } = settings
      assert.deepStrictEqual(
        [httpPort, wsPort, httpReadTimeout, clientWriteTimeout],
        [8080, 8081, 30_000, 30_000]
      )
      const { hotTierRetention, maxMessagesPerTopic, persistentTierRetention } = settings
      assert.deepStrictEqual(
        [hotTierRetention, persistentTierRetention, maxMessagesPerTopic],
        [600_000, 86_400_000, 1_000_000]
      )
      const { maxConnections, maxMessageSize, rateLimitPerClient } = settings
      assert.deepStrictEqual([maxConnections, maxMessageSize, rateLimitPerClient], [10_000, 1_048_576, 1000])
      assert.deepStrictEqual(settings.warnings, [
        `valkey (${fixture.pathname}) has no effect: the hub keeps its log on its own disk (dataDir)`
      ])
    })
  )

  // So that a value above that is also a default is one that was read.
  it.effect.each([
    ["http_port: 8080", "http_port: 1", "httpPort", 1],
    ["ws_port: 8081", "ws_port: 2", "wsPort", 2],
    ["read_timeout: 30s", "read_timeout: 7s", "httpReadTimeout", 7000],
    ["write_timeout: 30s", "write_timeout: 8s", "clientWriteTimeout", 8000],
    ["hot_tier_retention: 10m", "hot_tier_retention: 11m", "hotTierRetention", 660_000],
    [
      "persistent_tier_retention: 24h",
      "persistent_tier_retention: 25h",
      "persistentTierRetention",
      90_000_000
    ],
    ["max_messages_per_topic: 1000000", "max_messages_per_topic: 3", "maxMessagesPerTopic", 3],
    ["max_connections_per_instance: 10000", "max_connections_per_instance: 4", "maxConnections", 4],
    ["max_message_size: 1048576", "max_message_size: 5", "maxMessageSize", 5],
    ["rate_limit_per_client: 1000", "rate_limit_per_client: 6", "rateLimitPerClient", 6],
    ["limits:", "topics:\n  auto_create: false\nlimits:", "autoCreateTopics", false]
  ] as const)("%s changed to %j", ([line, changed, key, expected]) =>
    Effect.gen(function* () {
      assert.include(reference, line)
      const settings = yield* loadFile("config.yaml", reference.replace(line, changed))
      assert.strictEqual(settings[key], expected)
    })
  )

  it.effect("what is meant for Valkey is said once, and not looked at", () =>
    Effect.gen(function* () {
      // biome-ignore lint/suspicious/noTemplateCurlyInString: what a user writes
      for (const password of ["hunter2", '"${NOT_SET}"', "[hunter2]"]) {
        const { warnings } = yield* loadFile(
          "config.yaml",
          reference.replace('password: ""', `password: ${password}`)
        )
        assert.lengthOf(warnings, 1)
        assert.notMatch(warnings.join(), /hunter2|NOT_SET|password/)
      }
    })
  )

  it.effect("a wrong value is named as it stands in the file", () =>
    Effect.gen(function* () {
      const [problem, ...rest] = yield* problemsOf(loadFile("c.yaml", "server:\n  http_port: x\n"))
      assert.deepStrictEqual(rest, [])
      assert.match(
        problem?.message ?? "",
        /^httpPort \(server\.http_port in .*\): found "x"; allowed: an integer from 0 to 65535, or off$/
      )
    })
  )
})

/** Every way to write a key under a section: `auth.jwt_secret`, `auth_jwt.secret`. */
const spellings = (key: string): ReadonlyArray<readonly [section: string, name: string]> => {
  const words = key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`).split("_")
  return words
    .slice(1)
    .map((_, index) => [words.slice(0, index + 1).join("_"), words.slice(index + 1).join("_")])
}

describe("settings - sections of a file", () => {
  it.each(settingRows)("%s may be written under a section", (key) => {
    for (const [section, name] of spellings(key)) {
      for (const object of [{ [section]: { [name]: 1 } }, { [`${section}.${name}`]: 1 }]) {
        assert.deepStrictEqual(resolved(object), { values: { [key]: 1 }, problems: [], warnings: [] })
      }
    }
  })

  it("each alias stands for its key, nested or with a dot", () => {
    for (const [alias, key] of Object.entries(fileAliases)) {
      const [section = "", name = ""] = alias.split(".")
      assert.deepStrictEqual(resolved({ [section]: { [name]: 1 } }).values, { [key]: 1 })
      assert.deepStrictEqual(resolved({ [alias]: 1 }).values, { [key]: 1 })
    }
  })

  it.effect("authentication is a section", () =>
    Effect.gen(function* () {
      const settings = yield* loadFile(
        "c.yaml",
        // biome-ignore lint/suspicious/noTemplateCurlyInString: what a user writes
        'auth:\n  type: jwt\n  jwt_secret: "${SECRET}"\n  jwtAlgorithms: [HS256]\n  audience: a, b\n  issuer: [c]\n  keys: [{ id: k }]\n  keys_file: k.yaml\n',
        { env: { SECRET: "x".repeat(32) } }
      )
      const { authAudience, authIssuer, authJwtAlgorithms, authJwtSecret, authKeys, authKeysFile, authType } =
        settings
      assert.deepStrictEqual(
        [authType, authJwtAlgorithms, authAudience, authIssuer, authKeys, authKeysFile],
        ["jwt", ["HS256"], ["a", "b"], ["c"], [{ id: "k" }], "k.yaml"]
      )
      assert.strictEqual(authJwtSecret && Redacted.value(authJwtSecret), "x".repeat(32))
    })
  )

  it.effect("a secret is not shown, whatever its name", () =>
    Effect.gen(function* () {
      for (const secret of ["[hunter2]", '"hunter2${"', `'${"hunter2 ".repeat(600)}'`]) {
        const problems = yield* problemsOf(loadFile("c.yaml", `auth:\n  jwt_secret: ${secret}\n`))
        assert.notInclude(problems.map(({ message }) => message).join(), "hunter2")
        assert.strictEqual(problems[0].key, "authJwtSecret")
      }
      const [both] = yield* problemsOf(
        loadFile("c.yaml", `authJwtSecret: hunter2${"x".repeat(32)}\nauth:\n  jwt_secret: hunter2\n`)
      )
      assert.match(
        both.message,
        /^authJwtSecret \(authJwtSecret, auth\.jwt_secret\): both are set in .* and differ; allowed: one of them$/
      )
      assert.strictEqual(both.reason, "conflict")
      assert.notInclude(both.message, "hunter2")
    })
  )

  it("the same value under two names is no conflict", () => {
    assert.deepStrictEqual(resolved({ httpPort: 1, server: { http_port: 1 } }).problems, [])
    const keys = () => [{ id: "a", publish: ["x"] }]
    assert.deepStrictEqual(resolved({ authKeys: keys(), auth: { keys: keys() } }).problems, [])
    assert.deepStrictEqual(resolved({ httpPort: 1, server: { http_port: 2 }, "http.port": 1 }).problems, [
      "httpPort (httpPort, server.http_port): both are set in c.yaml and differ; allowed: one of them"
    ])
  })

  it("a section without members gives nothing", () => {
    for (const object of [{ server: null }, { valkey: null }, { auth: {} }, { tls: null }, { topics: {} }]) {
      assert.deepStrictEqual(resolved(object), { values: {}, problems: [], warnings: [] })
    }
  })

  it.effect.each([
    ["server:\n  htp_port: 1", "server.htp_port", "server.http_port"],
    ["sever:\n  http_port: 1", "sever.http_port", "server.http_port"],
    ["server:\n  httpPort: 1", "server.httpPort", "server.http_port"],
    ["valkey:\n  pasword: hunter2", "valkey.pasword", "valkey.password"],
    ["auth:\n  jwt_secrt: hunter2", "auth.jwt_secrt", "authJwtSecret"],
    ["storage:\n  hot:\n    retention: 1", "storage.hot", undefined],
    ["a:\n  b:\n    c: 1", "a.b", undefined],
    ["nothing: {}", "nothing", undefined],
    ["nothing: null", "nothing", undefined],
    ["constructor:\n  constructor: 1", "constructor.constructor", undefined],
    ["__proto__:\n  http_port: 1", "__proto__.http_port", undefined],
    ["valkey.constructor: 1", "valkey.constructor", undefined],
    ['"server.": 1', "server.", undefined]
  ] as const)("%j is refused", ([content, key, nearest]) =>
    Effect.gen(function* () {
      const [problem, ...rest] = yield* problemsOf(loadFile("c.yaml", content))
      assert.deepStrictEqual(rest, [])
      assert.deepStrictEqual([problem?.reason, problem?.key], ["unknown-key", key])
      if (nearest !== undefined) assert.include(problem?.message ?? "", `; did you mean "${nearest}"?`)
      assert.notInclude(problem?.message ?? "", "hunter2")
    })
  )

  it.effect("a setting is no section, and a list is none", () =>
    Effect.gen(function* () {
      const problems = yield* problemsOf(loadFile("c.yaml", "port: { a: 1 }\nserver: [1]\n"))
      assert.deepStrictEqual(
        problems.map(({ key, reason }) => [key, reason]),
        [
          ["port", "bad-value"],
          ["server", "unknown-key"]
        ]
      )
    })
  )
})
