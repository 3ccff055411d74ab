/**
 * A poll without a `client_id`, and a replay: a client of the hub's for one answer. It waits as a callback and a few
 * small objects, so that thousands can.
 */
import type { ServerResponse } from "node:http"
import { Clock, Effect, Scope } from "effect"
import type { LocalConnection } from "../../actors/LocalConnection.ts"
import { unlimitedCredit } from "../../protocol/Op.ts"
import type { Start } from "../../protocol/Position.ts"
import type { Caller } from "./Caller.ts"
import { Collector } from "./Collector.ts"
import { Cursor } from "./Cursor.ts"
import { openSession, subscribeAll } from "./HubClient.ts"
import type { PollPlace } from "./PollMemory.ts"
import { PollRound } from "./PollRound.ts"
import type { Beginning } from "./Reading.ts"
import { type Refusal, refusal, refusalOfClose, refusalWithNext } from "./Refusal.ts"
import type { AnswerRoom } from "./UnreadAnswers.ts"
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
  /** Whether to answer with some of what there is, if the cursor has no room for all the topics that it is of. */
  readonly takesPart?: boolean
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
/** Milliseconds for which one answer gathers what there is of the past, once its time is over or there is something. */
const pageTime = 500
/** Milliseconds for which one answer that does not wait reads the past, if that is not through before. */
const readTime = 10_000
/** Milliseconds before a poll tries again which could not stand behind anything that it found. */
const againAfter = 20

export const poll = (web: Web["Service"], request: PollRequest): Effect.Effect<Polled, Refusal> =>
  Effect.suspend(() => {
    const { beginning, timeout } = request
    const until = timeout === undefined ? undefined : web.deadlines.now() + timeout
    const { last, round } = beginning.cursor
    if (last !== undefined || round !== undefined) return inRounds(web, request, beginning.cursor, until)
    return Effect.flatMap(read(web, request, beginning, timeout), (polled) =>
      polled instanceof Cursor ? inRounds(web, request, polled, until) : Effect.succeed(polled)
    )
  })

/** Reads more topics than the cursor can name; once it is through with all of them, like any other poll. */
const inRounds = Effect.fnUntraced(function* (
  web: Web["Service"],
  request: PollRequest,
  begun: Cursor,
  until: number | undefined
): Effect.fn.Return<Polled, Refusal> {
  let cursor = begun
  for (let left = 1; left > 0 && !web.state.isDraining; ) {
    const found = yield* readRound(web, request, cursor, until ?? 0)
    if (found !== undefined) return found
    left = until === undefined ? 0 : Math.max(0, until - web.deadlines.now())
    const timeout = until === undefined ? undefined : left
    // Of what came since the round began, it is answered with as many topics as there is room for.
    const from = { start: cursor.start, cursor, isNow: false }
    const polled = yield* read(web, { ...request, takesPart: true }, from, timeout)
    if (!(polled instanceof Cursor)) return polled
    cursor = polled
    yield* Effect.sleep(againAfter)
  }
  request.place?.remember(cursor)
  return { body: web.bodies.of([], 0), count: 0, cursor, gaps: [] }
})

/** Waits for messages. Answers the cursor where it stood if it has no room for all the topics that there is something of. */
const read = (
  web: Web["Service"],
  request: PollRequest,
  { cursor, isNow, start }: Beginning,
  timeout: number | undefined
): Effect.Effect<Polled | Cursor, Refusal> =>
  Effect.suspend(() => {
    const { max, patterns } = request
    const hasPast = start._tag !== "Now"
    const room = web.unread.room(hasPast ? readAhead : 0)
    if (room === undefined) return Effect.fail(refusal("QUEUE_FULL", tooMuchUnread))
    // Where the same can be asked for again; from now on that is where it began, which its cursor will say.
    const before = hasPast ? cursor.copy() : cursor
    const { bodies, texts } = web
    const collector = new Collector({ texts, bodies, room, max, cursor, hasPast, isNow, patterns })
    return asClient(web, request, collector, room, (connection) => {
      const overflow = "drop-oldest"
      // Bytes are bounded by what the collector holds: if they ran out before that, it would wait for ever.
      const credit = { creditMessages: max, creditBytes: unlimitedCredit }
      subscribeAll(connection, patterns, { overflow, ...credit, start: existing(connection, start) })
      return ready(web, collector, timeout).pipe(
        Effect.andThen(Clock.currentTimeMillis),
        Effect.flatMap((now) => {
          // Its time was over before the hub said where it began.
          if (isNow && cursor.since === 0) cursor.beginsAt(now)
          const hasNext = start._tag === "Now" || start._tag === "Resume"
          return answerOf(web, request, collector, cursor, hasNext ? before : undefined)
        })
      )
    })
  })

/** Without the positions of topics that there are not: to subscribe with them would make them. The cursor keeps them. */
const existing = ({ options: { registry } }: LocalConnection, start: Start): Start =>
  start._tag === "Resume"
    ? { ...start, topics: start.topics.filter(({ topic }) => registry.placeOf(topic) !== undefined) }
    : start

