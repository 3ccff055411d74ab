import { execFileSync } from "node:child_process"
import { parseEnv } from "node:util"
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Redacted, Schema } from "effect"
import type { SettingsSources } from "../../src/services/Settings.ts"
import { isEnvFile, parseEnvFile } from "../../src/services/SettingsEnvFile.ts"
import { FILE_LIMIT } from "../../src/services/SettingsFile.ts"
import { load, problemsOf } from "./SettingsLoading.ts"

/** Loads with these files in a directory, whose names the sources are made of. */
const loadIn = Effect.fnUntraced(function* (
  contents: Readonly<Record<string, string>>,
  sources: (directory: string) => SettingsSources
) {
  const files = yield* FileSystem.FileSystem
  const directory = yield* Effect.orDie(files.makeTempDirectoryScoped())
  for (const [name, content] of Object.entries(contents)) {
    yield* Effect.orDie(files.writeFileString(`${directory}/${name}`, content))
  }
  return yield* load(sources(directory))
}, Effect.provide(NodeFileSystem.layer))

/** Loads with a file of variables of this content. */
const loadEnv = (content: string, sources: SettingsSources = {}) =>
  loadIn({ ".env": content }, (directory) => ({ envFile: `${directory}/.env`, ...sources }))

/** As it stands in the repository of inmem-pubsub. */
const reference = `# Server Configuration
PORT=8080
HOST=0.0.0.0

# WebSocket Configuration
WS_PATH=/ws

# Logging
LOG_LEVEL=info

# Optional: Custom server name
SERVER_NAME=inmem-pubsub
`

