/** Groups that a `client_id` makes: removed when nobody uses them, and so many for each client. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger } from "effect"
import { TestClock } from "effect/testing"
import { Hub } from "../../../src/actors/Hub.ts"
import type { LocalClient, LocalConnection, LocalOutlet } from "../../../src/actors/LocalConnection.ts"
import type { Frame } from "../../../src/protocol/Frame.ts"
import { notGiven, unlimitedCredit } from "../../../src/protocol/Op.ts"
import { anonymous, type Identity } from "../../../src/services/auth/Identity.ts"
import * as StateStoreMemory from "../../../src/services/StateStoreMemory.ts"
import { hubLives } from "../HubLives.ts"
import { hubWith, memoryLog } from "../TestHub.ts"
import { numbered } from "../WireClient.ts"
import { type GroupClient, member, memberOf, reborn } from "./GroupClient.ts"

const minute = 60_000
const threshold = 24 * minute

/** A client of the web with a `client_id`, as its transport has it. */
class WebClient {
  private readonly answers: Array<Frame> = []
  readonly outlet: LocalOutlet = {
    isWritable: true,
    isWaiting: false,
    deliver: () => {},
    control: (frame) => void this.answers.push(frame),
    pumpLater: () => {},
    ended: () => {},
    isTaking: () => true
  }
  private connection: LocalConnection | undefined
  private requests = 1

  begin(connection: LocalConnection): void {
    this.connection = connection
    connection.send({ _tag: "Open", session: 1, request: 1, id: "web", incarnation: 0, name: "" })
  }

  /** What the hub answered; a failure by its code. */
  readonly join = Effect.fnUntraced(
    { self: this },
    function* (this: WebClient, group: string, pattern: string) {
      const request = ++this.requests
      this.connection?.send({
        _tag: "Join",
        session: 1,
        request,
        subscription: request,
        group,
        pattern,
        creditMessages: 0,
        creditBytes: unlimitedCredit,
        start: { _tag: "Now" },
        order: "any",
        ackWait: notGiven.u32,
        maxDeliveries: notGiven.u16,
        maxInFlight: notGiven.u32,
        backoff: notGiven.u32,
        maxBackoff: notGiven.u32
      })
      for (let turn = 0; turn < 200; turn++) {
        const answer = this.answers.find((frame) => "request" in frame && frame.request === request)
        if (answer?._tag === "Joined") return answer.created ? "made" : "joined"
        if (answer?._tag === "Failure") return `${answer.code}: ${answer.message}`
        yield* Effect.yieldNow
      }
      return "no answer"
    }
  )

  leave(): void {
    this.connection?.end("normal")
  }
}

const from = (peer: string, identity: Identity = anonymous): LocalClient => ({
  transport: "websocket",
  peer,
  identity
})

const webClient = Effect.fnUntraced(function* (hub: Hub["Service"], client = from("192.0.2.1:5")) {
  const web = new WebClient()
  web.begin(yield* hub.connectLocal(web.outlet, client))
  return web
})

const namesOf = (client: GroupClient) =>
  Effect.map(client.ask("groups"), (groups) =>
    Array.isArray(groups) ? groups.map(({ name }: { readonly name: string }) => name) : []
  )

/** So long passes while the hub goes on. */
const passes = Effect.fnUntraced(function* (milliseconds: number) {
  for (let left = milliseconds; left > 0; left -= minute) {
    yield* TestClock.adjust(Math.min(minute, left))
    for (let turn = 0; turn < 10; turn++) yield* Effect.yieldNow
  }
})

const settings = { clientGroupInactiveThreshold: threshold }

