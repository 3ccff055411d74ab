import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { FILE_LIMIT } from "../../src/services/SettingsFile.ts"
import { load, loadFile, loadWith, problemsOf } from "./SettingsLoading.ts"

describe("settings - precedence", () => {
  it.effect("flags before the environment before the file before defaults", () =>
    Effect.gen(function* () {
      const settings = yield* loadFile(
        "settings.json",
        JSON.stringify({ port: 1, queueSize: 1, maxTopics: 1 }),
        {
          flags: { port: "3", dataDir: undefined },
          env: { POLESTAR_PORT: "2", POLESTAR_QUEUE_SIZE: "2", POLESTAR_MAX_CONNECTIONS: "" }
        }
      )
      const { port, queueSize, maxTopics, maxConnections, dataDir, warnings } = settings
      assert.deepStrictEqual(
        [port, queueSize, maxTopics, maxConnections, dataDir],
        [3, 2, 1, 10_000, "./data"]
      )
      assert.deepStrictEqual(warnings, [])
    })
  )

  it.effect("a bad value is refused even where a better source has a good one", () =>
    Effect.gen(function* () {
      const problems = yield* problemsOf(load({ flags: { port: "1" }, env: { POLESTAR_PORT: "x" } }))
      assert.deepStrictEqual(
        problems.map(({ key, reason }) => [key, reason]),
        [["port", "bad-value"]]
      )
    })
  )

  it.effect("POLESTAR_HOST is ip, and must not contradict POLESTAR_IP", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* load({ env: { POLESTAR_HOST: "0.0.0.0" } })).ip, "0.0.0.0")
      assert.strictEqual((yield* load({ env: { POLESTAR_HOST: "::1", POLESTAR_IP: "::1" } })).ip, "::1")
      const [problem] = yield* problemsOf(load({ env: { POLESTAR_HOST: "::1", POLESTAR_IP: "::" } }))
      assert.strictEqual(problem?.reason, "conflict")
      assert.match(problem?.message ?? "", /^ip \(POLESTAR_IP, POLESTAR_HOST\): /)
    })
  )

  it.effect("POLESTAR_CONFIG names the file, unless a file is handed in", () =>
    Effect.gen(function* () {
      const files = yield* FileSystem.FileSystem
      const directory = yield* files.makeTempDirectoryScoped()
      yield* files.writeFileString(`${directory}/a.yaml`, "port: 1")
      yield* files.writeFileString(`${directory}/b.yaml`, "port: 2")
      const env = { POLESTAR_CONFIG: `${directory}/a.yaml` }
      const named = yield* load({ env })
      assert.deepStrictEqual([named.port, named.warnings], [1, []])
      assert.strictEqual((yield* load({ env, file: `${directory}/b.yaml` })).port, 2)
    }).pipe(Effect.provide(NodeFileSystem.layer))
  )

  it.effect("a program's own settings are checked as well, and undefined is not given", () =>
    Effect.gen(function* () {
      const settings = yield* loadWith({
        port: 0,
        hotTierRetention: "10m",
        dataDir: undefined,
        tlsCert: undefined
      })
      assert.deepStrictEqual(
        [settings.port, settings.hotTierRetention, settings.dataDir],
        [0, 600_000, undefined]
      )
      const [problem] = yield* problemsOf(loadWith({ port: 65_536 }))
      assert.strictEqual(problem?.message, "port (given): found 65536; allowed: an integer from 0 to 65535")
    })
  )
})

