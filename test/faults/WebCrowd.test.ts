/** Thousands that say nothing, little, or too much at once: all are let go, and nobody else notices. With POLESTAR_LONG=1 more. */
import { readdirSync } from "node:fs"
import type { Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { range } from "../contracts/sdk/Kit.ts"
import { ask, json, openStream, rawSocket } from "../transports/http/WebHub.ts"
import { eventually, openSocket } from "./Faults.ts"
import { type HubProcess, startHub } from "./HubProcess.ts"
import { at, longestTrip, samplesOf, steadyPair } from "./WebFaults.ts"

const isLong = process.env.POLESTAR_LONG === "1"
const MIB = 1_048_576
const host = "Host: localhost\r\n"

/** Sockets that were opened, and how many of them the hub has ended. */
class Crowd {
  closed = 0
  opened = 0
  readonly answers = new Map<string, number>()
  private readonly port: number

  constructor(port: number) {
    this.port = port
  }

  /** Has so many sockets do this; they read, and keep their end open, unless told otherwise. */
  join(count: number, act: (socket: Socket) => void): Effect.Effect<void, never, Scope.Scope> {
    const one = Effect.map(openSocket(this.port), (socket) => {
      this.opened++
      socket.setEncoding("latin1")
      socket.once("data", (text: string) => {
        const status = text.slice(9, 12)
        this.answers.set(status, (this.answers.get(status) ?? 0) + 1)
      })
      socket.on("close", () => this.closed++)
      act(socket)
    })
    return Effect.forEach(range(count), () => one, { concurrency: 100, discard: true })
  }

  readonly gone = Effect.suspend(() =>
    eventually(
      "the crowd to be gone",
      Effect.sync(() => this.closed === this.opened),
      () => `${this.closed} of ${this.opened} are`
    )
  )
}

/** The hub's open files, where the machine shows them: a socket of the hub's that nobody hears of shows nowhere else. */
const filesOf = (hub: HubProcess): number => {
  try {
    return readdirSync(`/proc/${hub.child.process.pid}/fd`).length
  } catch {
    return 0
  }
}

/** Waits until connections and files are as before. */
const quietAgain = (hub: HubProcess, files: number) =>
  eventually(
    "connections and files to be as before",
    Effect.map(at(hub.webPort)(ask("/metrics")), ({ text }) => {
      const samples = samplesOf(text)
      const open = (type: string) => samples.get(`proxy_connections_total{type="${type}"}`)
      const isQuiet = open("websocket") === 1 && open("long-poll") === 0 && open("event-stream") === 0
      return isQuiet && filesOf(hub) <= files + 3
    }),
    () => `${filesOf(hub)} files, ${files} before`
  )

const trickle = (head: string) => (socket: Socket) => {
  socket.write(head)
  const timer = setInterval(() => socket.write("x"), 100)
  socket.on("close", () => clearInterval(timer))
}

const postHead = (length: number) =>
  `POST /api/v1/messages HTTP/1.1\r\n${host}Content-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`

describe("faults - web crowd", () => {
  it.live("web crowd - thousands that say nothing, or a byte now and then, are ended in time", () =>
    Effect.gen(function* () {
      const hub = yield* startHub({ httpReadTimeout: 1500, dialTimeout: 1500 })
      const steady = yield* steadyPair(hub.webPort)
      yield* eventually(
        "the pair to be at it",
        Effect.sync(() => steady.look().trips > 0)
      )
      const files = filesOf(hub)
      const memory = yield* hub.memory
      const crowd = new Crowd(hub.webPort)
      yield* crowd.join(isLong ? 8000 : 3000, () => {})
      yield* crowd.join(200, (socket) => socket.write(`GET /health HTTP/1.1\r\n${host}X: `))
      yield* crowd.join(200, (socket) => socket.write(`${postHead(1000)}{`))
      yield* crowd.join(100, trickle(`GET /health HTTP/1.1\r\n${host}X: `))
      yield* crowd.join(100, trickle(postHead(1000)))
      yield* crowd.join(100, trickle(postHead(1000).replace("POST /api/v1/messages", "GET /health")))
      yield* crowd.join(100, (socket) => socket.write(`GET /ws HTTP/1.1\r\n${host}Upgrade: websocket\r\n`))
      // Someone new is heard at any time.
      assert.strictEqual((yield* at(hub.webPort)(ask("/ready"))).status, 200)
      yield* crowd.gone
      // Half a body is answered, and what comes of a body that nobody asked for is not waited for.
      assert.strictEqual(crowd.answers.get("200"), 100)
      assert.isAtLeast(crowd.answers.get("408") ?? 0, 700)
      yield* quietAgain(hub, files)
      const { trips, worst } = steady.look()
      assert.isAbove(trips, 20)
      assert.isBelow(worst, longestTrip)
      assert.isBelow(yield* hub.peak, 500 * MIB)
      yield* eventually(
        "the memory to be as before",
        Effect.map(hub.memory, (used) => used < memory + 30 * MIB)
      )
    })
  )

  it.live("web crowd - whoever asks and does not read is cut off, and what it asked for is not kept", () =>
    Effect.gen(function* () {
      const hub = yield* startHub({ clientWriteTimeout: 700, httpIdleTimeout: 1000 })
      const onHub = at(hub.webPort)
      const steady = yield* steadyPair(hub.webPort)
      const payload = "x".repeat(900_000)
      // As much as one answer holds.
      for (const n of range(16)) {
        const body = JSON.stringify({ topic: `large.t${n}`, payload })
        assert.strictEqual((yield* onHub(ask("/api/v1/messages", { headers: json, body }))).status, 202)
      }
      const files = filesOf(hub)
      const memory = yield* hub.memory
      const crowd = new Crowd(hub.webPort)
      const topics = range(16)
        .map((n) => `large.t${n}`)
        .join(",")
      const all = `GET /api/v1/poll?topics=${topics}&from=first&max=1000&timeout=0 HTTP/1.1\r\n${host}\r\n`
      const asks = (request: string) => (socket: Socket) => {
        socket.pause()
        socket.write(request)
      }
      yield* crowd.join(10, asks(all))
      yield* crowd.join(5, asks(all.repeat(20)))
      yield* crowd.join(5, asks(`GET /openapi.json HTTP/1.1\r\n${host}\r\n`.repeat(2000)))
      yield* crowd.join(10, asks(`GET /api/v1/stream?topics=large.>&from=first HTTP/1.1\r\n${host}\r\n`))
      // They have not read that they were cut off.
      yield* eventually(
        "their files to be closed",
        Effect.sync(() => filesOf(hub) <= files + 1),
        () => filesOf(hub)
      )
      yield* quietAgain(hub, files)
      const { worst } = steady.look()
      assert.isBelow(worst, longestTrip)
      assert.isBelow(yield* hub.peak, 800 * MIB)
      yield* eventually(
        "the memory to be as before",
        Effect.map(hub.memory, (used) => used < memory + 30 * MIB)
      )
    })
  )

  it.live("web crowd - one answer holds what it may, and the next ones the rest", () =>
    Effect.gen(function* () {
      const hub = yield* startHub()
      const onHub = at(hub.webPort)
      const payload = "x".repeat(1_000_000)
      const topics = range(25).map((n) => `large.t${n}`)
      for (const topic of topics)
        yield* onHub(ask("/api/v1/messages", { headers: json, body: JSON.stringify({ topic, payload }) }))
      const seen: Array<string> = []
      let from = "first"
      let answers = 0
      while (seen.length < topics.length) {
        const { json: answer, text } = yield* onHub(
          ask(`/api/v1/poll?topics=large.*&max=1000&timeout=1&from=${encodeURIComponent(from)}`)
        )
        assert.isAbove(answer.messages.length, 0)
        assert.isBelow(text.length, 16 * MIB)
        seen.push(...answer.messages.map(({ topic }) => topic))
        from = answer.next
        answers++
      }
      assert.sameMembers(seen, topics)
      assert.isAbove(answers, 1)
    })
  )

  it.live(
    "web crowd - requests in a row on one connection take no more than their share, and go with it",
    () =>
      Effect.gen(function* () {
        const hub = yield* startHub({ maxConnections: 1000 })
        const onHub = at(hub.webPort)
        const steady = yield* steadyPair(hub.webPort)
        const polls = (count: number) =>
          `GET /api/v1/poll?topics=a&timeout=30 HTTP/1.1\r\n${host}\r\n`.repeat(count)
        const waiting = Effect.map(onHub(ask("/metrics")), ({ text }) =>
          samplesOf(text).get('proxy_connections_total{type="long-poll"}')
        )
        const raw = yield* onHub(rawSocket)
        raw.write(polls(200))
        yield* eventually(
          "the polls to wait",
          Effect.map(waiting, (count) => count === 200)
        )
        // Behind others they are ended with their connection too.
        raw.socket.destroy()
        yield* eventually(
          "the polls to be gone",
          Effect.map(waiting, (count) => count === 0)
        )
        const greedy = yield* onHub(rawSocket)
        greedy.write(polls(5000))
        yield* greedy.closed
        yield* eventually(
          "the polls to be gone",
          Effect.map(waiting, (count) => count === 0)
        )
        // Such as are answered are taken, however many come at once.
        const quick = yield* onHub(rawSocket)
        quick.write(`GET /health HTTP/1.1\r\n${host}\r\n`.repeat(200))
        yield* quick.until(({ text }) => text.split("healthy").length === 201)
        const stream = yield* onHub(openStream("/api/v1/stream?topics=a"))
        yield* stream.says(/begin/)
        assert.isBelow(steady.look().worst, longestTrip)
      })
  )
})
