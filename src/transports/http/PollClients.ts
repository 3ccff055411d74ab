/**
 * The polling clients that have a `client_id`, by who they are. One that neither polls nor acknowledges for a while is
 * let go of; what it had and did not acknowledge is then given again.
 */
import { Clock, Effect, Exit, Scope, Semaphore } from "effect"
import type { Hub } from "../../actors/Hub.ts"
import { parseMessageId } from "../../protocol/json/MessageId.ts"
import { messagesBody } from "../../protocol/json/MessageJson.ts"
import type { OffsetRange, Start } from "../../protocol/Position.ts"
import { type Identity, identityKey, rightsOf } from "../../services/auth/Identity.ts"
import type { Settings } from "../../services/Settings.ts"
import { forHub, groupOwner } from "../ClientGroup.ts"
import type { Caller } from "./Caller.ts"
import type { Deadlines } from "./Deadlines.ts"
import { connect } from "./HubClient.ts"
import { PollClient, type Waiter } from "./PollClient.ts"
import type { PolledTexts } from "./PolledTexts.ts"
import { type Refusal, refusal, refusalOfClose } from "./Refusal.ts"
import type { Waiting, WebState } from "./Web.ts"

/** Milliseconds that a group has to give what is there, and the same if that has to be read. */
const askTime = 20
const readTime = 500

export interface GroupPoll {
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
  /** One at a time joins and acknowledges. */
  readonly turn: Semaphore.Semaphore
  /** By the time of the deadlines. */
  lastUsed: number
}

export class PollClients {
  private readonly hub: Hub["Service"]
  private readonly settings: Settings["Service"]
  private readonly texts: PolledTexts
  private readonly state: WebState
  private readonly deadlines: Deadlines
  private readonly scope: Scope.Scope
  private readonly clients = new Map<string, Entry>()

  constructor(options: {
    readonly hub: Hub["Service"]
    readonly settings: Settings["Service"]
    readonly texts: PolledTexts
    readonly state: WebState
    readonly deadlines: Deadlines
    readonly scope: Scope.Scope
  }) {
    this.hub = options.hub
    this.settings = options.settings
    this.texts = options.texts
    this.state = options.state
    this.deadlines = options.deadlines
    this.scope = options.scope
  }

  /** The answer's body: at once if something is there, else when it comes, else empty. */
  poll(caller: Caller, clientId: string, request: GroupPoll): Effect.Effect<Uint8Array, Refusal> {
    const { max, patterns, start } = request
    return Effect.gen({ self: this }, function* (this: PollClients) {
      const entry = yield* this.entryOf(caller, clientId)
      const { client } = entry
      if (client.waiters.length >= this.settings.maxPollsPerClient) {
        return yield* Effect.fail(refusal("RATE_LIMITED", "too many polls of this client_id wait already"))
      }
      const joining = Effect.forEach(patterns, (pattern) => client.join(pattern, start), { discard: true })
      yield* entry.turn.withPermits(1)(joining)
      // The client outlives the tokens of its polls: each poll ends with its own.
      const holdsFor = caller.identity.expiresAt - (yield* Clock.currentTimeMillis)
      const begun = this.deadlines.now()
      const until = begun + Math.min(request.timeout, holdsFor)
      for (let hasAsked = false; ; hasAsked = true) {
        const { count, parts } = client.take(patterns, max)
        // Also who does not want to wait must ask for what is there, and the group gives it a moment later.
        const grace = begun + (hasAsked && !client.isReading ? askTime : readTime)
        const left = hasAsked ? Math.max(until, grace) - this.deadlines.now() : Number.POSITIVE_INFINITY
        if (count > 0 || left <= 0 || this.state.isDraining || client.failure !== undefined) {
          entry.lastUsed = this.deadlines.now()
          client.wakeNext()
          if (count === 0 && client.failure !== undefined && !this.state.isDraining)
            return yield* Effect.fail(client.failure)
          if (count === 0 && left <= 0 && holdsFor < request.timeout)
            return yield* Effect.fail(refusalOfClose("token-expired"))
          return messagesBody(parts)
        }
        const wait = Math.max(until, begun + askTime) - this.deadlines.now()
        yield* this.woken(client, patterns, max, Math.max(0, wait))
      }
    })
  }

  /** Answers how many of the ids are of topics that the client reads, once that is stored. */
  acknowledge(caller: Caller, clientId: string, ids: ReadonlyArray<string>): Effect.Effect<number, Refusal> {
    return Effect.gen({ self: this }, function* (this: PollClients) {
      const topics = rangesOf(ids)
      if (topics === undefined)
        return yield* Effect.fail(refusal("BAD_REQUEST", "an item is no `message_id`"))
      const entry = yield* this.entryOf(caller, clientId)
      let acknowledged = 0
      for (const { epoch, messages, ranges, topic } of topics) {
        yield* entry.turn.withPermits(1)(entry.client.rejoin(topic))
        if (yield* entry.client.acknowledge(topic, epoch, ranges)) acknowledged += messages
      }
      entry.lastUsed = this.deadlines.now()
      if (acknowledged === 0)
        return yield* Effect.fail(refusal("GROUP_NOT_FOUND", "this client_id reads none of these topics"))
      return acknowledged
    })
  }

  /** Lets go of the clients that were not heard of. To be called at intervals. */
  readonly sweep: Effect.Effect<void> = Effect.suspend(() => {
    const now = this.deadlines.now()
    const gone = [...this.clients].filter(([, { client, lastUsed }]) => {
      const patience = Math.max(client.ackWait, this.settings.httpIdleTimeout)
      return client.waiters.length === 0 && now - lastUsed > patience
    })
    return Effect.forEach(
      gone,
      ([key, { scope }]) => {
        this.clients.delete(key)
        return Scope.close(scope, Exit.void)
      },
      { discard: true }
    )
  })

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
      const run = Effect.runForkWith(yield* Effect.context<never>())
      const client = new PollClient(
        { id: clientId, owner: groupOwner(identity) },
        this.texts,
        this.deadlines,
        () => {
          if (this.clients.get(key)?.client === client) this.clients.delete(key)
          run(Scope.close(scope, Exit.void))
        }
      )
      const connection = yield* connect(this.hub, client, {
        identity: lasting(identity),
        peer,
        transport
      }).pipe(
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
      const entry: Entry = { client, scope, turn: Semaphore.makeUnsafe(1), lastUsed: this.deadlines.now() }
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

interface TopicRanges {
  readonly topic: string
  readonly epoch: number
  readonly messages: number
  readonly ranges: ReadonlyArray<OffsetRange>
}

/** The ids by topic and epoch, as ranges; `undefined` if one of them is none. */
const rangesOf = (ids: ReadonlyArray<string>): ReadonlyArray<TopicRanges> | undefined => {
  const found = new Map<string, { topic: string; epoch: number; offsets: Array<number> }>()
  for (const id of ids) {
    const place = parseMessageId(id)
    if (place === undefined) return undefined
    const { epoch, offset, topic } = place
    const key = `${epoch} ${topic}`
    const same = found.get(key)
    if (same === undefined) found.set(key, { topic, epoch, offsets: [offset] })
    else same.offsets.push(offset)
  }
  return [...found.values()].map(({ epoch, offsets, topic }) => {
    const ranges: Array<{ from: number; to: number }> = []
    for (const offset of offsets.sort((a, b) => a - b)) {
      const last = ranges.at(-1)
      if (last !== undefined && offset <= last.to) last.to = Math.max(last.to, offset + 1)
      else ranges.push({ from: offset, to: offset + 1 })
    }
    return { topic, epoch, messages: offsets.length, ranges }
  })
}
