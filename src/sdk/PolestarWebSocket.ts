/** `Polestar` over a WebSocket: the one that browsers, Node, Deno and Bun have as a global. */
import { Effect, type Layer, Predicate, type Scope } from "effect"
import { type CloseReason, closeReasonOf } from "../protocol/CloseReason.ts"
import type { Duplex, DuplexListeners } from "../protocol/Duplex.ts"
import { webSocketChunk, webSocketProtocol } from "../protocol/WebSocketProtocol.ts"
import { Polestar, type PolestarOptions } from "./Polestar.ts"
import { ConnectFailed, PolestarError } from "./PolestarError.ts"

export interface WebSocketOptions extends Omit<PolestarOptions, "dial"> {
  /** Where the hub's WebSocket is: `ws://127.0.0.1:8080/ws`, or `wss:` where the hub has TLS. */
  readonly url: string | URL
}

/** Connects, and fails with `ConnectFailed` if the first connection cannot be made; then it reconnects by itself. */
export const layerWebSocket = (options: WebSocketOptions): Layer.Layer<Polestar, PolestarError> => {
  const { url, ...rest } = options
  return Polestar.layer({ ...rest, dial: dialWebSocket(url) })
}

/** One connection, closed with its scope. How long it may take is for the caller to say. */
export const dialWebSocket = (url: string | URL): Effect.Effect<Duplex, PolestarError, Scope.Scope> =>
  Effect.flatMap(
    Effect.acquireRelease(openSocket(url), (socket) => Effect.sync(() => socket.close())),
    (socket) => connected(socket, url)
  )

const openSocket = (url: string | URL) =>
  Effect.try({
    try: (): WebSocket => {
      const socket = new WebSocket(url, webSocketProtocol)
      socket.binaryType = "arraybuffer"
      return socket
    },
    catch: (cause) => connectFailed(url, cause)
  })

const connectFailed = (url: string | URL, cause: unknown): PolestarError => {
  // A browser tells a page nothing about why a connection could not be made.
  const why = cause instanceof Error && cause.message !== "" ? `: ${cause.message}` : ""
  const message = `no WebSocket to ${withoutSecrets(url)}${why}`
  return new PolestarError({ reason: new ConnectFailed({ cause: new Error(message, { cause }) }) })
}

/** A query may hold a token. */
const withoutSecrets = (url: string | URL): string =>
  String(url)
    .replace(/[?#].*$/s, "")
    .replace(/\/\/[^/]*@/, "//")

const connected = (socket: WebSocket, url: string | URL): Effect.Effect<Duplex, PolestarError> =>
  Effect.callback((resume) => {
    const abort = new AbortController()
    const once = { once: true, signal: abort.signal }
    const settle = (effect: Effect.Effect<Duplex, PolestarError>) => {
      abort.abort()
      resume(effect)
    }
    socket.addEventListener(
      "open",
      () => {
        // Listens in this turn: a message may come in the next.
        const duplex = new WebSocketClientDuplex(socket, withoutSecrets(url))
        settle(Effect.succeed(duplex))
      },
      once
    )
    socket.addEventListener("error", (event) => settle(Effect.fail(connectFailed(url, errorOf(event)))), once)
    socket.addEventListener("close", () => settle(Effect.fail(connectFailed(url, undefined))), once)
  })

const errorOf = (event: Event): unknown =>
  Predicate.hasProperty(event, "error") && event.error instanceof Error
    ? (event.error.cause ?? event.error)
    : undefined

/** Bytes that wait in the socket before the writer is told to wait, and how few they must be again. */
const highWater = 1_048_576
const lowWater = 262_144
/** Milliseconds between looks at what waits: a WebSocket does not tell. */
const drainInterval = 5

class WebSocketClientDuplex implements Duplex {
  readonly transport = "websocket"
  readonly copies = false
  readonly peer: string
  private readonly socket: WebSocket
  private listeners: DuplexListeners | undefined
  /** What came while nobody listened, or while paused. */
  private held: Array<Uint8Array> = []
  private isPaused = true
  private isEnding = false
  private isClosed = false
  private error: Error | undefined
  private drainTimer: ReturnType<typeof setTimeout> | undefined

  constructor(socket: WebSocket, peer: string) {
    this.socket = socket
    this.peer = peer
    socket.addEventListener("message", (event) => this.received(event.data))
    // A `close` follows every error.
    socket.addEventListener("error", () => {})
    socket.addEventListener("close", (event) => {
      const reason: CloseReason | undefined = event.code >= 3000 ? closeReasonOf(event.code) : undefined
      if (reason !== undefined) this.error = new Error(reason)
      this.close()
    })
  }

  readonly write = (chunks: ReadonlyArray<Uint8Array>): boolean => {
    if (this.isEnding || this.isClosed) return true
    this.send(chunks)
    if (this.socket.bufferedAmount <= highWater) return true
    this.drainTimer ??= setTimeout(this.checkDrain, drainInterval)
    return false
  }

  readonly pending = (): number => this.socket.bufferedAmount

  readonly pause = (): void => {
    this.isPaused = true
  }

  readonly resume = (): void => {
    this.isPaused = false
    this.flush()
  }

  readonly end = (): void => {
    if (this.isEnding) return
    this.isEnding = true
    this.socket.close(1000)
  }

  /** A WebSocket cannot be cut off: it is left to end by itself. */
  readonly destroy = (): void => {
    this.end()
    queueMicrotask(() => this.close())
  }

  readonly listen = (listeners: DuplexListeners): void => {
    this.listeners = listeners
    this.resume()
    if (this.isClosed) listeners.onClose(this.error)
  }

  /** Small chunks become one message; a large one becomes several. */
  private send(chunks: ReadonlyArray<Uint8Array>): void {
    let gathered: Array<Uint8Array> = []
    let length = 0
    const flush = () => {
      if (length > 0) this.socket.send(gathered.length === 1 ? gathered[0]! : joined(gathered, length))
      gathered = []
      length = 0
    }
    for (const chunk of chunks) {
      if (length + chunk.length > webSocketChunk) flush()
      let at = 0
      for (; chunk.length - at > webSocketChunk; at += webSocketChunk)
        this.socket.send(chunk.subarray(at, at + webSocketChunk))
      gathered.push(at === 0 ? chunk : chunk.subarray(at))
      length += chunk.length - at
    }
    flush()
  }

  private received(data: unknown): void {
    if (!(data instanceof ArrayBuffer)) {
      this.error = new Error("a message that is not binary")
      this.destroy()
      return
    }
    this.held.push(new Uint8Array(data))
    this.flush()
  }

  private flush(): void {
    while (!this.isPaused && !this.isClosed && this.listeners !== undefined) {
      const chunk = this.held.shift()
      if (chunk === undefined) return
      this.listeners.onData(chunk)
    }
  }

  private readonly checkDrain = (): void => {
    this.drainTimer = undefined
    if (this.isClosed) return
    if (this.socket.bufferedAmount > lowWater) {
      this.drainTimer = setTimeout(this.checkDrain, drainInterval)
      return
    }
    this.listeners?.onDrain()
  }

  private close(): void {
    if (this.isClosed) return
    this.flush()
    this.isClosed = true
    clearTimeout(this.drainTimer)
    this.listeners?.onClose(this.error)
  }
}

const joined = (chunks: ReadonlyArray<Uint8Array>, length: number): Uint8Array => {
  const bytes = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}