/** One page of a round, or the end of one: nothing if there was nothing to answer with. */
const readRound = (
  web: Web["Service"],
  request: PollRequest,
  cursor: Cursor,
  until: number
): Effect.Effect<Polled | undefined, Refusal> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const { max, patterns } = request
    const { bodies, deadlines, state, texts, unread } = web
    const room = unread.room(readAhead)
    if (room === undefined) return Effect.fail(refusal("QUEUE_FULL", tooMuchUnread))
    const round = cursor.goRound(now)
    const before = cursor.copy()
    const about = { texts, bodies, room, max, cursor, hasPast: false, isNow: false, patterns }
    const collector = new Collector({ ...about, until: round.until })
    const begun = deadlines.now()
    return asClient(web, request, collector, room, (connection) => {
      const reading = new PollRound({
        connection,
        collector,
        cursor,
        until: round.until,
        patterns,
        max,
        isOver: () => {
          const time = deadlines.now()
          return state.isDraining || time >= (collector.count > 0 ? begun : Math.max(until, begun)) + pageTime
        },
        caughtUp: (most) => ready(web, collector, most, () => collector.isCaughtUp || collector.isBeyond)
      })
      return Effect.flatMap(reading.read, (isWhole) =>
        isWhole && collector.isEmpty
          ? Effect.succeed(undefined)
          : Effect.map(answerOf(web, request, collector, cursor, before), (polled) =>
              polled instanceof Cursor ? undefined : polled
            )
      )
    })
  })

/** Does `use` as a client of the hub's, which has its session. */
const asClient = <A>(
  web: Web["Service"],
  { caller: { identity, peer } }: PollRequest,
  collector: Collector,
  room: AnswerRoom,
  use: (connection: LocalConnection) => Effect.Effect<A, Refusal>
): Effect.Effect<A, Refusal> => {
  const scope = Scope.makeUnsafe()
  return web.hub.connectLocal(collector, { identity, peer, transport: "long-poll" }).pipe(
    Effect.provideService(Scope.Scope, scope),
    Effect.mapError(refusalOfClose),
    Effect.flatMap((connection) => {
      collector.begin(connection)
      openSession(connection, "poll")
      return use(connection)
    }),
    // Thousands may be answered by one publish: first all of them, then each is cleared away.
    Effect.onExit((exit) =>
      Effect.sync(() => {
        room.release()
        web.afterwards.add(Scope.close(scope, exit))
      })
    )
  )
}

/**
 * What was collected, or the cursor where it stood if it has no room to stand behind that. `before` is where to ask for it
 * again.
 */
const answerOf = (
  { unread }: Web["Service"],
  { place, response, takesPart = false }: PollRequest,
  collector: Collector,
  cursor: Cursor,
  before: Cursor | undefined
): Effect.Effect<Polled | Cursor, Refusal> => {
  if (collector.failure !== undefined) return Effect.fail(collector.failure)
  if (collector.isTooMuch) {
    if (before === undefined) return Effect.fail(refusal("QUEUE_FULL", tooMuchUnread))
    place?.remember(before)
    return Effect.fail(refusalWithNext("QUEUE_FULL", tooMuchUnread, String(before)))
  }
  const stood = cursor.copy()
  const { body, count } = collector.collect()
  // What the cursor has gone on over is to be told.
  const isPart = collector.gaps.length > 0 || (takesPart && count > 0)
  if (collector.isOutOfNames && !isPart) return Effect.succeed(stood)
  unread.answer(response, body)
  place?.remember(cursor)
  return Effect.succeed({ body, count, cursor, gaps: collector.gaps })
}

/** Waits until there is something to answer, it is over, so is the time and the past was read, or the hub stops. */
const ready = (
  { deadlines, state }: Web["Service"],
  collector: Collector,
  timeout: number | undefined,
  isOver: () => boolean = () => timeout === undefined && collector.isCaughtUp
): Effect.Effect<void> =>
  Effect.callback((resume) => {
    let isLate = false
    const isDone = () => collector.isReady || isOver() || (isLate && collector.isCaughtUp)
    if (isDone()) return resume(Effect.void)
    const end = () => {
      stop()
      resume(Effect.void)
    }
    const waiting: Waiting = { hubStops: end }
    const late = () => {
      if (collector.isCaughtUp || isLate) return end()
      // Also who does not want to wait is given what is there, which has to be read.
      isLate = true
      deadline = deadlines.after(pageTime, late)
    }
    let deadline = deadlines.after(timeout ?? readTime, late)
    const stop = () => {
      deadline.stop()
      state.waiting.delete(waiting)
      collector.onReady = () => {}
    }
    collector.onReady = () => {
      if (isDone()) end()
    }
    state.waiting.add(waiting)
    return Effect.sync(stop)
  })
