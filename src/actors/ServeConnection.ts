/**
 * The life of a connection: what runs beside its reading (pings, the wait for its hello), and how it ends.
 */
import { Cause, Deferred, Effect, Queue } from "effect"
import type { Duplex } from "../protocol/Duplex.ts"
import { Connection } from "./Connection.ts"
import type { ConnectionOptions } from "./FrameHost.ts"

/** Chunks that may wait to be read; the socket is paused long before. */
const inboxCapacity = 1024

/** Ends what is left of a connection: its sessions, and the socket once its last bytes are out or time is up. */
const close = (connection: Connection, duplex: Duplex): Effect.Effect<unknown> =>
  Effect.suspend(() => {
    connection.end("connection-lost")
    const patience = connection.registry.settings.writeTimeout
    return Effect.ensuring(
      Effect.timeoutOption(Deferred.await(connection.gone), patience),
      Effect.sync(() => duplex.destroy())
    )
  })

/**
 * Serves one client until it goes or is sent away, then ends its sessions. It never fails. `opened` is told of
 * the connection before anything is read.
 */
export const serve = Effect.fnUntraced(function* (
  duplex: Duplex,
  options: ConnectionOptions,
  opened: (connection: Connection) => void
) {
  const scope = yield* Effect.scope
  const inbox = yield* Queue.bounded<Uint8Array, Cause.Done>(inboxCapacity)
  const connection = new Connection(duplex, options, inbox, scope)
  opened(connection)
  yield* Effect.addFinalizer(() => close(connection, duplex))
  const { dialTimeout, pingInterval, readTimeout } = options.registry.settings
  yield* Effect.forkScoped(connection.ping(Math.max(1, Math.ceil(readTimeout / pingInterval))))
  yield* Effect.forkScoped(
    Effect.delay(
      Effect.sync(() => {
        if (!connection.welcomed) connection.end("hello-timeout")
      }),
      dialTimeout
    )
  )
  const reading = Effect.catchCause(connection.read(), (cause) =>
    Cause.hasDies(cause) ? Effect.sync(() => connection.broke(Cause.squash(cause))) : Effect.void
  )
  yield* Effect.raceFirst(reading, Deferred.await(connection.ending))
}, Effect.scoped)
