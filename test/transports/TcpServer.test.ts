import * as Net from "node:net"
import * as Tls from "node:tls"
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, FileSystem, Layer, Scope } from "effect"
import { Hub } from "../../src/actors/Hub.ts"
import { Auth } from "../../src/services/Auth.ts"
import type { HubMetrics } from "../../src/services/HubMetrics.ts"
import type { SettingsInput } from "../../src/services/Settings.ts"
import { socketDuplex } from "../../src/transports/SocketDuplex.ts"
import { TcpServer, type TcpServerError } from "../../src/transports/TcpServer.ts"
import { hubWith } from "../actors/TestHub.ts"
import { numbered, type Received, WireClient, type WireClientError } from "../actors/WireClient.ts"
import { chance } from "../protocol/Chance.ts"

const file = (name: string) => new URL(`../fixtures/tls/${name}`, import.meta.url).pathname

const serverWith = (input: SettingsInput = {}) =>
  TcpServer.layer.pipe(
    Layer.provide(Auth.layerOff),
    Layer.provideMerge(hubWith({ port: 0, ...input })),
    Layer.provideMerge(NodeFileSystem.layer)
  )
const secure = { tlsCert: file("server.pem"), tlsKey: file("server-key.pem") }

class ConnectError extends Error {
  readonly _tag = "ConnectError"
}

