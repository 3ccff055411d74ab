/** Groups that are made, removed and used while the store cannot be written. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Hub } from "../../../src/actors/Hub.ts"
import { type HubLives, hubLives } from "../HubLives.ts"
import { hubWith } from "../TestHub.ts"
import { type GroupClient, member, memberOf, reborn, texts } from "./GroupClient.ts"

/** More saves than any test asks for. */
const allSaves = 1e9

const namesOf = (client: GroupClient) =>
  Effect.map(client.ask("groups"), (groups) =>
    Array.isArray(groups) ? groups.map(({ name }: { readonly name: string }) => name) : []
  )

const passes = Effect.fnUntraced(function* (milliseconds: number) {
  for (let left = milliseconds; left > 0; left -= 500) {
    yield* TestClock.adjust(Math.min(500, left))
    for (let turn = 0; turn < 50; turn++) yield* Effect.yieldNow
  }
})

/** A client that goes on answering while the store fails. */
const patient = (lives: HubLives) =>
  Effect.tap(memberOf(lives), ({ wire }) =>
    Effect.sync(() => {
      wire.answersPings = true
    })
  )

const askedFor = (client: GroupClient, method: string, body: unknown) =>
  Effect.forkChild(Effect.exit(client.ask(method, body)), { startImmediately: true })

describe("group - while the store fails", () => {
  it.effect("group - one that could not be made in time leaves nothing that takes the next of its name", () =>
    Effect.gen(function* () {
      const lives = yield* hubLives()
      const client = yield* patient(lives)
      yield* client.wire.publishAndWait("a", ["x"])
      lives.store.failures = allSaves
      const failing = yield* Effect.forkChild(client.askInVain("group.create", { name: "g", pattern: "a" }), {
        startImmediately: true
      })
      yield* passes(5500)
      assert.strictEqual(yield* Fiber.join(failing), "storage-full")
      lives.store.failures = 0
      yield* client.ask("group.create", { name: "g", pattern: "a", start: "first" })
      yield* passes(3000)
      const after = yield* reborn(lives)
      assert.deepStrictEqual(yield* namesOf(after), ["g"])
      yield* after.join("g", "a")
      assert.deepStrictEqual(texts(yield* after.received()), ["x"])
    })
  )

  it.effect("group - one whose remover went away leaves nothing that takes the next of its name", () =>
    Effect.gen(function* () {
      const lives = yield* hubLives()
      const [client, remover] = [yield* patient(lives), yield* patient(lives)]
      yield* client.ask("group.create", { name: "g", pattern: "a" })
      lives.store.failures = allSaves
      yield* askedFor(remover, "group.remove", { name: "g" })
      yield* passes(500)
      remover.wire.duplex.destroy()
      yield* passes(700)
      lives.store.failures = 0
      yield* client.ask("group.create", { name: "g", pattern: "a" })
      yield* passes(3000)
      const after = yield* reborn(lives)
      assert.deepStrictEqual(yield* namesOf(after), ["g"])
    })
  )

  it.effect("group - one that is removed while the store fails is gone after it works again", () =>
    Effect.gen(function* () {
      const lives = yield* hubLives()
      const client = yield* patient(lives)
      yield* client.ask("group.create", { name: "g", pattern: "a" })
      lives.store.failures = allSaves
      yield* askedFor(client, "group.remove", { name: "g" })
      yield* passes(2000)
      lives.store.failures = 0
      yield* passes(2000)
      assert.deepStrictEqual([...lives.store.values.keys()], [])
    })
  )

  it.effect("group - who asks for one that another is making is told when it is safe", () =>
    Effect.gen(function* () {
      const lives = yield* hubLives()
      const [one, other] = [yield* patient(lives), yield* patient(lives)]
      lives.store.holdsBack = true
      const made = yield* askedFor(one, "group.create", { name: "g", pattern: "a" })
      yield* passes(500)
      one.wire.duplex.destroy()
      yield* Fiber.interrupt(made)
      const found = yield* askedFor(other, "group.create", { name: "g", pattern: "a" })
      yield* passes(1000)
      assert.isUndefined(found.pollUnsafe())
      lives.store.release()
      assert.strictEqual((yield* Fiber.join(found))._tag, "Success")
      const after = yield* reborn(lives)
      assert.deepStrictEqual(yield* namesOf(after), ["g"])
    })
  )

  it.effect("group - members of one that works come back, and new ones are refused in time", () =>
    Effect.gen(function* () {
      const lives = yield* hubLives()
      const client = yield* patient(lives)
      yield* client.ask("group.create", { name: "old", pattern: "a", inactiveThreshold: 1000 })
      yield* client.join("busy", "a")
      yield* client.wire.publishAndWait("a", ["x", "y"])
      const [x] = yield* client.received()
      lives.store.failures = allSaves
      client.sendAck("busy", [x!])
      // Long enough for the hub to find that `old` has expired.
      yield* passes(30_000)
      assert.deepStrictEqual(yield* namesOf(client), ["busy"])
      const other = yield* patient(lives)
      const refused = yield* Effect.forkChild(
        Effect.forEach(
          ["new", "newer"],
          (name) =>
            Effect.flatMap(patient(lives), (each) => each.askInVain("group.create", { name, pattern: "a" })),
          { concurrency: 2 }
        ),
        { startImmediately: true }
      )
      yield* passes(500)
      assert.isFalse((yield* other.join("busy", "a")).created)
      yield* passes(5500)
      assert.isDefined(refused.pollUnsafe())
      assert.deepStrictEqual(yield* Fiber.join(refused), ["storage-full", "storage-full"])
    })
  )

  it.effect("group - those that cannot be forgotten take room until they are", () =>
    Effect.gen(function* () {
      const lives = yield* hubLives({ maxGroups: 2 })
      const client = yield* patient(lives)
      for (const name of ["a", "b"]) yield* client.ask("group.create", { name, pattern: "t" })
      lives.store.failures = allSaves
      yield* askedFor(yield* patient(lives), "group.remove", { name: "a" })
      yield* passes(500)
      assert.strictEqual(yield* client.askInVain("group.create", { name: "c", pattern: "t" }), "storage-full")
      lives.store.failures = 0
      yield* passes(2000)
      yield* client.ask("group.create", { name: "c", pattern: "t" })
      assert.strictEqual(
        yield* client.askInVain("group.create", { name: "d", pattern: "t" }),
        "limit-reached"
      )
    })
  )
})

