/**
 * A poll without a `client_id`, and a replay: a client of the hub's for one answer. It waits as a callback and a few
 * small objects, so that thousands can.
 */
import { Effect } from "effect"
import type { LocalConnection } from "../../actors/LocalConnection.ts"
import type { Start } from "../../protocol/Position.ts"
import type { Identity } from "../../services/auth/Identity.ts"
import { Collector } from "./Collector.ts"
import type { Cursor } from "./Cursor.ts"
import { connect, openSession } from "./HubClient.ts"
import type { Beginning } from "./Reading.ts"
import { type Refusal, refusalOfClose } from "./Refusal.ts"
import type { Waiting, Web } from "./Web.ts"

export interface PollRequest {
  readonly identity: Identity
  readonly patterns: ReadonlyArray<string>
  readonly beginning: Beginning
  readonly max: number
  /** Milliseconds to wait for a message; `undefined` to answer with what there is. */
  readonly timeout: number | undefined
}

export interface Polled {
  readonly body: Uint8Array
  readonly count: number
  /** Where to go on; the `next` of the answer. */
  readonly cursor: Cursor
  readonly gaps: Collector["gaps"]
}

/** Bytes that one subscription may bring beyond the last message that is wanted. */
const creditBytes = 4 * 1_048_576
const session = 1

export const poll = (web: Web["Service"], request: PollRequest): Effect.Effect<Polled, Refusal> =>
  Effect.scoped(
    Effect.suspend(() => {
      const { beginning, max, patterns } = request
      const { cursor, isNow } = beginning
      const collector = new Collector({
        texts: web.texts,
        max,
        cursor,
        hasPast: beginning.start._tag !== "Now",
        isNow,
        patterns
      })
      return connect(web.hub, collector, request.identity).pipe(
        Effect.mapError(refusalOfClose),
        Effect.flatMap((connection) => {
          collector.begin(connection)
          subscribe(connection, patterns, beginning.start, max)
          return Effect.andThen(
            ready(web, collector, request.timeout),
            Effect.suspend(() => {
              if (collector.failure !== undefined) return Effect.fail(collector.failure)
              return Effect.succeed({ ...collector.collect(), cursor, gaps: collector.gaps })
            })
          )
        })
      )
    })
  )

const subscribe = (
  connection: LocalConnection,
  patterns: ReadonlyArray<string>,
  start: Start,
  creditMessages: number
): void => {
  openSession(connection, session, "poll")
  for (const [index, pattern] of patterns.entries()) {
    connection.send({
      _tag: "Subscribe",
      session,
      request: index + 2,
      subscription: index + 1,
      pattern,
      overflow: "drop-oldest",
      echo: true,
      creditMessages,
      creditBytes,
      start
    })
  }
}

/** Waits until there is something to answer, the time is over, or the hub stops. */
const ready = (
  { state }: Web["Service"],
  collector: Collector,
  timeout: number | undefined
): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const isDone = () => collector.isReady || (timeout === undefined && collector.isCaughtUp)
    if (isDone()) return resume(Effect.void)
    const end = () => {
      stop()
      resume(Effect.void)
    }
    const waiting: Waiting = { hubStops: end }
    const timer = timeout === undefined ? undefined : setTimeout(end, timeout)
    const stop = () => {
      clearTimeout(timer)
      state.waiting.delete(waiting)
      collector.onReady = () => {}
    }
    collector.onReady = () => {
      if (isDone()) end()
    }
    state.waiting.add(waiting)
    return Effect.sync(stop)
  })
