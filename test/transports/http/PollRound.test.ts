/** Polls of more topics than a cursor can name: in a loop, each message comes once, and none is left out. */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer, Logger } from "effect"
import { Hub } from "../../../src/actors/Hub.ts"
import { Auth } from "../../../src/services/Auth.ts"
import { MessageLog } from "../../../src/services/MessageLog.ts"
import { Cursor } from "../../../src/transports/http/Cursor.ts"
import { WebServer } from "../../../src/transports/WebServer.ts"
import { Faults, failingLog, makeFailingLog } from "../../actors/FailingLog.ts"
import { hubWith } from "../../actors/TestHub.ts"
import { ask, postJson, publish, rawSocket, type Shown, webHub } from "./WebHub.ts"
import { timely } from "./WebTime.ts"

const range = (count: number) => Array.from({ length: count }, (_, n) => n)

interface Sent {
  readonly topic: string
  readonly payload: number
}

const publishAll = (messages: ReadonlyArray<Sent>) =>
  Effect.gen(function* () {
    for (let at = 0; at < messages.length; at += 5000) {
      const { json } = yield* postJson("/api/v1/messages/bulk", { messages: messages.slice(at, at + 5000) })
      assert.strictEqual(json.rejected, 0)
    }
  })

/** One poll of a loop. */
const pollOnce = (topics: string, from: string, max: number, timeout = 0) =>
  Effect.gen(function* () {
    const at = encodeURIComponent(from)
    const { json, status } = yield* ask(
      `/api/v1/poll?topics=${topics}&timeout=${timeout}&max=${max}&from=${at}`
    )
    assert.strictEqual(status, 200)
    assert.isAtMost(json.messages.length, max)
    assert.isAtMost(json.next.length, 4096)
    return json
  })

/** Polls from there on until two answers in a row are empty; `meanwhile` is done after each. */
const loop = Effect.fnUntraced(function* (
  topics: string,
  from: string,
  max: number,
  meanwhile: (polls: number) => ReturnType<typeof publishAll> = () => Effect.void
) {
  const seen: Array<Shown> = []
  let next = from
  let polls = 0
  for (let empty = 0; empty < 2; ) {
    assert.isBelow(polls, 500)
    const answer = yield* pollOnce(topics, next, max)
    assert.isUndefined(answer.gaps)
    seen.push(...answer.messages)
    empty = answer.messages.length === 0 ? empty + 1 : 0
    next = answer.next
    yield* meanwhile(++polls)
  }
  return { seen, next, polls }
})

const eachOnce = (seen: ReadonlyArray<Shown>, count: number) =>
  assert.deepStrictEqual(
    seen.map(({ payload }) => Number(payload)).sort((a, b) => a - b),
    range(count)
  )

/** In the middle of all names, and in no order. */
const scattered = (count: number, topics: number, name = (n: number) => `d.${n}`) =>
  range(count).map((n): Sent => ({ topic: name((n * 7919) % topics), payload: n }))

const hubOn = (log: Layer.Layer<MessageLog>) =>
  WebServer.layer.pipe(
    Layer.provideMerge(hubWith({ port: 0, httpPort: 0 }, log)),
    Layer.provideMerge(Auth.layerOff),
    Layer.provideMerge(NodeFileSystem.layer),
    Layer.provide(Logger.layer([]))
  )

