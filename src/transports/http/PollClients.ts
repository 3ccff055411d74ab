/**
 * The polling clients that have a `client_id`, by who they are. One that neither polls nor acknowledges for a while is
 * let go of; what it had and did not acknowledge is then given again.
 */
import type { ServerResponse } from "node:http"
import { Clock, Effect, Exit, Scope } from "effect"
import type { Hub } from "../../actors/Hub.ts"
import type { Start } from "../../protocol/Position.ts"
import { type Identity, identityKey, rightsOf } from "../../services/auth/Identity.ts"
import type { Settings } from "../../services/Settings.ts"
import { ackedTopics } from "../AckedTopics.ts"
import { forHub, groupOwner } from "../ClientGroup.ts"
import type { Caller } from "./Caller.ts"
import type { Deadlines } from "./Deadlines.ts"
import { tooMuchUnread } from "./Poll.ts"
import type { PollBodies } from "./PollAnswer.ts"
import { PollClient, type Waiter } from "./PollClient.ts"
import type { PolledTexts } from "./PolledTexts.ts"
import { type Refusal, refusal, refusalOfClose } from "./Refusal.ts"
import type { UnreadAnswers } from "./UnreadAnswers.ts"
import type { Waiting, WebState } from "./Web.ts"

/** Milliseconds that a group has to give what is there, and the same if that has to be read. */
const askTime = 20
const readTime = 500

export interface GroupPoll {
  /** What is answered with. */
  readonly response: ServerResponse
  readonly patterns: ReadonlyArray<string>
  /** Of a group that is new. */
  readonly start: Start
  readonly max: number
  /** Milliseconds. */
  readonly timeout: number
}

interface Entry {
  readonly client: PollClient
  readonly scope: Scope.Closeable
  /** Polls that are not answered. */
  polls: number
  /** By the time of the deadlines. */
  lastUsed: number
}

export class PollClients {
  private readonly hub: Hub["Service"]
  private readonly settings: Settings["Service"]
  private readonly texts: PolledTexts
  private readonly bodies: PollBodies
  private readonly unread: UnreadAnswers
  private readonly state: WebState
  private readonly deadlines: Deadlines
  private readonly scope: Scope.Scope
  private readonly fork: (work: Effect.Effect<void>) => void
  private readonly clients = new Map<string, Entry>()

  constructor(options: {
    readonly hub: Hub["Service"]
    readonly settings: Settings["Service"]
    readonly texts: PolledTexts
    readonly bodies: PollBodies
    readonly unread: UnreadAnswers
    readonly state: WebState
    readonly deadlines: Deadlines
    readonly scope: Scope.Scope
    /** Starts a fiber that ends with the scope. */
    readonly fork: (work: Effect.Effect<void>) => void
  }) {
    this.hub = options.hub
    this.settings = options.settings
    this.texts = options.texts
    this.bodies = options.bodies
    this.unread = options.unread
    this.state = options.state
    this.deadlines = options.deadlines
    this.scope = options.scope
    this.fork = options.fork
  }

  /** The answer's body: at once if something is there, else when it comes, else empty. */
  poll(caller: Caller, clientId: string, request: GroupPoll): Effect.Effect<Uint8Array, Refusal> {
    return Effect.flatMap(this.entryOf(caller, clientId), (entry) => {
      if (entry.polls >= this.settings.maxPollsPerClient)
        return Effect.fail(refusal("RATE_LIMITED", "too many polls of this client_id wait already"))
      // What it would be given stays the client's own.
      if (this.unread.isFull) return Effect.fail(refusal("QUEUE_FULL", tooMuchUnread))
      entry.polls++
      return Effect.ensuring(
        this.answered(entry, caller, request),
        Effect.sync(() => {
          entry.polls--
          entry.lastUsed = this.deadlines.now()
        })
      )
    })
  }

  private answered(
    { client }: Entry,
    { identity }: Caller,
    { max, patterns, response, start, timeout }: GroupPoll
  ): Effect.Effect<Uint8Array, Refusal> {
    return Effect.gen({ self: this }, function* (this: PollClients) {
      // The client outlives the tokens of its polls: each poll ends with its own.
      const holdsFor = identity.expiresAt - (yield* Clock.currentTimeMillis)
      const until = this.deadlines.now() + Math.min(timeout, holdsFor)
      if (!client.hasJoined(patterns)) yield* this.within(client.join(patterns, start), until)
      const begun = this.deadlines.now()
      for (let hasAsked = false; ; hasAsked = true) {
        const { count, parts } = client.take(patterns, max)
        // Also who does not want to wait must ask for what is there, and the group gives it a moment later.
        const grace = begun + (hasAsked && !client.isReading ? askTime : readTime)
        const left = hasAsked ? Math.max(until, grace) - this.deadlines.now() : Number.POSITIVE_INFINITY
        if (count > 0 || left <= 0 || this.state.isDraining || client.failure !== undefined) {
          client.wakeNext()
          if (count === 0 && client.failure !== undefined && !this.state.isDraining)
            return yield* Effect.fail(client.failure)
          if (count === 0 && left <= 0 && holdsFor < timeout)
            return yield* Effect.fail(refusalOfClose("token-expired"))
          const body = this.bodies.of(parts, count)
          this.unread.answer(response, body)
          return body
        }
        const wait = Math.max(until, begun + askTime) - this.deadlines.now()
        yield* this.woken(client, patterns, max, Math.max(0, wait))
      }
    })
  }

