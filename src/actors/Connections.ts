/**
 * All clients that are connected, counted by what they came by; how many there may be, in all and of one identity; and a
 * line of the log for each when it has gone, with the id that every refusal of it has too.
 */
import { Effect } from "effect"
import type { CloseReason } from "../protocol/CloseReason.ts"
import { logText } from "../protocol/LogText.ts"
import { type Transport, transports } from "../protocol/Transport.ts"
import { type Identity, identityKey } from "../services/auth/Identity.ts"
import type { Counters } from "../services/Counters.ts"
import type { ActorSystem } from "./ActorSystem.ts"
import type { Served } from "./FrameHost.ts"
import { LineBudget } from "./LineBudget.ts"

export interface ConnectionsOptions {
  readonly system: ActorSystem
  readonly counters: Counters
  /** The most that may be open at once. */
  readonly max: number
}

interface Open {
  readonly since: number
  /** Whose connections it counts among, if they are limited. */
  identity: string | undefined
}

const linesPerSecond = 100

/** What comes and goes with each request would fill the log. */
const passing: ReadonlySet<Transport> = new Set<Transport>(["long-poll", "http", "memory"])

export class Connections {
  /** Whether nobody is taken any more. */
  isDraining = false
  private readonly options: ConnectionsOptions
  private readonly open = new Map<Served, Open>()
  private readonly counts = new Map<Transport, number>()
  private readonly identities = new Map<string, number>()

  private readonly budget: LineBudget

  constructor(options: ConnectionsOptions) {
    this.options = options
    this.budget = new LineBudget(options.system, linesPerSecond, "connection ended")
  }

  get size(): number {
    return this.open.size
  }

  [Symbol.iterator](): IterableIterator<Served> {
    return this.open.keys()
  }

  byTransport(): Readonly<Record<Transport, number>> {
    const count = (transport: Transport) => this.counts.get(transport) ?? 0
    const [tcp, websocket, longPoll, eventStream, http, memory] = transports
    return {
      [tcp]: count(tcp),
      [websocket]: count(websocket),
      [longPoll]: count(longPoll),
      [eventStream]: count(eventStream),
      [http]: count(http),
      [memory]: count(memory)
    }
  }

  /** Why no further one may be opened, if so. What publishes by HTTP have in common takes nobody's place. */
  refusalFor(transport: Transport): CloseReason | undefined {
    if (this.isDraining) return "shutting-down"
    const taken = this.open.size - (this.counts.get("http") ?? 0)
    return transport !== "http" && taken >= this.options.max ? "too-many-connections" : undefined
  }

  add(connection: Served): void {
    const { counters, system } = this.options
    counters.connectionsOpened++
    this.count(connection.transport, 1)
    this.open.set(connection, { since: system.now(), identity: undefined })
  }

  /** Why the identity may not have a further one, if so. */
  refusalOf(identity: Identity): CloseReason | undefined {
    const { connections: most } = identity.limits
    if (most === undefined) return undefined
    return (this.identities.get(identityKey(identity)) ?? 0) >= most ? "too-many-connections" : undefined
  }

  /** To be called once it is known whose connection it is. Answers why this identity may not have it, if so. */
  identified(connection: Served, identity: Identity): CloseReason | undefined {
    const open = this.open.get(connection)
    if (open === undefined || identity.limits.connections === undefined) return undefined
    const refusal = this.refusalOf(identity)
    if (refusal !== undefined) return refusal
    const key = identityKey(identity)
    this.identities.set(key, (this.identities.get(key) ?? 0) + 1)
    open.identity = key
    return undefined
  }

  delete(connection: Served): void {
    const open = this.open.get(connection)
    if (open === undefined) return
    this.open.delete(connection)
    this.count(connection.transport, -1)
    if (open.identity !== undefined) this.forget(open.identity)
    this.log(connection, open)
  }

  /** To be done at intervals: ends those whose peers take nothing of what they are sent. */
  readonly checkWriting: Effect.Effect<void> = Effect.sync(() => {
    for (const connection of this) connection.checkWriting()
  })

  endAll(reason: CloseReason): Effect.Effect<void> {
    return Effect.sync(() => {
      for (const connection of this) connection.end(reason)
    })
  }

  private count(transport: Transport, change: number): void {
    this.counts.set(transport, (this.counts.get(transport) ?? 0) + change)
  }

  private forget(identity: string): void {
    const left = (this.identities.get(identity) ?? 1) - 1
    if (left === 0) this.identities.delete(identity)
    else this.identities.set(identity, left)
  }

  private log({ id, identity, name, peer, reason, transport }: Served, { since }: Open): void {
    const { system } = this.options
    const isPassing = passing.has(transport)
    if (!isPassing && !this.budget.mayLog()) return
    const line = {
      connection: id,
      transport,
      peer,
      ...(name === "" ? {} : { name: logText(name) }),
      ...(identity.kind === "anonymous" ? {} : { identity: identityKey(identity) }),
      reason,
      milliseconds: Math.max(0, system.now() - since)
    }
    const write = isPassing ? Effect.logDebug : Effect.logInfo
    system.fork(Effect.annotateLogs(write("connection ended"), line))
  }
}
