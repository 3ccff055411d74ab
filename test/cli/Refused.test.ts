/** What the command says and ends with where a hub is there and does not take it, or where what is there is no hub. */
import { fileURLToPath } from "node:url"
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Logger, Redacted } from "effect"
import { HubServer, TcpServer } from "../../src/hub.ts"
import { Polestar } from "../../src/index.ts"
import { generateKey } from "../../src/services/auth/ApiKey.ts"
import { WebServer } from "../../src/transports/WebServer.ts"
import { secret, sign } from "../services/auth/Tokens.ts"
import { run } from "./Commands.ts"

const { hash, id, key } = generateKey()

const hub = Layer.fresh(
  HubServer.layerWith({
    port: 0,
    httpPort: 0,
    authJwtSecret: Redacted.make(secret),
    authKeys: [{ id, hash, publish: ["a.b"], limits: { connections: 1, messagesPerMinute: 1 } }]
  })
).pipe(Layer.provide(Logger.layer([])))

const pub = (port: number, topic: string, token?: string) =>
  run(["pub", topic, "x", "--port", String(port)], token === undefined ? {} : { POLESTAR_TOKEN: token })

describe("polestar - refused by the hub", () => {
  it.live(
    "refused - is said as what it is, with 77 where it is about who comes",
    () =>
      Effect.gen(function* () {
        const { port } = yield* TcpServer
        const at = `polestar: the hub at 127.0.0.1:${port} refused: `
        const hint = "; POLESTAR_TOKEN or --token-file gives a token\n"
        const nobody = yield* pub(port, "a.b")
        assert.strictEqual(nobody.stderr, `${at}a token is needed, and none was given${hint}`)
        assert.strictEqual(nobody.code, 77)
        const wrong = yield* pub(port, "a.b", "mallory")
        assert.strictEqual(wrong.stderr, `${at}the token is not accepted${hint}`)
        assert.strictEqual(wrong.code, 77)
        const old = yield* pub(port, "a.b", yield* sign({ sub: "me", exp: 1 }))
        assert.strictEqual(old.stderr, `${at}the token has expired\n`)
        assert.strictEqual(old.code, 77)
        // One that is read from a file is asked for again, once.
        const files = yield* FileSystem.FileSystem
        const file = `${yield* files.makeTempDirectoryScoped()}/token`
        yield* files.writeFileString(file, yield* sign({ sub: "me", exp: 1 }))
        const kept = yield* run(["pub", "a.b", "x", "--port", String(port), "--token-file", file])
        assert.strictEqual(kept.stderr, `${at}the token has expired\n`)
        assert.strictEqual(kept.code, 77)
        const other = yield* pub(port, "a.c", key)
        assert.match(other.stderr, /^polestar: the hub refused: forbidden, .* \("a\.c"\)\n$/)
        assert.strictEqual(other.code, 77)
      }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer), Effect.provide(hub)),
    60_000
  )

  it.live(
    "refused - limits are no question of rights",
    () =>
      Effect.gen(function* () {
        const { port } = yield* TcpServer
        assert.strictEqual((yield* pub(port, "a.b", key)).code, 0)
        const fast = yield* pub(port, "a.b", key)
        assert.match(
          fast.stderr,
          /^polestar: the hub refused: rate-limited, more messages than this client may publish in a minute; .*\n$/
        )
        assert.strictEqual(fast.code, 1)
        const many = yield* Layer.build(Polestar.layerTcp({ port, token: key })).pipe(
          Effect.andThen(pub(port, "a.b", key)),
          Effect.scoped
        )
        assert.match(
          many.stderr,
          /^polestar: the hub at 127\.0\.0\.1:\d+ refused: it has as many connections .*\n$/
        )
        assert.strictEqual(many.code, 69)
      }).pipe(Effect.scoped, Effect.provide(hub)),
    60_000
  )

  it.live("refused - a port of HTTP is told as one", () =>
    Effect.gen(function* () {
      const { port = 0 } = yield* WebServer
      const ended = yield* pub(port, "a.b", key)
      assert.match(
        ended.stderr,
        /^polestar: no hub at 127\.0\.0\.1:\d+: could not connect: what answers there speaks HTTP; .*TCP port.*\n$/
      )
      assert.strictEqual(ended.code, 69)
    }).pipe(Effect.scoped, Effect.provide(hub))
  )

  it.live("refused - a certificate that nobody vouches for is told as one", () =>
    Effect.gen(function* () {
      const file = (name: string) => fileURLToPath(new URL(`../fixtures/tls/${name}`, import.meta.url))
      const server = HubServer.layerWith({
        port: 0,
        tlsCert: file("server.pem"),
        tlsKey: file("server-key.pem")
      })
      yield* Effect.gen(function* () {
        const { port } = yield* TcpServer
        const ended = yield* run(["pub", "a.b", "x", "--host", "localhost", "--port", String(port), "--tls"])
        assert.match(
          ended.stderr,
          /^polestar: the hub at localhost:\d+ is not trusted: nobody who is trusted .*\n$/
        )
        assert.strictEqual(ended.code, 69)
      }).pipe(Effect.provide(server))
    })
  )
})
