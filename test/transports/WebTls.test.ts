/** HTTP and WebSocket over TLS 1.3: all that they do without it, nothing older, and nobody who does not finish. */
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import * as Https from "node:https"
import * as Net from "node:net"
import * as Tls from "node:tls"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { WebSocket } from "ws"
import { encodeFrame, magic } from "../../src/protocol/Frame.ts"
import type { SettingsInput } from "../../src/services/Settings.ts"
import { WebServer } from "../../src/transports/WebServer.ts"
import { range } from "../contracts/sdk/Kit.ts"
import { type Body, RawSocket, rawSocket, webHub } from "./http/WebHub.ts"

const file = (name: string) => fileURLToPath(new URL(`../fixtures/tls/${name}`, import.meta.url))
const pem = (name: string) => readFileSync(file(name))
const ca = pem("ca.pem")

const secureHub = (input: SettingsInput = {}) =>
  webHub({ tlsCert: file("server.pem"), tlsKey: file("server-key.pem"), ...input })

interface Answer {
  readonly status: number
  readonly protocol: string | null
  readonly json: Body
}

/** Fails with the code and the message of the error. */
const askTls = (
  path: string,
  value?: unknown,
  options: Https.RequestOptions = {}
): Effect.Effect<Answer, string, WebServer> =>
  Effect.flatMap(WebServer, ({ host, port }) =>
    Effect.callback<Answer, string>((resume) => {
      const post = { method: "POST", headers: { "content-type": "application/json" } }
      const more = value === undefined ? {} : post
      const request = Https.request(
        { host, port, path, ca, agent: false, ...more, ...options },
        (response) => {
          const chunks: Array<Buffer> = []
          const { socket } = response
          const protocol = socket instanceof Tls.TLSSocket ? socket.getProtocol() : null
          response.on("data", (chunk: Buffer) => chunks.push(chunk))
          response.on("end", () => {
            const json: Body = JSON.parse(Buffer.concat(chunks).toString())
            resume(Effect.succeed({ status: response.statusCode ?? 0, protocol, json }))
          })
        }
      )
      request.on("error", (error: NodeJS.ErrnoException) =>
        resume(Effect.fail(`${error.code} ${error.message}`))
      )
      request.end(value === undefined ? undefined : JSON.stringify(value))
      return Effect.sync(() => request.destroy())
    })
  )

/** A bare socket with TLS. */
const tlsSocket: Effect.Effect<RawSocket, never, WebServer | Scope.Scope> = Effect.flatMap(
  WebServer,
  ({ host, port }) =>
    Effect.acquireRelease(
      Effect.callback<RawSocket>((resume) => {
        const socket = Tls.connect({ host, port: port ?? 0, ca }, () => resume(Effect.succeed(raw)))
        const raw = new RawSocket(socket)
      }),
      ({ socket }) => Effect.sync(() => socket.destroy())
    )
)

/** A WebSocket that trusts the fixtures' authority; answers the first thing that it is told when it sent this. */
const firstAnswer = (port: number | undefined, protocols: ReadonlyArray<string>, sent: string | Uint8Array) =>
  Effect.flatMap(WebServer, ({ host }) =>
    Effect.callback<string | Uint8Array, string>((resume) => {
      const socket = new WebSocket(`wss://${host}:${port}/ws`, [...protocols], { ca })
      const said: Array<string> = []
      socket.on("error", (error) => resume(Effect.fail(error.message)))
      socket.on("open", () => socket.send(sent))
      socket.on("message", (data: Buffer, isBinary) => {
        if (isBinary) return resume(Effect.succeed(new Uint8Array(data)))
        said.push(data.toString())
        if (said.length === 2) resume(Effect.succeed(said.join("\n")))
      })
      return Effect.sync(() => socket.terminate())
    })
  )

const hello = encodeFrame({
  _tag: "Hello",
  magic,
  minVersion: 1,
  maxVersion: 1,
  features: 0,
  name: "tls",
  token: ""
})