/** Waits until the socket is connected, and destroys it at the end of the scope. */
const connected = <S extends Net.Socket>(
  open: () => S,
  event: string
): Effect.Effect<S, ConnectError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<S, ConnectError>((resume) => {
      const socket = open()
      socket.once("error", (cause) => resume(Effect.fail(new ConnectError(cause.message, { cause }))))
      socket.once(event, () => resume(Effect.succeed(socket)))
      socket.on("error", () => {})
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

const tcp = Effect.flatMap(TcpServer, ({ host, port }) =>
  connected(() => Net.connect({ host, port }), "connect")
)

const tls = Effect.fnUntraced(function* (options: Tls.ConnectionOptions) {
  const { host, port } = yield* TcpServer
  const ca = yield* Effect.flatMap(FileSystem.FileSystem, (files) => files.readFileString(file("ca.pem")))
  return yield* connected(
    () => Tls.connect({ host, port, ca, servername: "localhost", ...options }),
    "secureConnect"
  )
})

const keyPair = Effect.fnUntraced(function* (name: string) {
  const files = yield* FileSystem.FileSystem
  return {
    cert: yield* files.readFileString(file(`${name}.pem`)),
    key: yield* files.readFileString(file(`${name}-key.pem`))
  }
})

const greetedOver = Effect.fnUntraced(function* (socket: Net.Socket) {
  const client = new WireClient(socketDuplex(socket))
  yield* client.begin()
  return client
})
const greeted = Effect.flatMap(tcp, greetedOver)

const texts = (messages: ReadonlyArray<Received>) => messages.map((message) => message.text)
const metrics = Effect.flatMap(Hub, (hub) => hub.metrics)

/** Waits until the hub has noticed, asking it as often as a round trip takes. */
const until = Effect.fnUntraced(function* (
  client: WireClient,
  isSo: (metrics: HubMetrics) => boolean
): Effect.fn.Return<void, WireClientError, Hub> {
  while (!isSo(yield* metrics)) yield* client.settled
})

describe("tcp server", () => {
  it.live("tcp server - listens where it says, and carries messages both ways", () =>
    Effect.gen(function* () {
      const { host, isSecure, port } = yield* TcpServer
      assert.strictEqual(host, "127.0.0.1")
      assert.isAbove(port, 0)
      assert.isFalse(isSecure)
      const [publisher, subscriber] = [yield* greeted, yield* greeted]
      yield* subscriber.subscribe("a.*")
      for (let round = 0; round < 20; round++) publisher.publish("a.b", numbered(50, "m", round * 50))
      yield* publisher.publishAndWait("a.b", ["last"])
      assert.deepStrictEqual(texts(yield* subscriber.messages(1, 1001)), [...numbered(1000), "last"])
    }).pipe(Effect.provide(serverWith()))
  )

  it.live("tcp server - carries messages of the largest size, in any number of pieces", () =>
    Effect.gen(function* () {
      const client = yield* greeted
      yield* client.subscribe("a")
      const payload = chance(1).bytes(1_048_576)
      const receipt = yield* client.publishAndWait("a", [{ payload }])
      const [found] = yield* client.messages(1, 1)
      assert.strictEqual(found?.offset, receipt.position.offset)
      assert.isTrue(Buffer.from(payload).equals(found?.payload ?? new Uint8Array(0)))
    }).pipe(Effect.provide(serverWith()))
  )

  it.live("tcp server - garbage on the port ends that connection alone", () =>
    Effect.gen(function* () {
      const client = yield* greeted
      yield* client.subscribe("a")
      const random = chance(3)
      const garbage = [
        new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"),
        Uint8Array.of(22, 3, 1, 2, 0, 1, 0, 1, 252, 3),
        new Uint8Array(100),
        new Uint8Array(70_000).fill(255),
        ...Array.from({ length: 10 }, () => random.bytes(2000).fill(255, 0, 4))
      ]
      for (const bytes of garbage) {
        const socket = yield* tcp
        const stranger = new WireClient(socketDuplex(socket))
        stranger.raw(bytes)
        assert.strictEqual(yield* stranger.goodbye, "protocol-error")
      }
      yield* client.publishAndWait("a", ["still here"])
      assert.deepStrictEqual(texts(yield* client.messages(1, 1)), ["still here"])
      assert.deepStrictEqual((yield* metrics).connectionsClosed, { "protocol-error": garbage.length })
    }).pipe(Effect.provide(serverWith()))
  )

  for (const [how, cut] of [
    ["ended", (socket: Net.Socket) => void socket.end()],
    ["reset", (socket: Net.Socket) => void socket.resetAndDestroy()]
  ] as const) {
    it.live(`tcp server - a connection that is ${how} in the middle of a frame leaves nothing behind`, () =>
      Effect.gen(function* () {
        const watcher = yield* greeted
        const socket = yield* tcp
        const client = yield* greetedOver(socket)
        yield* client.subscribe("a")
        const { bytes } = client.publishFrame("a", ["x".repeat(1000)])
        yield* client.publishAndWait("a", ["whole"])
        client.raw(bytes.slice(0, 500))
        cut(socket)
        yield* until(watcher, ({ connections }) => connections === 1)
        const { connectionsClosed, messagesReceived, sessions, subscriptions } = yield* metrics
        assert.deepStrictEqual([messagesReceived, sessions, subscriptions], [1, 1, 0])
        assert.deepStrictEqual(connectionsClosed, { "connection-lost": 1 })
      }).pipe(Effect.provide(serverWith()))
    )
  }

  it.live("tcp server - a peer whose socket takes nothing is closed, and nobody waits for it", () =>
    Effect.gen(function* () {
      const stuck = yield* tcp
      const client = yield* greetedOver(stuck)
      yield* client.subscribe("a")
      const publisher = yield* greeted
      stuck.pause()
      const payload = new Uint8Array(1_000_000)
      // More than two operating systems' buffers hold.
      for (let left = 30; left > 0; left--) yield* publisher.publishAndWait("a", [{ payload }])
      yield* until(publisher, ({ connectionsClosed }) => connectionsClosed["write-timeout"] === 1)
      yield* until(publisher, ({ connections }) => connections === 1)
      assert.isAbove((yield* metrics).messagesDropped["drop-oldest"] ?? 0, 0)
      yield* publisher.publishAndWait("a", ["on"])
    }).pipe(Effect.provide(serverWith({ clientWriteTimeout: 250, clientQueueSize: 3 })))
  )

  it.live("tcp server - a client that only reads slowly is kept", () =>
    Effect.gen(function* () {
      const slow = yield* tcp
      const client = yield* greetedOver(slow)
      yield* client.subscribe("a", { overflow: "wait" })
      const publisher = yield* greeted
      for (let left = 20; left > 0; left--) {
        publisher.publish("a", [{ payload: new Uint8Array(500_000) }])
        slow.pause()
        yield* publisher.settled
        slow.resume()
      }
      assert.strictEqual((yield* client.messages(1, 20)).length, 20)
    }).pipe(Effect.provide(serverWith({ clientWriteTimeout: 20_000 })))
  )

  it.live("tcp server - says goodbye to its clients when it stops, and takes no more", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(serverWith(), scope)
      const client = yield* Effect.provide(greeted, context)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* client.goodbye, "shutting-down")
      const refused = yield* Effect.flip(Effect.provide(tcp, context))
      assert.match(refused.message, /ECONNREFUSED/)
    })
  )
})

