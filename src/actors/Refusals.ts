/**
 * What the hub refused, counted by code, with a line of the log for each: a warning where it may be an attack or a
 * limit that is too low. A client can ask for refusals without end: beyond so many lines in a second they are only
 * counted, and how many is said.
 */
import { Effect } from "effect"
import type { ErrorCode } from "../protocol/ErrorCode.ts"
import { type JsonCode, jsonCodes } from "../protocol/json/Problem.ts"
import { logText } from "../protocol/LogText.ts"
import type { Transport } from "../protocol/Transport.ts"
import { type Identity, identityKey } from "../services/auth/Identity.ts"
import type { Counters } from "../services/Counters.ts"
import type { ActorSystem } from "./ActorSystem.ts"
import { LineBudget } from "./LineBudget.ts"

/** Who is at the other end, for the log. */
export interface Peer {
  /** Of the connection, or of the request. */
  readonly id: string
  readonly transport: Transport
  /** Where it is: `127.0.0.1:50312`. */
  readonly peer: string
  /** Anybody until it has said who it is. */
  readonly identity: Identity
}

export interface Refused extends Peer {
  readonly code: JsonCode
  /** The topic, pattern or path. No payload, token or key. */
  readonly what?: string | undefined
  /** What the client is not told: of a token, what is wrong with it. Nothing of the token itself. */
  readonly why?: string | undefined
  /** Whether what was refused are messages, which are counted as such too. */
  readonly isPublish?: boolean
}

const linesPerSecond = 50

/** The clients' own mistakes, of which nobody need be warned. */
const mistakes: ReadonlySet<JsonCode> = new Set<JsonCode>([
  "INVALID_JSON",
  "UNKNOWN_TYPE",
  "INVALID_TOPIC",
  "TOPIC_NOT_FOUND",
  "GROUP_NOT_FOUND",
  "NOT_SUBSCRIBED",
  "NOT_FOUND",
  "METHOD_NOT_ALLOWED",
  "TOPIC_EXISTS",
  "CONFLICT",
  "UNSUPPORTED_MEDIA_TYPE",
  "BAD_REQUEST",
  "DELAY_TOO_LONG",
  "MISSING_TOPIC",
  "MISSING_MESSAGE",
  "MISSING_MESSAGE_ID",
  "UNSUPPORTED",
  "UPGRADE_REQUIRED",
  "SHUTTING_DOWN"
])

const byRequest: ReadonlySet<Transport> = new Set<Transport>(["http", "long-poll", "event-stream"])

export class Refusals {
  private readonly system: ActorSystem
  private readonly counters: Counters
  private readonly budget: LineBudget

  constructor(system: ActorSystem, counters: Counters) {
    this.system = system
    this.counters = counters
    this.budget = new LineBudget(system, linesPerSecond, "refused")
  }

  /**
   * For what is wrong with a frame. What comes with a request of HTTP is added where that is answered, and not twice.
   */
  ofFrame({ id, identity, peer, transport }: Peer, error: ErrorCode, what?: string, times?: number): void {
    if (byRequest.has(transport)) return
    this.add({ id, identity, peer, transport, code: jsonCodes[error], what }, times)
  }

  /** `times` is how many requests or messages it stands for. */
  add({ code, id, identity, isPublish, peer, transport, what, why }: Refused, times = 1): void {
    this.counters.refused(code, times)
    if (isPublish) this.counters.messagesRejected += times
    if (!this.budget.mayLog()) return
    const line = {
      connection: id,
      code,
      transport,
      peer,
      ...(identity.kind === "anonymous" ? {} : { identity: identityKey(identity) }),
      ...(what === undefined ? {} : { what: logText(what) }),
      ...(why === undefined ? {} : { why: logText(why) }),
      ...(times === 1 ? {} : { times })
    }
    const write = mistakes.has(code) ? Effect.logInfo : Effect.logWarning
    this.system.fork(Effect.annotateLogs(write("refused"), line))
  }
}