describe("group - that nobody uses", () => {
  it.effect(
    "group - one of a client_id is removed so long after its last member left, with all that is stored",
    () => {
      const lines: Array<unknown> = []
      const logger = Logger.layer([Logger.make<unknown, void>(({ message }) => void lines.push(message))])
      return Effect.gen(function* () {
        const hub = yield* Hub
        const client = yield* member()
        client.wire.answersPings = true
        const web = yield* webClient(hub)
        for (let n = 0; n < 20; n++) assert.strictEqual(yield* web.join(`c${n}~a`, "a"), "made")
        const other = yield* webClient(hub)
        assert.strictEqual(yield* other.join("c0~a", "a"), "joined")
        yield* client.join("named", "a")
        client.wire.unsubscribe(1)
        yield* client.ask("group.create", { name: "asked", pattern: "a" })
        yield* passes(2 * threshold)
        assert.strictEqual((yield* namesOf(client)).length, 22)
        web.leave()
        yield* passes(threshold - 10_000)
        assert.strictEqual((yield* namesOf(client)).length, 22)
        yield* passes(20_000)
        assert.deepStrictEqual(yield* namesOf(client), ["asked", "c0~a", "named"])
        assert.strictEqual((yield* hub.metrics).groupsExpired, 19)
        const told = lines.filter((line) => JSON.stringify(line).includes("nobody used"))
        assert.strictEqual(told.length, 1)
        assert.isBelow(JSON.stringify(told).length, 500)
        // It is as new to who comes back.
        const back = yield* webClient(hub)
        assert.strictEqual(yield* back.join("c1~a", "a"), "made")
        assert.strictEqual(yield* back.join("c0~a", "a"), "joined")
      }).pipe(
        Effect.scoped,
        Effect.provide(hubWith(settings, memoryLog, StateStoreMemory.layer, undefined, logger))
      )
    }
  )

  it.effect("group - who comes back in time finds it, and the time begins anew", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      for (let visit = 0; visit < 4; visit++) {
        const web = yield* webClient(hub)
        assert.strictEqual(yield* web.join("c~a", "a"), visit === 0 ? "made" : "joined")
        web.leave()
        yield* passes(20 * minute)
      }
      assert.strictEqual((yield* hub.metrics).groupsExpired, 0)
    }).pipe(Effect.scoped, Effect.provide(hubWith(settings)))
  )

  it.effect("group - after a restart the time begins anew, and then nothing of it is left in the store", () =>
    Effect.gen(function* () {
      const lives = yield* hubLives(settings)
      const before = yield* memberOf(lives)
      yield* before.wire.publishAndWait("a", numbered(3))
      yield* before.join("named", "a")
      const joined = Effect.flatMap(webClient(lives.hub), (web) => web.join("c~a", "a"))
      assert.strictEqual(yield* Effect.scoped(joined), "made")
      yield* passes(20 * minute)
      const after = yield* reborn(lives)
      after.wire.answersPings = true
      yield* passes(20 * minute)
      assert.deepStrictEqual(yield* namesOf(after), ["c~a", "named"])
      yield* passes(5 * minute)
      assert.deepStrictEqual(yield* namesOf(after), ["named"])
      assert.deepStrictEqual(
        [...lives.store.values.keys()].filter((key) => key.includes("c~a")),
        []
      )
      const last = yield* reborn(lives)
      assert.deepStrictEqual(yield* namesOf(last), ["named"])
    })
  )

  it.effect("group - one that was made by name stays, whoever joined it since", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const client = yield* member()
      client.wire.answersPings = true
      yield* client.ask("group.create", { name: "c~a", pattern: "a" })
      const web = yield* webClient(hub)
      assert.strictEqual(yield* web.join("c~a", "a"), "joined")
      web.leave()
      yield* passes(3 * threshold)
      assert.deepStrictEqual(yield* namesOf(client), ["c~a"])
    }).pipe(Effect.scoped, Effect.provide(hubWith(settings)))
  )

  it.effect("group - one by name can be told to expire, and says so", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const client = yield* member()
      client.wire.answersPings = true
      const made = yield* client.ask("group.create", { name: "g", pattern: "a", inactiveThreshold: 60_000 })
      assert.deepInclude(Object(made), { name: "g", inactiveThreshold: 60_000 })
      yield* client.join("g", "a")
      yield* passes(100_000)
      assert.deepStrictEqual(yield* namesOf(client), ["g"])
      client.wire.unsubscribe(1)
      yield* client.wire.settled
      yield* passes(70_000)
      assert.deepStrictEqual(yield* namesOf(client), [])
      assert.strictEqual((yield* hub.metrics).groupsExpired, 1)
    }).pipe(Effect.provide(hubWith(settings)))
  )

  it.effect("group - with a threshold of 0 none is removed", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const web = yield* webClient(hub)
      yield* web.join("c~a", "a")
      web.leave()
      yield* passes(3 * threshold)
      assert.strictEqual((yield* hub.metrics).groups, 1)
    }).pipe(Effect.scoped, Effect.provide(hubWith({ ...settings, clientGroupInactiveThreshold: 0 })))
  )

  it.effect("group - once the threshold is 0, one that is used again stays", () =>
    Effect.gen(function* () {
      const before = yield* hubLives(settings)
      const joins = (lives: typeof before, name: string) =>
        Effect.scoped(Effect.flatMap(webClient(lives.hub), (web) => web.join(name, "a")))
      for (const name of ["c~a", "d~a"]) assert.strictEqual(yield* joins(before, name), "made")
      yield* before.crash
      const never = yield* hubLives({ ...settings, clientGroupInactiveThreshold: 0 })
      for (const [key, value] of before.store.values) never.store.values.set(key, value)
      yield* never.restart
      assert.strictEqual(yield* joins(never, "c~a"), "joined")
      yield* passes(1000)
      const after = yield* reborn(never)
      after.wire.answersPings = true
      yield* passes(3 * threshold)
      assert.deepStrictEqual(yield* namesOf(after), ["c~a"])
    })
  )
})

