/** What the tests of faults share: waiting for a condition, free ports, raw sockets, clients over real sockets. */
import * as Net from "node:net"
import { Duration, Effect, Fiber, Schedule, Schema, type Scope, Stream } from "effect"
import type { ConnectionState } from "../../src/sdk/Client.ts"
import { Polestar, type PolestarOptions } from "../../src/sdk/Polestar.ts"
import type { PolestarError } from "../../src/sdk/PolestarError.ts"
import { dialTcp } from "../../src/sdk/PolestarTcp.ts"
import { socketDuplex } from "../../src/transports/SocketDuplex.ts"
import { WireClient } from "../actors/WireClient.ts"
import { patience } from "../Patience.ts"

export class FaultError extends Schema.TaggedError<FaultError>()("FaultError", { message: Schema.String }) {}

export const host = "127.0.0.1"

/** Waits until the condition holds; `detail` says in the failure how far it came. */
export const eventually = <E, R>(
  what: string,
  condition: Effect.Effect<boolean, E, R>,
  detail: () => unknown = () => ""
): Effect.Effect<void, E | FaultError, R> =>
  Effect.repeat(condition, { schedule: Schedule.spaced("5 millis"), until: (holds) => holds }).pipe(
    Effect.timeoutOrElse({
      duration: patience,
      orElse: () => Effect.fail(new FaultError({ message: `waited for: ${what}. ${detail()}` }))
    }),
    Effect.asVoid
  )

/** Runs an effect that is to be done soon; the failure names it. */
export const soon = <A, E, R>(
  what: string,
  effect: Effect.Effect<A, E, R>,
  detail: () => unknown = () => ""
): Effect.Effect<A, E | FaultError, R> =>
  Effect.timeoutOrElse(effect, {
    duration: patience,
    orElse: () => Effect.fail(new FaultError({ message: `waited for: ${what}. ${detail()}` }))
  })

/** Prints the seed of a run by chance when it fails, so that it can be had again. */
export const seeded = <A, E, R>(
  seed: number,
  run: (seed: number) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => Effect.onError(run(seed), () => Effect.logError(`failed with the seed ${seed}`))

/** A port that is free now, below those that the system gives to outgoing connections. */
export const freePort: Effect.Effect<number> = Effect.callback((resume) => {
  const attempt = () => {
    const server = Net.createServer()
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    server.once("error", attempt)
    server.listen({ host, port }, () => server.close(() => resume(Effect.succeed(port))))
  }
  attempt()
})

/** A socket that is connected, destroyed with the scope. */
export const openSocket = (port: number): Effect.Effect<Net.Socket, never, Scope.Scope> =>
  Effect.flatMap(
    Effect.acquireRelease(
      Effect.sync(() => {
        const socket = Net.connect({ host, port, noDelay: true })
        socket.on("error", () => {})
        return socket
      }),
      (socket) => Effect.sync(() => socket.destroy())
    ),
    (socket) =>
      Effect.callback<Net.Socket>((resume) => {
        socket.once("connect", () => resume(Effect.succeed(socket)))
      })
  )

/** A client of raw frames over a real socket, not greeted yet. */
export const wireClient = (port: number): Effect.Effect<WireClient, never, Scope.Scope> =>
  Effect.map(openSocket(port), (socket) => new WireClient(socketDuplex(socket)))

/** Reconnects at once, and sends again for as long as it takes. */
const eager = {
  reconnect: Schedule.spaced("10 millis"),
  maxRetries: 1000,
  dialTimeout: Duration.seconds(5),
  writeTimeout: Duration.seconds(10)
} as const

/** A client of the SDK over TCP that does not give up. */
export const sdkClient = (
  port: number,
  options: Partial<PolestarOptions> = {}
): Effect.Effect<Polestar["Service"], PolestarError, Scope.Scope> =>
  Polestar.make({ ...eager, ...options, dial: dialTcp({ host, port }) })

/** The tags of all states from now on. */
export const watchStates = (
  star: Polestar["Service"]
): Effect.Effect<Array<ConnectionState>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const states: Array<ConnectionState> = []
    yield* Effect.forkScoped(
      Stream.runForEach(star.states, (state) => Effect.sync(() => states.push(state))),
      { startImmediately: true }
    )
    return states
  })

/** The value of a fiber that is to end soon. */
export const joined = <A, E>(what: string, fiber: Fiber.Fiber<A, E>): Effect.Effect<A, E | FaultError> =>
  soon(what, Fiber.join(fiber))

export const isRunning = <A, E>(fiber: Fiber.Fiber<A, E>): boolean => fiber.pollUnsafe() === undefined