describe("http poll round", () => {
  it.live.each([
    ["3,000 topics", "d.*", 3000, undefined],
    [
      "of several patterns",
      "d.*,e.*,one",
      1000,
      (n: number) => (n === 7 ? "one" : n % 2 === 0 ? `d.${n}` : `e.${n}`)
    ],
    ["names of the longest", ">", 150, (n: number) => `${"ü".repeat(100)}.${n}`]
  ] as const)("http poll round - from the first on, each message once: %s", ([, topics, count, name]) =>
    Effect.gen(function* () {
      yield* publishAll(scattered(count * 3, count, name))
      const { polls, seen } = yield* loop(topics, "first", 250)
      eachOnce(seen, count * 3)
      assert.isBelow(polls, 60)
    }).pipe(Effect.provide(webHub()))
  )

  it.live("http poll round - what comes meanwhile comes once, before and behind where the round is", () =>
    Effect.gen(function* () {
      yield* publishAll(scattered(1000, 1000))
      let sent = 1000
      const { seen } = yield* loop("d.*", "first", 100, (polls) =>
        Effect.suspend(() => {
          if (polls > 30) return Effect.void
          const more = range(20).map((n) => ({
            topic: `d.${(n * 53 + polls * 17) % 1200}`,
            payload: sent + n
          }))
          sent += 20
          return publishAll(more)
        })
      )
      eachOnce(seen, 1600)
    }).pipe(Effect.provide(webHub()))
  )

  it.live("http poll round - a topic that has more than one answer takes", () =>
    Effect.gen(function* () {
      yield* publishAll([
        ...scattered(200, 200),
        ...range(500).map((n) => ({ topic: "d.77", payload: 200 + n }))
      ])
      const { seen } = yield* loop("d.*", "first", 30)
      eachOnce(seen, 700)
      const inOne = seen.filter(({ topic }) => topic === "d.77").map(({ offset }) => offset)
      assert.deepStrictEqual(inOne, range(501))
    }).pipe(Effect.provide(webHub()))
  )

  it.live("http poll round - a plain loop, over 500 topics that all have something again and again", () =>
    Effect.gen(function* () {
      const seen: Array<Shown> = []
      const poll = ask("/api/v1/poll?topics=d.*&timeout=0&max=200")
      yield* poll
      for (const round of range(4)) {
        yield* publishAll(range(500).map((n) => ({ topic: `d.${n}`, payload: round * 500 + n })))
        for (let polls = 0; polls < 3; polls++) seen.push(...(yield* poll).json.messages)
      }
      for (let count = -1; count < seen.length; ) {
        count = seen.length
        assert.isAtMost(count, 2000)
        seen.push(...(yield* poll).json.messages)
      }
      eachOnce(seen, 2000)
    }).pipe(Effect.provide(webHub()))
  )

  it.live("http poll round - through with all, it waits for what comes, and is short again", () =>
    Effect.gen(function* () {
      yield* publishAll(scattered(300, 300))
      const { next } = yield* loop("d.*", "first", 100)
      assert.isBelow(next.length, 100)
      const waiting = yield* Effect.forkScoped(pollOnce("d.*", next, 100, 20), { startImmediately: true })
      const hub = yield* Hub
      while ((yield* hub.metrics).subscriptions === 0) yield* Effect.sleep(2)
      yield* publish("d.new", 7)
      assert.deepStrictEqual(
        (yield* Fiber.join(waiting)).messages.map(({ payload }) => payload),
        [7]
      )
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.live("http poll round - goes on where it was in another run of the hub", () =>
    Effect.gen(function* () {
      const faults = new Faults()
      faults.outlivesHub = true
      const log = Layer.succeed(MessageLog, yield* makeFailingLog(faults))
      const before = yield* Effect.gen(function* () {
        yield* publishAll(scattered(600, 300))
        const first = yield* pollOnce("d.*", "first", 200)
        const second = yield* pollOnce("d.*", first.next, 200)
        assert.isDefined(Cursor.parse(second.next)?.round)
        return { seen: [...first.messages, ...second.messages], next: second.next }
      }).pipe(Effect.provide(hubOn(log)))
      faults.crash()
      const after = yield* Effect.provide(loop("d.*", before.next, 200), hubOn(log))
      eachOnce([...before.seen, ...after.seen], 600)
    })
  )

  it.live("http poll round - what a topic had a time for and stored later is not passed over", () => {
    const faults = new Faults()
    const held = ["d.00", "d.1.late", "d.155"]
    for (const topic of held) faults.holdsBack.add(topic)
    return Effect.gen(function* () {
      yield* publishAll(range(300).map((n) => ({ topic: `d.${n}x`, payload: n })))
      const first = yield* pollOnce(">", "0", 90)
      const late = yield* Effect.forEach(held, (topic, n) =>
        Effect.forkScoped(publish(topic, 300 + n), { startImmediately: true })
      )
      while (held.some((topic) => faults.waitingFor(topic) === 0)) yield* Effect.sleep(2)
      // Longer than a round waits for each.
      const { next, seen } = yield* loop(">", first.next, 90)
      eachOnce([...first.messages, ...seen], 300)
      for (const topic of held) faults.release(topic)
      for (const each of late) yield* Fiber.join(each)
      const rest = yield* loop(">", next, 90)
      eachOnce([...first.messages, ...seen, ...rest.seen], 303)
    }).pipe(Effect.scoped, Effect.provide(hubOn(failingLog(faults))))
  })

  it.live("http poll round - the last so many of each of many topics, then what comes", () =>
    Effect.gen(function* () {
      yield* publishAll(scattered(3000, 300))
      const first = (yield* ask("/api/v1/poll?topics=d.*&last=2&max=250&timeout=5")).json
      assert.lengthOf(first.messages, 250)
      yield* publish("d.1", 3000)
      const { seen } = yield* loop("d.*", first.next, 250)
      const last = [...first.messages, ...seen].map(({ payload }) => Number(payload)).sort((a, b) => a - b)
      assert.deepStrictEqual(last, range(3001).slice(2400))
    }).pipe(Effect.provide(webHub()))
  )

  it.effect(
    "http poll round - a topic that has got more than a client's mailbox since is not waited for",
    () =>
      Effect.gen(function* () {
        yield* publishAll(scattered(300, 300))
        const first = yield* timely(pollOnce("d.*", "0", 100), 1)
        yield* publishAll(range(500).map((n) => ({ topic: "d.250", payload: 300 + n })))
        const begun = yield* Clock.currentTimeMillis
        const { seen } = yield* timely(loop("d.*", first.next, 100), 1)
        assert.isBelow((yield* Clock.currentTimeMillis) - begun, 9000)
        eachOnce([...first.messages, ...seen], 800)
      }).pipe(Effect.provide(webHub({ clientQueueSize: 20 })))
  )

  it.live("http poll round - one that is given up leaves nothing behind", () =>
    Effect.gen(function* () {
      yield* publishAll(scattered(4000, 2000))
      const hub = yield* Hub
      const { connections: before } = yield* hub.metrics
      for (let n = 0; n < 10; n++) {
        const raw = yield* rawSocket
        raw.write(
          "GET /api/v1/poll?topics=d.*&max=1000&from=0~9999999999999 HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        while ((yield* hub.metrics).connections === before) yield* Effect.yieldNow
        raw.socket.destroy()
        while ((yield* hub.metrics).connections > before) yield* Effect.sleep(1)
      }
      assert.strictEqual((yield* hub.metrics).subscriptions, 0)
      eachOnce((yield* loop("d.*", "0", 1000)).seen, 4000)
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.live("http poll round - is told of what can no longer be had when its turn comes", () =>
    Effect.gen(function* () {
      yield* publishAll(scattered(300, 300))
      const first = yield* pollOnce("d.*", "0", 100)
      for (const n of range(5)) yield* publish("d.299", 300 + n)
      const gaps = []
      const seen = [...first.messages]
      let next = first.next
      for (let polls = 0; polls < 8; polls++) {
        const answer = yield* pollOnce("d.*", next, 100)
        gaps.push(...(answer.gaps ?? []))
        seen.push(...answer.messages)
        next = answer.next
      }
      const payloads = new Set(seen.map(({ payload }) => Number(payload)))
      const missing = range(305).filter((n) => !payloads.has(n))
      const told = gaps.reduce((sum, { from, to }) => sum + to.offset - from.offset, 0)
      assert.isAtLeast(missing.length, 1)
      assert.isAtLeast(told, missing.length)
      assert.isTrue(gaps.some(({ topic }) => topic === "d.299"))
    }).pipe(Effect.provide(webHub({ hotTierMessages: 2 })))
  )
})