describe("group - so many of one client", () => {
  const alice: Identity = { ...anonymous, kind: "api-key", id: "alice" }
  const bob: Identity = { ...alice, id: "bob" }
  const refused = /^too-many-groups: .*maxGroupsPerClient/
  const limits = { ...settings, maxGroupsPerClient: 2 }

  for (const [what, one, same, another] of [
    ["identity", from("192.0.2.1:5", alice), from("192.0.2.2:5", alice), from("192.0.2.1:5", bob)],
    ["address", from("192.0.2.1:5"), from("192.0.2.1:6"), from("192.0.2.2:5")]
  ] as const) {
    it.effect(`group - one ${what} cannot take all that there may be, however it comes`, () =>
      Effect.gen(function* () {
        const hub = yield* Hub
        const first = yield* webClient(hub, one)
        for (const name of ["a", "b"]) assert.strictEqual(yield* first.join(name, "t"), "made")
        assert.match(yield* first.join("c", "t"), refused)
        const second = yield* webClient(hub, same)
        assert.match(yield* second.join("c", "t"), refused)
        assert.strictEqual(yield* second.join("a", "t"), "joined")
        const other = yield* webClient(hub, another)
        assert.strictEqual(yield* other.join("c", "t"), "made")
        const inside = yield* member()
        for (const name of ["d", "e", "f"]) yield* inside.ask("group.create", { name, pattern: "t" })
        // What is removed makes room.
        yield* inside.ask("group.remove", { name: "a" })
        assert.strictEqual(yield* second.join("g", "t"), "made")
        assert.match(yield* first.join("h", "t"), refused)
      }).pipe(Effect.scoped, Effect.provide(hubWith(limits)))
    )
  }

  it.effect("group - whose they are is known after a restart", () =>
    Effect.gen(function* () {
      const lives = yield* hubLives(limits)
      const joins = (...names: ReadonlyArray<string>) =>
        Effect.scoped(
          Effect.flatMap(webClient(lives.hub, from("192.0.2.1:5", alice)), (web) =>
            Effect.forEach(names, (name) => web.join(name, "t"))
          )
        )
      assert.deepStrictEqual(yield* joins("a", "b"), ["made", "made"])
      yield* lives.restart
      const [again, third] = yield* joins("a", "c")
      assert.strictEqual(again, "joined")
      assert.match(third ?? "", refused)
    })
  )
})
