/** Readers of event streams that are cut off anywhere and come again, over real sockets: they lose nothing. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { Hub } from "../../../src/actors/Hub.ts"
import { maxCursorLength } from "../../../src/transports/http/Cursor.ts"
import { idInterval } from "../../../src/transports/http/EventRun.ts"
import { ask, eventsIn, openStream, postJson, publish, type StreamEvent, webHub } from "./WebHub.ts"

const messages = (events: ReadonlyArray<StreamEvent>) => events.filter(({ event }) => event === "message")
const payloads = (events: ReadonlyArray<StreamEvent>) => messages(events).map(({ data }) => data.payload)
/** What an `EventSource` that has had these events says when it comes again. */
const lastId = (events: ReadonlyArray<StreamEvent>) => events.findLast(({ id }) => id !== undefined)?.id ?? ""

const publishAll = (all: ReadonlyArray<{ readonly topic: string; readonly payload: unknown }>) =>
  postJson("/api/v1/messages/bulk", { messages: all })

const socketsDo = TestClock.withLive(Effect.sleep(5))

/** All that comes, with what was had before, once that is so many different payloads. */
const resumed = (path: string, had: ReadonlyArray<StreamEvent>, different: number) =>
  Effect.scoped(
    Effect.gen(function* () {
      const stream = yield* openStream(path, { "Last-Event-ID": lastId(had) })
      const given = () => payloads(eventsIn(stream.text.slice(0, stream.text.lastIndexOf("\n\n") + 2)))
      yield* stream.until(() => new Set([...payloads(had), ...given()]).size >= different)
      yield* stream.says(/event: recovered/)
      return given()
    })
  )

const longTopic = (n: number) => `${"device-".repeat(23)}${n}`
const all150 = (round: number) =>
  Array.from({ length: 150 }, (_, n) => ({ topic: longTopic(n), payload: `${round}-${n}` }))

describe("http stream resume", () => {
  it.live("http stream resume - of 150 long topics nothing is lost, and each id fits in a head", () =>
    Effect.gen(function* () {
      const path = "/api/v1/stream?topics=*"
      const first = yield* openStream(path)
      yield* first.says(/begin/)
      for (let round = 0; round < 2; round++) {
        for (const { payload, topic } of all150(round)) yield* publish(topic, payload)
      }
      yield* first.says(/"1-149"/)
      first.socket.destroy()
      const events = eventsIn(first.text)
      assert.lengthOf(payloads(events), 300)
      for (const { id } of events) assert.isAtMost(id?.length ?? 0, maxCursorLength)
      assert.isAbove(lastId(events).length, maxCursorLength / 2)
      // Long ids are no more than half of it all.
      const size = messages(events).reduce((sum, { data }) => sum + JSON.stringify(data).length, 0)
      assert.isBelow(first.text.length, size * 2.2)
      yield* publishAll(all150(2))
      for (const end of [events.length, 2, 40, 170, 301]) {
        const had = events.slice(0, end)
        const then = yield* resumed(path, had, 450)
        const expected = [0, 1, 2].flatMap(all150).map(({ payload }) => payload)
        assert.sameMembers([...new Set([...payloads(had), ...then])], expected)
      }
      const next = encodeURIComponent(lastId(events))
      const polled = yield* ask(`/api/v1/poll?topics=*&max=1000&from=${next}`)
      assert.isEmpty(
        all150(2).filter(({ payload }) => !polled.json.messages.some((each) => each.payload === payload))
      )
      assert.isAtMost(polled.json.next.length, maxCursorLength)
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.effect("http stream resume - cut off amid the past of many topics, it still gets the rest", () =>
    Effect.gen(function* () {
      const path = "/api/v1/stream?topics=*&from=first"
      // Each has old messages, which come after the new ones of others.
      yield* publishAll(all150(0))
      yield* TestClock.adjust(100_000)
      yield* publishAll(all150(1))
      const first = yield* openStream(path)
      while (payloads(eventsIn(first.text)).length < 300) yield* socketsDo
      const events = eventsIn(first.text)
      for (const end of [60, 150, 240]) {
        const had = events.slice(0, end)
        const then = yield* resumed(path, had, 300)
        assert.strictEqual(new Set([...payloads(had), ...then]).size, 300)
      }
    }).pipe(Effect.scoped, Effect.provide(webHub({ pingInterval: 1_000_000 })))
  )

  it.live("http stream resume - cut off anywhere in a batch, it gets the rest, and little of it twice", () =>
    Effect.gen(function* () {
      const path = "/api/v1/stream?topics=a"
      const first = yield* openStream(path)
      yield* first.says(/begin/)
      yield* publishAll(Array.from({ length: 200 }, (_, n) => ({ topic: "a", payload: n })))
      yield* first.says(/"payload":199\b.*\nid/)
      const events = eventsIn(first.text)
      const ids = messages(events).filter(({ id }) => id !== undefined)
      // One id in each 4 KB, and one at the end.
      assert.isAbove(ids.length, 3)
      assert.isBelow(ids.length, 40)
      assert.isDefined(events.at(-1)?.id)
      const size = Buffer.byteLength(first.text) / 200
      for (let end = 1; end <= events.length; end += 7) {
        const had = events.slice(0, end)
        const given = yield* resumed(path, had, 200)
        const twice = given.filter((payload) => payloads(had).includes(payload))
        assert.isAtMost(twice.length, idInterval / size + 2)
        assert.deepStrictEqual(
          [...new Set([...payloads(had), ...given])],
          Array.from({ length: 200 }, (_, n) => n)
        )
      }
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.live("http stream resume - what urgent messages have overtaken comes when it comes again", () =>
    Effect.gen(function* () {
      const path = "/api/v1/stream?topics=a"
      const slow = yield* openStream(path)
      yield* slow.says(/begin/)
      slow.socket.pause()
      const body = "x".repeat(100_000)
      for (let n = 0; n < 100; n++) yield* publish("a", `${n} ${body}`)
      yield* publish("a", "urgent", { priority: 9 })
      slow.socket.resume()
      yield* slow.says(/"urgent"[\s\S]*?\n\n[\s\S]*?\n\n/)
      slow.socket.destroy()
      const had = eventsIn(slow.text.slice(0, slow.text.lastIndexOf("\n\n") + 2))
      const before = payloads(had)
      // Otherwise it has overtaken nothing.
      assert.isBelow(before.length, 100)
      const then = yield* resumed(path, had, 101)
      assert.strictEqual(new Set([...before, ...then]).size, 101)
    }).pipe(Effect.scoped, Effect.provide(webHub({ hotTierBytes: 64_000_000, clientQueueBytes: 64_000_000 })))
  )

  it.live("http stream resume - JSON of several lines is one event", () =>
    Effect.gen(function* () {
      const stream = yield* openStream("/api/v1/stream?topics=a")
      yield* stream.says(/begin/)
      yield* ask("/api/v1/messages?topic=a", {
        method: "POST",
        headers: { "content-type": "application/json; charset=utf-8" },
        body: '{"topic":"a","payload":{\r\n  "a": "b\\nc",\n\n  "ü": [1,\n2]\r}}'
      })
      yield* stream.says(/"payload":.*\nid/)
      assert.deepStrictEqual(payloads(eventsIn(stream.text)), [{ a: "b\nc", ü: [1, 2] }])
      const hub = yield* Hub
      assert.strictEqual((yield* hub.metrics).subscriptions, 1)
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )
})