describe("settings - files of variables", () => {
  it("are read by the rules of dotenv", () => {
    const content =
      '\uFEFFA=1\r\nexport B = two words # said\n\nC=\'# "\'# c\nD="a\nb"\nE=\nF="" \n# G=1\n  H=it\'s\nI=`x`\nA.b-C=4'
    assert.deepStrictEqual(parseEnvFile(".env", content), {
      variables: {
        A: "1",
        B: "two words",
        C: '# "',
        D: "a\nb",
        E: "",
        F: "",
        H: "it's",
        I: "x",
        "A.b-C": "4"
      },
      problems: []
    })
    assert.deepStrictEqual(parseEnvFile(".env", ""), { variables: {}, problems: [] })
  })

  it.each([
    ["hunter2", 1],
    ["A=1\nPASSWORD hunter2\n", 2],
    ["A: hunter2", 1],
    ["=hunter2", 1],
    ["1A=hunter2", 1],
    ['A=1\n\nB="hunter2\nC=1\n', 3],
    ["A='a\nb'\nB='hunter2' x\n", 3],
    ["A=1\n{}", 2]
  ] as const)("%j is refused, with its line and without its text", (content, line) => {
    assert.deepStrictEqual(parseEnvFile(".env", content), {
      variables: {},
      problems: [
        {
          reason: "bad-syntax",
          message: `.env: line ${line} cannot be read; allowed: NAME=value, a comment, or nothing`
        }
      ]
    })
  })

  const Line = Schema.Union([
    Schema.String,
    Schema.TemplateLiteral([Schema.Literals(["A=", "B ='", 'C="', "export D= ", "#"]), Schema.String])
  ])
  it.effect.prop("any text is parsed as Node parses it, or refused", [Schema.Array(Line)], ([lines]) =>
    Effect.sync(() => {
      const content = lines.join("\n")
      const { problems, variables } = parseEnvFile(".env", content)
      assert.isAtMost(problems.length, 1)
      if (problems.length > 0) return assert.deepStrictEqual(variables, {})
      assert.deepStrictEqual(
        { ...variables },
        { ...parseEnv(content.replace(/^\uFEFF/, "").replaceAll("\r\n", "\n")) }
      )
    })
  )

  const Value = Schema.String.check(Schema.isPattern(/^[^'\r\0]*$/))
  it.effect.prop("what is in quotes comes back", [Value, Value], ([a, b]) =>
    Effect.sync(() => {
      assert.deepStrictEqual(
        { ...parseEnvFile(".env", `POLESTAR_A='${a}'\n# c\nexport B='${b}' # d\n`).variables },
        { POLESTAR_A: a, B: b }
      )
    })
  )

  it("a long line takes no long time", () => {
    for (const part of [" ", "#", "=", '"', "A", "A=' "]) {
      const started = performance.now()
      parseEnvFile(".env", part.repeat(FILE_LIMIT / part.length))
      parseEnvFile(".env", `A=${part.repeat(FILE_LIMIT / part.length)}"`)
      assert.isBelow(performance.now() - started, 10_000)
    }
  })
})

describe("settings - .env", () => {
  it.effect("that of inmem-pubsub is taken as it stands", () =>
    Effect.gen(function* () {
      const { httpPort, ip, logLevel, notices, warnings } = yield* loadEnv(reference)
      assert.deepStrictEqual([httpPort, ip, logLevel, warnings], [8080, "0.0.0.0", "Info", []])
      assert.match(
        notices.join(),
        /: ip \(HOST in .*\.env\), httpPort \(PORT in .*\), logLevel \(LOG_LEVEL in /
      )
    })
  )

  it.effect("is weaker than the environment, and stronger than a file", () =>
    Effect.gen(function* () {
      const contents = {
        ".env":
          "POLESTAR_PORT=1\nPOLESTAR_QUEUE_SIZE=1\nPOLESTAR_MAX_TOPICS=1\nPOLESTAR_HOST=::1\nDIR=/srv\nPORT=1",
        // biome-ignore lint/suspicious/noTemplateCurlyInString: what a user writes
        "c.yaml": "port: 2\nqueueSize: 2\nmaxTopics: 2\nmaxGroups: 2\nip: '::2'\ndataDir: ${DIR}/${SUB}"
      }
      const settings = yield* loadIn(contents, (directory) => ({
        envFile: `${directory}/.env`,
        file: `${directory}/c.yaml`,
        flags: { port: "4" },
        env: { POLESTAR_QUEUE_SIZE: "3", POLESTAR_MAX_TOPICS: "", POLESTAR_IP: "::3", SUB: "x", PORT: "5" }
      }))
      const { dataDir, httpPort, ip, maxGroups, maxTopics, port, queueSize } = settings
      assert.deepStrictEqual(
        [port, queueSize, maxTopics, maxGroups, ip, dataDir, httpPort],
        [4, 3, 1, 2, "::3", "/srv/x", 5]
      )
      assert.deepStrictEqual(settings.warnings, [])
    })
  )

  it.effect("may name the settings file", () =>
    Effect.gen(function* () {
      const files = yield* FileSystem.FileSystem
      const file = yield* files.makeTempFileScoped({ suffix: ".yaml" })
      yield* files.writeFileString(file, "port: 7")
      assert.strictEqual((yield* loadEnv(`POLESTAR_CONFIG=${file}`)).port, 7)
    }).pipe(Effect.provide(NodeFileSystem.layer))
  )

  it.effect("is named by POLESTAR_ENV_FILE, or by what calls, or is the default", () =>
    Effect.gen(function* () {
      const contents = { a: "POLESTAR_PORT=1", b: "POLESTAR_PORT=2", c: "POLESTAR_PORT=3" }
      const portWith = (sources: (directory: string) => SettingsSources) =>
        Effect.map(loadIn(contents, sources), ({ port }) => port)
      const named = (directory: string) => ({ POLESTAR_ENV_FILE: `${directory}/a` })
      assert.strictEqual(yield* portWith((d) => ({ env: named(d), defaultEnvFile: `${d}/c` })), 1)
      assert.strictEqual(yield* portWith((d) => ({ env: named(d), envFile: `${d}/b` })), 2)
      assert.strictEqual(yield* portWith((d) => ({ defaultEnvFile: `${d}/c` })), 3)
      assert.strictEqual(yield* portWith((d) => ({ defaultEnvFile: `${d}/none` })), 24_353)
      assert.strictEqual(yield* portWith((d) => ({ defaultEnvFile: d })), 24_353)
      assert.strictEqual(yield* portWith(() => ({})), 24_353)
    })
  )

  it.effect("one that is named must be there, and small", () =>
    Effect.gen(function* () {
      const missing = yield* Effect.flip(load({ envFile: "/nowhere/.env", flags: { port: "x" } }))
      assert.deepStrictEqual(
        missing.problems.map(({ reason }) => reason),
        ["unreadable-file", "bad-value"]
      )
      assert.match(missing.problems[0].message, /^\/nowhere\/\.env: cannot be read \(NotFound\); allowed: /)
      assert.propertyVal(missing.cause, "_tag", "PlatformError")
      const [large] = yield* problemsOf(loadEnv("#".repeat(FILE_LIMIT + 1)))
      assert.strictEqual(large.reason, "unreadable-file")
    })
  )

  it.effect("only a file is taken that nobody named", () =>
    Effect.gen(function* () {
      const files = yield* FileSystem.FileSystem
      const pipe = `${yield* files.makeTempDirectoryScoped()}/pipe`
      execFileSync("mkfifo", [pipe])
      assert.strictEqual((yield* load({ defaultEnvFile: pipe })).port, 24_353)
      assert.strictEqual((yield* load({ envFile: "/dev/null" })).port, 24_353)
    }).pipe(Effect.provide(NodeFileSystem.layer))
  )

  it.effect("its problems and warnings name it, and show no secret", () =>
    Effect.gen(function* () {
      const problems = yield* problemsOf(
        loadEnv(`POLESTAR_AUTH_JWT_SECRET=' '\nPOLESTAR_HOST=a\nPOLESTAR_IP=b\nPOLESTAR_PORT=x`)
      )
      assert.deepStrictEqual(
        problems.map(({ key, reason }) => [key, reason]),
        [
          ["ip", "conflict"],
          ["port", "bad-value"],
          ["authJwtSecret", "bad-value"]
        ]
      )
      assert.match(problems[1]?.message ?? "", /^port \(POLESTAR_PORT in .*\.env\): found "x"/)
      const { authJwtSecret, warnings } = yield* loadEnv(
        "POLESTAR_AUTH_JWT_SECRET=hunter2\nPOLESTAR_PROT=hunter2\nWS_PATH=/x"
      )
      assert.strictEqual(authJwtSecret && Redacted.value(authJwtSecret), "hunter2")
      assert.lengthOf(warnings, 2)
      assert.match(
        warnings[0] ?? "",
        /^POLESTAR_PROT in .*\.env is not a setting; did you mean "POLESTAR_PORT"\?$/
      )
      assert.notInclude(warnings.join(), "hunter2")
    })
  )

  it.effect("a folder of that name is none", () =>
    Effect.gen(function* () {
      assert.isFalse(yield* isEnvFile("/"))
      assert.isFalse(yield* isEnvFile("/nowhere/.env"))
    }).pipe(Effect.provide(NodeFileSystem.layer))
  )
})
