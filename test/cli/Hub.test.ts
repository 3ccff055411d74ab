/** `polestar hub` as a process: what it says, how it ends. */
import { createServer } from "node:net"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Redacted, Schedule, Stream } from "effect"
import { HubServer, TcpServer } from "../../src/hub.ts"
import { Polestar, type SettingsInput, Topic } from "../../src/index.ts"
import { jsonLines, run, start } from "./Commands.ts"

/** Starts a hub on any port, and answers its port too. */
const startHub = Effect.fnUntraced(function* (...args: ReadonlyArray<string>) {
  const hub = yield* start(["hub", "--port", "0", ...args])
  const [, port] = yield* hub.stdout(/tcp(?:=|":")127\.0\.0\.1:(\d+)/)
  return { ...hub, port: Number(port) }
})

const topic = Topic.raw("a.b")

describe("polestar hub", () => {
  it.live("hub - says in one line that it is ready, and drains at SIGTERM", () =>
    Effect.gen(function* () {
      const hub = yield* startHub()
      yield* Effect.gen(function* () {
        const star = yield* Polestar
        const { messages } = yield* star.open(topic)
        yield* star.publish(topic, Uint8Array.of(1))
        yield* hub.signal("SIGTERM")
        const arrived = yield* Stream.runCollect(Stream.take(messages, 1))
        assert.deepStrictEqual([...arrived[0]!.value], [1])
        yield* star.states.pipe(
          Stream.takeUntil((state) => state._tag === "Reconnecting"),
          Stream.runDrain
        )
      }).pipe(Effect.scoped, Effect.provide(Polestar.layerTcp({ port: hub.port })))
      const ended = yield* hub.ended
      assert.strictEqual(ended.code, 0)
      assert.match(
        ended.stdout,
        /^ready tcp=127\.0\.0\.1:\d+ http=127\.0\.0\.1:\d+ pid=\d+ hub=[0-9a-f-]{36}\n$/
      )
      assert.match(
        ended.stderr,
        /^\S+ INFO {2}draining\n\S+ INFO {2}connection ended connection=\S+ transport=tcp .* reason=shutting-down .*\n$/
      )
    })
  )

  it.live("hub - does not wait for a slow client when it is told twice", () =>
    Effect.gen(function* () {
      const hub = yield* startHub("--drain-timeout", "1h")
      yield* Effect.gen(function* () {
        const star = yield* Polestar
        // Nobody reads it, so the hub has something left to deliver.
        yield* star.open(topic, { overflow: "wait", queueSize: 1 })
        yield* Effect.forkScoped(Effect.forever(star.publish(topic, Uint8Array.of(1))))
        yield* star.stats.pipe(
          Effect.repeat({
            until: ({ clientQueueDepth, queueDepth }) => clientQueueDepth !== 0 || queueDepth !== 0
          })
        )
        yield* hub.signal("SIGTERM")
        yield* hub.stderr(/draining/)
        const again = Effect.repeat(hub.signal("SIGTERM"), Schedule.spaced("100 millis"))
        const ended = yield* Effect.raceFirst(hub.ended, Effect.andThen(again, Effect.never))
        assert.strictEqual(ended.code, 130)
      }).pipe(Effect.scoped, Effect.provide(Polestar.layerTcp({ port: hub.port })))
    })
  )

  it.live("hub - speaks JSON lines, warnings included", () =>
    Effect.gen(function* () {
      const hub = yield* startHub("--log-format", "json", "--worker-count", "7")
      yield* hub.stderr(/workerCount.*\n/)
      yield* hub.signal("SIGINT")
      const ended = yield* hub.ended
      assert.strictEqual(ended.code, 0)
      const [ready] = jsonLines(ended.stdout)
      assert.propertyVal(ready, "message", "ready")
      assert.propertyVal(ready, "pid", hub.pid)
      const log = jsonLines(ended.stderr)
      assert.propertyVal(log[0], "level", "WARN")
      assert.lengthOf(ended.stderr.match(/workerCount/g) ?? [], 1)
      assert.containsAllKeys(ready, Object.keys(Object(log[0])))
    })
  )

  it.live("hub - warns loudly when it listens beyond this machine", () =>
    Effect.gen(function* () {
      const hub = yield* start(["hub", "--host", "0.0.0.0"], { POLESTAR_PORT: "0" })
      yield* hub.stdout(/^ready tcp=0\.0\.0\.0:\d+ /)
      yield* hub.stderr(/ WARN {2}LISTENING ON 0\.0\.0\.0:\d+, BEYOND THIS MACHINE, WITHOUT AUTHENTICATION/)
    })
  )

  it.live("hub - tells every wrong setting in a line, and ends with 78", () =>
    Effect.gen(function* () {
      const ended = yield* run(["hub", "--queue-size", "0", "--port", "x"], {
        POLESTAR_PING_INTERVAL: "soon"
      })
      assert.strictEqual(ended.code, 78)
      assert.strictEqual(ended.stdout, "")
      const lines = ended.stderr.trimEnd().split("\n")
      assert.lengthOf(lines, 3)
      assert.match(ended.stderr, /^polestar: queueSize \(flag\): found "0"; allowed: .*$/m)
      assert.match(ended.stderr, /^polestar: port \(flag\): found "x"; allowed: .*$/m)
      assert.match(
        ended.stderr,
        /^polestar: pingInterval \(POLESTAR_PING_INTERVAL\): found "soon"; allowed: .*$/m
      )
    })
  )

  it.live("hub - says that its port is in use, and ends with 1", () =>
    Effect.gen(function* () {
      const port = yield* takenPort
      const ended = yield* run(["hub", "--port", String(port)])
      assert.strictEqual(ended.code, 1)
      assert.strictEqual(ended.stdout, "")
      assert.strictEqual(
        ended.stderr,
        `polestar: cannot listen: port (127.0.0.1:${port}): the port is in use\n`
      )
    })
  )

  it.live(
    "hub - a port of HTTP that is in use, and a file that is not there, are named by their settings",
    () =>
      Effect.gen(function* () {
        const port = yield* takenPort
        const taken = yield* run(["hub", "--port", "0", "--http-port", String(port)])
        assert.strictEqual(
          taken.stderr,
          `polestar: cannot listen: httpPort (127.0.0.1:${port}): the port is in use\n`
        )
        const missing = yield* run(["hub", "--port", "0", "--auth-keys-file", "/nope.yaml"])
        assert.strictEqual(missing.code, 78)
        assert.match(
          missing.stderr,
          /^polestar: authKeysFile: \/nope\.yaml: cannot be read \(NotFound\); .*\n$/
        )
      })
  )

  it.live("hub - ends with 78 where its certificate cannot be used", () =>
    Effect.gen(function* () {
      const ended = yield* run(["hub", "--port", "0", "--tls-cert", "/none.pem", "--tls-key", "/none.pem"])
      assert.strictEqual(ended.code, 78)
      assert.match(ended.stderr, /^polestar: cannot use the certificate: tlsCert \(\/none\.pem\): .*\n$/)
    })
  )

  it.live("hub - an embedded one logs its warnings too", () =>
    Effect.gen(function* () {
      const warnings: Array<string> = []
      const log = Logger.layer([
        Logger.make(({ logLevel, message }) => {
          if (logLevel === "Warn") warnings.push(String(message))
        })
      ])
      const server = HubServer.layerWith({ port: 0, ip: "0.0.0.0", workerCount: 7 })
      yield* Effect.scoped(Layer.build(Layer.provide(server, log)))
      assert.lengthOf(warnings, 2)
      assert.match(warnings[0]!, /workerCount/)
      assert.match(warnings[1]!, /^LISTENING ON 0\.0\.0\.0:\d+, BEYOND THIS MACHINE/)
    })
  )

  it.live("hub - says where tokens can be read on their way", () =>
    Effect.gen(function* () {
      const file = (name: string) => fileURLToPath(new URL(`../fixtures/tls/${name}`, import.meta.url))
      const tls = { tlsCert: file("server.pem"), tlsKey: file("server-key.pem") }
      const warningsOf = (input: SettingsInput) =>
        Effect.gen(function* () {
          const warnings: Array<string> = []
          const log = Logger.layer([
            Logger.make(({ logLevel, message }) => {
              if (logLevel === "Warn") warnings.push(String(message))
            })
          ])
          const authJwtSecret = Redacted.make("0123456789abcdef0123456789abcdef")
          const server = HubServer.layerWith({ port: 0, httpPort: 0, authJwtSecret, ...input })
          yield* Effect.scoped(Layer.build(Layer.provide(server, log)))
          return warnings
        })
      const [web, tcp, ...more] = yield* warningsOf({ ip: "0.0.0.0" })
      assert.deepStrictEqual(more, [])
      assert.match(
        web ?? "",
        /^LISTENING ON 0\.0\.0\.0:\d+ \(HTTP\), BEYOND THIS MACHINE, WITHOUT TLS: tokens/
      )
      assert.match(tcp ?? "", /^LISTENING ON 0\.0\.0\.0:\d+, BEYOND THIS MACHINE, WITHOUT TLS: tokens/)
      assert.deepStrictEqual(yield* warningsOf({ ip: "0.0.0.0", ...tls }), [])
      assert.deepStrictEqual(yield* warningsOf({}), [])
    })
  )

  it.live("hub - a client that does not fit its TLS is given a hint", () =>
    Effect.gen(function* () {
      const file = (name: string) => fileURLToPath(new URL(`../fixtures/tls/${name}`, import.meta.url))
      const server = HubServer.layerWith({
        port: 0,
        tlsCert: file("server.pem"),
        tlsKey: file("server-key.pem"),
        tlsCa: file("ca.pem"),
        tlsRequestClientCertificate: true
      })
      yield* Effect.gen(function* () {
        const { port } = yield* TcpServer
        const args = ["pub", "a.b", "x", "--host", "localhost", "--port", String(port)]
        const plain = yield* run(args)
        assert.strictEqual(plain.code, 69)
        assert.match(plain.stderr, /^polestar: .*does the hub speak TLS\?\n$/)
        const unknown = yield* run([...args, "--tls-ca", file("ca.pem")])
        assert.match(unknown.stderr, /^polestar: .*does the hub want a client certificate\?\n$/)
        const distrustful = yield* run([...args, "--tls"])
        assert.match(distrustful.stderr, /^polestar: .*vouches for the hub's certificate.*\n$/)
      }).pipe(Effect.provide(server))
    })
  )
})

const takenPort = Effect.map(
  Effect.acquireRelease(
    Effect.callback<ReturnType<typeof createServer>>((resume) => {
      const server = createServer()
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => void server.close())
  ),
  (server) => {
    const address = server.address()
    return address !== null && typeof address === "object" ? address.port : 0
  }
)
