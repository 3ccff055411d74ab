/**
 * The one fiber of a client: dials, says hello, keeps watch over the connection, and dials again by the schedule,
 * until the hub says for good, the schedule ends, or the client is closed.
 */
import { Deferred, Effect, Exit, Schedule, type Scope, SubscriptionRef } from "effect"
import type { ConnectionState } from "../Client.ts"
import {
  ConnectFailed,
  ConnectionLost,
  Disconnected,
  PolestarError,
  type PolestarErrorReason,
  Timeout
} from "../PolestarError.ts"
import { isRenewable, readToken } from "../Token.ts"
import { ClientConnection, type ConnectionEnd } from "./ClientConnection.ts"
import type { ClientEngine } from "./ClientEngine.ts"
import { drain } from "./SessionEngine.ts"

/** A connection that held for so many milliseconds ends a row of failures: the schedule begins anew. */
const heldAfter = 1000

export interface Lifecycle {
  readonly engine: ClientEngine
  readonly state: SubscriptionRef.SubscriptionRef<ConnectionState>
  /** Done by the first WELCOME; fails with why it did not come. */
  readonly first: Deferred.Deferred<void, PolestarError>
}

/** How one attempt went, from dialling to the end of the connection. */
interface Outcome {
  readonly end: ConnectionEnd
  readonly cause: PolestarError
  /** Milliseconds since WELCOME, which may not have come. */
  readonly held: number | undefined
}

const failed = (reason: PolestarErrorReason): PolestarError => new PolestarError({ reason })
const connectFailed = (cause: unknown): PolestarError => failed(new ConnectFailed({ cause }))

/** Runs until the client is not to connect any more; then everything in it has failed. */
export const run = Effect.fnUntraced(function* (self: Lifecycle): Effect.fn.Return<void> {
  const { engine, first, state } = self
  const newSchedule = Schedule.toStepWithSleep(engine.options.reconnect)
  let step = yield* newSchedule
  let attempt = 1
  // A token that was kept somewhere may have expired there; whoever has it is asked for a new one, once.
  let mayAskAgain = true
  while (true) {
    const outcome = yield* Effect.scoped(connectOnce(self))
    const { cause, end, held } = outcome
    if (engine.ended !== undefined) return
    if (!(yield* Deferred.isDone(first))) {
      if (end.isFinal || end.reason !== "token-expired" || !mayAskAgain)
        return yield* giveUp(self, end, cause)
      mayAskAgain = false
      continue
    }
    if (end.isFinal) return yield* giveUp(self, end, disconnected(end))
    attempt = held === undefined ? attempt + 1 : 1
    if (held !== undefined && held >= heldAfter) step = yield* newSchedule
    yield* SubscriptionRef.set(state, { _tag: "Reconnecting", attempt, cause })
    const waited = yield* Effect.exit(step(undefined))
    if (Exit.isFailure(waited)) return yield* giveUp(self, end, disconnected(end))
  }
})

/** Sends what waits, for `writeTimeout` at most, says goodbye, and fails what is left with `Closed`. */
export const close = Effect.fnUntraced(function* (
  { engine, state }: Lifecycle,
  error: PolestarError
): Effect.fn.Return<void> {
  const { writeTimeout } = engine.options
  yield* Effect.forEach(engine.sessions, (session) => drain(session, writeTimeout), {
    concurrency: "unbounded",
    discard: true
  })
  const wasEnded = engine.ended !== undefined
  const { connection } = engine
  for (const session of engine.sessions) session.close(error)
  engine.end(error)
  connection?.fail("normal", "")
  if (!wasEnded) yield* SubscriptionRef.set(state, { _tag: "Closed", reason: "normal" })
  if (connection === undefined) return
  yield* Effect.timeoutOption(Effect.interruptible(Deferred.await(connection.closed)), writeTimeout)
})

