import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import { Settings } from "../../src/services/Settings.ts"
import { environmentName, environmentNames } from "../../src/services/SettingsEnvironment.ts"
import { settingsMarkdown } from "../../src/services/SettingsMarkdown.ts"
import { type SettingKey, settingRows, settingsTable } from "../../src/services/SettingsTable.ts"
import { load, loadFile, loadWith, problemsOf } from "./SettingsLoading.ts"

const expectedDefaults = {
  ip: "127.0.0.1",
  port: 24_353,
  queueSize: 1_000_000,
  workerCount: 100,
  dialTimeout: 1000,
  writeTimeout: 2000,
  readTimeout: 30_000,
  maxRetries: 3,
  clientQueueSize: 1000,
  clientWorkerCount: 100,
  clientDialTimeout: 1000,
  clientWriteTimeout: 2000,
  clientMaxRetries: 3,
  queueBytes: 268_435_456,
  queueTotalBytes: 1_073_741_824,
  clientQueueBytes: 67_108_864,
  pingInterval: 15_000,
  maxMissedPings: 2,
  maxMessageSize: 1_048_576,
  maxConnections: 10_000,
  maxSessionsPerConnection: 10_000,
  maxSubscriptionsPerSession: 10_000,
  maxSubscriptionsPerConnection: 10_000,
  maxTopics: 1_000_000,
  autoCreateTopics: true,
  hotTierMessages: 10_000,
  hotTierBytes: 1_048_576,
  hotTierRetention: 600_000,
  hotTierTotalBytes: 67_108_864,
  topicIdleTimeout: 300_000,
  deduplicationWindow: 120_000,
  restartLimit: 5,
  restartWindow: 10_000,
  restartBackoff: 100,
  restartBackoffMax: 5000,
  drainTimeout: 10_000,
  tlsCert: undefined,
  tlsKey: undefined,
  tlsCa: undefined,
  tlsRequestClientCertificate: false,
  traceSampleRatio: 1,
  logFormat: "pretty",
  logLevel: "Info",
  maskedFields: undefined,
  dataDir: undefined,
  durability: "> = stored",
  dataMaxBytes: 10_737_418_240,
  persistentTierRetention: 86_400_000,
  persistentTierBytes: 1_073_741_824,
  maxMessagesPerTopic: 1_000_000,
  deadLetterRetention: 604_800_000,
  compactedTopics: undefined,
  maxHeldBytes: 268_435_456,
  maxDelay: 2_592_000_000,
  maxGroups: 10_000,
  maxGroupsPerClient: 1000,
  clientGroupInactiveThreshold: 86_400_000,
  groupAckWait: 30_000,
  groupMaxInFlight: 10_000,
  groupBackoff: 1000,
  groupMaxBackoff: 60_000,
  httpPort: undefined,
  wsPort: undefined,
  httpReadTimeout: 30_000,
  httpIdleTimeout: 60_000,
  httpPublishTimeout: 30_000,
  maxRequestBody: 16_777_216,
  maxPollTimeout: 60_000,
  maxPollMessages: 1000,
  maxPollsPerClient: 16,
  allowedOrigins: undefined,
  clientOverflow: "drop-oldest",
  rateLimitPerClient: 0,
  wsDeflate: false,
  authType: undefined,
  authKeys: undefined,
  authKeysFile: undefined,
  authJwtSecret: undefined,
  authJwtPublicKey: undefined,
  authJwks: undefined,
  authJwtAlgorithms: undefined,
  authAudience: undefined,
  authIssuer: undefined,
  authClockTolerance: 5000,
  authRequireExpiry: true,
  authDefaultPublish: undefined,
  authDefaultSubscribe: undefined
} as const