describe("settings - files", () => {
  const example = `{
  "ip": "0.0.0.0", // Required
  "port": 24353, // Required
  /* both
     kinds */ "queueSize": 5000,
  "dataDir": "/srv//data /* not a comment */"
}`

  it.effect("JSON may have comments, which text in quotes may look like", () =>
    Effect.gen(function* () {
      const { ip, queueSize, dataDir } = yield* loadFile("config.json", `\uFEFF${example}`)
      assert.deepStrictEqual([ip, queueSize, dataDir], ["0.0.0.0", 5000, "/srv//data /* not a comment */"])
    })
  )

  it.effect("YAML is read as well", () =>
    Effect.gen(function* () {
      const content = "# ours\nip: 0.0.0.0\nqueueSize: 5000\nautoCreateTopics: no\nhotTierRetention: 30s\n"
      const settings = yield* loadFile("config.yaml", content)
      const { ip, queueSize, autoCreateTopics, hotTierRetention } = settings
      assert.deepStrictEqual(
        [ip, queueSize, autoCreateTopics, hotTierRetention],
        ["0.0.0.0", 5000, false, 30_000]
      )
      assert.strictEqual((yield* loadFile("config.yml", "# nothing yet\n")).port, 24_353)
    })
  )

  it.effect.each([
    ["c.json", '{\n  "port": 1,\n  "port": 2\n}', "line 3, column 3: Map keys must be unique"],
    ["c.json", '{ "port": 1', "line 1, column 12: "],
    ["c.json", '{ /* a\n // b */ "port": yes }', "line 2, column 18: "],
    ["c.json", '{ "port": yes }', "line 1, column 11: "],
    ["c.json", "", "the file must hold one object"],
    ["c.json", "[]", "the file must hold one object"],
    ["c.yaml", "port: 1\nport: 2\n", "line 2, column 1: Map keys must be unique"],
    ["c.yaml", "port: [", "line 1, "],
    ["c.yaml", "port: !env PORT", "line 1, "],
    ["c.yaml", "just text", "the file must hold one object"],
    ["c.yaml", "a: 1\n---\nb: 2\n", "line 2, "],
    [
      "c.yaml",
      `a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [${"*a,".repeat(20)}]\nc: [${"*b,".repeat(20)}]`,
      "aliases"
    ]
  ] as const)("%s with %j is refused", ([name, content, expected]) =>
    Effect.gen(function* () {
      const [problem] = yield* problemsOf(loadFile(name, content))
      assert.strictEqual(problem?.reason, "bad-syntax")
      assert.include(problem?.message ?? "", expected)
      assert.include(problem?.message ?? "", `/${name}: `)
    })
  )

  it.effect("one that cannot be read is named, with its cause, beside all other problems", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(load({ file: "/nowhere/polestar.yaml", flags: { port: "x" } }))
      assert.deepStrictEqual(
        error.problems.map(({ reason }) => reason),
        ["unreadable-file", "bad-value"]
      )
      assert.match(error.problems[0].message, /^\/nowhere\/polestar\.yaml: cannot be read \(NotFound\)/)
      assert.propertyVal(error.cause, "_tag", "PlatformError")
    })
  )

  it.effect("one that is too large is not read", () =>
    Effect.gen(function* () {
      const [problem] = yield* problemsOf(loadFile("c.yaml", "#".repeat(FILE_LIMIT + 1)))
      assert.strictEqual(problem?.reason, "unreadable-file")
      assert.strictEqual((yield* loadFile("c.yaml", "#".repeat(FILE_LIMIT))).port, 24_353)
    })
  )
})

describe("settings - variables in files", () => {
  it.effect("are expanded inside text", () =>
    Effect.gen(function* () {
      const content = JSON.stringify({
        // biome-ignore-start lint/suspicious/noTemplateCurlyInString: what a user writes
        ip: "${BIND_TO}",
        port: "${PORT:-4000}",
        queueSize: "${SIZE:-7}",
        dataDir: "/srv/${NAME}/${EMPTY}${EMPTY:-data}/$HOME",
        tlsCa: "${NAME:-}.pem"
        // biome-ignore-end lint/suspicious/noTemplateCurlyInString: what a user writes
      })
      const env = { BIND_TO: "0.0.0.0", PORT: "5000", NAME: "hub", EMPTY: "" }
      const { ip, port, queueSize, dataDir, tlsCa } = yield* loadFile("c.json", content, { env })
      assert.deepStrictEqual(
        [ip, port, queueSize, dataDir, tlsCa],
        ["0.0.0.0", 5000, 7, "/srv/hub/data/$HOME", "hub.pem"]
      )
    })
  )

  it.effect("what is missing is named with its key, and found once", () =>
    Effect.gen(function* () {
      // biome-ignore lint/suspicious/noTemplateCurlyInString: what a user writes
      const [problem, ...rest] = yield* problemsOf(loadFile("c.json", '{ "port": "${HUB_PORT}" }'))
      assert.strictEqual(problem?.reason, "missing-variable")
      assert.match(
        problem?.message ?? "",
        /^port \(.*c\.json\): found \$\{HUB_PORT\}, which is not set; allowed: /
      )
      assert.deepStrictEqual(rest, [])
    })
  )

  it.effect("a variable of Object's prototype is not set", () =>
    Effect.gen(function* () {
      // biome-ignore lint/suspicious/noTemplateCurlyInString: what a user writes
      const [problem] = yield* problemsOf(loadFile("c.json", '{ "dataDir": "${constructor}" }'))
      assert.strictEqual(problem?.reason, "missing-variable")
    })
  )

  // biome-ignore lint/suspicious/noTemplateCurlyInString: what a user writes
  it.effect.each(["${A:-${B}}", "${A", "${}", "${A B}", "${A-x}", "${1}"])("%s is refused", (text) =>
    Effect.gen(function* () {
      const [problem] = yield* problemsOf(
        loadFile("c.json", JSON.stringify({ dataDir: text }), { env: { A: "a" } })
      )
      assert.strictEqual(problem?.reason, "bad-syntax")
      assert.strictEqual(problem?.key, "dataDir")
    })
  )

  it.effect("flags and the environment are taken as they are", () =>
    Effect.gen(function* () {
      // biome-ignore lint/suspicious/noTemplateCurlyInString: what a user writes
      assert.strictEqual((yield* load({ flags: { dataDir: "${A}" } })).dataDir, "${A}")
    })
  )
})
