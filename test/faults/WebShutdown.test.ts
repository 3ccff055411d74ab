/** A hub that is stopped while everyone publishes, waits and listens: who is told what, when, and what is there afterwards. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { WebSocket } from "ws"
import { temporaryFolder } from "../cli/DurableHub.ts"
import { range } from "../contracts/sdk/Kit.ts"
import { ask, eventsIn, openStream, rawSocket } from "../transports/http/WebHub.ts"
import { connectJson } from "../transports/websocket/JsonPeer.ts"
import { eventually, host, joined, soon } from "./Faults.ts"
import { at, KeptConnection, startWebHub } from "./WebFaults.ts"
import { Accepted, publishBySdk, publishFrames, publishLines, publishMany, publishOnes } from "./WebLoad.ts"

/** What is there, by topic, in order. */
const kept = (webPort: number, topic: string) =>
  Effect.gen(function* () {
    const ids: Array<string> = []
    for (let from = "first"; ; ) {
      const { json } = yield* at(webPort)(
        ask(`/api/v1/topics/${topic}/messages?limit=1000&from=${encodeURIComponent(from)}`)
      )
      if (json.messages.length === 0) return ids
      ids.push(...json.messages.map(({ id }) => id ?? "?"))
      from = json.next
    }
  })

/** A subscriber by WebSocket that reads nothing while a lot waits for it, so that the hub has to drain. */
const pausedSubscriber = Effect.fnUntraced(function* (webPort: number) {
  const peer = yield* connectJson(`ws://${host}:${webPort}/ws`)
  peer.send({ type: "subscribe", topic: "slow", overflow: "wait" })
  yield* peer.nextOf("ack")
  peer.socket.pause()
  const publisher = yield* KeptConnection.open(webPort)
  for (const _ of range(20))
    yield* publisher.ask("/api/v1/messages", { topic: "slow", payload: "x".repeat(900_000) })
  return peer.socket
})

type Seen = readonly [who: string, path: string, status: number]

/** Asks on one connection that is kept, and on new ones, for as long as there are answers. */
const watchHealth = Effect.fnUntraced(function* (webPort: number) {
  const kept = yield* KeptConnection.open(webPort)
  yield* kept.ask("/ready")
  const seen: Array<Seen> = []
  const look = (who: string, path: string, connection: KeptConnection) =>
    Effect.match(connection.ask(path), {
      onSuccess: ({ status }) => void seen.push([who, path, status]),
      onFailure: () => void seen.push([who, path, 0])
    })
  const round = Effect.gen(function* () {
    for (const path of ["/ready", "/health"]) {
      yield* look("kept", path, kept)
      yield* Effect.scoped(Effect.flatMap(KeptConnection.open(webPort), (fresh) => look("new", path, fresh)))
    }
    yield* Effect.sleep(5)
  })
  yield* Effect.forkScoped(Effect.forever(round))
  return seen
})

/** What one of the two was answered, in order. */
const statusesOf = (seen: ReadonlyArray<Seen>, who: Seen[0], path: Seen[1]) =>
  seen.filter(([asker, asked]) => asker === who && asked === path).map(([, , status]) => status)

/** What everybody publishes to. */
const kinds = ["load.one0", "load.one1", "load.one2", "load.bulk", "load.lines", "load.ws", "load.sdk"]