describe("settings - defaults", () => {
  it.effect("are those of the reference, and ours", () =>
    Effect.gen(function* () {
      const { notices, warnings, ...values } = yield* Settings
      assert.deepStrictEqual(values, expectedDefaults)
      assert.deepStrictEqual([warnings, notices], [[], []])
    }).pipe(Effect.provide(Settings.layerDefaults))
  )

  it.effect("hold where nothing is given", () =>
    Effect.gen(function* () {
      const { port, queueSize, warnings } = yield* load({})
      assert.deepStrictEqual([port, queueSize, warnings], [24_353, 1_000_000, []])
    })
  )

  it.effect("a hub that is run has a data directory, an embedded one only if it is given", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* load({})).dataDir, "./data")
      assert.strictEqual((yield* loadWith({})).dataDir, undefined)
      assert.strictEqual((yield* loadWith({ dataDir: "/srv/data" })).dataDir, "/srv/data")
    })
  )

  it.effect.each([
    [{}, 8080],
    [{ flags: { httpPort: "off" } }, undefined],
    [{ env: { POLESTAR_HTTP_PORT: " OFF " } }, undefined],
    [{ env: { POLESTAR_HTTP_PORT: "off" }, flags: { httpPort: "9000" } }, 9000],
    [{ env: { POLESTAR_HTTP_PORT: "9000" }, flags: { httpPort: "off" } }, undefined]
  ] as const)("a hub that is run listens for HTTP unless it is off: %j", ([sources, expected]) =>
    Effect.gen(function* () {
      assert.strictEqual((yield* load(sources)).httpPort, expected)
    })
  )

  it.effect("an embedded hub does not listen for HTTP unless it is told to", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* loadWith({ httpPort: "off" })).httpPort, undefined)
      assert.strictEqual((yield* loadWith({ httpPort: 0, wsPort: "off" })).httpPort, 0)
    })
  )

  it.effect.each([
    [{ pingInterval: 60_000 }, 120_000],
    [{ pingInterval: 1000, maxMissedPings: 5 }, 5000],
    [{ pingInterval: 1000, readTimeout: 1500 }, 1500]
  ] as const)("readTimeout follows the pings unless given: %j", ([input, expected]) =>
    Effect.gen(function* () {
      assert.strictEqual((yield* loadWith(input)).readTimeout, expected)
    })
  )
})

/** Values that a row refuses, by what its error says is allowed; so a new row is covered at once. */
const badValues = (allowed: string): ReadonlyArray<unknown> => {
  const range = /from (\d+) to (\d+)/.exec(allowed)
  const always = [null, {}, [], "", "   "]
  if (range !== null) {
    const [minimum, maximum] = [Number(range[1]), Number(range[2])]
    const fractions = allowed.startsWith("a number") ? [] : [minimum + 0.5, `${minimum}.5`]
    const words = ["abc", "0x10", "1e3", "1 parsec", true, Number.NaN, Number.POSITIVE_INFINITY]
    return [...always, ...words, ...fractions, minimum - 1, maximum + 1, `${minimum - 1}`, `${maximum + 1}`]
  }
  if (allowed.startsWith("an IPv4")) return [...always, "not a host", "1.2.3.4.5", "::zz", 12]
  if (/^(text|the path)/.test(allowed)) return [...always, "x".repeat(4097), 12, false]
  if (allowed.startsWith("a list")) return [null, {}, "maybe", 12]
  if (allowed.startsWith("patterns")) return [...always, "a..b", "a,", "a b", 12]
  return [...always, "maybe", 2]
}

describe("settings - every key", () => {
  const decodes = (key: SettingKey, value: unknown) =>
    Result.isSuccess(Schema.decodeUnknownResult(settingsTable[key].schema)(value))

  it.each(settingRows)("%s allows its default and its bounds, and nothing else", (key, setting) => {
    assert.isTrue(decodes(key, setting.default), "default")
    for (const bound of /from (\d+) to (\d+)/.exec(setting.allowed)?.slice(1) ?? []) {
      assert.isTrue(decodes(key, bound), `text ${bound}`)
      assert.isTrue(decodes(key, Number(bound)), `number ${bound}`)
    }
    for (const value of badValues(setting.allowed)) {
      assert.isFalse(decodes(key, value), JSON.stringify(value))
    }
    assert.match(setting.description, /^[A-Z].*\.$/)
  })

  it.effect.each(settingRows)(
    "%s: a bad value stops the start from every source",
    ([key, { allowed, isSecret }]) =>
      Effect.gen(function* () {
        const bad =
          badValues(allowed).find((value) => typeof value === "string" && value.trim() !== "") ?? "  "
        const name = environmentName(key)
        const problems = yield* problemsOf(
          loadFile("settings.json", JSON.stringify({ [key]: bad }), {
            flags: { [key]: String(bad) },
            env: { [name]: String(bad) }
          })
        )
        assert.deepStrictEqual(
          problems.map((problem) => [problem.reason, problem.key]),
          [
            ["bad-value", key],
            ["bad-value", key],
            ["bad-value", key]
          ]
        )
        const [flag, environment, file] = problems.map((problem) => problem.message)
        const quoted = bad === "x".repeat(4097) ? `"${"x".repeat(79)}…"` : JSON.stringify(bad)
        const shown = isSecret === true ? "what was found is not shown" : `found ${quoted}`
        assert.strictEqual(flag, `${key} (flag): ${shown}; allowed: ${allowed}`)
        assert.strictEqual(environment, `${key} (${name}): ${shown}; allowed: ${allowed}`)
        assert.match(
          file ?? "",
          new RegExp(`^${key} \\(.*/settings\\.json\\): ${isSecret === true ? "what was" : "found "}`)
        )
      })
  )

  it("has a name in the environment", () => {
    assert.strictEqual(environmentName("queueSize"), "POLESTAR_QUEUE_SIZE")
    assert.strictEqual(
      environmentName("maxSubscriptionsPerSession"),
      "POLESTAR_MAX_SUBSCRIPTIONS_PER_SESSION"
    )
    assert.deepStrictEqual(environmentNames("ip"), ["POLESTAR_IP", "POLESTAR_HOST"])
    assert.deepStrictEqual(environmentNames("port"), ["POLESTAR_PORT"])
    assert.deepStrictEqual(environmentNames("httpPort"), ["POLESTAR_HTTP_PORT"])
    assert.deepStrictEqual(environmentNames("dataDir"), ["POLESTAR_DATA_DIR"])
  })
})

