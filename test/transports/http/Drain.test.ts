/** The end of the web side, under load: who waits is answered, streams say why, and nothing accepted is lost. */
import { readFileSync } from "node:fs"
import * as Https from "node:https"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { Hub } from "../../../src/actors/Hub.ts"
import { WebServer } from "../../../src/transports/WebServer.ts"
import { patience } from "../../Patience.ts"
import { secureHub } from "../security/SecureHub.ts"
import { ask, openStream, publish, rawSocket, webHub } from "./WebHub.ts"

/** A client that has something left to take for as long as it says so. */
const slowOutlet = () => ({
  isWritable: true,
  isWaiting: true,
  deliver: () => {},
  control: () => {},
  pumpLater: () => {},
  ended: () => {},
  isTaking: () => true
})

describe("http drain", () => {
  it.live("http drain - not ready at once, polls answered, streams ended with their reason", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(
        webHub({ drainTimeout: patience, writeTimeout: 100 }),
        scope
      )
      const inHub = Effect.provideContext(context)
      const hub = Context.get(context, Hub)
      const keptAlive = yield* inHub(rawSocket)
      keptAlive.write("GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
      yield* keptAlive.says(/200 OK/)
      const poll = yield* Effect.forkScoped(inHub(ask("/api/v1/poll?topics=a&timeout=60")), {
        startImmediately: true
      })
      const group = yield* Effect.forkScoped(inHub(ask("/api/v1/poll?topics=a&client_id=c&timeout=60")), {
        startImmediately: true
      })
      const stream = yield* inHub(openStream("/api/v1/stream?topics=a"))
      const slow = slowOutlet()
      yield* hub.connectLocal(slow)
      while ((yield* hub.metrics).sessions < 3) yield* Effect.sleep(2)
      const closing = yield* Effect.forkScoped(Scope.close(scope, Exit.void), { startImmediately: true })
      assert.deepStrictEqual((yield* Fiber.join(poll)).json.messages, [])
      assert.strictEqual((yield* Fiber.join(group)).status, 200)
      yield* stream.says(/event: close\ndata: {"reason":"shutting-down","code":3000,"reconnect":true}/)
      keptAlive.write("GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
      yield* keptAlive.says(/HTTP\/1\.1 503 [\s\S]*not ready: draining/)
      const refused = yield* inHub(publish("a", 1))
      assert.deepInclude(refused.json, { status: 503, code: "SHUTTING_DOWN" })
      assert.strictEqual(refused.headers.connection, "close")
      // An EventSource that is answered never comes again; one whose connection breaks does.
      const again = yield* inHub(rawSocket)
      again.write("GET /api/v1/stream?topics=a HTTP/1.1\r\nHost: localhost\r\n\r\n")
      yield* again.closed
      assert.strictEqual(again.text, "")
      assert.isUndefined(closing.pollUnsafe())
      slow.isWaiting = false
      yield* Fiber.join(closing)
    }).pipe(Effect.scoped)
  )

  it.live("http drain - the log says why a stream ended", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(secureHub({}, {}, lines), scope)
      const stream = yield* Effect.provideContext(openStream("/api/v1/stream?topics=a"), context)
      yield* stream.says(/begin/)
      yield* Scope.close(scope, Exit.void)
      const [ended, ...more] = lines.filter((line) => /^\{.*connection ended.*event-stream/.test(line))
      assert.lengthOf(more, 0)
      assert.deepInclude(JSON.parse(ended ?? "{}").annotations, { reason: "shutting-down" })
    }).pipe(Effect.scoped)
  )

  it.live(
    "http drain - every publish that was accepted has its receipt, and what comes later is refused",
    () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(webHub(), scope)
        const accepted = yield* Deferred.make<void>()
        const one = Effect.match(Effect.provideContext(publish("a", 1), context), {
          onSuccess: ({ status }) => {
            Deferred.doneUnsafe(accepted, Effect.void)
            return status
          },
          onFailure: () => 0
        })
        const publishing = yield* Effect.forkScoped(
          Effect.forEach(Array.from({ length: 400 }), () => one, { concurrency: 20 }),
          { startImmediately: true }
        )
        yield* Deferred.await(accepted)
        yield* Scope.close(scope, Exit.void)
        const statuses = yield* Fiber.join(publishing)
        assert.isTrue(statuses.every((status) => status === 202 || status === 503 || status === 0))
        assert.include(statuses, 202)
      }).pipe(Effect.scoped)
  )

  it.live("http drain - ends in time whatever its clients do", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(webHub({ writeTimeout: 200 }), scope)
      const inHub = Effect.provideContext(context)
      const silent = yield* inHub(rawSocket)
      const half = yield* inHub(rawSocket)
      half.write("POST /api/v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
      yield* Effect.sleep(20)
      // Long before the one would have to send the rest.
      yield* Effect.timeout(Scope.close(scope, Exit.void), 20_000)
      yield* silent.closed
      yield* half.closed
    }).pipe(Effect.scoped)
  )
})

const file = (name: string) => new URL(`../../fixtures/tls/${name}`, import.meta.url).pathname

describe("web server", () => {
  it.live("web server - speaks TLS 1.3 and nothing older", () =>
    Effect.gen(function* () {
      const { host, isSecure, port } = yield* WebServer
      assert.isTrue(isSecure)
      const ca = readFileSync(file("ca.pem"))
      const status = (options: Https.RequestOptions) =>
        Effect.callback<number | undefined>((resume) => {
          const request = Https.get(
            { host, port, ca, servername: "localhost", path: "/health", ...options },
            (answer) => {
              answer.resume()
              resume(Effect.succeed(answer.statusCode))
            }
          )
          request.on("error", () => resume(Effect.succeed(undefined)))
        })
      assert.strictEqual(yield* status({ agent: false }), 200)
      assert.isUndefined(yield* status({ agent: false, maxVersion: "TLSv1.2" }))
    }).pipe(Effect.provide(webHub({ tlsCert: file("server.pem"), tlsKey: file("server-key.pem") })))
  )

  it.live("web server - a port for WebSocket alone upgrades, and has no API", () =>
    Effect.gen(function* () {
      const { host, port, wsPort } = yield* WebServer
      assert.notStrictEqual(port, wsPort)
      const onWs = Effect.provideService(WebServer, { host, port: wsPort, wsPort, isSecure: false })
      const answer = yield* onWs(ask("/health"))
      assert.deepInclude(answer.json, { status: 404, code: "NOT_FOUND" })
      const raw = yield* onWs(rawSocket)
      raw.write(
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
      )
      yield* raw.says(/^HTTP\/1\.1 101 /)
    }).pipe(Effect.scoped, Effect.provide(webHub({ wsPort: 0 })))
  )

  it.live("web server - does not listen unless told to", () =>
    Effect.gen(function* () {
      const { port, wsPort } = yield* WebServer
      assert.deepStrictEqual([port, wsPort], [undefined, undefined])
    }).pipe(Effect.provide(webHub({ httpPort: undefined })))
  )
})
