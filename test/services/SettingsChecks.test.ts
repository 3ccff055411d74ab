import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { SettingsInput } from "../../src/services/Settings.ts"
import { environmentName } from "../../src/services/SettingsEnvironment.ts"
import { settingRows } from "../../src/services/SettingsTable.ts"
import { load, loadFile, loadWith, problemsOf } from "./SettingsLoading.ts"

describe("settings - unknown keys", () => {
  it.effect.each([
    ["queueSze", "queueSize"],
    ["queue_size", "queueSize"],
    ["prot", "port"],
    ["TLS-CERT", "tlsCert"],
    ["P_O_R_T", "port"]
  ] as const)("%s is refused with the nearest, %s", ([key, nearest]) =>
    Effect.gen(function* () {
      const [flag] = yield* problemsOf(load({ flags: { [key]: "1" } }))
      assert.strictEqual(flag?.reason, "unknown-key")
      assert.strictEqual(flag?.message, `${key} (flag): unknown setting; did you mean "${nearest}"?`)
      const [file] = yield* problemsOf(loadFile("c.yaml", `${key}: 1`))
      assert.include(file?.message ?? "", `c.yaml): unknown setting; did you mean "${nearest}"?`)
    })
  )

  it.effect.each(["somethingElse", "constructor", "__proto__", "x".repeat(200)])(
    "%s is near nothing",
    (key) =>
      Effect.gen(function* () {
        const [problem] = yield* problemsOf(loadFile("c.json", `{ ${JSON.stringify(key)}: 1 }`))
        assert.strictEqual(problem?.reason, "unknown-key")
        assert.match(problem?.message ?? "", /: unknown setting$/)
        assert.isBelow(problem?.message.replace(/\(.*\)/, "").length ?? 0, 110)
      })
  )

  it.effect("in the environment they are warnings", () =>
    Effect.gen(function* () {
      const { warnings } = yield* load({
        env: { POLESTAR_QUEUE_SZE: "1", POLESTAR_WHATEVER_ELSE: "1", POLESTAR_CONFIG: "", OTHER: "1" }
      })
      assert.deepStrictEqual(warnings, [
        'POLESTAR_QUEUE_SZE in the environment is not a setting; did you mean "POLESTAR_QUEUE_SIZE"?',
        "POLESTAR_WHATEVER_ELSE in the environment is not a setting"
      ])
    })
  )

  it.effect("in the environment they stop the start if they could have turned authentication on", () =>
    Effect.gen(function* () {
      const env = { POLESTAR_AUTH_JWT_SECRT: "hunter2", POLESTAR_AUTHKEYS: "x", POLESTAR_AUTH_OTHER: "" }
      const problems = yield* problemsOf(load({ env }))
      assert.deepStrictEqual(
        problems.map(({ message, reason }) => [reason, message]),
        [
          [
            "unknown-key",
            'POLESTAR_AUTH_JWT_SECRT (the environment): unknown setting; did you mean "POLESTAR_AUTH_JWT_SECRET"?'
          ],
          [
            "unknown-key",
            'POLESTAR_AUTHKEYS (the environment): unknown setting; did you mean "POLESTAR_AUTH_KEYS"?'
          ]
        ]
      )
    })
  )
})

describe("settings - without effect", () => {
  const without = ["workerCount", "clientWorkerCount", "clientDialTimeout", "clientMaxRetries"]

  it("are marked in the table", () => {
    const marked = settingRows.filter(([, setting]) => setting.noEffect !== undefined).map(([key]) => key)
    assert.deepStrictEqual([...marked].sort(), [...without].sort())
  })

  it.effect.each(settingRows.filter(([, setting]) => setting.noEffect !== undefined))(
    "%s is warned about if given, from any source",
    ([key, { noEffect }]) =>
      Effect.gen(function* () {
        const name = environmentName(key)
        assert.deepStrictEqual((yield* load({ flags: { [key]: "7" } })).warnings, [
          `${key} (flag) ${noEffect}`
        ])
        const both = yield* loadFile("c.yaml", `${key}: 7`, { env: { [name]: "8" } })
        assert.strictEqual(both[key], 8)
        assert.deepStrictEqual(both.warnings, [`${key} (${name}) ${noEffect}`])
        assert.deepStrictEqual((yield* loadWith({ [key]: 7 })).warnings, [`${key} (given) ${noEffect}`])
      })
  )
})

