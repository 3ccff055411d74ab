/**
 * Every metric of the hub, by name. Names that begin with `proxy_` are those of pulsar-proxy, for the dashboards
 * that know them; all others begin with `polestar_`. A name says its unit. Labels are few and fixed: none is a
 * topic, a session or an address, so a hub has the same number of series whatever its clients do.
 */
import { Metric } from "effect"
import type { Transport } from "../protocol/Transport.ts"
import type { Counters } from "./Counters.ts"

/** What is as it is now. Depths are in messages; capacities are shares from 0 (empty) to 1 (full). */
export interface HubGauges {
  readonly topics: number
  readonly connections: number
  /** The same by what the clients came by. */
  readonly connectionsByTransport: Readonly<Record<Transport, number>>
  readonly sessions: number
  readonly subscriptions: number
  /** Messages in all topics' mailboxes, and how full the fullest is. */
  readonly queueDepth: number
  readonly queueCapacity: number
  /** Messages and bytes that wait for clients, and how full the fullest mailbox is. */
  readonly clientQueueDepth: number
  readonly clientQueueBytes: number
  readonly clientQueueCapacity: number
  readonly groups: number
  /** Messages that members of groups have and have not acknowledged. */
  readonly groupInFlight: number
  /** Messages in the last whole second. */
  readonly receivedPerSecond: number
  readonly deliveredPerSecond: number
  /** Bytes that can be replayed. */
  readonly logBytes: number
}

/** The counts that are one number each. */
export type CountKey = Exclude<
  { [K in keyof Counters]: Counters[K] extends number ? K : never }[keyof Counters],
  "latencySum" | "latencyMin" | "latencyMax"
>

const counter = (name: string, description: string) =>
  Metric.counter(name, { description, incremental: true })
const gauge = (name: string, description: string) => Metric.gauge(name, { description })

export const countMetrics: Readonly<Record<CountKey, Metric.Counter<number>>> = {
  messagesReceived: counter("proxy_messages_received_total", "Messages taken from publishers."),
  messagesDelivered: counter(
    "proxy_messages_delivered_total",
    "Messages handed to connections, once for each subscriber."
  ),
  bytesReceived: counter("polestar_bytes_received_total", "Bytes taken from publishers, framing included."),
  bytesDelivered: counter("polestar_bytes_delivered_total", "Bytes handed to connections, framing included."),
  batchesReceived: counter("polestar_batches_received_total", "Batches taken from publishers."),
  messagesRejected: counter("polestar_messages_rejected_total", "Messages refused, with an error."),
  storageFull: counter("polestar_storage_full_total", "Messages refused because there was no room on disk."),
  messagesDuplicate: counter("polestar_messages_duplicate_total", "Messages sent again that were there."),
  messagesExpired: counter("polestar_messages_expired_total", "Messages not delivered for their age."),
  messagesReplayed: counter("polestar_messages_replayed_total", "Messages delivered from the log."),
  connectionsOpened: counter("polestar_connections_opened_total", "Connections accepted."),
  sessionsOpened: counter("polestar_sessions_opened_total", "Sessions opened."),
  sessionsResumed: counter("polestar_sessions_resumed_total", "Sessions of clients that reconnected."),
  gaps: counter("polestar_gaps_total", "Gaps told to subscribers: what they asked for was gone."),
  actorFailures: counter("polestar_actor_failures_total", "Actors that failed and were restarted."),
  topicsCreated: counter("polestar_topics_created_total", "Topics made."),
  topicsPassivated: counter("polestar_topics_passivated_total", "Topics let go of because they were idle."),
  groupsExpired: counter(
    "polestar_groups_expired_total",
    "Groups removed because they had no member for too long."
  ),
  spansSkipped: counter(
    "polestar_spans_skipped_total",
    "Spans of sampled batches not made, because there were too many in a second."
  )
}

/** By `policy`: the overflow policy that dropped, or `closed`, waiting when the subscription ended. */
export const messagesDropped = counter(
  "polestar_messages_dropped_total",
  "Messages dropped, by policy; closed is no loss of a policy: they waited when the subscription or poll ended."
)
/** By `outcome`: acknowledged, redelivered, deadLettered, lost. */
export const groupMessages = counter("polestar_group_messages_total", "Messages of groups, by outcome.")
/** By `reason`: the close reason. */
export const connectionsClosed = counter("polestar_connections_closed_total", "Connections ended, by reason.")

/** By `code`: that of the problem that whoever was refused was told. */
export const refusals = counter("polestar_refusals_total", "Requests and publishes refused, by code.")

/** By `type`: the transport. A gauge in spite of its name, which is pulsar-proxy's. */
export const connections = gauge("proxy_connections_total", "Connections that are open, by type.")
const queueDepth = gauge(
  "proxy_queue_depth",
  "Messages that wait in the hub: for topics to take them, and for clients."
)
const queueFill = gauge("polestar_queue_fill_ratio", "How full the fullest mailbox is, 0 to 1.")

/** The gauges that are one number each; connections are shown by type. */
export type GaugeKey = Exclude<keyof HubGauges, "connections" | "connectionsByTransport">

export const gaugeMetrics: Readonly<Record<GaugeKey, Metric.Metric<number, Metric.GaugeState<number>>>> = {
  topics: gauge("polestar_topics", "Topics."),
  sessions: gauge("polestar_sessions", "Sessions that are open."),
  subscriptions: gauge("polestar_subscriptions", "Subscriptions that are open."),
  groups: gauge("polestar_groups", "Groups."),
  groupInFlight: gauge("polestar_group_in_flight", "Messages that members have and have not acknowledged."),
  queueDepth: Metric.withAttributes(queueDepth, { queue: "topics" }),
  clientQueueDepth: Metric.withAttributes(queueDepth, { queue: "clients" }),
  queueCapacity: Metric.withAttributes(queueFill, { queue: "topics" }),
  clientQueueCapacity: Metric.withAttributes(queueFill, { queue: "clients" }),
  clientQueueBytes: gauge("polestar_client_queue_bytes", "Bytes that wait for clients."),
  receivedPerSecond: gauge("polestar_received_per_second", "Messages taken in the last second."),
  deliveredPerSecond: gauge("polestar_delivered_per_second", "Messages delivered in the last second."),
  logBytes: gauge("polestar_log_bytes", "Bytes that can be replayed.")
}

/** Pulled from the counters, which have the boundaries. */
export const messageLatency = Metric.histogram("proxy_message_latency_seconds", {
  description: "From the hub's reading of a message to its writing of it.",
  boundaries: []
})
