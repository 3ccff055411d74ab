/** `polestar replay` as a process, with a hub in this one. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { HubServer, TcpServer } from "../../src/hub.ts"
import { Polestar, Topic } from "../../src/index.ts"
import { jsonLines, run } from "./Commands.ts"

const environment = Effect.map(TcpServer, ({ port }) => ({ POLESTAR_PORT: String(port) }))

/** Runs with a client of the hub under test. */
const withClient = <A, E, R>(program: Effect.Effect<A, E, R>) =>
  Effect.flatMap(TcpServer, ({ port }) => Effect.provide(program, Polestar.layerTcp({ port })))

/** Publishes `from`, `from + 1`, … as JSON. */
const publishNumbers = (topic: string, count: number, from = 0) =>
  withClient(
    Effect.gen(function* () {
      const star = yield* Polestar
      return yield* star.publishAll(
        Topic.dynamic<string>(topic),
        Array.from({ length: count }, (_, index) => from + index),
        { key: (value) => `k${value}`, headers: { of: topic } }
      )
    })
  )

const payloads = (stdout: string): ReadonlyArray<unknown> =>
  (stdout === "" ? [] : jsonLines(stdout)).map((line) =>
    typeof line === "object" && line !== null && "payload" in line ? line.payload : undefined
  )

