import { assert } from "@effect/vitest"
import { Effect, Exit, Fiber, Schema, Scope, Stream } from "effect"
import * as Channel from "../../../src/sdk/Channel.ts"
import { bytesOf, range, reasonOf, type Tests, take, textOf } from "./Kit.ts"

const texts = (payloads: ReadonlyArray<Uint8Array>): ReadonlyArray<string> => payloads.map(textOf)

export const channelTests = (it: Tests): void => {
  it.effect("sdk - a channel's clients hear each other, and not themselves", () =>
    Effect.gen(function* () {
      const id = crypto.randomUUID()
      const a = yield* Channel.join(id)
      const b = yield* Channel.join(id.toUpperCase())
      assert.strictEqual(b.id, id)
      assert.notStrictEqual(a.clientId, b.clientId)
      yield* a.publish(bytesOf("from a"))
      yield* b.publish(bytesOf("from b"))
      yield* a.publish(bytesOf("from a again"))
      assert.deepStrictEqual(texts(yield* take(b.subscribe, 2)), ["from a", "from a again"])
      assert.deepStrictEqual(texts(yield* take(a.subscribe, 1)), ["from b"])
    })
  )

  it.effect("sdk - channels are isolated", () =>
    Effect.gen(function* () {
      const [one, two] = [crypto.randomUUID(), crypto.randomUUID()]
      const a1 = yield* Channel.join(one)
      const b1 = yield* Channel.join(one)
      const a2 = yield* Channel.join(two)
      const b2 = yield* Channel.join(two)
      for (const n of range(10)) {
        yield* a1.publish(bytesOf(`one ${n}`))
        yield* a2.publish(bytesOf(`two ${n}`))
      }
      assert.deepStrictEqual(
        texts(yield* take(b1.subscribe, 10)),
        range(10).map((n) => `one ${n}`)
      )
      assert.deepStrictEqual(
        texts(yield* take(b2.subscribe, 10)),
        range(10).map((n) => `two ${n}`)
      )
    })
  )

  it.effect("sdk - many clients on one socket, and each of them hears all the others", () =>
    Effect.gen(function* () {
      const id = crypto.randomUUID()
      const count = 20
      const clients = yield* Effect.forEach(range(count), () => Channel.join(id), {
        concurrency: "unbounded"
      })
      yield* Effect.forEach(clients, (client, index) => client.publish(bytesOf(String(index))), {
        concurrency: "unbounded"
      })
      const heard = yield* Effect.forEach(clients, (client) => take(client.subscribe, count - 1), {
        concurrency: "unbounded"
      })
      heard.forEach((payloads, index) => {
        assert.sameMembers(
          [...texts(payloads)],
          range(count)
            .filter((other) => other !== index)
            .map(String)
        )
      })
    })
  )

  it.effect("sdk - several subscribers of one client each hear everything", () =>
    Effect.gen(function* () {
      const id = crypto.randomUUID()
      const a = yield* Channel.join(id)
      const b = yield* Channel.join(id)
      const subscribers = yield* Effect.forEach(range(3), () =>
        Effect.forkChild(take(b.subscribe, 50), { startImmediately: true })
      )
      for (const n of range(50)) yield* a.publish(bytesOf(String(n)))
      for (const fiber of subscribers) {
        assert.deepStrictEqual(texts(yield* Fiber.join(fiber)), range(50).map(String))
      }
      assert.strictEqual(yield* b.missed, 0)
    })
  )

  it.effect("sdk - a subscriber that lags loses its oldest messages, and no one else's", () =>
    Effect.gen(function* () {
      const id = crypto.randomUUID()
      const a = yield* Channel.join(id)
      const b = yield* Channel.join(id, { capacity: 5 })
      const c = yield* Channel.join(id)
      const all = yield* Effect.forkChild(take(c.subscribe, 30), { startImmediately: true })
      for (const n of range(30)) yield* a.publish(bytesOf(String(n)))
      assert.strictEqual((yield* Fiber.join(all)).length, 30)
      // The first to subscribe has what was kept since the join, and 25 did not fit.
      const kept = yield* b.subscribe.pipe(
        Stream.takeUntil((payload) => textOf(payload) === "29"),
        Stream.runCollect
      )
      assert.deepStrictEqual(texts(kept), ["25", "26", "27", "28", "29"])
      assert.strictEqual(yield* b.missed, 25)
    })
  )

  it.effect("sdk - a channel is left with its scope, and its streams end", () =>
    Effect.gen(function* () {
      const id = crypto.randomUUID()
      const a = yield* Channel.join(id)
      const scope = yield* Scope.make()
      const b = yield* Scope.provide(Channel.join(id), scope)
      const fiber = yield* Effect.forkChild(Stream.runCollect(b.subscribe), { startImmediately: true })
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* Fiber.join(fiber), [])
      assert.deepStrictEqual(yield* Stream.runCollect(b.subscribe), [])
      yield* a.publish(bytesOf("nobody hears"))
    })
  )

  it.effect("sdk - a channel of typed values", () =>
    Effect.gen(function* () {
      const Chat = Channel.make(Schema.Struct({ from: Schema.String, at: Schema.Date }))
      const id = crypto.randomUUID()
      const a = yield* Chat.join(id)
      const b = yield* Chat.join(id)
      const rude = yield* Channel.join(id)
      yield* rude.publish(bytesOf("not JSON"))
      const message = { from: "ada", at: new Date(9) }
      yield* a.publish(message)
      assert.deepStrictEqual(yield* take(b.subscribe, 1), [message])
      assert.strictEqual(yield* b.missed, 1)
    })
  )

  it.effect("sdk - a channel that is no UUID is refused", () =>
    Effect.gen(function* () {
      for (const bad of [
        "",
        "room",
        "00000000-0000-0000-0000-00000000000",
        `${crypto.randomUUID()}.x`,
        "*"
      ]) {
        assert.strictEqual((yield* reasonOf(Channel.join(bad)))._tag, "MessageInvalid")
      }
    })
  )
}
