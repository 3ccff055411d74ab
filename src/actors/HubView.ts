/** What the hub shows of itself: its topics, and the gauges beside its counters. */
import { Effect } from "effect"
import type { Counters } from "../services/Counters.ts"
import type { MessageLog, TopicPlace } from "../services/MessageLog.ts"
import type { HubGauges } from "../services/MetricHandles.ts"
import type { Connections } from "./Connections.ts"
import type { Groups } from "./groups/Groups.ts"
import type { Registry } from "./Registry.ts"
import type { Topic } from "./Topic.ts"
import type { NameSlice } from "./TopicNames.ts"

export interface TopicInfo {
  readonly name: string
  readonly subscribers: number
  /** Messages that can be replayed, and their bytes. */
  readonly messages: number
  readonly bytes: number
  readonly epoch: number
  readonly firstOffset: number
  readonly nextOffset: number
  /** Since the topic was made: messages taken, handed to connections for all subscribers, and dropped by overflow. */
  readonly published: number
  readonly delivered: number
  readonly dropped: number
  /** Messages in the topic's mailbox. */
  readonly queued: number
  /** Milliseconds since 1970, or 0. */
  readonly lastPublished: number
}

const infoOf = (topic: Topic): TopicInfo => ({
  name: topic.name,
  subscribers: topic.subscribers.length,
  messages: topic.log.messages,
  bytes: topic.log.bytes,
  epoch: topic.log.epoch,
  firstOffset: topic.log.firstOffset,
  nextOffset: topic.log.nextOffset,
  published: topic.published,
  delivered: topic.delivered,
  dropped: topic.dropped,
  queued: topic.messages,
  lastPublished: topic.lastPublished
})

/** Of a topic that is only on disk now. */
const storedInfoOf = (name: string, place: TopicPlace): TopicInfo => ({
  name,
  subscribers: 0,
  messages: place.messages,
  bytes: place.bytes,
  epoch: place.epoch,
  firstOffset: place.firstOffset,
  nextOffset: place.nextOffset,
  published: 0,
  delivered: 0,
  dropped: 0,
  queued: 0,
  lastPublished: 0
})

/** Which of the topics to show. */
export interface TopicPage {
  /** Those after this name. */
  readonly after?: string | undefined
  /** So many. */
  readonly limit?: number | undefined
  /** Those alone of which it is true. */
  readonly sees?: (name: string) => boolean
}

const infoNamed = (registry: Registry, name: string): TopicInfo | undefined => {
  const topic = registry.topics.get(name)
  if (topic !== undefined) return infoOf(topic)
  const place = registry.placeOf(name)
  return place === undefined ? undefined : storedInfoOf(name, place)
}

/** In order of name, by code points. Of many topics, others run in between. */
export const topicsOf = Effect.fnUntraced(function* (
  registry: Registry,
  pattern: string,
  { after, limit = Number.POSITIVE_INFINITY, sees }: TopicPage = {}
) {
  const topics: Array<TopicInfo> = []
  let from = after ?? ""
  for (;;) {
    const { last, names } = registry.names.slice(pattern, from)
    for (const name of names) {
      if (topics.length >= limit) return topics
      const info = sees === undefined || sees(name) ? infoNamed(registry, name) : undefined
      if (info !== undefined) topics.push(info)
    }
    if (last === undefined || topics.length >= limit) return topics
    from = last
    yield* Effect.yieldNow
  }
})

/** How many topics there are beside the hub's own. Of many, others run in between. */
export const countTopics = Effect.fnUntraced(function* (registry: Registry) {
  let count = 0
  for (let from: string | undefined = ""; from !== undefined; ) {
    const slice: NameSlice = registry.names.slice(">", from)
    count += slice.names.length
    from = slice.last
    if (from !== undefined) yield* Effect.yieldNow
  }
  return count
})

/** What went through in the last whole second; `tick` is to be called every second. */
export class Rates {
  perSecond = { receivedPerSecond: 0, deliveredPerSecond: 0 }
  private received = 0
  private delivered = 0

  tick({ messagesDelivered, messagesReceived }: Counters): void {
    this.perSecond = {
      receivedPerSecond: messagesReceived - this.received,
      deliveredPerSecond: messagesDelivered - this.delivered
    }
    this.received = messagesReceived
    this.delivered = messagesDelivered
  }
}

/** Of more topics the mailboxes are looked at once in so many milliseconds, whoever asks how often. */
const manyTopics = 10_000
const lookInterval = 1000

/** What waits in the mailboxes of all topics. */
export class TopicQueues {
  queued = 0
  /** Share of the fullest that is in use. */
  fullest = 0
  private lookedAt = Number.NEGATIVE_INFINITY

  look(registry: Registry): this {
    const now = registry.system.steady()
    if (registry.topics.size > manyTopics && now - this.lookedAt < lookInterval) return this
    this.lookedAt = now
    this.queued = 0
    this.fullest = 0
    const { queueBytes, queueSize } = registry.settings
    registry.topics.forEach(({ bytes, messages }) => {
      this.queued += messages
      this.fullest = Math.max(this.fullest, messages / queueSize, bytes / queueBytes)
    })
    return this
  }
}

/** Walks all topics and sessions: for those who ask, not for the hot path. */
export const gaugesOf = (
  registry: Registry,
  connections: Connections,
  messageLog: MessageLog["Service"],
  groups: Groups,
  rates: Rates,
  queues: TopicQueues
): HubGauges => {
  const { fullest, queued } = queues.look(registry)
  let sessions = 0
  let waiting = 0
  let waitingBytes = 0
  let fullestSubscription = 0
  for (const connection of connections) {
    sessions += connection.sessions.size
    for (const session of connection.sessions.values()) {
      for (const subscription of session.subscriptions.values()) {
        waiting += subscription.messages
        waitingBytes += subscription.bytes
        fullestSubscription = Math.max(fullestSubscription, subscription.fill)
      }
    }
  }
  let groupInFlight = 0
  for (const { inFlight } of groups.values()) groupInFlight += inFlight
  return {
    topics: registry.topics.size,
    connections: connections.size,
    connectionsByTransport: connections.byTransport(),
    sessions,
    subscriptions: registry.subscriptions.size,
    groups: groups.size,
    groupInFlight,
    queueDepth: queued,
    queueCapacity: fullest,
    clientQueueDepth: waiting,
    clientQueueBytes: waitingBytes,
    clientQueueCapacity: fullestSubscription,
    ...rates.perSecond,
    logBytes: messageLog.bytes()
  }
}