layer(HubServer.layerWith({ port: 0, hotTierMessages: 5000 }), { excludeTestServices: true })(
  "polestar replay",
  (it) => {
    it.effect("replay - prints all that is kept, topic by topic, and ends", () =>
      Effect.gen(function* () {
        const env = yield* environment
        yield* publishNumbers("all.b", 3)
        yield* publishNumbers("all.a", 2)
        const ended = yield* run(["replay", "all.*", "--from", "first"], env)
        assert.strictEqual(ended.code, 0)
        assert.strictEqual(ended.stdout, "all.a 0\nall.a 1\nall.b 0\nall.b 1\nall.b 2\n")
        assert.strictEqual(ended.stderr, "replayed 5 messages of 2 topics, no gaps\n")
      })
    )

    it.effect("replay - prints what sub prints, with --json as with --format json", () =>
      Effect.gen(function* () {
        const env = yield* environment
        yield* publishNumbers("same.a", 1)
        const sub = yield* run(["sub", "same.a", "--last", "1", "--count", "1", "--format", "json"], env)
        const replay = yield* run(["replay", "same.a", "--last", "1", "--json"], env)
        assert.strictEqual(replay.stdout, sub.stdout)
        assert.deepStrictEqual(jsonLines(replay.stderr), [
          { notice: "Replayed", messages: 1, topics: 1, gaps: 0, missing: 0 }
        ])
      })
    )

    it.effect("replay - starts at an offset, a position, a time, or the last so many", () =>
      Effect.gen(function* () {
        const env = yield* environment
        const receipts = yield* publishNumbers("at.a", 10)
        const { epoch } = receipts[0]!.position
        yield* Effect.sleep("5 millis")
        const between = Date.now()
        yield* Effect.sleep("5 millis")
        yield* publishNumbers("at.a", 2, 10)
        for (const [args, first] of [
          [["--from", "7"], 7],
          [["--from", `${epoch}:9`], 9],
          [["--from", String(between)], 10],
          [["--from", new Date(between).toISOString()], 10],
          [["--from", "1h"], 0],
          [["--from", "last 3"], 9],
          [["--last", "1"], 11],
          [["--last", "0"], 12],
          [["--from", "12"], 12]
        ] as const) {
          const { code, stdout } = yield* run(["replay", "at.a", ...args, "--json"], env)
          assert.strictEqual(code, 0)
          const expected = Array.from({ length: 12 - first }, (_, index) => first + index)
          assert.deepStrictEqual(payloads(stdout), expected, args.join(" "))
        }
      })
    )

    it.effect("replay - ends where a topic has nothing since a time, and where no topic matches", () =>
      Effect.gen(function* () {
        const env = yield* environment
        yield* publishNumbers("quiet.a", 1)
        yield* Effect.sleep("5 millis")
        const ended = yield* run(["replay", "quiet.>", "--from", String(Date.now())], env)
        assert.strictEqual(ended.code, 0)
        assert.strictEqual(ended.stderr, "replayed 0 messages of 0 topics, no gaps\n")
        const none = yield* run(["replay", "nothing.>", "--from", "first"], env)
        assert.deepInclude(none, { code: 0, stdout: "" })
      })
    )

    it.effect("replay - ends where the newest message has expired", () =>
      Effect.gen(function* () {
        const env = yield* environment
        yield* publishNumbers("expired.a", 2)
        yield* run(["pub", "expired.a", "late", "--ttl", "1ms"], env)
        yield* Effect.sleep("20 millis")
        const ended = yield* run(["replay", "expired.a", "--from", "first"], env)
        assert.strictEqual(ended.stdout, "expired.a 0\nexpired.a 1\n")
      })
    )

    it.effect("replay - tells what is no longer kept, and of another epoch", () =>
      Effect.gen(function* () {
        const env = yield* environment
        const receipts = yield* publishNumbers("gone.a", 5010)
        const { epoch } = receipts[0]!.position
        const lost = yield* run(["replay", "gone.a", "--from", "0", "--json"], env)
        const [gap, told] = jsonLines(lost.stderr)
        assert.deepNestedInclude(gap, { notice: "Gap", topic: "gone.a", from: { epoch, offset: 0 } })
        assert.include(told, { notice: "Replayed", gaps: 1 })
        const numbers = payloads(lost.stdout)
        assert.strictEqual(numbers.at(-1), 5009)
        assert.isAtMost(numbers.length, 5010 - 1)
        assert.include(told, { messages: numbers.length, missing: 5010 - numbers.length })
        const other = yield* run(["replay", "gone.a", "--from", `${epoch + 1}:5000`], env)
        assert.match(
          other.stderr,
          /^gap in gone\.a, .*\nreplayed \d+ messages of 1 topic, 1 gap, 0 missing\n$/
        )
      })
    )

    it.effect("replay - is complete where it is long, and --count ends it", () =>
      Effect.gen(function* () {
        const env = yield* environment
        yield* publishNumbers("long.a", 4900)
        const all = yield* run(["replay", "long.a", "--from", "first", "--json"], env)
        assert.deepStrictEqual(
          payloads(all.stdout),
          Array.from({ length: 4900 }, (_, index) => index)
        )
        const some = yield* run(["replay", "long.a", "--from", "first", "--count", "1500"], env)
        assert.lengthOf(some.stdout.trimEnd().split("\n"), 1500)
        assert.strictEqual(some.stderr, "replayed 1500 messages of 1 topic, no gaps\n")
      })
    )

    it.effect("replay - publishes again, as it was, to a topic or below a prefix", () =>
      Effect.gen(function* () {
        const env = yield* environment
        yield* publishNumbers("from.a", 2)
        yield* publishNumbers("from.b", 1)
        const one = yield* run(["replay", "from.*", "--from", "first", "--to-topic", "to.one"], env)
        assert.strictEqual(one.code, 0)
        assert.strictEqual(one.stdout, "republished 3 messages of 2 topics, no gaps\n")
        const into = yield* run(["replay", "to.one", "--from", "first", "--json"], env)
        assert.deepStrictEqual(payloads(into.stdout), [0, 1, 0])
        const below = ["replay", "from.*", "--from", "first", "--to-topic", "again.>", "--json"]
        const prefixed = yield* run(below, env)
        assert.include(jsonLines(prefixed.stdout)[0], { notice: "Republished", messages: 3, topics: 2 })
        const { stdout } = yield* run(["replay", "again.>", "--from", "first", "--json"], env)
        const [first, , last] = jsonLines(stdout)
        assert.deepInclude(first, { topic: "again.from.a", key: "k0", payload: 0 })
        assert.deepNestedInclude(first, { headers: { of: "from.a" }, contentType: "application/json" })
        assert.deepInclude(last, { topic: "again.from.b", key: "k0", payload: 0 })
      })
    )

    it.effect("replay - a topic into itself ends where it ended", () =>
      Effect.gen(function* () {
        const env = yield* environment
        yield* publishNumbers("loop.a", 3)
        const ended = yield* run(["replay", "loop.a", "--from", "first", "--to-topic", "loop.a"], env)
        assert.strictEqual(ended.stdout, "republished 3 messages of 1 topic, no gaps\n")
        const { stdout } = yield* run(["replay", "loop.a", "--from", "first", "--json"], env)
        assert.deepStrictEqual(payloads(stdout), [0, 1, 2, 0, 1, 2])
      })
    )

    it.effect("replay - keeps to --rate", () =>
      Effect.gen(function* () {
        const env = yield* environment
        yield* publishNumbers("slow.a", 20)
        const start = performance.now()
        yield* run(["replay", "slow.a", "--from", "first", "--rate", "20"], env)
        assert.isAbove(performance.now() - start, 900)
      })
    )
  }
)
