/** `polestar group` and `polestar sub --group` as processes, with a durable hub in another. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { Polestar, Topic } from "../../src/index.ts"
import { jsonLines } from "./Commands.ts"
import { DurableHub, hubOf, startHubAt, temporaryFolder } from "./DurableHub.ts"

/** Publishes `0`, `1`, … as JSON, each with one of three keys. */
const publishNumbers = (topic: string, count: number) =>
  Effect.gen(function* () {
    const star = yield* Polestar
    const numbers = Array.from({ length: count }, (_, index) => index)
    return yield* star.publishAll(Topic.dynamic<string>(topic), numbers, {
      key: (_, index) => `k${index % 3}`
    })
  })

const payloads = (stdout: string): ReadonlyArray<unknown> =>
  (stdout === "" ? [] : jsonLines(stdout)).map((line) =>
    typeof line === "object" && line !== null && "payload" in line ? line.payload : undefined
  )

layer(DurableHub.layer, { excludeTestServices: true })("polestar group", (it) => {
  it.effect("create, ls, info - make a group, and show where it is", () =>
    Effect.gen(function* () {
      const hub = yield* DurableHub
      const options = ["--order", "key", "--ack-wait", "5s", "--max-deliveries", "0", "--backoff", "10ms"]
      options.push("--inactive-threshold", "2h")
      const created = yield* hub.run("group", "create", "made", "--pattern", "made.>", ...options, "--json")
      assert.strictEqual(created.code, 0)
      assert.include(jsonLines(created.stdout)[0], {
        name: "made",
        pattern: "made.>",
        order: "key",
        ackWait: 5000,
        maxDeliveries: 0,
        backoff: 10,
        inactiveThreshold: 7_200_000,
        lag: 0
      })
      yield* hub.withClient(publishNumbers("made.a", 3))
      const list = yield* hub.run("group", "ls")
      assert.match(list.stdout, /^group +pattern +state +order +members +lag .*\n/)
      assert.match(list.stdout, /^made +made\.> +idle +key +0 +3 +0 +0 +0$/m)
      const info = yield* hub.run("group", "info", "made")
      assert.match(info.stdout, /^max deliveries +no limit$/m)
      assert.match(info.stdout, /^made\.a +\d+:0 +\d+:0 +\d+:3 +3 +0 +0 +0$/m)
      const json = yield* hub.run("group", "info", "made", "--json")
      assert.deepNestedInclude(jsonLines(json.stdout)[0], { name: "made", "lanes[0].topic": "made.a" })
      const other = yield* hub.run("group", "create", "made", "--pattern", "other.>")
      assert.strictEqual(other.code, 1)
      assert.match(other.stderr, /^polestar: the hub refused: group-mismatch.*\n$/)
    })
  )

  it.effect("sub --group - prints, and acknowledges what it printed", () =>
    Effect.gen(function* () {
      const hub = yield* DurableHub
      yield* hub.run("group", "create", "read", "--pattern", "read.>", "--from", "first")
      yield* hub.withClient(publishNumbers("read.a", 5))
      const first = yield* hub.run("sub", "read.>", "--group", "read", "--count", "2")
      assert.strictEqual(first.code, 0)
      assert.strictEqual(first.stdout, "read.a 0\nread.a 1\n")
      assert.match(first.stderr, /^joined read on read\.>\n/)
      const second = yield* hub.run("sub", "read.>", "--group", "read", "--count", "3", "--json")
      assert.deepStrictEqual(payloads(second.stdout), [2, 3, 4])
      assert.include(jsonLines(second.stdout)[0], { topic: "read.a", attempt: 1, key: "k2" })
      const info = yield* hub.run("group", "info", "read", "--json")
      assert.include(jsonLines(info.stdout)[0], { lag: 0, inFlight: 0, acknowledged: 5 })
    })
  )

  it.effect("sub --group - makes the group, and its members share the work", () =>
    Effect.gen(function* () {
      const hub = yield* DurableHub
      const one = yield* hub.start("sub", "work.>", "--group", "work", "--order", "key", "--json")
      yield* one.stderr(/"Joined"/)
      const two = yield* hub.start("sub", "work.>", "--group", "work", "--order", "key", "--json")
      yield* two.stderr(/"Joined"/)
      yield* hub.withClient(
        Effect.gen(function* () {
          yield* publishNumbers("work.a", 300)
          const star = yield* Polestar
          yield* Effect.repeat(star.groups.info("work"), {
            until: ({ acknowledged }) => acknowledged === 300,
            schedule: Schedule.spaced("20 millis")
          })
        })
      )
      const all: Array<unknown> = []
      for (const member of [one, two]) {
        yield* member.signal("SIGINT")
        const { code, stdout } = yield* member.ended
        assert.strictEqual(code, 130)
        all.push(...payloads(stdout))
      }
      all.sort((a, b) => Number(a) - Number(b))
      assert.deepStrictEqual(
        all,
        Array.from({ length: 300 }, (_, index) => index)
      )
    })
  )

  it.effect("reset - goes back or ahead, in all topics or in one", () =>
    Effect.gen(function* () {
      const hub = yield* DurableHub
      yield* hub.run("group", "create", "back", "--pattern", "back.*")
      const receipts = yield* hub.withClient(publishNumbers("back.a", 4))
      yield* hub.withClient(publishNumbers("back.b", 4))
      const lagAfter = (...args: ReadonlyArray<string>) =>
        Effect.map(hub.run("group", "reset", "back", ...args, "--json"), ({ stdout }) => jsonLines(stdout)[0])
      assert.include(yield* lagAfter("--to", "now"), { lag: 0 })
      assert.include(yield* lagAfter("--to", "first"), { lag: 8 })
      assert.include(yield* lagAfter("--to", "3", "--topic", "back.a"), { lag: 5 })
      const { epoch } = receipts[0]!.position
      assert.include(yield* lagAfter("--to", `${epoch}:2`, "--topic", "back.a"), { lag: 6 })
      assert.include(yield* lagAfter("--to", "now", "--topic", "back.b"), { lag: 2 })
      assert.include(yield* lagAfter("--to", "1h"), { lag: 8 })
      const vague = yield* hub.run("group", "reset", "back", "--to", "3")
      assert.strictEqual(vague.code, 1)
      assert.match(vague.stderr, /^polestar: the hub refused: bad-request.*\n$/)
    })
  )

  it.effect("pause, resume - stop and go on", () =>
    Effect.gen(function* () {
      const hub = yield* DurableHub
      yield* hub.run("group", "create", "rest", "--pattern", "rest.*")
      assert.strictEqual((yield* hub.run("group", "pause", "rest")).stdout, "rest paused\n")
      assert.match((yield* hub.run("group", "ls")).stdout, /^rest +rest\.\* +paused /m)
      const member = yield* hub.start("sub", "rest.*", "--group", "rest", "--count", "1")
      yield* member.stderr(/joined/)
      yield* hub.withClient(publishNumbers("rest.a", 1))
      const resumed = yield* hub.run("group", "resume", "rest", "--json")
      assert.deepStrictEqual(jsonLines(resumed.stdout), [{ name: "rest", resumed: true }])
      assert.strictEqual((yield* member.ended).stdout, "rest.a 0\n")
    })
  )

  it.effect("rm - removes the group, tells its members, and asks first", () =>
    Effect.gen(function* () {
      const hub = yield* DurableHub
      const member = yield* hub.start("sub", "away.*", "--group", "away")
      yield* member.stderr(/joined/)
      const asked = yield* hub.run("group", "rm", "away")
      assert.strictEqual(asked.code, 2)
      assert.match(asked.stderr, /^polestar: Remove the group away .* Give --yes\n$/)
      assert.strictEqual((yield* hub.run("group", "rm", "away", "--yes")).stdout, "away removed\n")
      const told = yield* member.ended
      assert.strictEqual(told.code, 1)
      assert.match(told.stderr, /polestar: disconnected: group-removed/)
      const gone = yield* hub.run("group", "info", "away")
      assert.strictEqual(gone.code, 1)
      assert.match(gone.stderr, /^polestar: the hub refused: unknown-group.*\n$/)
    })
  )

  it.effect("topics rm - deletes a topic's messages, and asks first", () =>
    Effect.gen(function* () {
      const hub = yield* DurableHub
      const receipts = yield* hub.withClient(publishNumbers("trash.a", 2))
      assert.strictEqual((yield* hub.run("topics", "rm", "trash.a")).code, 2)
      const removed = yield* hub.run("topics", "rm", "trash.a", "--yes", "--json")
      assert.deepStrictEqual(jsonLines(removed.stdout), [{ topic: "trash.a", removed: true }])
      assert.notMatch((yield* hub.run("topics")).stdout, /^trash\.a /m)
      const again = yield* hub.withClient(publishNumbers("trash.a", 1))
      assert.notStrictEqual(again[0]!.position.epoch, receipts[0]!.position.epoch)
      const replay = yield* hub.run("replay", "trash.a", "--from", "first")
      assert.strictEqual(replay.stdout, "trash.a 0\n")
      const none = yield* hub.run("topics", "rm", "trash.none", "--yes")
      assert.strictEqual(none.code, 1)
      assert.match(none.stderr, /^polestar: the hub refused: topic-not-found.*\n$/)
    })
  )
})

describe("polestar group", () => {
  it.live("sub --group - goes on where it was after the hub was killed", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const before = yield* startHubAt(folder)
      const first = hubOf(before.port)
      yield* first.run("group", "create", "kept", "--pattern", "kept.>", "--from", "first")
      yield* first.withClient(publishNumbers("kept.a", 4))
      const printed = yield* first.run("sub", "kept.>", "--group", "kept", "--count", "3", "--json")
      assert.deepStrictEqual(payloads(printed.stdout), [0, 1, 2])
      yield* before.process.signal("SIGKILL")
      yield* before.process.ended
      const after = hubOf((yield* startHubAt(folder)).port)
      const info = yield* after.run("group", "info", "kept", "--json")
      assert.include(jsonLines(info.stdout)[0], { lag: 1, pattern: "kept.>" })
      const rest = yield* after.run("sub", "kept.>", "--group", "kept", "--count", "1", "--json")
      assert.deepStrictEqual(payloads(rest.stdout), [3])
      const all = yield* after.run("replay", "kept.a", "--from", "first", "--json")
      assert.deepStrictEqual(payloads(all.stdout), [0, 1, 2, 3])
    })
  )
})
