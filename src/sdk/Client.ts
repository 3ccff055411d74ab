/**
 * The engine of the SDK: a client of one hub over any stream of bytes, with bytes in and bytes out. The typed
 * surface stands on it. It runs in browsers: nothing here knows Node.
 *
 * It promises: a publish answers with the hub's receipt or fails; a publisher's messages to a topic keep their
 * order (see `OutboundBatches.ts` for what a retry does to it); a subscription is at most once, goes on after a
 * reconnection where it was, and says `Recovered`, `Gap` or `Dropped`. Everything that waits is bounded.
 */
import type { Array as Arr, Duration, Effect, Pull, Schedule, Scope, Stream } from "effect"
import type { CloseReason } from "../protocol/CloseReason.ts"
import type { Deliver } from "../protocol/Deliver.ts"
import type { Duplex } from "../protocol/Duplex.ts"
import type { Message } from "../protocol/Message.ts"
import type { Durability, Fate, OffsetRange, Order, Overflow, Position, Start } from "../protocol/Position.ts"
import type { GroupNumbers } from "./GroupOptions.ts"
import type { PolestarError } from "./PolestarError.ts"
import type { Token } from "./Token.ts"

export interface ClientOptions {
  /** For the hub's logs and lists. */
  readonly name: string
  /** Opens one stream of bytes, which is closed with its scope. */
  readonly dial: Effect.Effect<Duplex, PolestarError, Scope.Scope>
  /**
   * For a hub that asks who its clients are: a token, or a way to get one, which is asked before each connection. One
   * that is given once and expires ends the client, with `token-expired`; one that the hub refuses always does. A first
   * answer that has expired already is asked for again, once.
   */
  readonly token?: Token | undefined
  /**
   * Messages that may wait to be sent, each session; and, unless it says otherwise, to be read, each subscription.
   * Default 1,000.
   */
  readonly queueSize: number
  /** The same in bytes. Default 8 MiB. */
  readonly queueBytes: number
  /** For the stream to open, and again for the hub's WELCOME. Default 1 s. */
  readonly dialTimeout: Duration.Duration
  /**
   * How long a hub is waited for that is silent though it owes an answer and was asked by a ping; then the connection
   * is lost. A publish waits as long as the hub is heard, however long the hub holds it back; other requests are
   * waited for no longer than this. Default 2 s.
   */
  readonly writeTimeout: Duration.Duration
  /** Tries of one publish after the first: one with each new connection, or refusal that may pass. Default 3. */
  readonly maxRetries: number
  /** When to dial again; begun anew after each connection that held. Its end closes the client. */
  readonly reconnect: Schedule.Schedule<unknown>
  /** A silent hub is asked after one interval and given up after two. Default 15 s. */
  readonly pingInterval: Duration.Duration
  /** What a publish does when `queueSize` or `queueBytes` are reached. Default wait. */
  readonly whenFull: "wait" | "fail"
  /** Messages in a window of time, as a token bucket: publishes beyond it wait. */
  readonly rateLimit?: { readonly limit: number; readonly window: Duration.Duration } | undefined
}

export type ConnectionState =
  | { readonly _tag: "Connecting"; readonly attempt: number }
  /** `since` is in milliseconds since 1970, on this machine's clock. */
  | { readonly _tag: "Connected"; readonly hub: string; readonly since: number }
  | { readonly _tag: "Reconnecting"; readonly attempt: number; readonly cause: PolestarError }
  | { readonly _tag: "Closed"; readonly reason: CloseReason }

/** Gauges, and counts since the client was made. */
export interface ClientMetrics {
  /** Messages and bytes that wait to be sent, and the largest share of a session's capacity that they fill. */
  readonly queuedMessages: number
  readonly queuedBytes: number
  readonly queueShare: number
  /** Messages sent whose receipt has not come. */
  readonly inFlight: number
  /** Messages with a receipt; messages that failed; messages sent again, however often. */
  readonly published: number
  readonly rejected: number
  readonly retried: number
  readonly reconnects: number
  /** Messages handed to subscriptions; messages that the hub said it dropped. */
  readonly received: number
  readonly dropped: number
  /** Counted by `countUndecodable`. */
  readonly undecodable: number
}

export interface Client {
  /** A logical client with its own queue. `id` is a UUID, a new one unless given; `name` is the client's unless given. */
  readonly openSession: (options?: {
    readonly id?: string | undefined
    readonly name?: string | undefined
  }) => Effect.Effect<ClientSession, PolestarError, Scope.Scope>
  /** Asks the hub; `body` and the answer are JSON values. */
  readonly request: (method: string, body: unknown) => Effect.Effect<unknown, PolestarError>
  readonly state: Effect.Effect<ConnectionState>
  /** The state now, and every change; ends with `Closed`. */
  readonly states: Stream.Stream<ConnectionState>
  readonly metrics: Effect.Effect<ClientMetrics>
  /** For the layer that decodes: adds to `metrics.undecodable`. */
  readonly countUndecodable: (messages: number) => void
}

