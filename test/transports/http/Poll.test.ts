/** Polling over HTTP, with and without a client_id, and replays. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Hub } from "../../../src/actors/Hub.ts"
import { ask, postJson, publish, rawSocket, type Shown, webHub } from "./WebHub.ts"

const payloads = (messages: ReadonlyArray<Shown>) => messages.map(({ payload }) => payload)

/** Waits until so many subscriptions are open. */
const subscribed = Effect.fnUntraced(function* (count: number) {
  const hub = yield* Hub
  while ((yield* hub.metrics).subscriptions < count) yield* Effect.sleep(2)
})

const sessions = Effect.fnUntraced(function* (count: number) {
  const hub = yield* Hub
  while ((yield* hub.metrics).sessions < count) yield* Effect.sleep(2)
})

describe("http poll", () => {
  it.live("http poll - waits for a message, and answers when it comes", () =>
    Effect.gen(function* () {
      const waiting = yield* Effect.forkScoped(ask("/api/v1/poll?topics=a,b.*&timeout=20"), {
        startImmediately: true
      })
      yield* subscribed(2)
      yield* publish("b.c", { n: 1 })
      const { json, status } = yield* Fiber.join(waiting)
      assert.strictEqual(status, 200)
      assert.lengthOf(json.messages, 1)
      assert.containsAllKeys(json.messages[0], [
        "message_id",
        "topic",
        "payload",
        "timestamp",
        "offset",
        "epoch"
      ])
      assert.deepInclude(json.messages[0], { topic: "b.c", payload: { n: 1 }, offset: 0 })
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.live("http poll - is empty when the time is over", () =>
    Effect.gen(function* () {
      const { json, status } = yield* ask("/api/v1/poll?topics=a&timeout=0.05")
      assert.strictEqual(status, 200)
      assert.deepStrictEqual(json.messages, [])
      const hub = yield* Hub
      assert.strictEqual((yield* hub.metrics).sessions, 0)
    }).pipe(Effect.provide(webHub()))
  )

  it.live("http poll - its next goes on where it ended, and misses nothing", () =>
    Effect.gen(function* () {
      for (let n = 0; n < 5; n++) yield* publish(`t.${n % 2}`, n)
      const seen: Array<unknown> = []
      let from = "first"
      for (let round = 0; round < 4; round++) {
        const { json } = yield* ask(
          `/api/v1/poll?topics=t.*&timeout=0.05&max=2&from=${encodeURIComponent(from)}`
        )
        assert.isAtMost(json.messages.length, 2)
        seen.push(...payloads(json.messages))
        from = json.next
      }
      assert.deepStrictEqual([...seen].sort(), [0, 1, 2, 3, 4])
      yield* publish("t.0", 5)
      yield* publish("t.9", 6)
      const { json } = yield* ask(`/api/v1/poll?topics=t.*&timeout=1&from=${encodeURIComponent(from)}`)
      assert.deepStrictEqual(payloads(json.messages).sort(), [5, 6])
    }).pipe(Effect.provide(webHub()))
  )

  it.live("http poll - from now on, its next misses nothing between two polls", () =>
    Effect.gen(function* () {
      yield* publish("a", 0)
      const first = yield* ask("/api/v1/poll?topics=a&timeout=0")
      yield* publish("a", 1)
      const second = yield* ask(`/api/v1/poll?topics=a&timeout=1&from=${encodeURIComponent(first.json.next)}`)
      assert.deepStrictEqual(payloads(second.json.messages), [1])
    }).pipe(Effect.provide(webHub()))
  )

  it.live("http poll - is told of what can no longer be had", () =>
    Effect.gen(function* () {
      for (let n = 0; n < 10; n++) yield* publish("a", n)
      const epoch = (yield* publish("a", 10)).json.epoch
      const { json } = yield* ask(`/api/v1/poll?topics=a&timeout=1&from=${epoch}-0`)
      assert.deepStrictEqual(json.gaps?.[0], {
        topic: "a",
        from: { epoch, offset: 0 },
        to: { epoch, offset: 8 }
      })
      assert.deepStrictEqual(payloads(json.messages), [8, 9, 10])
    }).pipe(Effect.provide(webHub({ hotTierMessages: 3 })))
  )

  it.live.each([
    ["no topics", "", 422, "MISSING_TOPIC"],
    ["a bad pattern", "topics=a*b", 400, "INVALID_TOPIC"],
    ["the hub's own", "topics=$sys.x", 403, "FORBIDDEN"],
    ["a bad time", "topics=a&timeout=x", 422, "BAD_REQUEST"],
    ["no messages", "topics=a&max=0", 422, "BAD_REQUEST"],
    ["a bad from", "topics=a&from=never", 422, "BAD_REQUEST"],
    ["a time that is no number", "topics=a&timeout=NaN", 422, "BAD_REQUEST"],
    ["a time below nothing", "topics=a&timeout=-1", 422, "BAD_REQUEST"],
    ["a time without an end", "topics=a&timeout=Infinity", 422, "BAD_REQUEST"],
    ["fewer messages than none", "topics=a&max=-1", 422, "BAD_REQUEST"],
    ["messages without an end", "topics=a&max=1e400", 422, "BAD_REQUEST"],
    ["a round that ends before it begins", "topics=a&from=5~3", 422, "BAD_REQUEST"],
    ["a round at no topic", "topics=a&from=5~9~a..b", 422, "BAD_REQUEST"],
    ["a from that is too long", `topics=a&from=1${",a@1-1".repeat(700)}`, 422, "BAD_REQUEST"],
    ["a position of many", "topics=a.*&from=1-1", 422, "BAD_REQUEST"],
    ["a long client_id", `topics=a&client_id=${"x".repeat(256)}`, 422, "BAD_REQUEST"]
  ] as const)("http poll - refused: %s", ([, query, status, code]) =>
    Effect.gen(function* () {
      const timeout = query.includes("timeout") ? "" : "timeout=0&"
      const answer = yield* ask(`/api/v1/poll?${timeout}${query}`)
      assert.deepInclude(answer.json, { status, code })
    }).pipe(Effect.provide(webHub()))
  )

  it.live("http poll - one publish answers all who wait", () =>
    Effect.gen(function* () {
      const polls = yield* Effect.forkScoped(
        Effect.forEach(Array.from({ length: 500 }), () => ask("/api/v1/poll?topics=a&timeout=20"), {
          concurrency: 500
        }),
        { startImmediately: true }
      )
      yield* subscribed(500)
      yield* publish("a", { n: 1 })
      const answers = yield* Fiber.join(polls)
      for (const { json } of answers) assert.deepStrictEqual(payloads(json.messages), [{ n: 1 }])
      const hub = yield* Hub
      while ((yield* hub.metrics).connections > 1) yield* Effect.sleep(2)
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.live("http poll - a client that goes away leaves nothing behind", () =>
    Effect.gen(function* () {
      const raw = yield* rawSocket
      raw.write("GET /api/v1/poll?topics=a HTTP/1.1\r\nHost: localhost\r\n\r\n")
      yield* subscribed(1)
      raw.socket.destroy()
      const hub = yield* Hub
      while ((yield* hub.metrics).connections > 0) yield* Effect.sleep(2)
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.live("http poll - the hub refuses more clients than it takes", () =>
    Effect.gen(function* () {
      yield* Effect.forkScoped(ask("/api/v1/poll?topics=a"), { startImmediately: true })
      yield* subscribed(1)
      const answer = yield* ask("/api/v1/poll?topics=a")
      assert.deepInclude(answer.json, { status: 503, code: "TOO_MANY_CONNECTIONS" })
      assert.isDefined(answer.headers["retry-after"])
    }).pipe(Effect.scoped, Effect.provide(webHub({ maxConnections: 1 })))
  )
})

describe("http poll with a cursor of the client's own making", () => {
  const topicNames = Effect.map(ask("/topics?limit=1000"), ({ json }) => json.topics.map(({ name }) => name))

  it.live.each([
    ["named", "0,open.b@1-0,open.c@1-0"],
    ["named in a round", "0~9999999999999,open.b@1-0,open.c@1-0"],
    ["where a round is", "0~9999999999999~open.b@1-0"],
    ["where a round is, and not asked for", "0~9999999999999~secret.x@1-0"]
  ])("http poll - makes no topic that there is not: %s", ([, from = ""]) =>
    Effect.gen(function* () {
      yield* publish("open.a", 1)
      const { status } = yield* ask(
        `/api/v1/poll?topics=${encodeURIComponent("open.>")}&timeout=0&from=${encodeURIComponent(from)}`
      )
      assert.strictEqual(status, 200)
      assert.deepStrictEqual(yield* topicNames, ["open.a"])
    }).pipe(Effect.provide(webHub()))
  )

  it.live("http poll - is not told whether it guessed the position of a topic that was not asked for", () =>
    Effect.gen(function* () {
      const { json: last } = yield* publish("secret.x", 1)
      const answers = []
      for (const at of [`${last.epoch}-0`, `${last.epoch}-1`, `${last.epoch}-9`, "1-0"]) {
        const from = encodeURIComponent(`0~9999999999999~secret.x@${at}`)
        const { json, status } = yield* ask(`/api/v1/poll?topics=zoo.*,zoo&timeout=0&from=${from}`)
        answers.push({ status, messages: json.messages, gaps: json.gaps })
      }
      for (const answer of answers)
        assert.deepStrictEqual(answer, { status: 200, messages: [], gaps: undefined })
    }).pipe(Effect.provide(webHub()))
  )

  it.live("http poll - of one that is made anew while it waits, it is told what was lost", () =>
    Effect.gen(function* () {
      const { json: gone } = yield* publish("open.a", 1)
      yield* ask("/topics/open.a", { method: "DELETE" })
      const from = encodeURIComponent(`0,open.a@${gone.epoch}-1`)
      const waiting = yield* Effect.forkScoped(ask(`/api/v1/poll?topics=open.*&timeout=20&from=${from}`), {
        startImmediately: true
      })
      yield* subscribed(1)
      const { json: made } = yield* publish("open.a", 2)
      const { json } = yield* Fiber.join(waiting)
      assert.deepStrictEqual(payloads(json.messages), [2])
      assert.deepStrictEqual(json.gaps, [
        { topic: "open.a", from: { epoch: gone.epoch, offset: 1 }, to: { epoch: made.epoch, offset: 0 } }
      ])
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )
})

describe("http poll with a client_id", () => {
  const pollAs = (more = "&timeout=5") => ask(`/api/v1/poll?topics=a&client_id=c-1${more}`)

  it.live("http group - a name that nobody polls under takes nobody's place for being said", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      for (let n = 0; n < 20; n++) {
        const acked = yield* postJson("/api/v1/ack", { client_id: `made-up-${n}`, message_ids: ["a@1-1"] })
        assert.deepInclude(acked.json, { acknowledged: 0 })
      }
      assert.strictEqual((yield* hub.metrics).connectionsByTransport["long-poll"], 0)
    }).pipe(Effect.provide(webHub()))
  )

  it.live("http group - what is not acknowledged comes again, what is does not", () =>
    Effect.gen(function* () {
      yield* ask("/api/v1/poll?topics=a&client_id=c-1&timeout=0")
      for (let n = 0; n < 3; n++) yield* publish("a", n)
      const first = yield* pollAs()
      assert.deepStrictEqual(payloads(first.json.messages), [0, 1, 2])
      const ids = first.json.messages.map((each) => each.message_id)
      const acked = yield* postJson("/api/v1/ack", { client_id: "c-1", message_ids: [ids[0], ids[2]] })
      assert.deepInclude(acked.json, { acknowledged: 2 })
      const again = yield* pollAs()
      assert.deepStrictEqual(payloads(again.json.messages), [1])
      assert.strictEqual(again.json.messages[0]?.attempt, 2)
    }).pipe(Effect.provide(webHub({ groupAckWait: 300, groupBackoff: 1 })))
  )

  it.live("http group - keeps what came between two polls", () =>
    Effect.gen(function* () {
      yield* ask("/api/v1/poll?topics=a&client_id=c-1&timeout=0")
      for (let n = 0; n < 5; n++) yield* publish("a", n)
      const first = yield* pollAs("&timeout=5&max=2")
      const second = yield* pollAs("&timeout=5&max=2")
      const third = yield* pollAs("&timeout=5&max=2")
      const all = [first, second, third].flatMap(({ json }) => payloads(json.messages))
      assert.deepStrictEqual(all, [0, 1, 2, 3, 4])
    }).pipe(Effect.provide(webHub()))
  )

  it.live("http group - several topics, several polls at once: each message goes to one of them", () =>
    Effect.gen(function* () {
      const poll = ask("/api/v1/poll?topics=a,b.*&client_id=c-1&timeout=1&max=1")
      yield* ask("/api/v1/poll?topics=a,b.*&client_id=c-1&timeout=0")
      const polls = yield* Effect.forkScoped(Effect.all([poll, poll, poll, poll], { concurrency: 4 }), {
        startImmediately: true
      })
      yield* publish("a", 1)
      yield* publish("b.x", 2)
      yield* publish("a", 3)
      const answers = yield* Fiber.join(polls)
      assert.deepStrictEqual(answers.flatMap(({ json }) => payloads(json.messages)).sort(), [1, 2, 3])
    }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.live("http group - who does not want to wait gets what is there", () =>
    Effect.gen(function* () {
      const poll = ask("/api/v1/poll?topics=a&client_id=c-1&timeout=0&from=first")
      for (let n = 0; n < 3; n++) yield* publish("a", n)
      // How many come at once is the group's to say.
      const given = yield* Effect.all([poll, poll, poll, poll])
      assert.isNotEmpty(given[0]?.json.messages)
      assert.deepStrictEqual(
        given.flatMap(({ json }) => payloads(json.messages)),
        [0, 1, 2]
      )
    }).pipe(Effect.provide(webHub()))
  )

  it.live("http group - no more polls of one client wait than are allowed", () =>
    Effect.gen(function* () {
      yield* Effect.forkScoped(pollAs(), { startImmediately: true })
      yield* sessions(1)
      yield* Effect.forkScoped(pollAs(), { startImmediately: true })
      // One that does not wait is answered until both of them do.
      let answer = yield* pollAs("&timeout=0")
      while (answer.status === 200) answer = yield* pollAs("&timeout=0")
      assert.deepInclude(answer.json, { status: 429, code: "RATE_LIMITED" })
      assert.isDefined(answer.headers["retry-after"])
    }).pipe(Effect.scoped, Effect.provide(webHub({ maxPollsPerClient: 2 })))
  )
})

describe("http poll clients", () => {
  it.live(
    "http poll clients - of two polls of one client, what the one that went away would have had is the other's",
    () =>
      Effect.gen(function* () {
        const path = "/api/v1/poll?topics=a&client_id=c"
        yield* ask(`${path}&timeout=0`)
        for (let n = 0; n < 5; n++) {
          const gone = yield* rawSocket
          gone.write(`GET ${path}&timeout=20 HTTP/1.1\r\nHost: localhost\r\n\r\n`)
          const stays = yield* Effect.forkScoped(ask(`${path}&timeout=20`), { startImmediately: true })
          // Whichever of them is first, and however far the hub is with it.
          yield* Effect.sleep(n)
          const published = yield* Effect.forkScoped(publish("a", n), { startImmediately: true })
          gone.socket.destroy()
          yield* Fiber.join(published)
          yield* publish("a", `${n} again`)
          assert.isNotEmpty((yield* Fiber.join(stays)).json.messages)
        }
      }).pipe(Effect.scoped, Effect.provide(webHub()))
  )

  it.live("http poll clients - however many names one makes up, they are bounded, and do not stay", () =>
    Effect.gen(function* () {
      const hub = yield* Hub
      const pollOf = (n: number) => ask(`/api/v1/poll?topics=a&timeout=0&client_id=made-up-${n}`)
      const statuses: Array<number> = []
      for (let n = 0; n < 12; n++) statuses.push((yield* pollOf(n)).status)
      assert.deepStrictEqual(statuses, [...Array(8).fill(200), ...Array(4).fill(503)])
      assert.strictEqual((yield* hub.metrics).connections, 8)
      // Who is known is answered also now.
      assert.strictEqual((yield* pollOf(3)).status, 200)
    }).pipe(Effect.provide(webHub({ maxConnections: 8 })))
  )
})

describe("http ack", () => {
  it.live.each([
    ["no JSON", "{", 400, "INVALID_JSON"],
    ["no ids", '{"client_id":"c"}', 422, "MISSING_MESSAGE_ID"],
    ["what is no id", '{"client_id":"c","message_ids":["x"]}', 422, "BAD_REQUEST"],
    [
      "of too many topics",
      JSON.stringify({ client_id: "c", message_ids: Array.from({ length: 1001 }, (_, n) => `t${n}@1-1`) }),
      403,
      "LIMIT_REACHED"
    ]
  ] as const)("http ack - refused: %s", ([, body, status, code]) =>
    Effect.gen(function* () {
      const answer = yield* ask("/api/v1/ack", { body, headers: { "content-type": "application/json" } })
      assert.deepInclude(answer.json, { status, code })
    }).pipe(Effect.provide(webHub()))
  )
})

describe("http replay", () => {
  it.live.each([
    "topics/r.x/messages?limit=1000",
    "topics/r.x/messages?last=1000&limit=1000",
    "poll?topics=r.x&from=first&timeout=0&max=1000",
    "poll?topics=r.x&from=first&timeout=20&max=1000",
    "poll?topics=r.*&from=0~9999999999999&timeout=0&max=1000"
  ])("http replay - what is many bytes is answered at once: %s", (path) =>
    Effect.gen(function* () {
      for (let n = 0; n < 24; n++) {
        const messages = Array.from({ length: 100 }, () => ({ topic: "r.x", payload: "p".repeat(5000) }))
        yield* postJson("/api/v1/messages/bulk", { messages })
      }
      const answer = yield* Effect.timeout(ask(`/api/v1/${path}`), "4 seconds")
      assert.lengthOf(answer.json.messages, 1000)
      assert.isUndefined(answer.json.gaps)
    }).pipe(Effect.provide(webHub({ hotTierBytes: 67_108_864 })))
  )

  it.live("http replay - from anywhere, as many as wanted", () =>
    Effect.gen(function* () {
      for (let n = 0; n < 5; n++) yield* publish("a", n)
      const all = yield* ask("/api/v1/topics/a/messages")
      assert.deepStrictEqual(payloads(all.json.messages), [0, 1, 2, 3, 4])
      const some = yield* ask("/api/v1/topics/a/messages?limit=2")
      assert.deepStrictEqual(payloads(some.json.messages), [0, 1])
      const rest = yield* ask(`/api/v1/topics/a/messages?from=${encodeURIComponent(some.json.next)}`)
      assert.deepStrictEqual(payloads(rest.json.messages), [2, 3, 4])
      const position = `${all.json.messages[0]?.epoch}-3`
      const last = yield* ask(`/api/v1/topics/a/messages?from=${position}`)
      assert.deepStrictEqual(payloads(last.json.messages), [3, 4])
      const later = yield* ask("/api/v1/topics/a/messages?from=2100-01-01T00:00:00Z")
      assert.deepStrictEqual(later.json.messages, [])
    }).pipe(Effect.provide(webHub()))
  )

  it.live.each([
    ["no such topic", "/api/v1/topics/none/messages", 404, "TOPIC_NOT_FOUND"],
    ["a pattern", "/api/v1/topics/a.*/messages", 400, "INVALID_TOPIC"],
    ["a bad limit", "/api/v1/topics/a/messages?limit=-1", 422, "BAD_REQUEST"],
    ["a bad from", "/api/v1/topics/a/messages?from=x", 422, "BAD_REQUEST"]
  ] as const)("http replay - refused: %s", ([, path, status, code]) =>
    Effect.gen(function* () {
      yield* publish("a", 1)
      const answer = yield* ask(path)
      assert.deepInclude(answer.json, { status, code })
    }).pipe(Effect.provide(webHub()))
  )
})
