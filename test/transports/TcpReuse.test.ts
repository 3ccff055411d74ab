/** What a subscriber reads is what was published, byte for byte, while the hub writes to the memory of its writes again. */
import * as Net from "node:net"
import * as Tls from "node:tls"
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer } from "effect"
import { Auth } from "../../src/services/Auth.ts"
import type { SettingsInput } from "../../src/services/Settings.ts"
import { socketDuplex } from "../../src/transports/SocketDuplex.ts"
import { TcpServer } from "../../src/transports/TcpServer.ts"
import { hubWith } from "../actors/TestHub.ts"
import { WireClient } from "../actors/WireClient.ts"
import { type Chance, chance } from "../protocol/Chance.ts"

const file = (name: string) => new URL(`../fixtures/tls/${name}`, import.meta.url).pathname

const serverWith = (input: SettingsInput) =>
  TcpServer.layer.pipe(
    Layer.provide(Auth.layerOff),
    Layer.provideMerge(hubWith({ port: 0, ...input })),
    Layer.provideMerge(NodeFileSystem.layer)
  )

/** A client over a socket of its own, which is destroyed at the end. */
const clientOver = Effect.fnUntraced(function* (isSecure: boolean) {
  const { host, port } = yield* TcpServer
  const files = yield* FileSystem.FileSystem
  const ca = yield* files.readFileString(file("ca.pem"))
  const socket = yield* Effect.acquireRelease(
    Effect.sync(() =>
      isSecure ? Tls.connect({ host, port, ca, servername: "localhost" }) : Net.connect({ host, port })
    ),
    (each) => Effect.sync(() => each.destroy())
  )
  const client = new WireClient(socketDuplex(socket))
  yield* client.begin()
  return { client, socket }
})

const rounds = 12
const perRound = 50
/** Bodies below and above what is copied together, and some that are longer than all that is used again. */
const sizes = [1, 100, 1000, 4000, 4200, 20_000, 70_000, 140_000]
const pool = chance(1).bytes(1_048_576)

/** Each has bytes of its own: where one is overwritten by another, in whole or in part, it shows. */
const payloadFrom = (random: Chance): Uint8Array => {
  const size = sizes[random.below(random.below(8) === 0 ? sizes.length : 5)]!
  const at = random.below(pool.length - size)
  return pool.subarray(at, at + size)
}

describe("tcp server - memory that is used again", () => {
  for (const isSecure of [false, true]) {
    it.live(`tcp server - is nobody's any more, whoever reads slowly: ${isSecure ? "TLS" : "TCP"}`, () =>
      Effect.gen(function* () {
        const random = chance(7)
        const publisher = (yield* clientOver(isSecure)).client
        const readers = yield* Effect.forEach([0, 1, 2], () => clientOver(isSecure))
        for (const { client } of readers) yield* client.subscribe("a")
        const sent: Array<Uint8Array> = []
        for (let round = 0; round < rounds; round++) {
          // The first reads always; the others stop for some rounds, until the hub has much to write to them.
          for (const { socket } of readers.slice(1)) {
            if (random.below(4) === 0) socket.resume()
            else socket.pause()
          }
          for (let at = 0; at < perRound; at++) {
            const payloads = Array.from({ length: 1 + random.below(3) }, () => payloadFrom(random))
            sent.push(...payloads)
            const messages = payloads.map((payload) => ({ payload }))
            // Now and then the hub has written before more comes.
            if (random.below(10) === 0) yield* publisher.publishAndWait("a", messages)
            else publisher.publish("a", messages)
          }
          yield* publisher.settled
        }
        for (const { client, socket } of readers) {
          socket.resume()
          const found = yield* client.messages(1, sent.length)
          const wrong = found.findIndex(({ payload }, at) => Buffer.compare(payload, sent[at]!) !== 0)
          assert.strictEqual(wrong, -1, `message ${wrong} of ${sent.length}`)
          assert.strictEqual(found.length, sent.length)
        }
      }).pipe(
        Effect.scoped,
        Effect.provide(
          serverWith({
            clientQueueSize: 1_000_000,
            clientQueueBytes: 268_435_456,
            ...(isSecure ? { tlsCert: file("server.pem"), tlsKey: file("server-key.pem") } : {})
          })
        )
      )
    )
  }
})
