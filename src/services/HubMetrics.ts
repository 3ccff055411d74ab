/**
 * The hub's metrics: one snapshot for whoever asks in process (the guide's `GetMetrics`), and the same numbers as
 * Effect metrics, pulled when they are scraped, so that counting costs an addition.
 */
import { Context, Effect, Metric, type Scope } from "effect"
import { type CloseReason, CloseReasons } from "../protocol/CloseReason.ts"
import { type JsonCode, problemKinds } from "../protocol/json/Problem.ts"
import { transports } from "../protocol/Transport.ts"
import type { Counters } from "./Counters.ts"
import {
  type CountKey,
  connections,
  connectionsClosed,
  countMetrics,
  type GaugeKey,
  gaugeMetrics,
  groupMessages,
  type HubGauges,
  messageLatency,
  messagesDropped,
  refusals
} from "./MetricHandles.ts"

/** Counts are since the hub started. */
export interface HubMetrics extends HubGauges {
  readonly messagesReceived: number
  readonly bytesReceived: number
  readonly batchesReceived: number
  readonly messagesDelivered: number
  readonly bytesDelivered: number
  readonly messagesRejected: number
  /** Of those, the ones for which there was no room on disk. */
  readonly storageFull: number
  readonly messagesDuplicate: number
  readonly messagesExpired: number
  readonly messagesReplayed: number
  /** By overflow policy, and `closed`: waiting when the subscription ended. */
  readonly messagesDropped: Readonly<Record<string, number>>
  /** What became of the messages of all groups: acknowledged, delivered again, made dead letters, lost to retention. */
  readonly group: Readonly<Record<keyof Counters["group"], number>>
  readonly connectionsOpened: number
  /** By close reason. */
  readonly connectionsClosed: Readonly<Record<string, number>>
  /** Requests, publishes and upgrades to WebSocket that were refused, by the code of `Problem.ts`. */
  readonly refusals: Readonly<Record<string, number>>
  readonly sessionsOpened: number
  /** Of those, the ones of clients that reconnected. */
  readonly sessionsResumed: number
  readonly gaps: number
  readonly actorFailures: number
  readonly topicsCreated: number
  readonly topicsPassivated: number
  /** Groups that were removed because nobody used them. */
  readonly groupsExpired: number
  /** Spans of sampled batches not made, because there were too many in a second. */
  readonly spansSkipped: number
  /** Milliseconds from the hub's reading of a message to its writing of it. */
  readonly latency: {
    readonly mean: number
    readonly p50: number
    readonly p99: number
    readonly p999: number
    readonly max: number
  }
}

/** An upper bound of the share `quantile` of the latencies, in milliseconds. */
const quantileOf = (counters: Counters, quantile: number): number => {
  const total = counters.latencyCounts.reduce((sum, count) => sum + count, 0)
  let seen = 0
  for (let i = 0; i < counters.latencyBounds.length; i++) {
    seen += counters.latencyCounts[i]!
    if (seen >= total * quantile) return Math.min(counters.latencyBounds[i]!, counters.latencyMax)
  }
  return counters.latencyMax
}

export const metricsOf = (counters: Counters, gauges: HubGauges): HubMetrics => {
  const timed = counters.latencyCounts.reduce((sum, count) => sum + count, 0)
  const {
    connectionsClosed,
    group,
    latencyBounds: _bounds,
    latencyCounts: _counts,
    latencyMax,
    latencyMin: _min,
    latencySum,
    messagesDropped,
    refusals,
    ...counts
  } = counters
  return {
    ...gauges,
    ...counts,
    messagesDropped: { ...messagesDropped },
    group: { ...group },
    connectionsClosed: Object.fromEntries(connectionsClosed),
    refusals: Object.fromEntries(refusals),
    latency: {
      mean: timed === 0 ? 0 : latencySum / timed,
      p50: timed === 0 ? 0 : quantileOf(counters, 0.5),
      p99: timed === 0 ? 0 : quantileOf(counters, 0.99),
      p999: timed === 0 ? 0 : quantileOf(counters, 0.999),
      max: latencyMax
    }
  }
}

