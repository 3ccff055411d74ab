/**
 * A session: a logical client. It owns its subscriptions and the fibers that replay the past for them, which end
 * with its scope. Several may share one connection, and do not touch each other.
 */
import { Effect, Exit, Scope } from "effect"
import type { Batch, Publisher } from "../protocol/Batch.ts"
import type { CloseReason } from "../protocol/CloseReason.ts"
import type { ErrorCode } from "../protocol/ErrorCode.ts"
import type { Durability } from "../protocol/Position.ts"
import type { Member } from "./groups/Member.ts"
import type { Outlet } from "./Outlet.ts"
import type { Registry } from "./Registry.ts"
import { Subscription, type SubscriptionOptions } from "./Subscription.ts"

/** Reasons that cannot be the fault of a message that the client had. */
const innocent: ReadonlySet<CloseReason> = new Set([
  "normal",
  "shutting-down",
  "hub-failed",
  "unauthorized",
  "token-expired"
])

const tooMany: Readonly<Record<"session" | "connection", readonly [ErrorCode, string]>> = {
  session: [
    "limit-reached",
    "this session has as many subscriptions as it may (`maxSubscriptionsPerSession`)"
  ],
  connection: [
    "limit-reached",
    "the sessions of this connection have as many subscriptions as they may (`maxSubscriptionsPerConnection`)"
  ]
}

/** The connection that it is on. */
export interface SessionOwner {
  /** Subscriptions and memberships of all its sessions; each session counts its own. */
  receivers: number
  /** `subscription` is the one on whose account, or 0. */
  readonly sessionClosed: (session: Session, reason: CloseReason, subscription: number) => void
  /** Counts messages that were refused. */
  readonly rejected: (code: ErrorCode, messages: number, topic: string) => void
}

export class Session implements Publisher {
  /** The client's number for it on its connection. */
  readonly number: number
  /** The client's uuid, the same on every connection. */
  readonly id: string
  /** Tells one life of the client from another that uses the same uuid. */
  readonly producer: string
  readonly incarnation: number
  readonly name: string
  /** Rises from session to session of the hub. */
  readonly ordinal: number
  readonly outlet: Outlet
  readonly hub: Registry
  readonly scope: Scope.Closeable
  readonly subscriptions = new Map<number, Subscription>()
  /** Its memberships of groups, by the number of the subscription. */
  readonly members = new Map<number, Member>()
  closed = false
  private readonly owner: SessionOwner

  constructor(
    hub: Registry,
    outlet: Outlet,
    options: {
      readonly number: number
      readonly id: string
      readonly incarnation: number
      readonly name: string
    },
    owner: SessionOwner
  ) {
    this.hub = hub
    this.outlet = outlet
    this.number = options.number
    this.id = options.id
    this.incarnation = options.incarnation
    this.producer = `${options.id}/${options.incarnation}`
    this.name = options.name
    this.ordinal = ++hub.lastOrdinal
    this.scope = Scope.forkUnsafe(hub.system.scope)
    this.owner = owner
  }

  receipt(batch: Batch, durability: Durability, duplicate: boolean): void {
    if (this.closed) return
    this.outlet.control({
      _tag: "Receipt",
      session: this.number,
      firstSequence: batch.firstSequence,
      lastSequence: batch.lastSequence,
      position: { epoch: batch.epoch, offset: batch.offset },
      count: batch.count,
      durability,
      duplicate
    })
  }

  reject(batch: Batch, code: ErrorCode, message: string): void {
    this.owner.rejected(code, batch.count, batch.topic)
    if (this.closed) return
    this.outlet.control({
      _tag: "Rejected",
      session: this.number,
      firstSequence: batch.firstSequence,
      lastSequence: batch.lastSequence,
      code,
      message
    })
  }

  subscribe(options: SubscriptionOptions): Subscription {
    const subscription = new Subscription(this, options)
    this.subscriptions.set(options.id, subscription)
    this.owner.receivers++
    this.hub.addSubscription(subscription)
    return subscription
  }

  unsubscribe(id: number): boolean {
    const subscription = this.subscriptions.get(id)
    if (subscription === undefined) return false
    this.subscriptions.delete(id)
    this.owner.receivers--
    this.hub.removeSubscription(subscription)
    subscription.close()
    return true
  }

  /** Takes a subscription or a membership by its number. */
  receiver(id: number): Subscription | Member | undefined {
    return this.subscriptions.get(id) ?? this.members.get(id)
  }

  /** Why it may not have one more subscription or membership of this number. */
  mayNotAdd(id: number): readonly [ErrorCode, string?] | undefined {
    if (this.receiver(id) !== undefined) return ["subscription-exists"]
    const { maxSubscriptionsPerConnection, maxSubscriptionsPerSession } = this.hub.settings
    if (this.subscriptions.size + this.members.size >= maxSubscriptionsPerSession) return tooMany.session
    return this.owner.receivers >= maxSubscriptionsPerConnection ? tooMany.connection : undefined
  }

  addMember(member: Member): void {
    this.members.set(member.id, member)
    this.owner.receivers++
  }

  /** Answers `false` if it is none of its members. */
  dropMember(member: Member): boolean {
    if (!this.members.delete(member.id)) return false
    member.closed = true
    this.owner.receivers--
    return true
  }

  memberOf(group: string): Member | undefined {
    for (const member of this.members.values()) if (member.groupName === group) return member
    return undefined
  }

  /** Ends a membership as its client wishes: what the member has is given to others. */
  leave(id: number): boolean {
    const member = this.members.get(id)
    if (member === undefined) return false
    this.dropMember(member)
    member.leave(false, "")
    return true
  }

  /** Ends a membership as the hub wishes. */
  removeMember(member: Member, reason: CloseReason): void {
    if (!this.dropMember(member)) return
    this.outlet.control({ _tag: "Left", session: this.number, subscription: member.id, reason })
  }

  /** Starts a fiber that ends with the session. */
  fork(effect: Effect.Effect<void>): void {
    this.hub.system.fork(effect, this.scope)
  }

  /** Something of the hub's own failed while this client was given something. */
  broke(error: unknown, subscription: Subscription): void {
    this.hub.system.fork(Effect.logError(`the session ${this.id} failed`, error))
    this.close("hub-failed", subscription.id)
  }

  closeSlow(subscription: Subscription): void {
    this.close("slow-consumer", subscription.id)
  }

  /** Ends its subscriptions and its fibers; the client is told by whoever owns the connection. */
  close(reason: CloseReason, subscription = 0): void {
    if (this.closed) return
    this.closed = true
    this.hub.sessionClosed(this.id)
    for (const id of [...this.subscriptions.keys()]) this.unsubscribe(id)
    for (const member of [...this.members.values()]) {
      member.leave(!innocent.has(reason), reason)
      this.dropMember(member)
    }
    this.hub.system.fork(Scope.close(this.scope, Exit.void))
    this.owner.sessionClosed(this, reason, subscription)
  }
}