describe("group - many", () => {
  it.effect("group - of many that begin at once there are no more than there may be", () =>
    Effect.gen(function* () {
      const lives = yield* hubLives({ maxGroups: 3 })
      const client = yield* patient(lives)
      const asked = yield* Effect.all(
        ["a", "b", "c", "d", "e"].map((name) =>
          Effect.exit(client.ask("group.create", { name, pattern: "t.>" }))
        ),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(asked.filter(({ _tag }) => _tag === "Success").length, 3)
      assert.strictEqual((yield* namesOf(client)).length, 3)
    })
  )

  it.effect("group - a topic that is new is told to those alone whose pattern matches it", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const client = yield* member()
      for (const [name, pattern] of [
        ["star", "a.*"],
        ["one", "a.b"],
        ["rest", ">"],
        ["other", "b.*"]
      ] as const)
        yield* client.ask("group.create", { name, pattern })
      yield* client.ask("group.remove", { name: "rest" })
      yield* hub.createTopic("a.b")
      const topics = yield* Effect.forEach(["star", "one", "other"], (name) =>
        Effect.map(client.info(name), (info) => info.topics)
      )
      assert.deepStrictEqual(topics, [1, 1, 0])
      assert.strictEqual((yield* hub.metrics).groups, 3)
    }).pipe(Effect.provide(hubWith()))
  )
})
