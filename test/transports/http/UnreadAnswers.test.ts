/** The memory that answers take while they are gathered and until they are read. */
import { IncomingMessage, ServerResponse } from "node:http"
import { Socket } from "node:net"
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { Hub } from "../../../src/actors/Hub.ts"
import { localClient } from "../../../src/actors/LocalConnection.ts"
import { Auth } from "../../../src/services/Auth.ts"
import { Caller } from "../../../src/transports/http/Caller.ts"
import { Cursor } from "../../../src/transports/http/Cursor.ts"
import { makeWeb } from "../../../src/transports/http/MakeWeb.ts"
import { poll } from "../../../src/transports/http/Poll.ts"
import { readBeginning } from "../../../src/transports/http/Reading.ts"
import { Refusal } from "../../../src/transports/http/Refusal.ts"
import { UnreadAnswers } from "../../../src/transports/http/UnreadAnswers.ts"
import type { Web } from "../../../src/transports/http/Web.ts"
import { hubWith } from "../../actors/TestHub.ts"
import { ask, publish, webHub } from "./WebHub.ts"

const MIB = 1_048_576
const response = () => new ServerResponse(new IncomingMessage(new Socket()))

describe("unread answers", () => {
  it("unread answers - what many hold counts once, and until the last is out", () => {
    const unread = new UnreadAnswers()
    const body = new Uint8Array(128 * MIB)
    const responses = [response(), response(), response()]
    for (const each of responses) unread.answer(each, body)
    assert.isTrue(unread.isFull)
    for (const each of responses) {
      assert.isTrue(unread.isFull)
      each.emit("close")
    }
    assert.isFalse(unread.isFull)
  })

  it("unread answers - what is to be read is kept free, and given back", () => {
    const unread = new UnreadAnswers()
    const rooms = Array.from({ length: 128 }, () => unread.room(MIB))
    assert.isUndefined(unread.room(1))
    const now = unread.room(0)
    assert.isTrue(now?.take(new Uint8Array(1000)))
    assert.isFalse(now?.take(new Uint8Array(100_000)))
    rooms[0]?.read()
    const part = new Uint8Array(100_000)
    assert.isTrue(now?.take(part))
    // The same again takes nothing more.
    assert.isTrue(rooms[1]?.take(part))
    for (const room of [...rooms, now]) room?.release()
    for (const room of [...rooms, now]) room?.release()
    assert.isFalse(unread.isFull)
    assert.isDefined(unread.room(128 * MIB))
  })
})

const inWeb = <A, E>(use: (web: Web["Service"]) => Effect.Effect<A, E, Hub>) =>
  Effect.flatMap(makeWeb, use).pipe(
    Effect.scoped,
    Effect.provide(
      hubWith().pipe(Layer.provideMerge(Auth.layerOff), Layer.provideMerge(NodeFileSystem.layer))
    )
  )

const polling = (web: Web["Service"], from: string | undefined, timeout = 5000) =>
  Effect.suspend(() => {
    const request = new IncomingMessage(new Socket())
    const beginning = readBeginning(from, ["a"])
    if (beginning instanceof Refusal) return Effect.die(beginning)
    const caller = new Caller(web, request)
    return poll(web, { caller, response: response(), patterns: ["a"], beginning, max: 100, timeout })
  })

const filled = (web: Web["Service"]) => {
  const other = response()
  web.unread.answer(other, new Uint8Array(128 * MIB))
  return Effect.sync(() => other.emit("close"))
}

const publishing = Effect.gen(function* () {
  const hub = yield* Hub
  const outlet = {
    isWritable: true,
    isWaiting: false,
    deliver: () => {},
    control: () => {},
    pumpLater: () => {},
    ended: () => {},
    isTaking: () => true
  }
  const connection = yield* hub.connectLocal(outlet, localClient)
  connection.send({ _tag: "Open", session: 1, request: 1, id: "p", incarnation: 0, name: "p" })
  return (size: number) =>
    connection.publish(1, "a", [{ payload: new Uint8Array(size), contentType: "text/plain" }])
})

describe("http poll room", () => {
  it.live("http poll room - one message answers 1,500 polls with more than there would be room for", () =>
    Effect.gen(function* () {
      const polls = yield* Effect.forkScoped(
        Effect.forEach(Array.from({ length: 1500 }), () => ask("/api/v1/poll?topics=a&timeout=20"), {
          concurrency: 1500
        }),
        { startImmediately: true }
      )
      const hub = yield* Hub
      while ((yield* hub.metrics).subscriptions < 1500) yield* Effect.sleep(2)
      yield* publish("a", "x".repeat(100_000))
      for (const { json, status } of yield* Fiber.join(polls)) {
        assert.strictEqual(status, 200)
        assert.strictEqual(String(json.messages[0]?.payload).length, 100_000)
        assert.isString(json.next)
      }
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.live("http poll room - a poll that waited is told where to go on, and loses nothing", () =>
    inWeb((web) =>
      Effect.gen(function* () {
        const publishBytes = yield* publishing
        const waiting = yield* Effect.forkScoped(polling(web, undefined), { startImmediately: true })
        const hub = yield* Hub
        while ((yield* hub.metrics).subscriptions < 1) yield* Effect.sleep(2)
        const empty = filled(web)
        yield* publishBytes(100_000)
        const refused = yield* Effect.flip(Fiber.join(waiting))
        assert.strictEqual(refused.problem.code, "QUEUE_FULL")
        const { next } = refused.problem
        assert.isDefined(Cursor.parse(next ?? ""))
        yield* empty
        assert.strictEqual((yield* polling(web, next)).count, 1)
      }).pipe(Effect.scoped)
    )
  )

  it.live(
    "http poll room - nothing of the past is gathered while there is no room; what is small still comes",
    () =>
      inWeb((web) =>
        Effect.gen(function* () {
          const publishBytes = yield* publishing
          yield* publishBytes(100)
          const waiting = yield* Effect.forkScoped(polling(web, undefined), { startImmediately: true })
          const hub = yield* Hub
          while ((yield* hub.metrics).subscriptions < 1) yield* Effect.sleep(2)
          const empty = filled(web)
          assert.strictEqual((yield* Effect.flip(polling(web, "first"))).problem.code, "QUEUE_FULL")
          const group = {
            response: response(),
            patterns: ["a"],
            start: { _tag: "Now" },
            max: 1,
            timeout: 0
          } as const
          const caller = new Caller(web, new IncomingMessage(new Socket()))
          const refused = yield* Effect.flip(web.clients.poll(caller, "c", group))
          assert.strictEqual(refused.problem.code, "QUEUE_FULL")
          yield* publishBytes(100)
          assert.strictEqual((yield* Fiber.join(waiting)).count, 1)
          yield* empty
          assert.strictEqual((yield* polling(web, "first")).count, 2)
        }).pipe(Effect.scoped)
      )
  )
})