/** Why a second server does not start; it shares nothing with the test's own. */
const failureOf = (input: SettingsInput): Effect.Effect<TcpServerError> =>
  Effect.flip(Effect.asVoid(Effect.scoped(Layer.build(Layer.fresh(serverWith(input)))))).pipe(Effect.orDie)

describe("tcp server - what keeps it from starting", () => {
  it.live("tcp server - a port in use", () =>
    Effect.gen(function* () {
      const { port } = yield* TcpServer
      const error = yield* failureOf({ port })
      assert.strictEqual(error.reason, "listen")
      assert.strictEqual(error.message, `cannot listen: port (127.0.0.1:${port}): the port is in use`)
    }).pipe(Effect.provide(serverWith()))
  )

  it.live("tcp server - an address that is not this machine's", () =>
    Effect.gen(function* () {
      const error = yield* failureOf({ ip: "192.0.2.1" })
      assert.strictEqual(error.reason, "listen")
    })
  )

  const bad: ReadonlyArray<readonly [string, SettingsInput]> = [
    ["a certificate that is not there", { ...secure, tlsCert: file("nothing.pem") }],
    ["a key that is not there", { ...secure, tlsKey: file("nothing.pem") }],
    [
      "an authority that is not there",
      { ...secure, tlsCa: file("nothing.pem"), tlsRequestClientCertificate: true }
    ],
    ["a certificate that is none", { ...secure, tlsCert: file("README.md") }],
    ["a key that is another's", { ...secure, tlsKey: file("client-key.pem") }]
  ]
  for (const [what, input] of bad) {
    it.live(`tcp server - ${what}`, () =>
      Effect.gen(function* () {
        const error = yield* failureOf(input)
        assert.strictEqual(error.reason, "certificate")
        assert.match(error.message, /^cannot use the certificate: ./)
      })
    )
  }
})

describe("tcp server - TLS", () => {
  it.live("tcp server - carries messages over TLS 1.3", () =>
    Effect.gen(function* () {
      assert.isTrue((yield* TcpServer).isSecure)
      const socket = yield* tls({})
      assert.strictEqual(socket.getProtocol(), "TLSv1.3")
      assert.isTrue(socket.authorized)
      const client = yield* greetedOver(socket)
      yield* client.subscribe("a")
      client.publish("a", numbered(100))
      client.publish("a", [{ payload: new Uint8Array(300_000) }])
      assert.deepStrictEqual(texts(yield* client.messages(1, 101)).slice(0, 100), numbered(100))
    }).pipe(Effect.provide(serverWith(secure)))
  )

  it.live("tcp server - takes no earlier TLS, and nobody without it", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(tls({ maxVersion: "TLSv1.2" }))
      assert.match(error.message, /protocol|alert|version|ECONNRESET|socket/i)
      const socket = yield* tcp
      const plain = new WireClient(socketDuplex(socket))
      plain.hello()
      yield* plain.closed
      assert.deepStrictEqual(plain.inbox, [])
      yield* greetedOver(yield* tls({}))
      assert.strictEqual((yield* metrics).connectionsOpened, 1)
    }).pipe(Effect.provide(serverWith(secure)))
  )

  it.live("tcp server - asks for a certificate that the authority vouches for, where that is set", () =>
    Effect.gen(function* () {
      const known = yield* greetedOver(yield* tls(yield* keyPair("client")))
      yield* known.publishAndWait("a", ["x"])
      for (const options of [{}, yield* keyPair("stranger")]) {
        // TLS 1.3 lets the client finish before the server refuses it.
        const socket = yield* Effect.option(tls(options))
        if (socket._tag === "Some") {
          const client = new WireClient(socketDuplex(socket.value))
          client.hello()
          yield* client.closed
          assert.deepStrictEqual(client.inbox, [])
        }
      }
      assert.strictEqual((yield* metrics).connectionsOpened, 1)
    }).pipe(
      Effect.provide(serverWith({ ...secure, tlsCa: file("ca.pem"), tlsRequestClientCertificate: true }))
    )
  )
})
