/**
 * The hub's counts, each counted at one place, as plain numbers: the hot path adds to a field and nothing more.
 * `HubMetrics.ts` shows them to the world.
 */
export class Counters {
  messagesReceived = 0
  bytesReceived = 0
  messagesDelivered = 0
  bytesDelivered = 0
  batchesReceived = 0
  messagesRejected = 0
  /** Of those, the ones for which there was no room on disk. */
  storageFull = 0
  messagesDuplicate = 0
  messagesExpired = 0
  messagesReplayed = 0
  readonly messagesDropped = { "drop-oldest": 0, "drop-newest": 0, disconnect: 0, closed: 0 }
  /** What became of the messages of all groups. */
  readonly group = { acknowledged: 0, redelivered: 0, deadLettered: 0, lost: 0 }
  connectionsOpened = 0
  sessionsOpened = 0
  /** Of those, the ones whose uuid had a session that closed before: clients that reconnected. */
  sessionsResumed = 0
  readonly connectionsClosed = new Map<string, number>()
  /** By code: requests and publishes that were refused, and upgrades to WebSocket. */
  readonly refusals = new Map<string, number>()
  gaps = 0
  actorFailures = 0
  topicsCreated = 0
  topicsPassivated = 0
  groupsExpired = 0
  spansSkipped = 0
  /** Delivery latency: upper bounds in milliseconds, how many messages were at or below each, and the rest. */
  readonly latencyBounds = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000]
  readonly latencyCounts = new Array<number>(17).fill(0)
  latencySum = 0
  latencyMin = Number.POSITIVE_INFINITY
  latencyMax = 0

  closed(reason: string): void {
    this.connectionsClosed.set(reason, (this.connectionsClosed.get(reason) ?? 0) + 1)
  }

  refused(code: string, times: number): void {
    this.refusals.set(code, (this.refusals.get(code) ?? 0) + times)
  }

  /** `milliseconds` from the hub's taking of `messages` to the writing of them. */
  latency(milliseconds: number, messages: number): void {
    const bounds = this.latencyBounds
    let index = 0
    while (index < bounds.length && milliseconds > bounds[index]!) index++
    this.latencyCounts[index]! += messages
    this.latencySum += milliseconds * messages
    if (milliseconds < this.latencyMin) this.latencyMin = milliseconds
    if (milliseconds > this.latencyMax) this.latencyMax = milliseconds
  }
}