const giveUp = Effect.fnUntraced(function* (
  { engine, first, state }: Lifecycle,
  end: ConnectionEnd,
  error: PolestarError
): Effect.fn.Return<void> {
  engine.end(error)
  yield* SubscriptionRef.set(state, { _tag: "Closed", reason: end.reason })
  yield* Deferred.fail(first, error)
})

const connectOnce = (self: Lifecycle): Effect.Effect<Outcome, never, Scope.Scope> => {
  const { dial, dialTimeout, token } = self.engine.options
  const orElse = () => Effect.fail(connectFailed(failed(new Timeout({ operation: "connect" }))))
  const dialled = dial.pipe(
    Effect.catchDefect((defect) => Effect.fail(connectFailed(defect))),
    Effect.timeoutOrElse({ duration: dialTimeout, orElse })
  )
  // First, since the hub does not wait long for the hello of a stream that is open.
  return readToken(token).pipe(
    Effect.flatMap((shown) => Effect.flatMap(dialled, (duplex) => converse(self, duplex, shown))),
    Effect.catch((cause) =>
      Effect.succeed<Outcome>({
        end: { reason: "connection-lost", message: cause.message, isFinal: false },
        cause,
        held: undefined
      })
    )
  )
}

/** One connection, from HELLO to its end. */
const converse = Effect.fnUntraced(function* (
  self: Lifecycle,
  duplex: ConstructorParameters<typeof ClientConnection>[0],
  shown: string
): Effect.fn.Return<Outcome> {
  const { engine, first, state } = self
  const { dialTimeout, name, pingInterval, token, writeTimeout } = engine.options
  const ended = Deferred.makeUnsafe<ConnectionEnd>()
  const welcomed = Deferred.makeUnsafe<void>()
  const connection = new ClientConnection(duplex, engine.timers, {
    welcomed: () => Deferred.doneUnsafe(welcomed, Effect.void),
    frame: (frame) => engine.frame(frame),
    deliver: (deliver) => engine.deliver(deliver),
    ended: (end) => {
      if (engine.connection === connection) engine.detach(end)
      Deferred.doneUnsafe(ended, Effect.succeed(end))
    }
  })
  connection.hello(name, shown)
  yield* Effect.raceFirst(Deferred.await(welcomed), Deferred.await(ended)).pipe(
    Effect.timeoutOrElse({
      duration: dialTimeout,
      orElse: () => Effect.sync(() => connection.fail("hello-timeout", ""))
    })
  )
  let since: number | undefined
  if (connection.end === undefined && connection.welcome !== undefined) {
    since = engine.timers.now()
    yield* SubscriptionRef.set(state, { _tag: "Connected", hub: connection.welcome.hub, since })
    if (!(yield* Deferred.succeed(first, undefined))) engine.counters.reconnects++
    if (connection.end === undefined) engine.attach(connection)
    yield* Effect.raceFirst(connection.watch(pingInterval), Deferred.await(ended))
  }
  const said = yield* Deferred.await(ended)
  // Shown again, the same token would be refused again.
  const isSpent = said.reason === "token-expired" && !isRenewable(token)
  const end = isSpent ? { ...said, isFinal: true } : said
  const held = since === undefined ? undefined : engine.timers.now() - since
  // So that a GOODBYE goes out before the stream is closed with its scope.
  yield* Effect.timeoutOption(Deferred.await(connection.closed), writeTimeout)
  return { end, held, cause: causeOf(end, held) }
})

const disconnected = ({ message, reason }: ConnectionEnd): PolestarError =>
  failed(new Disconnected({ closeReason: reason, message }))

const causeOf = (end: ConnectionEnd, held: number | undefined): PolestarError => {
  if (end.isFinal) return disconnected(end)
  if (end.isForeign === true) return connectFailed(new Error(end.message))
  const lost = failed(new ConnectionLost({ closeReason: end.reason }))
  return held === undefined ? connectFailed(lost) : lost
}
