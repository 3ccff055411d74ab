/** A hub with HTTP for tests, on any free port, and requests to it over real sockets. */
import * as Http from "node:http"
import * as Net from "node:net"
import { NodeFileSystem } from "@effect/platform-node"
import { Effect, Layer, Logger, type Scope } from "effect"
import { Auth } from "../../../src/services/Auth.ts"
import type { SettingsInput } from "../../../src/services/Settings.ts"
import { WebServer } from "../../../src/transports/WebServer.ts"
import { hubWith } from "../../actors/TestHub.ts"
import { patience } from "../../Patience.ts"

/**
 * Without a log, since much of what is tested is worth a line in it; and patient with clients that read nothing, since a
 * busy machine keeps them waiting.
 */
export const webHub = (input: SettingsInput = {}) =>
  WebServer.layer.pipe(
    Layer.provideMerge(hubWith({ port: 0, httpPort: 0, clientWriteTimeout: patience, ...input })),
    Layer.provideMerge(Auth.layerOff),
    Layer.provideMerge(NodeFileSystem.layer),
    Layer.provide(Logger.layer([]))
  )

interface Position {
  readonly epoch: number
  readonly offset: number
}

export interface Shown extends Position {
  readonly message_id: string
  readonly topic: string
  readonly timestamp: string
  readonly attempt?: number
  readonly id?: string
  readonly key?: string
  readonly content_type?: string
  readonly encoding?: string
  readonly payload: unknown
  readonly headers?: Readonly<Record<string, string>>
  readonly duplicate?: boolean
  readonly error?: { readonly code: string }
}

/** All members that an answer, or an event's data, may have; those of another answer are absent. */
export interface Body extends Shown {
  readonly status: number | string
  readonly code: string
  readonly detail: string
  readonly durability: string
  readonly messages: ReadonlyArray<Shown>
  readonly next: string
  readonly gaps?: ReadonlyArray<{ readonly topic: string; readonly from: Position; readonly to: Position }>
  readonly accepted: number
  readonly rejected: number
  readonly message: string
  readonly topics_count: number
  readonly total_subscribers: number
  readonly from: Position
  readonly to: Position
  readonly acknowledged: number
  readonly results: ReadonlyArray<Shown>
  readonly topics: ReadonlyArray<Readonly<Record<string, unknown>> & { readonly name: string }>
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  readonly reason: string
  readonly reconnect: boolean
}

/** What stands for a text that is no JSON. */
export const noJson: Body = JSON.parse("{}")

export interface Answer {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly text: string
  readonly json: Body
}

export interface Asking {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
}

class RequestFailed extends Error {
  readonly _tag = "RequestFailed"
}

/** Asks, on a connection of its own unless there is an agent. */
export const ask = (
  path: string,
  { body, headers = {}, method = body === undefined ? "GET" : "POST" }: Asking = {},
  agent: Http.Agent | false = false
): Effect.Effect<Answer, RequestFailed, WebServer> =>
  Effect.flatMap(WebServer, ({ host, port }) =>
    Effect.callback<Answer, RequestFailed>((resume) => {
      const fail = (cause: Error) => resume(Effect.fail(new RequestFailed(cause.message, { cause })))
      const request = Http.request({ host, port, path, method, headers, agent }, (response) => {
        const chunks: Array<Buffer> = []
        response.on("data", (chunk: Buffer) => chunks.push(chunk))
        response.on("error", fail)
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString()
          const status = response.statusCode ?? 0
          resume(Effect.succeed({ status, headers: response.headers, text, json: parsed(text) }))
        })
      })
      request.on("error", fail)
      request.end(body)
      return Effect.sync(() => request.destroy())
    })
  )

const parsed = (text: string): Body => {
  try {
    return JSON.parse(text)
  } catch {
    return noJson
  }
}

export const json = { "content-type": "application/json" }

export const postJson = (path: string, value: unknown) =>
  ask(path, { headers: json, body: JSON.stringify(value) })

export const publish = (topic: string, payload: unknown, more: object = {}) =>
  postJson("/api/v1/messages", { topic, payload, ...more })

/** A bare socket to the hub's HTTP port. */
export class RawSocket {
  text = ""
  isClosed = false
  /** What broke it, if it did not just end. */
  failure: Error | undefined
  readonly socket: Net.Socket
  private readonly watching = new Set<() => void>()

  constructor(socket: Net.Socket) {
    this.socket = socket
    const changed = () => {
      for (const look of [...this.watching]) look()
    }
    socket.setEncoding("utf8")
    socket.on("data", (chunk: string) => {
      this.text += chunk
      changed()
    })
    socket.on("error", (error) => {
      this.failure = error
    })
    socket.on("close", () => {
      this.isClosed = true
      changed()
    })
  }

  write(text: string): void {
    this.socket.write(text)
  }

  /** Waits until what came is so. */
  until(isSo: (raw: RawSocket) => boolean): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const look = () => {
        if (!isSo(this)) return
        this.watching.delete(look)
        resume(Effect.void)
      }
      this.watching.add(look)
      look()
      return Effect.sync(() => this.watching.delete(look))
    })
  }

  /** Waits until it matches; dies if the connection ends without. */
  says(pattern: RegExp): Effect.Effect<void> {
    return Effect.andThen(
      this.until(({ isClosed, text }) => isClosed || pattern.test(text)),
      Effect.sync(() => {
        if (!pattern.test(this.text)) throw new Error(`ended without ${pattern}: ${this.text.slice(-1000)}`)
      })
    )
  }

  readonly closed = Effect.suspend(() => this.until(({ isClosed }) => isClosed))
}

export const rawSocket: Effect.Effect<RawSocket, never, WebServer | Scope.Scope> = Effect.gen(function* () {
  const { host, port } = yield* WebServer
  return yield* Effect.acquireRelease(
    Effect.callback<RawSocket>((resume) => {
      const socket = Net.connect({ host, port: port ?? 0 }, () => resume(Effect.succeed(raw)))
      const raw = new RawSocket(socket)
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )
})

/** An event stream's events as they come. */
export const openStream = Effect.fnUntraced(function* (
  path: string,
  headers: Readonly<Record<string, string>> = {}
) {
  const raw = yield* rawSocket
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  raw.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n${lines.join("")}\r\n`)
  yield* raw.says(/\r\n\r\n/)
  return raw
})

export interface StreamEvent {
  readonly id: string | undefined
  readonly event: string
  readonly data: Body
}

/** The events in what a stream said, chunk sizes aside. */
export const eventsIn = (text: string): ReadonlyArray<StreamEvent> =>
  text
    .slice(text.indexOf("\r\n\r\n") + 4)
    .replace(/(^|\r\n)[0-9a-f]+\r\n/g, "")
    .replaceAll("\r\n", "")
    .split("\n\n")
    .filter((block) => block.includes("data: "))
    .map((block) => {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(block)?.[1]
      return { id: field("id"), event: field("event") ?? "message", data: parsed(field("data") ?? "") }
    })
