/** Makes a `Client`: its engine over the streams of bytes that it dials. */
import { Deferred, Duration, Effect, Exit, Scope, Stream, SubscriptionRef } from "effect"
import { RateLimiter } from "effect/persistence"
import type { Client, ClientOptions, ConnectionState } from "./Client.ts"
import { ClientEngine } from "./engine/ClientEngine.ts"
import { close, type Lifecycle, run } from "./engine/ClientLifecycle.ts"
import { request } from "./engine/ClientRequest.ts"
import { closed, openSession, type RateLimit } from "./engine/ClientSession.ts"
import { Timers } from "./engine/Timers.ts"
import type { PolestarError } from "./PolestarError.ts"
import { reconnectSchedule } from "./ReconnectSchedule.ts"

const defaults: Omit<ClientOptions, "dial"> = {
  name: "polestar",
  queueSize: 1000,
  queueBytes: 8_388_608,
  dialTimeout: Duration.seconds(1),
  writeTimeout: Duration.seconds(2),
  maxRetries: 3,
  reconnect: reconnectSchedule,
  pingInterval: Duration.seconds(15),
  whenFull: "wait"
}

/**
 * A client that is connected; from then on it reconnects by itself. Fails with `ConnectFailed` if the first
 * connection cannot be made, and with `Disconnected` if the hub refuses it for good. When the scope closes, what
 * waits to be sent is sent, for `writeTimeout` at most, and the hub is told.
 */
export const makeClient = Effect.fnUntraced(function* (
  partial: Partial<ClientOptions> & Pick<ClientOptions, "dial">
): Effect.fn.Return<Client, PolestarError, Scope.Scope> {
  const options: ClientOptions = { ...defaults, ...partial }
  // Timers and the connection outlast the farewell, so they have a scope of their own.
  const scope = yield* Scope.make()
  const timers = new Timers(yield* Effect.clockWith(Effect.succeed), yield* Effect.context<never>(), scope)
  const engine = new ClientEngine(options, timers)
  const self: Lifecycle = {
    engine,
    state: yield* SubscriptionRef.make<ConnectionState>({ _tag: "Connecting", attempt: 1 }),
    first: yield* Deferred.make<void, PolestarError>()
  }
  const rateLimit = options.rateLimit === undefined ? undefined : yield* makeRateLimit(options.rateLimit)
  yield* Effect.addFinalizer(() => Effect.andThen(close(self, closed()), Scope.close(scope, Exit.void)))
  yield* Effect.forkIn(run(self), scope, { startImmediately: true })
  yield* Deferred.await(self.first)
  return {
    openSession: (session) => openSession(engine, rateLimit, session),
    request: (method, body) => request(engine, method, body),
    state: SubscriptionRef.get(self.state),
    states: Stream.takeUntil(SubscriptionRef.changes(self.state), ({ _tag }) => _tag === "Closed"),
    metrics: Effect.sync(() => engine.metrics),
    countUndecodable: (messages) => {
      engine.counters.undecodable += messages
    }
  }
})

/** One bucket for all sessions. */
const makeRateLimit = ({
  limit,
  window
}: NonNullable<ClientOptions["rateLimit"]>): Effect.Effect<RateLimit> =>
  RateLimiter.make.pipe(
    Effect.provide(RateLimiter.layerStoreMemory),
    Effect.map(
      (limiter): RateLimit =>
        (tokens) =>
          limiter
            .consume({
              algorithm: "token-bucket",
              onExceeded: "delay",
              window,
              limit,
              key: "publish",
              tokens
            })
            .pipe(
              Effect.flatMap(({ delay }) => (Duration.isZero(delay) ? Effect.void : Effect.sleep(delay))),
              Effect.orDie
            )
    )
  )