describe("faults - web shutdown", () => {
  it.live("web shutdown - under load everyone is told, and whatever was accepted is there once", () =>
    Effect.gen(function* () {
      const dataDir = yield* temporaryFolder
      const env = { POLESTAR_DATA_DIR: dataDir, POLESTAR_CLIENT_WRITE_TIMEOUT: "100s" }
      const clients = yield* Scope.make()
      yield* Effect.addFinalizer(() => Scope.close(clients, Exit.void))
      // Longer than anything is waited for, so that nothing here is the end of that time.
      const hub = yield* startWebHub({ ...env, POLESTAR_DRAIN_TIMEOUT: "100s" })
      const { webPort } = hub
      const accepted = new Accepted()
      yield* Effect.gen(function* () {
        const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkScoped(effect)
        const singles = yield* fork(
          Effect.forEach(range(6), (n) => publishOnes(webPort, `load.one${n % 3}`, accepted), {
            concurrency: 6
          })
        )
        const bulks = yield* fork(
          Effect.forEach(range(2), () => publishMany(webPort, "load.bulk", accepted), { concurrency: 2 })
        )
        const lines = yield* fork(
          Effect.forEach(range(2), () => publishLines(webPort, "load.lines", accepted), { concurrency: 2 })
        )
        const frames = yield* fork(
          Effect.forEach(range(2), () => publishFrames(webPort, "load.ws", accepted), { concurrency: 2 })
        )
        yield* publishBySdk(hub.port, accepted)
        const sockets = yield* Effect.forEach(range(3), () => connectJson(`ws://${host}:${webPort}/ws`))
        for (const socket of sockets) socket.send({ type: "subscribe", topic: "load.>" })
        const streams = yield* Effect.forEach(range(3), (n) =>
          at(webPort)(openStream(`/api/v1/stream?topics=${n === 0 ? "quiet" : "load.>"}`))
        )
        const polls = yield* fork(
          Effect.forEach(
            [
              "quiet",
              "quiet&from=first",
              "quiet&client_id=one",
              "quiet&client_id=two",
              "quiet.>&client_id=two"
            ],
            (topics) => at(webPort)(ask(`/api/v1/poll?timeout=60&topics=${topics}`)),
            { concurrency: "unbounded" }
          )
        )
        const paused = yield* pausedSubscriber(webPort)
        const seen = yield* watchHealth(webPort)
        yield* eventually(
          "much to be taken",
          Effect.sync(() => accepted.count > 500),
          () => accepted.count
        )
        yield* eventually(
          "some of every kind to be heard",
          Effect.sync(() => {
            const heard = new Set(sockets[0]?.waiting().map(({ topic }) => topic))
            return kinds.every((kind) => heard.has(kind))
          })
        )

        const before = seen.length
        // All of this is before the end of the draining, which lasts until the one that is paused reads on.
        const began = performance.now()
        yield* hub.signal("SIGTERM")
        for (const { json, status } of yield* joined("the polls", polls))
          assert.deepStrictEqual([status, json.messages], [200, []])
        assert.isBelow(performance.now() - began, 30_000, "they waited for as long as they asked to")
        for (const stream of streams) {
          yield* stream.says(/event: close\n/)
          const end = eventsIn(stream.text).find(({ event }) => event === "close")
          assert.deepInclude(end?.data, { reason: "shutting-down", reconnect: true })
        }
        const refused = [...(yield* joined("the publishers", singles)), ...(yield* joined("bulks", bulks))]
        assert.isTrue(refused.some((each) => each !== undefined))
        for (const each of refused) {
          if (each === undefined) continue
          assert.strictEqual(each.status, 503)
          assert.include(each.text, "SHUTTING_DOWN")
          assert.strictEqual(each.headers.connection, "close")
          assert.isAbove(Number(each.headers["retry-after"]), 0)
        }
        for (const last of yield* joined("the lines", lines)) {
          assert.deepInclude(last, { last: true })
          assert.strictEqual(last.error?.code, "SHUTTING_DOWN")
        }
        // It waits for the one that does not read, and answers meanwhile, on a new connection too.
        yield* eventually(
          "each to be told several times that it is not ready",
          Effect.sync(() =>
            ["kept", "new"].every(
              (who) =>
                statusesOf(seen.slice(before), who, "/ready").filter((status) => status === 503).length > 5
            )
          )
        )
        const upgrade = yield* at(webPort)(rawSocket)
        upgrade.write(
          "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        yield* upgrade.says(/^HTTP\/1\.1 503 [\s\S]*SHUTTING_DOWN/)
        paused.resume()
        for (const closed of yield* joined("the frames", frames))
          assert.deepStrictEqual(closed, { code: 3000, reason: "shutting-down" })
        for (const socket of sockets)
          assert.deepStrictEqual(yield* socket.closed, { code: 3000, reason: "shutting-down" })
        const { code, stderr } = yield* soon("the hub to end", hub.ended)
        assert.deepStrictEqual([code, stderr], [0, ""])

        const after = seen.slice(before)
        for (const who of ["kept", "new"]) {
          // Ready, then not, then gone: never back and forth.
          assert.match(statusesOf(after, who, "/ready").join(" "), /^(200 )*(503 ){5,}(0 ?)*$/, who)
          assert.match(statusesOf(after, who, "/health").join(" "), /^(200 ){5,}(0 ?)*$/, who)
        }
      }).pipe(Scope.provide(clients))
      yield* Scope.close(clients, Exit.void)

      const again = yield* startWebHub(env)
      for (const [topic, ids] of accepted.ids) {
        const there = yield* kept(again.webPort, topic)
        const found = new Set(there)
        assert.strictEqual(found.size, there.length, `${topic}: none is there twice`)
        assert.deepStrictEqual(
          [...ids].filter((id) => !found.has(id)),
          [],
          `${topic}: none is lost`
        )
      }
      assert.sameMembers([...accepted.ids.keys()], kinds)
    }).pipe(Effect.scoped)
  )

  it.live("web shutdown - ends in time with clients that never read", () =>
    Effect.gen(function* () {
      const hub = yield* startWebHub({
        POLESTAR_DRAIN_TIMEOUT: "1s",
        POLESTAR_WRITE_TIMEOUT: "500ms",
        POLESTAR_CLIENT_WRITE_TIMEOUT: "60s"
      })
      const { webPort } = hub
      const paused = yield* pausedSubscriber(webPort)
      const stream = yield* at(webPort)(openStream("/api/v1/stream?topics=slow&from=first&overflow=wait"))
      stream.socket.pause()
      const unread = yield* at(webPort)(rawSocket)
      unread.socket.pause()
      unread.write("GET /api/v1/poll?topics=slow&from=first HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(5))
      const half = yield* at(webPort)(rawSocket)
      half.write("POST /api/v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
      const silent = new WebSocket(`ws://${host}:${webPort}/ws`)
      silent.on("error", () => {})
      yield* Effect.sleep(300)
      const began = performance.now()
      yield* hub.signal("SIGTERM")
      const { code, stderr } = yield* hub.ended
      assert.deepStrictEqual([code, stderr], [0, ""])
      // As its own limits say, and long before those of the clients.
      assert.isBelow(performance.now() - began, 30_000)
      paused.terminate()
      silent.terminate()
    }).pipe(Effect.scoped)
  )
})
