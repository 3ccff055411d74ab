/** `polestar dead` as a process, with a durable hub in another. */
import { assert, layer } from "@effect/vitest"
import { Effect, Schedule, Stream } from "effect"
import { Failure, Polestar, Topic } from "../../src/index.ts"
import { jsonLines } from "./Commands.ts"
import { DurableHub } from "./DurableHub.ts"

/** Has a group refuse `count` messages of a topic for good; answers when they are dead letters. */
const refuseAll = (group: string, topic: string, count: number) =>
  Effect.gen(function* () {
    const star = yield* Polestar
    const target = Topic.dynamic<string>(topic)
    const member = yield* star.join(target, { group })
    const numbers = Array.from({ length: count }, (_, index) => index)
    yield* star.publishAll(target, numbers, { key: "k", headers: { of: topic } })
    yield* member.messages.pipe(
      Stream.take(count),
      Stream.runForEach((message) => member.refuse(message, Failure.deadLetter, new Error("out of\nstock")))
    )
    yield* Effect.repeat(star.groups.info(group), {
      until: ({ deadLettered }) => deadLettered === count,
      schedule: Schedule.spaced("20 millis")
    })
  })

const offsets = (stdout: string): ReadonlyArray<unknown> =>
  (stdout === "" ? [] : jsonLines(stdout)).map((line) =>
    typeof line === "object" && line !== null && "offset" in line ? line.offset : undefined
  )

layer(DurableHub.layer, { excludeTestServices: true })("polestar dead", (it) => {
  it.effect("ls, show - print what is there and where it came from", () =>
    Effect.gen(function* () {
      const hub = yield* DurableHub
      yield* hub.withClient(refuseAll("seen", "seen.a", 2))
      yield* hub.withClient(refuseAll("other", "seen.b", 1))
      const all = yield* hub.run("dead", "ls")
      assert.match(all.stdout, /^topic +group +origin +messages\n/)
      assert.match(all.stdout, /^\$dead\.other\.seen\.b +other +seen\.b +1$/m)
      const one = yield* hub.run("dead", "ls", "--group", "seen", "--json")
      const topic = "$dead.seen.seen.a"
      assert.deepStrictEqual(jsonLines(one.stdout), [{ topic, group: "seen", origin: "seen.a", messages: 2 }])
      const text = yield* hub.run("dead", "show", topic)
      assert.match(text.stdout, /^0 seen\.a \d+:0 1 attempt: .*out of stock.*\n {2}0\n1 seen\.a /)
      const json = yield* hub.run("dead", "show", topic, "--limit", "1", "--json")
      const [letter, ...more] = jsonLines(json.stdout)
      assert.isEmpty(more)
      assert.deepInclude(letter, { topic, offset: 0, key: "k", payload: 0, contentType: "application/json" })
      assert.deepNestedInclude(letter, { "headers.of": "seen.a", "headers.polestar-group": "seen" })
    })
  )

  it.effect("requeue - gives messages to their group again, once", () =>
    Effect.gen(function* () {
      const hub = yield* DurableHub
      yield* hub.withClient(refuseAll("again", "again.a", 3))
      const topic = "$dead.again.again.a"
      const some = yield* hub.run("dead", "requeue", topic, "--offset", "0", "--offset", "2")
      assert.strictEqual(some.stdout, "requeued 2\n")
      assert.deepStrictEqual(offsets((yield* hub.run("dead", "show", topic, "--json")).stdout), [1])
      const rest = yield* hub.run("dead", "requeue", topic, "--json")
      assert.deepStrictEqual(jsonLines(rest.stdout), [{ topic, requeued: 1, missing: 0 }])
      const printed = yield* hub.run("sub", "again.a", "--group", "again", "--count", "3", "--json")
      assert.sameMembers([...offsets(printed.stdout)], [0, 1, 2])
      const empty = yield* hub.run("dead", "ls", "--group", "again", "--json")
      assert.strictEqual(empty.stdout, "")
    })
  )

  it.effect("requeue - says what is no longer kept", () =>
    Effect.gen(function* () {
      const hub = yield* DurableHub
      yield* hub.withClient(refuseAll("late", "late.a", 1))
      yield* hub.run("topics", "rm", "late.a", "--yes")
      const ended = yield* hub.run("dead", "requeue", "$dead.late.late.a")
      assert.strictEqual(ended.code, 0)
      assert.strictEqual(ended.stdout, "requeued 0, missing 1: no longer kept where they came from\n")
    })
  )

  it.effect("drop - lets go of one, or of all", () =>
    Effect.gen(function* () {
      const hub = yield* DurableHub
      yield* hub.withClient(refuseAll("dropped", "dropped.a", 3))
      const topic = "$dead.dropped.dropped.a"
      assert.strictEqual((yield* hub.run("dead", "drop", topic, "--offset", "1")).stdout, "dropped 1\n")
      assert.deepStrictEqual(offsets((yield* hub.run("dead", "show", topic, "--json")).stdout), [0, 2])
      const all = yield* hub.run("dead", "drop", topic, "--json")
      assert.deepStrictEqual(jsonLines(all.stdout), [{ topic, dropped: 2 }])
      const origin = yield* hub.run("dead", "show", "dropped.a")
      assert.deepStrictEqual([origin.code, origin.stdout], [2, ""])
      assert.include(origin.stderr, "$dead.<group>.<topic>")
      const unknown = yield* hub.run("dead", "show", "$dead.none.x")
      assert.strictEqual(unknown.code, 1)
      assert.match(unknown.stderr, /^polestar: the hub refused: topic-not-found.*\n$/)
    })
  )

  it.effect("replay - a topic of dead letters by its name", () =>
    Effect.gen(function* () {
      const hub = yield* DurableHub
      yield* hub.withClient(refuseAll("played", "played.a", 2))
      const ended = yield* hub.run("replay", "$dead.played.played.a", "--from", "first")
      assert.strictEqual(ended.stdout, "$dead.played.played.a 0\n$dead.played.played.a 1\n")
    })
  )
})
