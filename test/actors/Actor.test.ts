import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Fiber, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { Actor } from "../../src/actors/Actor.ts"
import { type ActorSystem, makeActorSystem } from "../../src/actors/ActorSystem.ts"

interface Note {
  readonly name: string
  readonly messages?: number
  readonly bytes?: number
  /** What handling it does. */
  readonly handle?: () => Effect.Effect<void, string> | undefined
}

class Probe extends Actor<Note, string> {
  /** What was handled, in order, and what failed with its cause. */
  readonly handled: Array<string> = []
  readonly failures: Array<string> = []
  readonly kept: Array<string> = []
  rest = 0

  protected override handle(note: Note) {
    this.handled.push(note.name)
    return note.handle?.()
  }

  protected override failed(note: Note, cause: Cause.Cause<string>): Effect.Effect<void> {
    this.failures.push(`${note.name}: ${Cause.squash(cause)}`)
    return Effect.sleep(this.rest)
  }

  protected override messagesOf(note: Note): number {
    return note.messages ?? 1
  }

  protected override bytesOf(note: Note): number {
    return note.bytes ?? 1
  }

  protected override keep(note: Note): void {
    this.kept.push(note.name)
  }
}

const probeWith = (maxMessages: number, maxBytes = 1_000_000): Effect.Effect<Probe, never, Scope.Scope> =>
  Effect.map(makeActorSystem(), (system) => new Probe(system, { maxMessages, maxBytes }))

const note = (name: string, handle?: Note["handle"]): Note =>
  handle === undefined ? { name } : { name, handle }

/** A note that suspends its actor until the gate opens. */
const gated = (name: string, gate: Deferred.Deferred<void>): Note => note(name, () => Deferred.await(gate))
const open = (gate: Deferred.Deferred<void>) => Deferred.succeed(gate, undefined)

describe("actor - in place", () => {
  it.effect("actor - one that is idle handles a message before the sender goes on", () =>
    Effect.gen(function* () {
      const actor = yield* probeWith(10)
      assert.isTrue(actor.isIdle)
      assert.isTrue(actor.tellUnsafe(note("a")))
      assert.deepStrictEqual(actor.handled, ["a"])
      assert.isTrue(actor.tellUnsafe(note("b", () => Effect.void)))
      assert.isTrue(actor.isIdle)
      assert.deepStrictEqual(actor.handled, ["a", "b"])
      assert.deepStrictEqual(actor.kept, [])
    })
  )

  it.effect("actor - what is told while it handles comes after what it handles", () =>
    Effect.gen(function* () {
      const actor = yield* probeWith(10)
      const order: Array<string> = []
      actor.tellUnsafe(
        note("a", () => {
          actor.tellUnsafe(note("b"))
          actor.tellUnsafe(note("c"))
          order.push(...actor.handled)
          return undefined
        })
      )
      yield* actor.whenIdle
      assert.deepStrictEqual(order, ["a"])
      assert.deepStrictEqual(actor.handled, ["a", "b", "c"])
    })
  )

  it.effect("actor - turns nest to a limit, then go on from a mailbox, and none is lost", () =>
    Effect.gen(function* () {
      const system = yield* makeActorSystem()
      const limits = { maxMessages: 10, maxBytes: 1000 }
      const chain = Array.from({ length: 60 }, () => new Probe(system, limits))
      let deepest = 0
      const passOn = (index: number): Note =>
        note(`${index}`, () => {
          deepest = Math.max(deepest, system.depth)
          if (index + 1 < chain.length) assert.isTrue(chain[index + 1]!.tellUnsafe(passOn(index + 1)))
          return undefined
        })
      assert.isTrue(chain[0]!.tellUnsafe(passOn(0)))
      const reached = chain.filter((actor) => actor.handled.length > 0).length
      assert.isBelow(reached, chain.length)
      yield* Effect.forEach(chain, (actor) => Effect.andThen(Effect.yieldNow, actor.whenIdle), {
        discard: true
      })
      assert.isTrue(chain.every((actor) => actor.handled.length === 1))
      assert.isAtMost(deepest, 16)
      assert.strictEqual(system.depth, 0)
    })
  )
})

