/** What the tests of the web side's faults share: hubs as processes, requests to them, and clients that must notice nothing. */
import * as Http from "node:http"
import { Cause, Data, Effect, type Scope } from "effect"
import { WebServer } from "../../src/transports/WebServer.ts"
import { start } from "../cli/Commands.ts"
import { connectJson, type PeerError } from "../transports/websocket/JsonPeer.ts"
import { host } from "./Faults.ts"

class HttpFailed extends Data.TaggedError("HttpFailed")<{ readonly cause: unknown }> {}

/** Runs what asks a hub in this process against the one that listens there. */
export const at = (port: number) =>
  Effect.provideService(WebServer, { host, port, wsPort: undefined, isSecure: false })

export interface Command {
  readonly port: number
  readonly webPort: number
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  readonly ended: Effect.Effect<{ readonly code: number | null; readonly stderr: string }>
}

/** `polestar hub`, ready, with these variables. */
export const startWebHub = Effect.fnUntraced(function* (
  env: Readonly<Record<string, string>>
): Effect.fn.Return<Command, Error, Scope.Scope> {
  const running = yield* start(["hub", "--port", "0", "--log-level", "error"], env)
  const [, port, webPort] = yield* running.stdout(/tcp=127\.0\.0\.1:(\d+) http=127\.0\.0\.1:(\d+)/)
  return { port: Number(port), webPort: Number(webPort), signal: running.signal, ended: running.ended }
})

export interface Reply {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly text: string
}

/** A client of HTTP on one connection that is kept; what it asks while that is broken fails. */
export class KeptConnection {
  private readonly agent = new Http.Agent({ keepAlive: true, maxSockets: 1 })
  private readonly port: number

  constructor(port: number) {
    this.port = port
  }

  static open(port: number): Effect.Effect<KeptConnection, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.sync(() => new KeptConnection(port)),
      ({ agent }) => Effect.sync(() => agent.destroy())
    )
  }

  ask(path: string, value?: unknown): Effect.Effect<Reply, HttpFailed> {
    return Effect.callback((resume) => {
      const fail = (cause: unknown) => resume(Effect.fail(new HttpFailed({ cause })))
      const post = { method: "POST", headers: { "content-type": "application/json" } }
      const request = Http.request(
        { host, port: this.port, path, agent: this.agent, ...(value === undefined ? {} : post) },
        (response) => {
          const chunks: Array<Buffer> = []
          response.on("data", (chunk: Buffer) => chunks.push(chunk))
          response.on("error", fail)
          response.on("end", () => {
            const { headers, statusCode = 0 } = response
            resume(Effect.succeed({ status: statusCode, headers, text: Buffer.concat(chunks).toString() }))
          })
        }
      )
      request.on("error", fail)
      request.end(value === undefined ? undefined : JSON.stringify(value))
      return Effect.sync(() => request.destroy())
    })
  }
}

/**
 * Milliseconds that a message of a steady pair may take while others do their worst. A busy machine may make it wait for
 * seconds, a hub that is held up or has lost it for longer.
 */
export const longestTrip = 15_000

export interface Steady {
  /**
   * Messages that went the whole way, and how many milliseconds the slowest of them took, since the last look. Throws if
   * the pair failed.
   */
  readonly look: () => { readonly trips: number; readonly worst: number }
}

/** A publisher by HTTP and a subscriber by WebSocket that go on until the scope closes. */
export const steadyPair = Effect.fnUntraced(function* (
  webPort: number
): Effect.fn.Return<Steady, PeerError, Scope.Scope> {
  const subscriber = yield* connectJson(`ws://${host}:${webPort}/ws`)
  const publisher = yield* KeptConnection.open(webPort)
  subscriber.send({ type: "subscribe", topic: "steady" })
  yield* subscriber.nextOf("ack")
  let trips = 0
  let worst = 0
  const trip = Effect.gen(function* () {
    const began = performance.now()
    const id = `steady-${began}`
    const { status } = yield* publisher.ask("/api/v1/messages", { topic: "steady", id, payload: began })
    const { message } = yield* subscriber.nextOf("event")
    const isIt = JSON.stringify(message).includes(id)
    if (status !== 202 || !isIt) return yield* Effect.die(new Error(`a steady client was answered ${status}`))
    trips++
    worst = Math.max(worst, performance.now() - began)
    yield* Effect.sleep(2)
  })
  let failed: unknown
  const failing = Effect.catchCause(Effect.forever(trip), (cause) =>
    Effect.sync(() => {
      failed = Cause.squash(cause)
    })
  )
  yield* Effect.forkScoped(failing)
  return {
    look: () => {
      if (failed !== undefined) throw failed
      const seen = { trips, worst }
      trips = 0
      worst = 0
      return seen
    }
  }
})

/** The samples of `/metrics` by name and labels. */
export const samplesOf = (text: string): ReadonlyMap<string, number> => {
  const samples = new Map<string, number>()
  for (const line of text.split("\n")) {
    const place = line.lastIndexOf(" ")
    if (!line.startsWith("#") && place > 0) samples.set(line.slice(0, place), Number(line.slice(place + 1)))
  }
  return samples
}
