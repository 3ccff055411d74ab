/** What the hub shows of itself: its topics, and the gauges beside its counters. */
import type { Counters } from "../services/Counters.ts"
import type { HubGauges } from "../services/HubMetrics.ts"
import type { MessageLog, TopicPlace } from "../services/MessageLog.ts"
import type { Connections } from "./Connections.ts"
import type { Groups } from "./groups/Groups.ts"
import type { Registry } from "./Registry.ts"
import type { Topic } from "./Topic.ts"

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

export const topicsOf = (registry: Registry, pattern: string): ReadonlyArray<TopicInfo> => {
  const topics: Array<TopicInfo> = []
  registry.forEachTopic(pattern, (topic) => {
    topics.push(infoOf(topic))
  })
  registry.forEachStored(pattern, (name, place) => {
    topics.push(storedInfoOf(name, place))
  })
  return topics.sort((a, b) => (a.name < b.name ? -1 : 1))
}

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

/** Walks all topics and sessions: for those who ask, not for the hot path. */
export const gaugesOf = (
  registry: Registry,
  connections: Connections,
  messageLog: MessageLog["Service"],
  groups: Groups,
  rates: Rates
): HubGauges => {
  const { queueBytes, queueSize } = registry.settings
  let queued = 0
  let fullest = 0
  registry.topics.forEach((topic) => {
    queued += topic.messages
    fullest = Math.max(fullest, topic.messages / queueSize, topic.bytes / queueBytes)
  })
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
  const allGroups = groups.all()
  return {
    topics: registry.topics.size,
    connections: connections.size,
    connectionsByTransport: connections.byTransport(),
    sessions,
    subscriptions: registry.subscriptions.size,
    groups: allGroups.length,
    groupInFlight: allGroups.reduce((sum, { inFlight }) => sum + inFlight, 0),
    queueDepth: queued,
    queueCapacity: fullest,
    clientQueueDepth: waiting,
    clientQueueBytes: waitingBytes,
    clientQueueCapacity: fullestSubscription,
    ...rates.perSecond,
    logBytes: messageLog.bytes()
  }
}