describe("actor - suspended", () => {
  it.effect("actor - what comes while it is suspended is handled afterwards, in order", () =>
    Effect.gen(function* () {
      const actor = yield* probeWith(10)
      const [first, second] = [Deferred.makeUnsafe<void>(), Deferred.makeUnsafe<void>()]
      actor.tellUnsafe(gated("a", first))
      for (const each of [note("b"), gated("c", second), note("d")]) assert.isTrue(actor.tellUnsafe(each))
      assert.deepStrictEqual(actor.handled, ["a"])
      assert.deepStrictEqual(actor.kept, ["b", "c", "d"])
      assert.strictEqual(actor.messages, 3)
      yield* open(first)
      yield* Effect.yieldNow
      assert.deepStrictEqual(actor.handled, ["a", "b", "c"])
      assert.isFalse(actor.isIdle)
      assert.isTrue(actor.tellUnsafe(note("e")))
      yield* open(second)
      yield* actor.whenIdle
      assert.deepStrictEqual(actor.handled, ["a", "b", "c", "d", "e"])
      assert.deepStrictEqual([actor.messages, actor.bytes], [0, 0])
      actor.tellUnsafe(note("f"))
      assert.strictEqual(actor.handled.at(-1), "f")
    })
  )

  it.effect("actor - work that it is started with comes before everything", () =>
    Effect.gen(function* () {
      const actor = yield* probeWith(10)
      const gate = Deferred.makeUnsafe<void>()
      actor.start(Deferred.await(gate))
      actor.tellUnsafe(note("a"))
      assert.deepStrictEqual(actor.handled, [])
      yield* open(gate)
      yield* actor.whenIdle
      assert.deepStrictEqual(actor.handled, ["a"])
    })
  )

  it.effect("actor - a long mailbox lets others run between", () =>
    Effect.gen(function* () {
      const actor = yield* probeWith(5000)
      const gate = Deferred.makeUnsafe<void>()
      actor.tellUnsafe(gated("first", gate))
      for (let index = 0; index < 2000; index++) actor.tellUnsafe(note(`${index}`))
      yield* open(gate)
      yield* Effect.yieldNow
      const soon = actor.handled.length
      assert.isAbove(soon, 1)
      assert.isBelow(soon, 2001)
      yield* actor.whenIdle
      assert.strictEqual(actor.handled.length, 2001)
    })
  )
})

