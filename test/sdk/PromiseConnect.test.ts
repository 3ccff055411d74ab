/** The ways in which a program of promises says which hub it means. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { connect as connectInBrowser } from "../../src/browser.ts"
import { HubServer, TcpServer } from "../../src/hub.ts"
import { type ConnectOptions, connect, PolestarError } from "../../src/promise.ts"
import { WebServer } from "../../src/transports/WebServer.ts"

const hub = HubServer.layerWith({ port: 0, httpPort: 0 })

/** As a program without types gives them. */
const untyped = (options: object): ConnectOptions => JSON.parse(JSON.stringify(options))

describe("promise - connect", () => {
  it.live("promise - a url is a WebSocket, in Node as in a browser", () =>
    Effect.gen(function* () {
      const { port: web } = yield* WebServer
      const { port } = yield* TcpServer
      const url = `ws://127.0.0.1:${web}/ws`
      const topics = yield* Effect.promise(async () => {
        const clients = [
          await connect({ url }),
          await connect({ url: new URL(url), name: "second" }),
          await connectInBrowser({ url }),
          await connect({ port })
        ]
        for (const [index, client] of clients.entries()) await client.publish(`a.${index}`, index)
        const [first] = clients
        const listed = await first?.topics("a.*")
        const { connectionsByTransport } = (await first?.stats()) ?? {}
        for (const client of clients) await client.close()
        return [listed?.length, connectionsByTransport]
      })
      assert.strictEqual(topics[0], 4)
      assert.deepInclude(topics[1], { websocket: 3, tcp: 1 })
    }).pipe(Effect.provide(hub))
  )

  it.live("promise - nothing that is given is passed over", () =>
    Effect.gen(function* () {
      for (const [options, message] of [
        [{ url: "ws://127.0.0.1:1/ws", host: "127.0.0.1" }, "found url together with host, port and tls"],
        [{ url: "ws://127.0.0.1:1/ws", embedded: true }, "found embedded together with url"],
        [{ embedded: {}, port: 1 }, "found embedded together with host, port and tls"],
        [{ url: "tcp://127.0.0.1:1" }, "no WebSocket to tcp://127.0.0.1:1"],
        [{ url: "ws://127.0.0.1:1/ws" }, "no WebSocket to ws://127.0.0.1:1/ws"]
      ] as const) {
        const error = yield* Effect.flip(
          Effect.tryPromise({ try: () => connect(untyped(options)), catch: (cause) => cause })
        )
        assert.instanceOf(error, PolestarError)
        assert.include(String(error.message), message)
      }
    })
  )
})
