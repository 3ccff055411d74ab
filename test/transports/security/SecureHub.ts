/**
 * A hub that asks who comes, on free ports of TCP and HTTP, and its doors: every way in, each knocked at over a real
 * socket with a token.
 */
import * as Net from "node:net"
import { NodeFileSystem } from "@effect/platform-node"
import { Effect, Layer, Logger, References, type Scope } from "effect"
import { type JWTHeaderParameters, type JWTPayload, SignJWT } from "jose"
import { WebSocket } from "ws"
import type { Hub } from "../../../src/actors/Hub.ts"
import type { CloseReason } from "../../../src/protocol/CloseReason.ts"
import type { Duplex } from "../../../src/protocol/Duplex.ts"
import { webSocketProtocol } from "../../../src/protocol/WebSocketProtocol.ts"
import { Auth, type AuthOptions } from "../../../src/services/Auth.ts"
import { generateKey } from "../../../src/services/auth/ApiKey.ts"
import type { KeyEntry } from "../../../src/services/auth/KeyEntries.ts"
import type { Settings, SettingsInput } from "../../../src/services/Settings.ts"
import * as StateStoreMemory from "../../../src/services/StateStoreMemory.ts"
import { socketDuplex } from "../../../src/transports/SocketDuplex.ts"
import { TcpServer } from "../../../src/transports/TcpServer.ts"
import { WebServer } from "../../../src/transports/WebServer.ts"
import { hubWith, memoryLog } from "../../actors/TestHub.ts"
import { WireClient, type WireClientError } from "../../actors/WireClient.ts"
import { patience } from "../../Patience.ts"
import { secretKey } from "../../services/auth/Tokens.ts"
import { type Body, noJson, rawSocket } from "../http/WebHub.ts"

type Running = Hub | Settings | TcpServer | WebServer

/** Everything that is logged goes to `lines`, from the level of tracing on, as text with all that it is annotated with. */
export const secureHub = (
  options: AuthOptions,
  input: SettingsInput = {},
  lines: Array<string> = []
): Layer.Layer<Running> => {
  const auth = Layer.orDie(Layer.provide(Auth.layerWith(options), NodeFileSystem.layer))
  return Layer.mergeAll(Layer.orDie(WebServer.layer), Layer.orDie(TcpServer.layer)).pipe(
    Layer.provideMerge(
      hubWith(
        { port: 0, httpPort: 0, clientWriteTimeout: patience, ...input },
        memoryLog,
        StateStoreMemory.layer,
        auth,
        logTo(lines)
      )
    ),
    Layer.provide(auth),
    Layer.provide(NodeFileSystem.layer),
    Layer.provide(logTo(lines))
  )
}

const logTo = (lines: Array<string>): Layer.Layer<never> =>
  Layer.mergeAll(
    Logger.layer([
      Logger.make((entry) => {
        lines.push(Logger.formatLogFmt.log(entry), JSON.stringify(Logger.formatStructured.log(entry)))
      })
    ]),
    Layer.succeed(References.MinimumLogLevel, "Trace")
  )

/** A key and what the hub keeps of it. */
export const keyFor = (name: string, more: Partial<KeyEntry> = {}) => {
  const { hash, id, key } = generateKey()
  const entry: KeyEntry = { id, hash, name, ...more }
  return { id, key, entry }
}

/** Seconds since 1970, from now. */
export const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds

/** A token that is good for a minute, unless the claims say otherwise; HS256 unless the header does. */
export const tokenOf = (
  claims: JWTPayload,
  key: Parameters<SignJWT["sign"]>[0] = secretKey,
  header: JWTHeaderParameters = { alg: "HS256" }
): Effect.Effect<string> =>
  Effect.promise(() =>
    new SignJWT({ sub: "alice", exp: inSeconds(60), ...claims }).setProtectedHeader(header).sign(key)
  )

export const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

export interface Refused {
  readonly status: number
  readonly head: string
  readonly json: Body
}

