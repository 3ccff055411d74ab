/** A client as anybody would write one: text over a WebSocket, and what came back, in order. */
import { Data, Effect, type Scope } from "effect"
import { WebSocket } from "ws"
import { patience } from "../../Patience.ts"

export type Said = Readonly<Record<string, unknown>>

export class PeerError extends Data.TaggedError("PeerError")<{ readonly message: string }> {}

export interface JsonPeer {
  readonly socket: WebSocket
  readonly send: (value: unknown) => void
  readonly sendRaw: (data: string | Uint8Array) => void
  /** The next message, of those that were not taken. */
  readonly next: Effect.Effect<Said, PeerError>
  /** The next one of the type; those before it are passed over. */
  readonly nextOf: (type: string) => Effect.Effect<Said, PeerError>
  /** What has come and was not taken. */
  readonly waiting: () => ReadonlyArray<Said>
  readonly closed: Effect.Effect<{ readonly code: number; readonly reason: string }, PeerError>
}

/**
 * Waits until the number stays the same while this client, which gets nothing else, asks so often and is answered: then
 * nothing moves any more of what others sent.
 */
export const standsStill = (peer: JsonPeer, number: () => number): Effect.Effect<void, PeerError> =>
  Effect.gen(function* () {
    for (let before = Number.NaN; before !== number(); ) {
      before = number()
      for (let n = 0; n < 100; n++) {
        peer.send({ type: "ping" })
        yield* peer.nextOf("pong")
      }
    }
  })

/** Connects, and takes the greeting. */
export const connectJson = (
  url: string,
  protocols: ReadonlyArray<string> = []
): Effect.Effect<JsonPeer & { readonly greeting: Said }, PeerError, Scope.Scope> =>
  Effect.gen(function* () {
    const peer = yield* openJson(url, protocols)
    const greeting = yield* peer.next
    return { ...peer, greeting }
  })

export const openJson = (
  url: string,
  protocols: ReadonlyArray<string> = []
): Effect.Effect<JsonPeer, PeerError, Scope.Scope> =>
  Effect.gen(function* () {
    const socket = yield* Effect.acquireRelease(
      Effect.sync(() => new WebSocket(url, [...protocols])),
      (opened) => Effect.sync(() => opened.terminate())
    )
    const inbox: Array<Said> = []
    let end: { readonly code: number; readonly reason: string } | undefined
    let listeners: Array<() => void> = []
    const tell = () => {
      const told = listeners
      listeners = []
      for (const listener of told) listener()
    }
    socket.on("message", (data: Buffer, isBinary) => {
      inbox.push(isBinary ? { type: "binary", data } : (JSON.parse(data.toString("utf8")) as Said))
      tell()
    })
    socket.on("close", (code, reason) => {
      end = { code, reason: reason.toString("utf8") }
      tell()
    })
    const change = Effect.callback<void>((resume) => {
      listeners.push(() => resume(Effect.void))
    })
    const waitFor = <A>(what: string, take: () => A | undefined): Effect.Effect<A, PeerError> => {
      const look: Effect.Effect<A> = Effect.suspend(() => {
        const found = take()
        return found === undefined ? Effect.andThen(change, look) : Effect.succeed(found)
      })
      return Effect.timeoutOrElse(look, {
        duration: patience,
        orElse: () => Effect.fail(new PeerError({ message: `${what} did not come` }))
      })
    }
    yield* Effect.callback<void, PeerError>((resume) => {
      socket.once("open", () => resume(Effect.void))
      socket.once("error", (error) => resume(Effect.fail(new PeerError({ message: error.message }))))
    })
    socket.on("error", () => {})
    const sendRaw = (data: string | Uint8Array) => socket.send(data)
    return {
      socket,
      sendRaw,
      send: (value) => sendRaw(JSON.stringify(value)),
      next: waitFor("a message", () => inbox.shift()),
      nextOf: (type) =>
        waitFor(`a message of type ${type}`, () => {
          while (inbox.length > 0) {
            const said = inbox.shift()!
            if (said.type === type) return said
          }
          return undefined
        }),
      waiting: () => inbox,
      closed: waitFor("the close", () => end)
    }
  })
