/** What the command says and ends with where nothing is to be done, or nothing can be. */
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { run } from "./Commands.ts"

describe("polestar exits", () => {
  it.live("help - names the subcommands and the exit codes", () =>
    Effect.gen(function* () {
      const ended = yield* run(["--help"])
      assert.strictEqual(ended.code, 0)
      assert.match(ended.stdout, /69 hub unavailable, 77 not permitted, 78 wrong settings/)
      for (const name of ["hub", "pub", "sub", "replay", "group", "dead", "topics", "stats", "bench"]) {
        assert.match(ended.stdout, new RegExp(`^ +${name} +\\S`, "m"))
      }
      assert.notInclude(ended.stdout, "\u001b")
    })
  )

  it.live("help - of the hub has every setting as a flag", () =>
    Effect.gen(function* () {
      const { stdout } = yield* run(["hub", "--help"])
      for (const flag of [
        "ip",
        "queue-size",
        "hot-tier-retention",
        "drain-timeout",
        "tls-cert",
        "log-format"
      ]) {
        assert.match(stdout, new RegExp(`^ +--${flag} `, "m"))
      }
    })
  )

  it.live("help - says of --host and --port what they are for each command", () =>
    Effect.gen(function* () {
      const flagsOf = (text: string) => text.match(/^ +--(host|port) .*$/gm)?.join("\n") ?? ""
      const hub = flagsOf((yield* run(["hub", "--help"])).stdout)
      assert.match(hub, /--host .*to listen on.*\n.*--port .*to listen on/)
      assert.strictEqual(flagsOf((yield* run(["key", "create", "--help"])).stdout), "")
      assert.match(flagsOf((yield* run(["pub", "--help"])).stdout), /--host .*Address of the hub/)
      const { stdout } = yield* run(["key", "--help"])
      for (const claim of ["sub", "exp", "consumerGroups", "messagesPerMinute, connections, messageSize"])
        assert.include(stdout, claim)
    })
  )

  it.live("version, completions - are printed", () =>
    Effect.gen(function* () {
      assert.match((yield* run(["--version"])).stdout, /^polestar v\d+\.\d+\.\d+\n$/)
      assert.include((yield* run(["--completions", "bash"])).stdout, "polestar")
    })
  )

  it.live(
    "usage - what is wrong is said in one line, before anything is done",
    () =>
      Effect.forEach(
        wrongUses,
        ([args, message]) =>
          Effect.gen(function* () {
            const ended = yield* run(args)
            assert.strictEqual(ended.code, 2, message)
            assert.strictEqual(ended.stdout, "")
            assert.match(ended.stderr, /^polestar: .*\n$/)
            assert.include(ended.stderr, message)
          }),
        { concurrency: 2, discard: true }
      ),
    // A process for each.
    120_000
  )

  it.live("unavailable - no hub is 69, and says where it was looked for", () =>
    Effect.gen(function* () {
      const ended = yield* run(["pub", "a.b", "x", "--host", "localhost"], { POLESTAR_PORT: "1" })
      assert.strictEqual(ended.code, 69)
      assert.match(ended.stderr, /^polestar: no hub at localhost:1: could not connect: .*ECONNREFUSED.*\n$/)
    })
  )
})

const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url))

const wrongUses = [
  [["frob"], "Unknown subcommand"],
  [["pub"], "Missing required argument: topic"],
  [["pub", "a.b", "x", "--json"], "--json: the payload is not json"],
  [["pub", "a.b", "x", "--text", "--binary"], "--text, --binary: give one of them"],
  [["pub", "a.b", "x", "--priority", "10"], "an integer from 0 to 9"],
  [["pub", "a.b", "x", "--ttl", "5parsecs"], '--ttl: found "5parsecs"; allowed'],
  [["pub", "a.b", "x", "-H", "bad"], '--header: found "bad"; allowed: name=value'],
  [["stats", "--interval", "soon"], '--interval: found "soon"; allowed'],
  [["pub", "a.b", "x", "--tls-ca", main], `--tls-ca (${main}): is not a certificate in PEM`],
  [["pub", "a.b", "--lines", "--id", "i"], "--id: names one message"],
  [["sub"], "give a pattern, or --config"],
  [["sub", "a", "--last", "1", "--from", "5m"], "--last and --from: give one of them"],
  [["sub", "a", "--from", "tea time"], "--from: found"],
  [["sub", "a", "--port", "99999"], "--port: found"],
  [["pub", "a.b", "x", "--deliver-at", "soon"], '--deliver-at: found "soon"; allowed'],
  [
    ["pub", "a.b", "x", "--deliver-at", "2030-01-01", "--delay", "1s"],
    "--deliver-at and --delay: give one of"
  ],
  [["sub", "a", "--order", "key"], "--order: only with --group"],
  [["sub", "a", "--group", "g", "--last", "1"], "--last: not with --group"],
  [["sub", "a", "--group", "g", "--from", "7"], "--from: an offset needs its epoch here"],
  [["replay", "a.b"], "--last and --from: give one of them"],
  [["replay", "a.*", "--from", "7"], "--from: an offset is of one topic"],
  [["replay", "a.b", "--from", "now"], '--from: found "now"; allowed: "last <number>", first'],
  [["replay", "a.b", "--from", "first", "--to-topic", "b.*"], "--to-topic: "],
  [["group", "create", "g"], "Missing required flag: --pattern"],
  [["group", "reset", "g", "--to", "tea"], '--to: found "tea"; allowed: now, first'],
  [["group", "rm", "g"], "Give --yes"],
  [["topics", "rm", "a.b"], "Give --yes"],
  [["dead", "requeue", "$dead.a.b", "--offset", "-1"], "an integer from 0"],
  [["hub", "--ip", "127.0.0.1", "--host", "::1"], "--ip and --host mean the same here"]
] as const
