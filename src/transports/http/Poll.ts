/**
 * A poll without a `client_id`, and a replay: a client of the hub's for one answer. It waits as a callback and a few
 * small objects, so that thousands can.
 */
import type { ServerResponse } from "node:http"
import { Clock, Effect, Scope } from "effect"
import type { Caller } from "./Caller.ts"
import { Collector } from "./Collector.ts"
import type { Cursor } from "./Cursor.ts"
import { openSession, subscribeAll } from "./HubClient.ts"
import type { PollPlace } from "./PollMemory.ts"
import type { Beginning } from "./Reading.ts"
import { type Refusal, refusal, refusalOfClose, refusalWithNext } from "./Refusal.ts"
import type { Waiting, Web } from "./Web.ts"

export interface PollRequest {
  readonly caller: Caller
  /** What is answered with. */
  readonly response: ServerResponse
  readonly patterns: ReadonlyArray<string>
  readonly beginning: Beginning
  readonly max: number
  /** Milliseconds to wait for a message; `undefined` to answer with what there is. */
  readonly timeout: number | undefined
  /** Of a poll that did not say where it begins: it is told where the poll has ended. */
  readonly place?: PollPlace | undefined
}

export interface Polled {
  /** The same bytes for all who are answered with the same messages. */
  readonly body: Uint8Array
  readonly count: number
  /** Where to go on; the `next` of the answer. */
  readonly cursor: Cursor
  readonly gaps: Collector["gaps"]
}

/** For who may have the answer later, when others have read theirs. */
export const tooMuchUnread = "too much that was asked for waits to be read; ask again"

/** Bytes that are kept free for a poll of the past while that is read: as much as is read at a time. */
const readAhead = 262_144
/** Bytes that one subscription may bring beyond the last message that is wanted. */
const creditBytes = 4 * 1_048_576

export const poll = (web: Web["Service"], request: PollRequest): Effect.Effect<Polled, Refusal> =>
  Effect.suspend(() => {
    const { beginning, caller, max, patterns, place, response } = request
    const { identity, peer } = caller
    const { cursor, isNow, start } = beginning
    const hasPast = start._tag !== "Now"
    const room = web.unread.room(hasPast ? readAhead : 0)
    if (room === undefined) return Effect.fail(refusal("QUEUE_FULL", tooMuchUnread))
    // Where the same can be asked for again; from now on that is where it began, which its cursor will say.
    const before = hasPast ? cursor.copy() : cursor
    const { bodies, texts } = web
    const collector = new Collector({ texts, bodies, room, max, cursor, hasPast, isNow, patterns })
    const scope = Scope.makeUnsafe()
    return web.hub.connectLocal(collector, { identity, peer, transport: "long-poll" }).pipe(
      Effect.provideService(Scope.Scope, scope),
      Effect.mapError(refusalOfClose),
      Effect.flatMap((connection) => {
        collector.begin(connection)
        openSession(connection, "poll")
        const overflow = "drop-oldest"
        subscribeAll(connection, patterns, { overflow, creditMessages: max, creditBytes, start })
        return ready(web, collector, request.timeout)
      }),
      Effect.andThen(Clock.currentTimeMillis),
      Effect.flatMap((now) => {
        if (collector.failure !== undefined) return Effect.fail(collector.failure)
        // Its time was over before the hub said where it began.
        if (isNow && cursor.since === 0) cursor.since = now
        if (collector.isTooMuch) {
          place?.remember(before)
          return Effect.fail(
            start._tag === "Now" || start._tag === "Resume"
              ? refusalWithNext("QUEUE_FULL", tooMuchUnread, String(before))
              : refusal("QUEUE_FULL", tooMuchUnread)
          )
        }
        const { body, count } = collector.collect()
        room.release()
        web.unread.answer(response, body)
        place?.remember(cursor)
        return Effect.succeed({ body, count, cursor, gaps: collector.gaps })
      }),
      // Thousands may be answered by one publish: first all of them, then each is cleared away.
      Effect.onExit((exit) =>
        Effect.sync(() => {
          room.release()
          web.afterwards.add(Scope.close(scope, exit))
        })
      )
    )
  })

/** Waits until there is something to answer, the time is over, or the hub stops. */
const ready = (
  { deadlines, state }: Web["Service"],
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
    const deadline = timeout === undefined ? undefined : deadlines.after(timeout, end)
    const stop = () => {
      deadline?.stop()
      state.waiting.delete(waiting)
      collector.onReady = () => {}
    }
    collector.onReady = () => {
      if (isDone()) end()
    }
    state.waiting.add(waiting)
    return Effect.sync(stop)
  })