  /** Waits for the join, but not for longer than the poll waits; then it goes on by itself, for the next poll. */
  private within(joining: Effect.Effect<void, Refusal>, until: number): Effect.Effect<void, Refusal> {
    const over = Effect.callback<never, Refusal>((resume) => {
      const end = () => {
        stop()
        const late = refusal("QUEUE_FULL", "the client_id's group is not open yet; poll again")
        resume(Effect.fail(this.state.isDraining ? refusal("SHUTTING_DOWN") : late))
      }
      const stopped: Waiting = { hubStops: end }
      const deadline = this.deadlines.after(Math.max(readTime, until - this.deadlines.now()), end)
      const stop = () => {
        deadline.stop()
        this.state.waiting.delete(stopped)
      }
      this.state.waiting.add(stopped)
      return Effect.sync(stop)
    })
    return Effect.raceFirst(joining, over)
  }

  /**
   * Answers how many different ids are of topics that groups of the client read, once that is kept. What they name and
   * is not there to be acknowledged is passed over.
   */
  acknowledge(caller: Caller, clientId: string, ids: ReadonlyArray<string>): Effect.Effect<number, Refusal> {
    return Effect.gen({ self: this }, function* (this: PollClients) {
      const topics = ackedTopics(ids)
      if ("code" in topics) return yield* Effect.fail(refusal(topics.code, topics.message))
      const entry = yield* this.entryOf(caller, clientId)
      yield* entry.client.rejoin(topics.map(({ topic }) => topic))
      let acknowledged = 0
      for (const { count, epoch, ranges, topic } of topics) {
        if (yield* entry.client.acknowledge(topic, epoch, ranges)) acknowledged += count
      }
      entry.lastUsed = this.deadlines.now()
      // A name that nobody polls under is not kept for being said.
      if (entry.client.isNobody && entry.polls === 0)
        yield* this.letGo(keyOf(caller.identity, clientId), entry)
      return acknowledged
    })
  }

  /** Lets go of the clients that were not heard of. To be called at intervals. */
  readonly sweep: Effect.Effect<void> = Effect.suspend(() => {
    const now = this.deadlines.now()
    const gone = [...this.clients].filter(([, { client, lastUsed, polls }]) => {
      const patience = Math.max(client.ackWait, this.settings.httpIdleTimeout)
      return polls === 0 && now - lastUsed > patience
    })
    return Effect.forEach(gone, ([key, entry]) => this.letGo(key, entry), { discard: true })
  })

  private letGo(key: string, entry: Entry): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.clients.get(key) === entry) this.clients.delete(key)
      return Scope.close(entry.scope, Exit.void)
    })
  }

  /** Waits until something was delivered, the time is over, or the hub stops. */
  private woken(
    client: PollClient,
    patterns: ReadonlyArray<string>,
    max: number,
    timeout: number
  ): Effect.Effect<void> {
    return Effect.suspend(() => {
      const leave = () => {
        const at = client.waiters.indexOf(waiter)
        if (at >= 0) client.waiters.splice(at, 1)
      }
      const waiter: Waiter = { patterns, max, isWoken: false, wake: () => {} }
      const waiting = Effect.callback<void>((resume) => {
        const settle = () => {
          deadline.stop()
          this.state.waiting.delete(stopped)
        }
        const end = () => {
          if (waiter.isWoken) return
          waiter.isWoken = true
          settle()
          resume(Effect.void)
        }
        const stopped: Waiting = { hubStops: end }
        const deadline = this.deadlines.after(timeout, end)
        waiter.wake = end
        client.waiters.push(waiter)
        this.state.waiting.add(stopped)
        client.want(patterns)
        return Effect.sync(() => {
          settle()
          leave()
          // What it was woken for is another's.
          client.wakeNext()
        })
      })
      // It counts as waiting until it runs, so that what comes until then is its own too.
      return Effect.ensuring(waiting, Effect.sync(leave))
    })
  }

  private entryOf(caller: Caller, clientId: string): Effect.Effect<Entry, Refusal> {
    return Effect.suspend(() => {
      const key = keyOf(caller.identity, clientId)
      const known = this.clients.get(key)
      if (known !== undefined) {
        known.lastUsed = this.deadlines.now()
        return Effect.succeed(known)
      }
      return this.open(key, caller, clientId)
    })
  }

  private open(
    key: string,
    { identity, peer, transport }: Caller,
    clientId: string
  ): Effect.Effect<Entry, Refusal> {
    return Effect.gen({ self: this }, function* (this: PollClients) {
      const scope = yield* Scope.fork(this.scope)
      const client = new PollClient({
        client: { id: clientId, owner: groupOwner(identity) },
        texts: this.texts,
        unread: this.unread,
        deadlines: this.deadlines,
        onEnded: () => {
          if (this.clients.get(key)?.client === client) this.clients.delete(key)
          this.fork(Scope.close(scope, Exit.void))
        }
      })
      const connection = yield* this.hub
        .connectLocal(client, {
          identity: lasting(identity),
          peer,
          transport
        })
        .pipe(
          Effect.mapError(refusalOfClose),
          Effect.provideService(Scope.Scope, scope),
          Effect.tapError(() => Scope.close(scope, Exit.void))
        )
      const meanwhile = this.clients.get(key)
      if (meanwhile !== undefined) {
        yield* Scope.close(scope, Exit.void)
        return meanwhile
      }
      client.begin(connection)
      const entry: Entry = { client, scope, polls: 0, lastUsed: this.deadlines.now() }
      this.clients.set(key, entry)
      return entry
    })
  }
}

/** Tokens of one identity that may do the same are one client's. */
const keyOf = (identity: Identity, clientId: string): string => {
  const rights = identity.kind === "anonymous" ? "" : (identity.revision?.rights ?? rightsOf(identity))
  return JSON.stringify([identityKey(identity), rights, clientId])
}

const lasting = (identity: Identity): Identity => ({
  ...forHub(identity),
  expiresAt: Number.POSITIVE_INFINITY
})