describe("actor - a full mailbox", () => {
  it.effect("actor - takes so many messages and no more", () =>
    Effect.gen(function* () {
      const actor = yield* probeWith(3)
      const gate = Deferred.makeUnsafe<void>()
      actor.tellUnsafe(gated("a", gate))
      assert.deepStrictEqual(
        ["b", "c", "d", "e"].map((name) => actor.tellUnsafe(note(name))),
        [true, true, true, false]
      )
      yield* open(gate)
      yield* actor.whenIdle
      assert.deepStrictEqual(actor.handled, ["a", "b", "c", "d"])
    })
  )

  it.effect("actor - takes so many bytes and no more, but always one", () =>
    Effect.gen(function* () {
      const actor = yield* probeWith(100, 10)
      const gate = Deferred.makeUnsafe<void>()
      const sized = (name: string, bytes: number) => actor.tellUnsafe({ name, bytes })
      actor.tellUnsafe(gated("a", gate))
      assert.isTrue(sized("b", 6))
      assert.isFalse(sized("c", 5))
      assert.isTrue(sized("d", 4))
      assert.isFalse(sized("e", 1))
      yield* open(gate)
      yield* actor.whenIdle
      const again = Deferred.makeUnsafe<void>()
      actor.tellUnsafe(gated("f", again))
      assert.isTrue(sized("huge", 1000))
      assert.isFalse(sized("g", 1))
      yield* open(again)
      yield* actor.whenIdle
      assert.deepStrictEqual(actor.handled, ["a", "b", "d", "f", "huge"])
    })
  )

  it.effect("actor - tell waits for room, and nobody overtakes who waits", () =>
    Effect.gen(function* () {
      const actor = yield* probeWith(2)
      const gates = [Deferred.makeUnsafe<void>(), Deferred.makeUnsafe<void>()] as const
      actor.tellUnsafe(gated("a", gates[0]))
      actor.tellUnsafe(gated("b", gates[1]))
      actor.tellUnsafe({ name: "c", bytes: 5 })
      const told: Array<string> = []
      const telling = yield* Effect.forEach(["d", "e"], (name) =>
        Effect.forkChild(
          Effect.tap(actor.tell(note(name)), () => Effect.sync(() => told.push(name))),
          { startImmediately: true }
        )
      )
      assert.isFalse(actor.tellUnsafe(note("f")))
      assert.deepStrictEqual(told, [])
      yield* open(gates[0])
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      assert.deepStrictEqual(told, ["d"])
      assert.isFalse(actor.tellUnsafe(note("g")))
      yield* open(gates[1])
      yield* Effect.forEach(telling, Fiber.join)
      yield* actor.whenIdle
      assert.deepStrictEqual(told, ["d", "e"])
      assert.deepStrictEqual(actor.handled, ["a", "b", "c", "d", "e"])
    })
  )

  it.effect("actor - who gives up waiting has told nothing", () =>
    Effect.gen(function* () {
      const actor = yield* probeWith(1)
      const gate = Deferred.makeUnsafe<void>()
      actor.tellUnsafe(gated("a", gate))
      actor.tellUnsafe(note("b"))
      const gone = yield* Effect.forkChild(actor.tell(note("gone")), { startImmediately: true })
      const patient = yield* Effect.forkChild(actor.tell(note("patient")), { startImmediately: true })
      yield* Fiber.interrupt(gone)
      yield* open(gate)
      yield* Fiber.join(patient)
      yield* actor.whenIdle
      assert.deepStrictEqual(actor.handled, ["a", "b", "patient"])
    })
  )
})

describe("actor - failures", () => {
  const failing: ReadonlyArray<readonly [string, NonNullable<Note["handle"]>]> = [
    ["fails after a wait", () => Effect.andThen(Effect.yieldNow, Effect.fail("broken"))],
    ["fails at once", () => Effect.fail("broken")],
    [
      "throws",
      () => {
        throw new Error("broken")
      }
    ],
    ["dies", () => Effect.die("broken")]
  ]
  for (const [how, handle] of failing) {
    it.effect(`actor - one that ${how} rests, then goes on with the next message`, () =>
      Effect.gen(function* () {
        const actor = yield* probeWith(10)
        actor.rest = 100
        actor.tellUnsafe(note("a", handle))
        assert.isTrue(actor.tellUnsafe(note("b")))
        yield* TestClock.adjust(99)
        assert.strictEqual(actor.failures.length, 1)
        assert.match(actor.failures[0] ?? "", /^a: .*broken/)
        assert.deepStrictEqual(actor.handled, ["a"])
        yield* TestClock.adjust(1)
        yield* actor.whenIdle
        assert.deepStrictEqual(actor.handled, ["a", "b"])
        assert.isTrue(actor.tellUnsafe(note("c")))
        assert.deepStrictEqual(actor.handled, ["a", "b", "c"])
      })
    )
  }

  it.effect("actor - one that throws leaves the depth of turns as it was", () =>
    Effect.gen(function* () {
      const system: ActorSystem = yield* makeActorSystem()
      const actor = new Probe(system, { maxMessages: 10, maxBytes: 10 })
      for (let index = 0; index < 40; index++) {
        actor.tellUnsafe(note("a", failing[2]![1]))
        yield* actor.whenIdle
      }
      assert.strictEqual(system.depth, 0)
    })
  )
})