describe("settings - spellings", () => {
  it.effect.each([
    ["pingInterval", "250ms", 250],
    ["pingInterval", "30s", 30_000],
    ["pingInterval", "1.1 s", 1100],
    ["pingInterval", "10m", 600_000],
    ["pingInterval", "5 minutes", 300_000],
    ["pingInterval", " 1000 ", 1000],
    ["topicIdleTimeout", "24h", 86_400_000],
    ["topicIdleTimeout", "2 days", 172_800_000],
    ["queueBytes", "64 MiB", 67_108_864],
    ["queueBytes", "1MB", 1_000_000],
    ["queueBytes", "1.5 KiB", 1536],
    ["queueBytes", "4096", 4096],
    ["traceSampleRatio", "0.25", 0.25],
    ["autoCreateTopics", "off", false],
    ["autoCreateTopics", "FALSE", false],
    ["tlsRequestClientCertificate", "0", false],
    ["logLevel", "debug", "Debug"],
    ["logFormat", "JSON", "json"],
    ["clientOverflow", "DROP_OLDEST", "drop-oldest"],
    ["clientOverflow", "Disconnect", "disconnect"],
    ["ip", "::1", "::1"],
    ["ip", "hub.example.com", "hub.example.com"],
    ["ip", "0.0.0.0", "0.0.0.0"]
  ] as const)("%s may be %j", ([key, text, expected]) =>
    Effect.gen(function* () {
      assert.strictEqual((yield* load({ flags: { [key]: text } }))[key], expected)
      assert.strictEqual((yield* load({ env: { [environmentName(key)]: text } }))[key], expected)
    })
  )

  it.effect.each([
    ["hotTierRetention", "10 parsecs"],
    ["hotTierRetention", "0.5ms"],
    ["hotTierRetention", "-1s"],
    ["queueBytes", "64 mb"],
    ["queueBytes", "1.5 B"],
    ["queueBytes", "9 YiB"],
    ["queueSize", "1_000"],
    ["queueSize", "10s"]
  ] as const)("%s may not be %j", ([key, text]) =>
    Effect.gen(function* () {
      const [problem] = yield* problemsOf(load({ flags: { [key]: text } }))
      assert.strictEqual(problem?.reason, "bad-value")
    })
  )
})

describe("settings - markdown", () => {
  it("has a row for each setting", () => {
    const [header, rule, ...rows] = settingsMarkdown().trimEnd().split("\n")
    assert.strictEqual(header, "| Setting | Environment | Default | Allowed | Description |")
    assert.strictEqual(rule, "| --- | --- | --- | --- | --- |")
    assert.deepStrictEqual(
      rows.map((row) => /^\| `(\w+)` \|/.exec(row)?.[1]),
      settingRows.map(([key]) => key)
    )
    for (const row of rows) assert.strictEqual(row.split("|").length, 7, row)
    assert.include(
      settingsMarkdown(),
      "| `clientQueueBytes` | `POLESTAR_CLIENT_QUEUE_BYTES` | `67108864` (64 MiB) | a whole number of bytes from 1 to 1099511627776"
    )
  })
})