describe("settings - together", () => {
  it.effect.each([
    [{ tlsCert: "c.pem" }, "tlsCert (given): found without tlsKey; allowed: both or neither"],
    [{ tlsKey: "k.pem" }, "tlsKey (given): found without tlsCert; allowed: both or neither"],
    [
      { tlsCert: "c.pem", tlsKey: "k.pem", tlsRequestClientCertificate: true },
      "tlsRequestClientCertificate (given): found true without tlsCa; allowed: with tlsCa"
    ],
    [
      { tlsCa: "ca.pem", tlsRequestClientCertificate: true },
      "tlsRequestClientCertificate (given): found true without tlsCert; allowed: with tlsCert and tlsKey"
    ],
    [
      { readTimeout: 14_999 },
      "readTimeout (given): found 14999 ms; allowed: at least pingInterval, which is 15000 ms"
    ],
    [
      { readTimeout: "20s", pingInterval: "21s" },
      "readTimeout (given): found 20000 ms; allowed: at least pingInterval, which is 21000 ms"
    ],
    [
      { restartBackoff: "6s" },
      "restartBackoff (given): found 6000 ms; allowed: at most restartBackoffMax, which is 5000 ms"
    ],
    [
      { restartBackoffMax: 99 },
      "restartBackoff (default): found 100 ms; allowed: at most restartBackoffMax, which is 99 ms"
    ]
  ] as ReadonlyArray<[SettingsInput, string]>)("%j is refused", ([input, message]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        (yield* problemsOf(loadWith(input))).map((problem) => [problem.reason, problem.message]),
        [["conflict", message]]
      )
    })
  )

  it.effect("what fits is taken", () =>
    Effect.gen(function* () {
      const tls = { tlsCert: "c.pem", tlsKey: "k.pem", tlsCa: "ca.pem" }
      const settings = yield* loadWith({ ...tls, tlsRequestClientCertificate: true, readTimeout: 15_000 })
      assert.deepStrictEqual(
        [settings.tlsCa, settings.readTimeout, settings.warnings],
        ["ca.pem", 15_000, []]
      )
      assert.match((yield* loadWith(tls)).warnings.join(), /^tlsCa has no effect: /)
    })
  )

  it.effect("every problem is reported at once, one line each, and none because of another", () =>
    Effect.gen(function* () {
      const problems = yield* problemsOf(
        // biome-ignore lint/suspicious/noTemplateCurlyInString: what a user writes
        loadFile("c.yaml", 'queueSze: 1\ndataDir: "${NOPE}"\ntlsCert: 5\ntlsKey: k.pem\n', {
          flags: { restartBackoff: "6s" },
          env: { POLESTAR_PORT: "a\nb\u001b[31m" }
        })
      )
      assert.deepStrictEqual(
        problems.map(({ key, reason }) => [key, reason]),
        [
          ["dataDir", "missing-variable"],
          ["port", "bad-value"],
          ["queueSze", "unknown-key"],
          ["tlsCert", "bad-value"],
          ["restartBackoff", "conflict"]
        ]
      )
    })
  )

  it.effect("no more than 80 characters of a value are shown", () =>
    Effect.gen(function* () {
      const [problem] = yield* problemsOf(load({ flags: { port: `${"s".repeat(80)}-and-the-rest` } }))
      assert.include(problem?.message ?? "", `found "${"s".repeat(79)}…"; allowed: `)
      assert.notInclude(problem?.message ?? "", "s".repeat(80))
    })
  )
})

describe("settings - topics by pattern", () => {
  it.effect.each(["> = stored", "metrics.> = memory, audit.* = ACCEPTED ,> = stored", "a.b=memory"])(
    "%s says how durable topics are",
    (durability) =>
      Effect.gen(function* () {
        assert.strictEqual((yield* loadWith({ durability })).durability, durability)
      })
  )

  it.effect.each([
    ["durability", "> = somewhere"],
    ["durability", ">"],
    ["durability", "a..b = memory"],
    ["durability", "> = stored,"],
    ["durability", "> = stored = memory"],
    ["compactedTopics", "a.>,"],
    ["compactedTopics", "a b"]
  ] as const)("%s: %s is refused", ([key, text]) =>
    Effect.gen(function* () {
      const [problem] = yield* problemsOf(loadWith({ [key]: text }))
      assert.strictEqual(problem?.key, key)
    })
  )

  it.effect("compacted topics are patterns", () =>
    Effect.gen(function* () {
      assert.strictEqual(
        (yield* loadWith({ compactedTopics: "state.>, users" })).compactedTopics,
        "state.>, users"
      )
    })
  )
})
