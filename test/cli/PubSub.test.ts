/** `polestar pub`, `sub`, `topics` and `stats` as processes, with a hub in this one. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { HubServer, TcpServer } from "../../src/hub.ts"
import { jsonLines, run, start } from "./Commands.ts"

const environment = Effect.map(TcpServer, ({ port }) => ({ POLESTAR_PORT: String(port) }))

layer(HubServer.layerWith({ port: 0 }), { excludeTestServices: true })("polestar pub and sub", (it) => {
  it.effect("sub - prints messages as text, and ends after --count", () =>
    Effect.gen(function* () {
      const env = yield* environment
      const sub = yield* start(["sub", "text.*", "--count", "2"], env)
      yield* sub.stderr(/subscribed to text\.\*\n/)
      const first = yield* run(["pub", "text.a", "hello there"], env)
      assert.strictEqual(first.code, 0)
      assert.match(first.stdout, /^text\.a \d+:0 accepted\n$/)
      yield* run(["pub", "text.b", '{"n": 1}'], env)
      const ended = yield* sub.ended
      assert.strictEqual(ended.code, 0)
      assert.strictEqual(ended.stdout, 'text.a hello there\ntext.b {"n": 1}\n')
    })
  )

  it.effect("sub - prints one object a line with --format json", () =>
    Effect.gen(function* () {
      const env = yield* environment
      const options = [
        "--id",
        "i",
        "--key",
        "k",
        "-H",
        "a=b",
        "--header",
        "c=d",
        "--priority",
        "3",
        "--ttl",
        "1m"
      ]
      const json = yield* run(
        ["pub", "json.a", '{"n":12345678901234567890}', ...options, "--format", "json"],
        env
      )
      const [receipt] = jsonLines(json.stdout)
      assert.include(receipt, { topic: "json.a", offset: 0, durability: "accepted", duplicate: false })
      yield* run(["pub", "json.a", "1", "--text"], env)
      yield* run(["pub", "json.a", "1", "--binary"], env)
      const sub = yield* run(["sub", "json.a", "--last", "9", "--count", "3", "--format", "json"], env)
      assert.strictEqual(sub.code, 0)
      // No digit is lost.
      assert.include(sub.stdout, '"payload":{"n":12345678901234567890}')
      const [first, second, third] = jsonLines(sub.stdout)
      assert.include(first, { topic: "json.a", offset: 0, id: "i", key: "k" })
      assert.deepNestedInclude(first, { headers: { a: "b", c: "d" } })
      assert.nestedProperty(first, "epoch")
      assert.nestedProperty(first, "timestamp")
      assert.include(second, { offset: 1, id: null, payload: "1", contentType: "text/plain; charset=utf-8" })
      assert.include(third, { offset: 2, payload: "MQ==", encoding: "base64" })
      for (const notice of jsonLines(sub.stderr)) assert.propertyVal(notice, "notice", "Subscribed")
    })
  )

  it.effect("pub - reads a message, or lines, from standard input", () =>
    Effect.gen(function* () {
      const env = yield* environment
      const whole = yield* start(["pub", "in.whole", "-"], env)
      yield* whole.write("a\nb")
      yield* whole.endInput
      assert.strictEqual((yield* whole.ended).code, 0)
      const lines = yield* start(["pub", "in.lines", "--lines"], env)
      yield* lines.write("one\n")
      // A line is published before the next one comes.
      yield* lines.stdout(/in\.lines \d+:0 accepted\n/)
      yield* lines.write('{"two":2}\r\n\nfour')
      yield* lines.endInput
      const ended = yield* lines.ended
      assert.lengthOf(ended.stdout.trimEnd().split("\n"), 4)
      const sub = yield* run(["sub", "in.*", "--last", "9", "--count", "5", "--format", "json"], env)
      const payloads = jsonLines(sub.stdout).map((line) =>
        typeof line === "object" && line !== null && "payload" in line ? line.payload : undefined
      )
      assert.sameDeepMembers(payloads, ["a\nb", "one", { two: 2 }, "", "four"])
    })
  )

  it.effect("pub - publishes the lines before a bad one, and names its number", () =>
    Effect.gen(function* () {
      const env = yield* environment
      const lines = yield* start(["pub", "in.bad", "--lines", "--json"], env)
      yield* lines.write('{"a":1}\n')
      yield* lines.stdout(/in\.bad \d+:0 accepted\n/)
      yield* lines.write('{"a":2}\nbad\n{"a":3}\n')
      yield* lines.endInput
      const ended = yield* lines.ended
      assert.strictEqual(ended.code, 2)
      assert.match(ended.stdout, /^in\.bad \d+:0 accepted\nin\.bad \d+:1 accepted\n$/)
      assert.strictEqual(ended.stderr, "polestar: line 3: --json: the payload is not json\n")
    })
  )

  it.effect("pub - says that an id was there already", () =>
    Effect.gen(function* () {
      const env = yield* environment
      yield* run(["pub", "once.a", "x", "--id", "1"], env)
      const again = yield* run(["pub", "once.a", "x", "--id", "1"], env)
      assert.match(again.stdout, /^once\.a \d+:0 accepted duplicate\n$/)
    })
  )

  it.effect("pub - is held until --deliver-at, or for --delay", () =>
    Effect.gen(function* () {
      const env = yield* environment
      const sub = yield* start(["sub", "held.*", "--count", "2", "--format", "json"], env)
      yield* sub.stderr(/Subscribed/)
      const began = Date.now()
      const delayed = yield* run(["pub", "held.a", "a", "--delay", "700ms"], env)
      assert.strictEqual(delayed.stdout, "held.a held accepted\n")
      // Held for longer than the command takes to begin, however busy the machine is.
      const at = Date.now() + 2000 + 3 * (Date.now() - began)
      const timed = yield* run(["pub", "held.b", "b", "--deliver-at", String(at), "--format", "json"], env)
      assert.deepStrictEqual(jsonLines(timed.stdout), [
        { topic: "held.b", held: true, durability: "accepted", duplicate: false }
      ])
      const [first, second] = jsonLines((yield* sub.ended).stdout)
      assert.include(first, { topic: "held.a", payload: "a" })
      assert.include(second, { topic: "held.b", payload: "b" })
      assert.isAtLeast(Date.now(), at)
    })
  )

  it.effect("pub - says in one line that its traces go nowhere, and publishes all the same", () =>
    Effect.gen(function* () {
      const endpoint = { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://user:secret@127.0.0.1:1/v1/traces" }
      const ended = yield* run(["pub", "traced.a", "x"], { ...(yield* environment), ...endpoint })
      assert.strictEqual(ended.code, 0)
      assert.match(
        ended.stderr,
        /^warning: cannot export traces to http:\/\/127\.0\.0\.1:1\/v1\/traces: .*ECONNREFUSED.*\n$/
      )
    })
  )

  it.effect("pub - asks about TLS where the hub has none", () =>
    Effect.gen(function* () {
      const ended = yield* run(["pub", "a.b", "x", "--tls"], yield* environment)
      assert.strictEqual(ended.code, 69)
      assert.match(ended.stderr, /^polestar: .*the answer is not TLS; does the hub speak TLS\?\n$/)
    })
  )

  it.effect("sub - ends quietly when nobody reads it any more", () =>
    Effect.gen(function* () {
      const env = yield* environment
      const sub = yield* start(["sub", "pipe.a"], env)
      yield* sub.stderr(/subscribed/)
      yield* sub.closeOutput
      yield* run(["pub", "pipe.a", "x"], env)
      const ended = yield* sub.ended
      assert.strictEqual(ended.code, 0)
      assert.strictEqual(ended.stderr, "subscribed to pipe.a\n")
    })
  )

  it.effect("topics, stats - print what the hub says", () =>
    Effect.gen(function* () {
      const env = yield* environment
      yield* run(["pub", "told.a", "x", "--count", "3"], env)
      const text = yield* run(["topics", "told.*"], env)
      assert.match(text.stdout, /^topic +subscribers +messages .*\ntold\.a +0 +3 +\d+:0 +\d+:3\n$/)
      const json = yield* run(["topics", "told.*", "--format", "json"], env)
      assert.include(jsonLines(json.stdout)[0], { name: "told.a", messages: 3, nextOffset: 3 })
      const stats = yield* run(["stats", "--format", "json"], env)
      assert.nestedProperty(jsonLines(stats.stdout)[0], "messagesReceived")
      const watched = yield* start(["stats", "--watch", "--interval", "10ms"], env)
      yield* watched.stdout(/in\/s.*\n.*\n.*\n/)
      yield* watched.signal("SIGINT")
      assert.strictEqual((yield* watched.ended).code, 130)
    })
  )

  it.effect("bench - measures throughput and round trips", () =>
    Effect.gen(function* () {
      const args = [
        "bench",
        "--messages",
        "1000",
        "--round-trips",
        "10",
        "--subscribers",
        "2",
        "--format",
        "json"
      ]
      const ended = yield* run(args, yield* environment)
      assert.strictEqual(ended.code, 0)
      const [publish, deliver, roundTrip] = jsonLines(ended.stdout)
      assert.include(publish, { case: "publish", messages: 1000 })
      assert.include(deliver, { case: "deliver", messages: 2000 })
      assert.include(roundTrip, { case: "round-trip", messages: 10 })
    })
  )

  it.effect("pub, sub - take a settings file, and flags before it", () =>
    Effect.gen(function* () {
      const { port } = yield* TcpServer
      const fixtures = new URL("../fixtures/", import.meta.url).pathname
      const env = { HUB_PORT: String(port) }
      const pub = yield* run(["pub", "config.a", "x", "--config", `${fixtures}publisher.json`], env)
      assert.strictEqual(pub.code, 0, pub.stderr)
      const consumer = ["--config", `${fixtures}consumer.yaml`]
      const sub = yield* run(["sub", ...consumer, "--port", String(port), "--last", "1", "--count", "1"])
      assert.strictEqual(sub.stdout, "config.a x\n", sub.stderr)
      const bad = yield* run(["sub", "--config", `${fixtures}publisher.json`], env)
      assert.strictEqual(bad.code, 78)
      assert.match(
        bad.stderr,
        /^polestar: \S+publisher\.json: topics \(consumer\): found nothing; allowed: /m
      )
    })
  )
})
