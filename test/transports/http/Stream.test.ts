/** Server-sent events over real sockets. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Hub } from "../../../src/actors/Hub.ts"
import { ask, eventsIn, openStream, publish, webHub } from "./WebHub.ts"

const payloads = (text: string) =>
  eventsIn(text)
    .filter(({ event }) => event === "message")
    .map(({ data }) => data.payload)

describe("http stream", () => {
  it.live("http stream - events with ids, a time to retry, and where it began", () =>
    Effect.gen(function* () {
      const stream = yield* openStream("/api/v1/stream?topics=a,b.>")
      yield* stream.says(/event: begin/)
      assert.match(stream.text, /^HTTP\/1\.1 200 OK\r\n/)
      assert.match(stream.text, /content-type: text\/event-stream/)
      assert.match(stream.text, /retry: \d+\n\n/)
      yield* publish("a", 1)
      yield* publish("b.c.d", "two\nlines")
      yield* stream.says(/two/)
      assert.deepStrictEqual(payloads(stream.text), [1, "two\nlines"])
      assert.isTrue(eventsIn(stream.text).every(({ id }) => id !== undefined))
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.live("http stream - Last-Event-ID goes on exactly there, in every topic", () =>
    Effect.gen(function* () {
      const first = yield* openStream("/api/v1/stream?topics=t.*")
      yield* first.says(/begin/)
      for (let n = 0; n < 4; n++) yield* publish(`t.${n % 2}`, n)
      yield* first.says(/"payload":3/)
      const events = eventsIn(first.text)
      first.socket.destroy()
      yield* publish("t.0", 4)
      yield* publish("t.ü@,", 5)
      const ids = events.filter(({ event }) => event === "message").map(({ id }) => id ?? "")
      const second = yield* openStream("/api/v1/stream?topics=t.*", { "Last-Event-ID": ids[1] ?? "" })
      yield* second.says(/event: recovered/)
      assert.deepStrictEqual([...payloads(second.text)].sort(), [2, 3, 4, 5])
      const last = eventsIn(second.text).at(-1)?.id ?? ""
      const third = yield* openStream("/api/v1/stream?topics=t.*", { "Last-Event-ID": last })
      yield* third.says(/event: recovered/)
      assert.deepStrictEqual(payloads(third.text), [])
      yield* publish("t.1", 6)
      yield* third.says(/"payload":6/)
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.live("http stream - cut off before the first message, it misses none", () =>
    Effect.gen(function* () {
      const first = yield* openStream("/api/v1/stream?topics=a")
      yield* first.says(/event: begin\n.*\n\n/)
      const id = eventsIn(first.text)[0]?.id ?? ""
      first.socket.destroy()
      yield* publish("a", 1)
      const second = yield* openStream("/api/v1/stream?topics=a", { "Last-Event-ID": id })
      yield* second.says(/event: recovered/)
      assert.deepStrictEqual(payloads(second.text), [1])
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.live("http stream - is told what it missed and can no longer have", () =>
    Effect.gen(function* () {
      const epoch = (yield* publish("a", 0)).json.epoch
      for (let n = 1; n < 10; n++) yield* publish("a", n)
      const stream = yield* openStream("/api/v1/stream?topics=a", { "Last-Event-ID": `0,a@${epoch}-1` })
      yield* stream.says(/"payload":9/)
      const gap = eventsIn(stream.text).find(({ event }) => event === "gap")
      assert.deepInclude(gap?.data, { from: { epoch, offset: 1 }, to: { epoch, offset: 7 } })
      assert.deepStrictEqual(payloads(stream.text), [7, 8, 9])
    }).pipe(Effect.scoped, Effect.provide(webHub({ hotTierMessages: 3 })))
  )

  it.live("http stream - a silent one is kept alive by comments", () =>
    Effect.gen(function* () {
      const stream = yield* openStream("/api/v1/stream?topics=a")
      yield* stream.says(/: ping\n\n[\s\S]*: ping\n\n/)
    }).pipe(Effect.scoped, Effect.provide(webHub({ pingInterval: 30 })))
  )

  it.live("http stream - who does not read holds up nobody, and is told how much was dropped", () =>
    Effect.gen(function* () {
      const slow = yield* openStream("/api/v1/stream?topics=a")
      yield* slow.says(/begin/)
      slow.socket.pause()
      const payload = "x".repeat(100_000)
      for (let n = 0; n < 200; n++) yield* publish("a", payload)
      const hub = yield* Hub
      const dropped = (yield* hub.metrics).messagesDropped["drop-oldest"] ?? 0
      assert.isAbove(dropped, 0)
      slow.socket.resume()
      yield* slow.says(/event: dropped/)
      const told = eventsIn(slow.text).find(({ event }) => event === "dropped")
      assert.propertyVal(told?.data, "topic", "a")
    }).pipe(Effect.scoped, Effect.provide(webHub({ clientQueueSize: 10 })))
  )

  it.live("http stream - who takes one large event slowly is not cut off, and who takes nothing is", () =>
    Effect.gen(function* () {
      const size = 24_000_000
      const slow = yield* openStream("/api/v1/stream?topics=large")
      const stuck = yield* openStream("/api/v1/stream?topics=large")
      yield* slow.says(/begin/)
      yield* stuck.says(/begin/)
      stuck.socket.pause()
      // A little at a time, for longer than nothing may be taken.
      const slowly = () => {
        slow.socket.pause()
        setTimeout(() => slow.socket.resume(), 10)
      }
      slow.socket.on("data", slowly)
      yield* publish("large", "x".repeat(size))
      const hub = yield* Hub
      const closed = Effect.map(hub.metrics, ({ connectionsClosed }) => connectionsClosed["write-timeout"])
      while ((yield* closed) === undefined) yield* Effect.sleep(20)
      yield* Effect.sleep(500)
      assert.isBelow(slow.socket.bytesRead, size)
      slow.socket.off("data", slowly)
      slow.socket.resume()
      yield* slow.until(({ socket }) => socket.bytesRead > size)
      yield* slow.says(/\n\n\r\n$/)
      assert.lengthOf(String(payloads(slow.text)[0]), size)
      assert.strictEqual(yield* closed, 1)
    }).pipe(
      Effect.scoped,
      Effect.provide(
        webHub({
          clientWriteTimeout: 1000,
          maxMessageSize: 32_000_000,
          hotTierBytes: 64_000_000,
          clientQueueBytes: 64_000_000
        })
      )
    )
  )

  it.live("http stream - disconnect ends it with its reason", () =>
    Effect.gen(function* () {
      const slow = yield* openStream("/api/v1/stream?topics=a&overflow=disconnect")
      yield* slow.says(/begin/)
      slow.socket.pause()
      const payload = "x".repeat(100_000)
      const hub = yield* Hub
      for (let n = 0; n < 400 && (yield* hub.metrics).subscriptions > 0; n++) yield* publish("a", payload)
      slow.socket.resume()
      yield* slow.says(/event: close\ndata: .*"reason":"slow-consumer"/)
      yield* slow.says(/\r\n0\r\n\r\n$/)
    }).pipe(Effect.scoped, Effect.provide(webHub({ clientQueueSize: 10 })))
  )

  it.live.each([
    ["no topics", "", 422, "MISSING_TOPIC"],
    ["the hub's own", "topics=$sys.x", 403, "FORBIDDEN"],
    ["a bad overflow", "topics=a&overflow=explode", 422, "BAD_REQUEST"],
    ["a bad from", "topics=a&from=x", 422, "BAD_REQUEST"]
  ] as const)("http stream - refused: %s", ([, query, status, code]) =>
    Effect.gen(function* () {
      const answer = yield* ask(`/api/v1/stream?${query}`)
      assert.deepInclude(answer.json, { status, code })
      const bad = yield* ask("/api/v1/stream?topics=a", { headers: { "last-event-id": "nonsense" } })
      assert.strictEqual(bad.status, 422)
    }).pipe(Effect.provide(webHub()))
  )
})
