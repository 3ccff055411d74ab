/**
 * The groups that a polling client is a member of, one for each topic or pattern that it polls: how it becomes a member,
 * which of them read a topic, and how many messages each may still give.
 */
import { Deferred, Effect } from "effect"
import type { LocalConnection } from "../../actors/LocalConnection.ts"
import { notGiven, unlimitedCredit } from "../../protocol/Op.ts"
import { matches } from "../../protocol/Pattern.ts"
import type { Start } from "../../protocol/Position.ts"
import { clientGroupBeginnings, clientGroupName } from "../ClientGroup.ts"
import { session } from "./HubClient.ts"
import type { Refusal } from "./Refusal.ts"

/** The `client_id`, and what `groupOwner` says of whose it is. */
export interface ClientName {
  readonly id: string
  readonly owner: string
}

interface Membership {
  readonly subscription: number
  readonly group: string
  readonly pattern: string
  /** Messages that the hub may still give to it. */
  credit: number
  /** Whether the hub said that it is one. */
  isJoined: boolean
  /** Waited for by every poll of the pattern, and by none alone: a poll that is given up leaves it as it is. */
  readonly joined: Deferred.Deferred<void, Refusal>
}

export class PollGroups {
  private readonly client: ClientName
  private readonly requestNumber: () => number
  /** By pattern. */
  private readonly members = new Map<string, Membership>()
  /** Those of which the hub has not said whether it takes them, by the request. */
  private readonly joining = new Map<number, Membership>()
  private lastSubscription = 0
  private connection: LocalConnection | undefined

  /** `requestNumber` answers a new one each time. */
  constructor(client: ClientName, requestNumber: () => number) {
    this.client = client
    this.requestNumber = requestNumber
  }

  /** To be called once, before all else. */
  begin(connection: LocalConnection): void {
    this.connection = connection
  }

  /** Whether it is in no group, nor about to be. */
  get isEmpty(): boolean {
    return this.members.size === 0
  }

  /** Whether one of them has not yet read all that it can give. */
  get isReading(): boolean {
    const groups = this.connection?.options.groups
    for (const { group } of this.members.values()) if (groups?.find(group)?.isReading) return true
    return false
  }

  /** Whether it is a member of the groups of all these patterns. */
  hasJoined(patterns: ReadonlyArray<string>): boolean {
    return patterns.every((pattern) => this.members.get(pattern)?.isJoined === true)
  }

  /**
   * Reads the patterns in the groups that there are for this client, from `start` on in those that are new. If it is
   * interrupted the hub still does what was asked, and whoever asks next waits for the same answer.
   */
  join(patterns: ReadonlyArray<string>, start: Start): Effect.Effect<void, Refusal> {
    return Effect.suspend(() => {
      const members = patterns.map((pattern) => this.members.get(pattern) ?? this.joinGroup(pattern, start))
      return Effect.forEach(members, ({ joined }) => Deferred.await(joined), { discard: true })
    })
  }

  /** Of the topics that no membership reads, the patterns of the groups that there are for this client and that do. */
  unjoined(topics: ReadonlyArray<string>): ReadonlyArray<string> {
    const unread = topics.filter((topic) => this.readersOf(topic).length === 0)
    if (unread.length === 0) return []
    const groups = this.connection?.options.groups
    if (groups === undefined) return []
    const { id, owner } = this.client
    const beginnings = clientGroupBeginnings(id, owner)
    const patterns: Array<string> = []
    for (const { name, record } of groups.values()) {
      // There may be very many of others, and to make a name takes a hash.
      if (!beginnings.some((beginning) => name.startsWith(beginning))) continue
      if (name === this.groupOf(record.pattern)) patterns.push(record.pattern)
    }
    return patterns.filter((pattern) => unread.some((topic) => matches(pattern, topic)))
  }

  /** The groups in which it reads the topic. */
  readersOf(topic: string): ReadonlyArray<string> {
    return [...this.members.values()]
      .filter(({ isJoined, pattern }) => isJoined && matches(pattern, topic))
      .map(({ group }) => group)
  }

  /** Lets the groups of these patterns give so many messages in all. */
  want(patterns: ReadonlyArray<string>, wanted: number): void {
    for (const pattern of patterns) {
      const membership = this.members.get(pattern)
      if (membership?.isJoined !== true) continue
      const messages = Math.max(0, wanted - membership.credit)
      membership.credit += messages
      const { subscription } = membership
      this.connection?.send({ _tag: "Credit", session, subscription, messages, bytes: 0 })
    }
  }

  /** So many messages came for the subscription. */
  gave(subscription: number, messages: number): void {
    for (const membership of this.members.values())
      if (membership.subscription === subscription) membership.credit -= messages
  }

  /** What the hub answered to a request to join; nothing if that was another. */
  settle(request: number, refused?: Refusal): void {
    const membership = this.joining.get(request)
    if (membership === undefined) return
    this.joining.delete(request)
    if (refused === undefined) {
      membership.isJoined = true
      Deferred.doneUnsafe(membership.joined, Effect.void)
    } else {
      if (this.members.get(membership.pattern) === membership) this.members.delete(membership.pattern)
      Deferred.doneUnsafe(membership.joined, Effect.fail(refused))
    }
  }

  /** The hub ended the membership. */
  left(subscription: number): void {
    for (const [pattern, membership] of this.members)
      if (membership.subscription === subscription) this.members.delete(pattern)
  }

  /** Nothing is answered any more. */
  end(refused: Refusal): void {
    for (const request of [...this.joining.keys()]) this.settle(request, refused)
  }

  private groupOf(pattern: string): string {
    return clientGroupName(this.client.id, pattern, this.client.owner)
  }

  private joinGroup(pattern: string, start: Start): Membership {
    const subscription = ++this.lastSubscription
    const group = this.groupOf(pattern)
    const joined = Deferred.makeUnsafe<void, Refusal>()
    const membership: Membership = { subscription, group, pattern, credit: 0, isJoined: false, joined }
    const request = this.requestNumber()
    this.members.set(pattern, membership)
    this.joining.set(request, membership)
    this.connection?.send({
      _tag: "Join",
      session,
      request,
      subscription,
      group,
      pattern,
      creditMessages: 0,
      creditBytes: unlimitedCredit,
      start,
      order: "any",
      ackWait: notGiven.u32,
      maxDeliveries: notGiven.u16,
      maxInFlight: notGiven.u32,
      backoff: notGiven.u32,
      maxBackoff: notGiven.u32
    })
    return membership
  }
}