/** Asks for a WebSocket, by hand; answers what was said to it. */
export const upgrade = (
  path: string,
  headers: Readonly<Record<string, string>> = {}
): Effect.Effect<Refused, never, WebServer> =>
  Effect.scoped(
    Effect.gen(function* () {
      const raw = yield* rawSocket
      const lines = Object.entries({
        host: "localhost",
        connection: "Upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        ...headers
      }).map(([name, value]) => `${name}: ${value}\r\n`)
      raw.write(`GET ${path} HTTP/1.1\r\n${lines.join("")}\r\n`)
      yield* raw.until(({ isClosed, text }) => isClosed || /^HTTP\/1\.1 101[\s\S]*\r\n\r\n/.test(text))
      return answerIn(raw.text)
    })
  )

export const answerIn = (text: string): Refused => {
  const end = text.indexOf("\r\n\r\n")
  const body = text.slice(end + 4)
  const json: Body = body.startsWith("{") ? JSON.parse(body) : noJson
  return { status: Number(text.slice(9, 12)), head: text.slice(0, end), json }
}

class ConnectFailed extends Error {
  readonly _tag = "ConnectFailed"
}

/** Connects a client of the binary protocol, which has said nothing yet. */
export type Door = Effect.Effect<WireClient, ConnectFailed, TcpServer | WebServer | Scope.Scope>

/** A client of TCP, which has said nothing yet. */
export const tcpClient: Effect.Effect<WireClient, ConnectFailed, TcpServer | Scope.Scope> = Effect.gen(
  function* () {
    const { host, port } = yield* TcpServer
    const socket = yield* Effect.acquireRelease(
      Effect.callback<Net.Socket, ConnectFailed>((resume) => {
        const opened = Net.connect({ host, port }, () => resume(Effect.succeed(opened)))
        opened.once("error", (cause) => resume(Effect.fail(new ConnectFailed(cause.message, { cause }))))
        opened.on("error", () => {})
      }),
      (opened) => Effect.sync(() => opened.destroy())
    )
    return new WireClient(socketDuplex(socket))
  }
)

/** A client of the binary protocol over WebSocket, which has said nothing yet. */
export const binaryClient: Effect.Effect<WireClient, ConnectFailed, WebServer | Scope.Scope> = Effect.gen(
  function* () {
    const { port } = yield* WebServer
    const ws = yield* Effect.acquireRelease(
      Effect.callback<WebSocket, ConnectFailed>((resume) => {
        const opened = new WebSocket(`ws://127.0.0.1:${port}/ws`, [webSocketProtocol])
        opened.once("open", () => resume(Effect.succeed(opened)))
        opened.once("error", (cause) => resume(Effect.fail(new ConnectFailed(cause.message, { cause }))))
        opened.on("error", () => {})
      }),
      (opened) => Effect.sync(() => opened.terminate())
    )
    return new WireClient(duplexOf(ws))
  }
)

const duplexOf = (ws: WebSocket): Duplex => ({
  transport: "websocket",
  peer: "",
  write: (chunks) => {
    if (ws.readyState === ws.OPEN) for (const chunk of chunks) ws.send(chunk)
    return true
  },
  pending: () => 0,
  copies: false,
  pause: () => {},
  resume: () => {},
  end: () => ws.close(),
  destroy: () => ws.terminate(),
  listen: ({ onClose, onData }) => {
    ws.on("message", (data: Buffer) => onData(data))
    ws.on("close", () => onClose(undefined))
  }
})

/** Says hello; answers what the hub said to that. */
export const greet = (
  client: WireClient,
  token: string
): Effect.Effect<"welcome" | CloseReason, WireClientError> =>
  Effect.gen(function* () {
    client.hello({ token })
    const answer = yield* client.until("an answer", () => client.take("Welcome") ?? client.take("Goodbye"))
    return answer._tag === "Welcome" ? "welcome" : answer.reason
  })

/** Says hello, is welcome, and opens session 1. */
export const admitted = <E, R>(
  connecting: Effect.Effect<WireClient, E, R>,
  token: string
): Effect.Effect<WireClient, E | WireClientError, R> =>
  Effect.gen(function* () {
    const client = yield* connecting
    client.answersPings = true
    client.hello({ token })
    yield* client.next("Welcome")
    client.open(1)
    yield* client.next("Opened")
    return client
  })