export interface ClientSession {
  /** A UUID, the same across reconnections. */
  readonly id: string
  /**
   * Waits for the hub's receipt, as long as a hub that is heard holds it back. Interrupted before it was put in a
   * frame it is not sent; after that it may be.
   */
  readonly publish: (
    topic: string,
    message: Message,
    options?: PublishOptions
  ) => Effect.Effect<Receipt, PolestarError>
  /**
   * The messages in order, with one receipt each. It fails if any of them fails; others may then have been
   * published all the same.
   */
  readonly publishAll: (
    topic: string,
    messages: ReadonlyArray<Message>,
    options?: PublishOptions
  ) => Effect.Effect<ReadonlyArray<Receipt>, PolestarError>
  /** Waits until the hub has subscribed. Unsubscribes with the scope. */
  readonly subscribe: (options: SubscribeOptions) => Effect.Effect<Inbox, PolestarError, Scope.Scope>
  /**
   * Joins a group, and waits until the hub has confirmed it. Leaves with the scope: what is acknowledged is told, and
   * everything else given back at once; that is waited for, for `writeTimeout` at most.
   */
  readonly join: (options: JoinOptions) => Effect.Effect<Membership, PolestarError, Scope.Scope>
}

export interface PublishOptions {
  /** 0 – 9, 9 the most urgent. */
  readonly priority?: number | undefined
  /** 1 ms to 49 days, or infinity, which is none. */
  readonly ttl?: Duration.Input | undefined
  /** Milliseconds since 1970. */
  readonly deliverAt?: number | undefined
}

export interface Receipt {
  readonly topic: string
  /** Where the message is; of a duplicate, where the hub says it has it; of one that is held, 0 and 0. */
  readonly position: Position
  readonly durability: Durability
  /** Whether the hub holds it until its time (`deliverAt`, `delay`): then it has no position yet. */
  readonly held: boolean
  readonly duplicate: boolean
}

export interface SubscribeOptions {
  readonly pattern: string
  readonly start: Start
  readonly overflow: Overflow
  readonly echo: boolean
  readonly queueSize?: number | undefined
  readonly queueBytes?: number | undefined
}

export interface JoinOptions extends GroupNumbers {
  readonly group: string
  readonly pattern: string
  /** Of a group that is new. */
  readonly start: Start
  readonly order: Order
  /** Messages that may wait to be read; if not given, as many as were read lately in a quarter of a second. */
  readonly prefetch?: number | undefined
  /** The least that may wait, if `prefetch` is not given. */
  readonly leastPrefetch: number
  readonly queueBytes?: number | undefined
}

export interface TopicRange extends OffsetRange {
  readonly topic: string
  readonly epoch: number
}

/**
 * A member of a group. Its inbox has `Messages`, and `Gap` for what is lost to the group. Messages that come again while
 * their acknowledgement is on its way are left out.
 */
export interface Membership extends Inbox {
  /** Milliseconds until what is not acknowledged is delivered again. */
  readonly ackWait: () => number
  /** How often a connection was lost: what was delivered before the last time may be somebody else's by now. */
  readonly cuts: () => number
  /** What waits to be read. */
  readonly queued: () => ReadonlyArray<TopicRange>
  /** Answers when the hub has stored it; over a lost connection it is sent again. */
  readonly acknowledge: (
    topic: string,
    epoch: number,
    ranges: ReadonlyArray<OffsetRange>
  ) => Effect.Effect<void, PolestarError>
  /** The same for one message, without an answer: if it fails for good, the membership does. */
  readonly acknowledgeUnsafe: (topic: string, position: Position) => void
  /** Fails with `ConnectionLost` if a connection is lost before the answer: that is a failed attempt anyway. */
  readonly refuse: (
    topic: string,
    epoch: number,
    ranges: ReadonlyArray<OffsetRange>,
    refusal: Refusal
  ) => Effect.Effect<void, PolestarError>
  /** The same without an answer. */
  readonly refuseUnsafe: (ranges: Iterable<TopicRange>, refusal: Refusal) => void
}

/** Why a delivery was not done, and what becomes of it. */
export interface Refusal {
  readonly fate: Fate
  /** Milliseconds; the group's backoff if not given. Only of `again`. */
  readonly delay?: number | undefined
  readonly error: string
}

/** What arrives for one subscription, for one reader. */
export interface Inbox {
  /**
   * Everything that has arrived, waiting for at least one. Taking is what lets the hub send more. Ends with
   * `Cause.Done` when the subscription's scope closes. A stream of it: `Stream.fromPull(Effect.succeed(inbox.take))`.
   */
  readonly take: Pull.Pull<Arr.NonEmptyReadonlyArray<Inbound>, PolestarError>
}

export type Inbound =
  /** Messages that are new; read them with `forEachMessage`, which decodes. */
  | { readonly _tag: "Messages"; readonly topic: string; readonly batch: Deliver }
  | {
      readonly _tag: "Dropped"
      readonly topic: string
      readonly from: Position
      readonly to: Position
      readonly count: number
    }
  | { readonly _tag: "Recovered"; readonly messages: number }
  | { readonly _tag: "Gap"; readonly topic: string; readonly from: Position; readonly to: Position }