describe("web tls", () => {
  it.live("web tls - publishes, polls and streams by HTTPS, in TLS 1.3 alone", () =>
    Effect.gen(function* () {
      assert.isTrue((yield* WebServer).isSecure)
      const published = yield* askTls("/api/v1/messages", { topic: "secure.a", payload: { n: 1 } })
      assert.deepInclude(published, { status: 202, protocol: "TLSv1.3" })
      const polled = yield* askTls("/api/v1/poll?topics=secure.*&from=first")
      assert.deepStrictEqual(
        polled.json.messages.map(({ payload }) => payload),
        [{ n: 1 }]
      )
      const stream = yield* tlsSocket
      stream.write("GET /api/v1/stream?topics=secure.a&from=first HTTP/1.1\r\nHost: localhost\r\n\r\n")
      yield* stream.says(/data: .*"payload":{"n":1}/)
      const bad = yield* tlsSocket
      bad.write("FOO\r\n\r\n")
      yield* bad.closed
      assert.match(bad.text, /^HTTP\/1\.1 400 [\s\S]*BAD_REQUEST/)
      for (const maxVersion of ["TLSv1.2", "TLSv1.1"] as const) {
        const refused = yield* Effect.flip(askTls("/health", undefined, { maxVersion, minVersion: "TLSv1" }))
        assert.match(refused, /alert protocol version|no protocols available/)
      }
      // Whoever does not trust the hub does not tell it anything.
      assert.match(
        yield* Effect.flip(askTls("/health", undefined, { ca: pem("stranger.pem") })),
        /VERIFY|SELF_SIGNED|UNABLE/
      )
    }).pipe(Effect.scoped, Effect.provide(secureHub()))
  )

  it.live("web tls - WebSocket in JSON and in binary, on a port of its own too", () =>
    Effect.gen(function* () {
      const { port, wsPort } = yield* WebServer
      for (const each of [port, wsPort]) {
        const json = yield* firstAnswer(each, [], '{"type":"ping","request_id":7}')
        assert.match(String(json), /"type":"connected"[\s\S]*"type":"pong","request_id":7/)
        assert.instanceOf(yield* firstAnswer(each, ["polestar.v1"], hello), Uint8Array)
      }
      const onWsPort = Effect.updateService(WebServer, (server) => ({ ...server, port: server.wsPort }))
      assert.deepInclude((yield* onWsPort(askTls("/health"))).json, { status: 404, code: "NOT_FOUND" })
    }).pipe(Effect.provide(secureHub({ wsPort: 0 })))
  )

  it.live("web tls - the SDK in a program that trusts the hub, and in one that does not", () =>
    Effect.gen(function* () {
      const { host, port } = yield* WebServer
      const run = (env: Readonly<Record<string, string>>) =>
        Effect.callback<{ readonly code: number | null; readonly said: string }>((resume) => {
          const client = fileURLToPath(new URL("./WebTlsClient.ts", import.meta.url))
          const args = [client, `wss://${host}:${port}/ws`]
          const child = spawn(process.execPath, args, { env: { ...process.env, ...env } })
          let said = ""
          child.stdout.on("data", (text: Buffer) => (said += text.toString()))
          child.stderr.on("data", (text: Buffer) => (said += text.toString()))
          child.on("close", (code) => resume(Effect.succeed({ code, said })))
          return Effect.sync(() => child.kill("SIGKILL"))
        })
      const [trusting, other] = yield* Effect.all([run({ NODE_EXTRA_CA_CERTS: file("ca.pem") }), run({})], {
        concurrency: 2
      })
      assert.deepStrictEqual(trusting, { code: 0, said: "accepted over TLS\n" })
      assert.strictEqual(other.code, 1)
      assert.match(other.said, /no WebSocket to wss:/)
    }).pipe(Effect.provide(secureHub()))
  )

  it.live("web tls - asks for a client's certificate where it is to", () =>
    Effect.gen(function* () {
      const { port } = yield* WebServer
      const known = { cert: pem("client.pem"), key: pem("client-key.pem") }
      assert.strictEqual((yield* askTls("/health", undefined, known)).status, 200)
      const stranger = { cert: pem("stranger.pem"), key: pem("stranger-key.pem") }
      for (const options of [{}, stranger])
        assert.match(
          yield* Effect.flip(askTls("/health", undefined, options)),
          /CERTIFICATE|UNKNOWN_CA|ECONNRESET|EPIPE/i
        )
      assert.match(yield* Effect.flip(firstAnswer(port, [], "{}")), /certificate|ECONNRESET|EPIPE|hang up/i)
    }).pipe(Effect.provide(secureHub({ tlsCa: file("ca.pem"), tlsRequestClientCertificate: true })))
  )

  it.live(
    "web tls - whoever speaks plainly, or does not finish greeting, is ended, and others are served",
    () =>
      Effect.gen(function* () {
        const plain = yield* rawSocket
        plain.write("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        yield* plain.closed
        assert.notInclude(plain.text, "healthy")
        const silent = yield* Effect.forEach(range(200), () => rawSocket, { concurrency: 50 })
        const half = yield* Effect.forEach(range(100), () => rawSocket, { concurrency: 50 })
        // The beginning of a greeting, and then a byte now and then.
        for (const { socket } of half) {
          socket.write(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]))
          const timer = setInterval(() => socket.write("\0"), 50)
          socket.on("close", () => clearInterval(timer))
        }
        assert.strictEqual((yield* askTls("/health")).status, 200)
        for (const each of [...silent, ...half]) {
          yield* each.closed
          assert.strictEqual(each.text, "")
        }
        // One that greeted and says nothing more is ended as without TLS.
        const greeted = yield* tlsSocket
        yield* greeted.closed
        const { host, port } = yield* WebServer
        const gone = Net.connect({ host, port: port ?? 0 }, () => gone.resetAndDestroy())
        gone.on("error", () => {})
        assert.strictEqual((yield* askTls("/health")).status, 200)
      }).pipe(Effect.scoped, Effect.provide(secureHub({ dialTimeout: 1500, httpReadTimeout: 1500 })))
  )
})