/**
 * Sends what is counted to wherever metrics are exported to, in bounded time. A hub does so before its metrics go,
 * so that the last of its counts are not lost. Nothing by default.
 */
export const MetricsFlush = Context.Reference<Effect.Effect<void>>("polestar/services/MetricsFlush", {
  defaultValue: () => Effect.void
})

/**
 * Makes the counters and gauges known as Effect metrics until the scope closes; counting costs nothing more, since
 * they are read when someone scrapes. Of two hubs in one process the later one is shown, unless each is given
 * attributes of its own (`Metric.CurrentMetricAttributes`).
 */
export const registerMetrics = (
  counters: Counters,
  gauges: () => HubGauges
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const context = yield* Effect.context<never>()
    const flush = yield* MetricsFlush
    yield* Effect.acquireRelease(
      Effect.sync(() => register(counters, gauges, context)),
      (registrations) =>
        Effect.andThen(
          flush,
          Effect.sync(() => {
            for (const registration of registrations) registration.remove()
          })
        )
    )
  })

const nothing = (): void => {}

const register = (
  counters: Counters,
  gauges: () => HubGauges,
  context: Context.Context<never>
): ReadonlyArray<Metric.Registration> => {
  const registrations: Array<Metric.Registration> = []
  const pull = <I, S>(metric: Metric.Metric<I, S>, get: () => S) => {
    registrations.push(Metric.registerUnsafe(metric, context, { get, update: nothing, modify: nothing }))
  }
  const count = (metric: Metric.Metric<number, Metric.CounterState<number>>, get: () => number) =>
    pull(metric, () => ({ count: get(), incremental: true }))

  for (const key of keysOf(countMetrics)) count(countMetrics[key], () => counters[key])
  for (const policy of keysOf(counters.messagesDropped)) {
    count(Metric.withAttributes(messagesDropped, { policy }), () => counters.messagesDropped[policy])
  }
  for (const outcome of keysOf(counters.group)) {
    count(Metric.withAttributes(groupMessages, { outcome }), () => counters.group[outcome])
  }
  for (const reason of keysOf(CloseReasons)) {
    count(Metric.withAttributes(connectionsClosed, { reason }), () => closedBy(counters, reason))
  }
  for (const code of keysOf(problemKinds)) {
    count(Metric.withAttributes(refusals, { code }), () => counters.refusals.get(code) ?? 0)
  }
  const readGauges = oncePerScrape(gauges)
  for (const type of transports) {
    pull(Metric.withAttributes(connections, { type }), () => ({
      value: readGauges().connectionsByTransport[type]
    }))
  }
  for (const key of keysOf(gaugeMetrics)) pull(gaugeMetrics[key], () => ({ value: readGauges()[key] }))
  pull(messageLatency, () => latencyOf(counters))
  return registrations
}

type Key =
  | CountKey
  | CloseReason
  | JsonCode
  | GaugeKey
  | keyof Counters["messagesDropped"]
  | keyof Counters["group"]

const keysOf = <K extends Key>(record: Readonly<Record<K, unknown>>): ReadonlyArray<K> =>
  Object.keys(record) as Array<K>

const closedBy = (counters: Counters, reason: CloseReason): number =>
  counters.connectionsClosed.get(reason) ?? 0

/** A scrape reads every gauge in one go, and each reading walks the whole hub: so only the first one does. */
const oncePerScrape = (gauges: () => HubGauges): (() => HubGauges) => {
  let read: HubGauges | undefined
  return () => {
    if (read === undefined) {
      read = gauges()
      queueMicrotask(() => {
        read = undefined
      })
    }
    return read
  }
}

const latencyOf = (counters: Counters): Metric.HistogramState => {
  const { latencyBounds, latencyCounts, latencyMax, latencyMin, latencySum } = counters
  let count = 0
  const buckets = latencyBounds.map((bound, i): [number, number] => {
    count += latencyCounts[i]!
    return [bound / 1000, count]
  })
  count += latencyCounts[latencyBounds.length]!
  const min = count === 0 ? 0 : latencyMin / 1000
  return { buckets, count, min, max: latencyMax / 1000, sum: latencySum / 1000 }
}
