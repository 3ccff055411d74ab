/**
 * One session of a client: its publisher and its subscriptions, on whatever connection there is.
 *
 * Attached to a connection it opens itself there under a new number and its old uuid, sends again what was in
 * flight, and subscribes again from where each subscription was; detached, everything waits.
 */
import { Cause, type Duration, Effect, Exit } from "effect"
import { SecureRandom } from "effect/crypto"
import { readU32 } from "../../protocol/Bytes.ts"
import { type CloseReason, mayReconnect } from "../../protocol/CloseReason.ts"
import { isTransient } from "../../protocol/ErrorCode.ts"
import type { FrameOf } from "../../protocol/Frame.ts"
import type { JoinOptions, SubscribeOptions } from "../Client.ts"
import { Disconnected, PolestarError, rejectedAbout } from "../PolestarError.ts"
import type { MemberLink } from "./Acknowledgements.ts"
import type { ClientConnection } from "./ClientConnection.ts"
import type { Counters } from "./Counters.ts"
import { GroupMember } from "./GroupMember.ts"
import type { Credit, InboundQueue, SubscriptionLink, SubscriptionNotice } from "./InboundQueue.ts"
import { InboundSubscription } from "./InboundSubscription.ts"
import { OutboundBatches } from "./OutboundBatches.ts"
import type { OutboundLink, OutboundOptions } from "./OutboundFrames.ts"
import type { Answer, PendingRequests } from "./Requests.ts"

/** Milliseconds before what the hub refused or closed for a passing reason is opened again. */
const reopenDelay = 1000
/** What a SUBSCRIBE frame takes besides its list of topics, at most. */
const subscribeBytes = 512

/** Told once: when the hub has confirmed, or it has ended before. */
type SubscriptionSettled = (exit: Exit.Exit<void, PolestarError | Cause.Done>) => void

/** What a session needs of its client. */
export interface SessionHost {
  readonly limits: OutboundOptions
  readonly counters: Counters
  readonly requests: PendingRequests
  /** The connection that sessions may use now. */
  readonly connection: ClientConnection | undefined
  /** Answers a number for the session on the present connection; what comes under it is the session's. */
  readonly register: (session: SessionEngine) => number
  readonly unregister: (number: number) => void
  readonly wakeLater: (subscription: InboundQueue) => void
}

export class SessionEngine {
  readonly id: string
  /** Tells its sequences from those of whoever else uses the id, or used it; the same on every connection. */
  private readonly incarnation = readU32(SecureRandom.randomBytesUnsafe(4), 0)
  readonly publisher: OutboundBatches
  /** Live subscriptions, and memberships of groups. */
  readonly subscriptions = new Map<number, InboundQueue>()
  /** Called once: when the hub has opened it, or it has ended before. */
  settled: ((exit: Exit.Exit<void, PolestarError>) => void) | undefined
  private isConfirmed = false
  private readonly name: string
  private readonly host: SessionHost
  /** 0 while it is not on a connection. */
  private number = 0
  private lastSubscription = 0
  private ended: PolestarError | undefined

  constructor(id: string, name: string, host: SessionHost) {
    this.id = id
    this.name = name
    this.host = host
    this.publisher = new OutboundBatches(host.limits)
  }

  /** Opens the session on the connection that there is. The frames after OPEN need not wait for its answer. */
  attach(): void {
    const { connection, requests } = this.host
    if (connection?.welcome === undefined || this.ended !== undefined || this.number !== 0) return
    const number = this.host.register(this)
    this.number = number
    const request = requests.add("open a session", (answer) => this.opened(number, answer))
    connection.send({
      _tag: "Open",
      session: number,
      request,
      id: this.id,
      incarnation: this.incarnation,
      name: this.name
    })
    this.publisher.connected(this.linkTo(connection, connection.welcome, number))
    for (const subscription of this.subscriptions.values()) this.ask(subscription)
  }

  /** The connection, or the session on it, is gone. */
  detach(reason: CloseReason): void {
    if (this.number === 0) return
    this.host.unregister(this.number)
    this.number = 0
    this.publisher.disconnected(reason)
    for (const subscription of this.subscriptions.values()) subscription.detached()
  }

  /** The hub closed the session, `subscription` being the cause unless it is 0. */
  closedByHub({ reason, subscription }: FrameOf<"Closed">): void {
    this.detach(reason)
    const slow = reason === "slow-consumer" ? this.subscriptions.get(subscription) : undefined
    const error = new PolestarError({ reason: new Disconnected({ closeReason: reason, message: "" }) })
    if (slow !== undefined) {
      this.subscriptions.delete(subscription)
      slow.finish(Exit.fail(error))
      this.attach()
    } else if (mayReconnect(reason)) this.attachLater()
    else this.end(error)
  }

  /** Fails everything, now and from now on. */
  end(error: PolestarError): void {
    if (this.ended !== undefined) return
    this.ended = error
    this.publisher.end(error)
    for (const subscription of this.subscriptions.values()) subscription.finish(Exit.fail(error))
    this.subscriptions.clear()
    this.settle(Exit.fail(error))
  }

  /** Takes leave of the hub; what waits to be sent fails with `error`. */
  close(error: PolestarError): void {
    for (const subscription of this.subscriptions.values()) {
      subscription.finish(Exit.fail(Cause.Done()))
      if (subscription instanceof GroupMember) subscription.acknowledgements.end(error)
    }
    this.subscriptions.clear()
    this.end(error)
    if (this.number === 0) return
    const request = this.host.requests.add("close a session", ignore)
    this.host.connection?.send({ _tag: "Close", session: this.number, request })
    this.host.unregister(this.number)
    this.number = 0
  }

  /** The hub has ended a membership; the session goes on. */
  left({ reason, subscription }: FrameOf<"Left">): void {
    const member = this.subscriptions.get(subscription)
    if (member === undefined) return
    this.subscriptions.delete(subscription)
    const error = new PolestarError({ reason: new Disconnected({ closeReason: reason, message: "" }) })
    member.finish(Exit.fail(error))
  }

  subscribe(options: SubscribeOptions, settled: SubscriptionSettled): InboundSubscription {
    const { counters, limits } = this.host
    const id = ++this.lastSubscription
    return this.begin(new InboundSubscription(id, options, limits, this.subscriptionLink, counters), settled)
  }

  join(options: JoinOptions, settled: SubscriptionSettled): GroupMember {
    const { counters, limits } = this.host
    const member: GroupMember = new GroupMember(++this.lastSubscription, options, this.subscriptionLink, {
      ...limits,
      counters,
      link: () => this.memberLink(),
      failed: (error) => this.unsubscribe(member, Exit.fail(error))
    })
    return this.begin(member, settled)
  }

  /** `told` is called once the hub has answered, or cannot. */
  unsubscribe(
    subscription: InboundQueue,
    exit: Exit.Exit<never, PolestarError | Cause.Done>,
    told: () => void = ignore
  ): void {
    const { connection, requests } = this.host
    if (this.subscriptions.delete(subscription.id) && this.number !== 0 && connection !== undefined) {
      const { id } = subscription
      const request = requests.add("unsubscribe", told)
      connection.send({ _tag: "Unsubscribe", session: this.number, request, subscription: id })
    } else told()
    subscription.finish(exit)
  }

  notice(frame: SubscriptionNotice): void {
    const subscription = this.subscriptions.get(frame.subscription)
    if (subscription === undefined || subscription.notice(frame)) return
    const message = "the reader is too far behind"
    const reason = new Disconnected({ closeReason: "slow-consumer", message })
    this.unsubscribe(subscription, Exit.fail(new PolestarError({ reason })))
  }

  private settle(exit: Exit.Exit<void, PolestarError>): void {
    const settled = this.settled
    this.settled = undefined
    settled?.(exit)
  }

  private linkTo(connection: ClientConnection, limits: FrameOf<"Welcome">, session: number): OutboundLink {
    const source = { write: () => this.publisher.writeTo(link) }
    const link: OutboundLink = {
      session,
      maxFrame: limits.maxFrame,
      maxMessage: limits.maxMessage,
      endIfSilent: (since, limit) => connection.endIfSilent(since, limit),
      sendBytes: (bytes) => connection.sendBytes(bytes),
      requestTurn: () => connection.requestTurn(source)
    }
    return link
  }

  private opened(number: number, answer: Answer): void {
    if (number !== this.number) return
    if (answer._tag === "Opened") {
      this.isConfirmed = true
      this.settle(Exit.void)
    } else if (answer._tag === "PolestarError") this.notOpened(answer)
    else this.misanswered()
  }

  private notOpened(error: PolestarError): void {
    const isPassing = this.isPassing(error, this.isConfirmed)
    if (error.reason._tag !== "Rejected") {
      // Closed, not only given up: the hub may open it yet.
      if (!isPassing) this.close(error)
      return
    }
    // What was sent after OPEN is refused as well: it is sent again with the next one.
    this.detach("connection-lost")
    if (isPassing) this.attachLater()
    else this.end(error)
  }

  private begin<Q extends InboundQueue>(subscription: Q, settled: SubscriptionSettled): Q {
    subscription.settled = settled
    if (this.ended !== undefined) subscription.finish(Exit.fail(this.ended))
    else {
      this.subscriptions.set(subscription.id, subscription)
      this.ask(subscription)
    }
    return subscription
  }

  /** Asks the hub for a subscription or a membership, on the connection that there is. */
  private ask(subscription: InboundQueue): void {
    const { connection, requests } = this.host
    const number = this.number
    if (number === 0 || connection?.welcome === undefined) return
    const { operation } = subscription
    const answered = (answer: Answer) => this.answered(number, subscription, answer)
    const request =
      operation === undefined ? requests.addPatient(answered) : requests.add(operation, answered)
    connection.send(subscription.request(number, request, connection.welcome.maxFrame - subscribeBytes))
  }

  private answered(number: number, subscription: InboundQueue, answer: Answer): void {
    if (number !== this.number || subscription.hasEnded) return
    if (answer._tag === "PolestarError") this.notSubscribed(number, subscription, answer)
    else if (!subscription.answered(answer)) this.misanswered()
  }

  private notSubscribed(number: number, subscription: InboundQueue, error: PolestarError): void {
    if (!this.isPassing(error, subscription.isConfirmed))
      this.unsubscribe(subscription, Exit.fail(rejectedAbout(error, subscription.pattern)))
    else if (error.reason._tag === "Rejected") {
      this.host.limits.timers.after(reopenDelay, () => {
        if (number === this.number && !subscription.hasEnded) this.ask(subscription)
      })
    }
  }

  /** Where members of groups send what they have to tell, on the connection that there is. */
  private memberLink(): MemberLink | undefined {
    const { connection, requests } = this.host
    const session = this.number
    if (session === 0 || connection?.welcome === undefined) return undefined
    return {
      session,
      maxFrame: connection.welcome.maxFrame,
      send: (frame) => connection.send(frame),
      ask: (frame, answered) => connection.send(frame(requests.addPatient(answered))),
      requestTurn: (source) => connection.requestTurn(source),
      endIfSilent: (since, limit) => connection.endIfSilent(since, limit)
    }
  }

  /**
   * Whether an error is no reason to give up. The connection's end is none, it brings another connection. To
   * what the hub has confirmed before, neither is a late answer, nor a refusal that may pass.
   */
  private isPassing({ reason }: PolestarError, isConfirmed: boolean): boolean {
    if (reason._tag === "ConnectionLost") return true
    return (
      isConfirmed && (reason._tag === "Timeout" || (reason._tag === "Rejected" && isTransient(reason.code)))
    )
  }

  private attachLater(): void {
    this.host.limits.timers.after(reopenDelay, () => this.attach())
  }

  private readonly subscriptionLink: SubscriptionLink = {
    grant: (id, credit) => this.grant(id, credit),
    wakeLater: (woken) => this.host.wakeLater(woken)
  }

  private grant(subscription: number, { bytes, messages }: Credit): void {
    if (this.number === 0) return
    this.host.connection?.send({ _tag: "Credit", session: this.number, subscription, messages, bytes })
  }

  private misanswered(): void {
    this.host.connection?.fail("protocol-error", "an answer that does not fit its question")
  }
}

const ignore = (): void => {}

/** Waits until nothing waits to be sent, at most for `limit`. */
export const drain = (session: SessionEngine, limit: Duration.Duration): Effect.Effect<void> =>
  Effect.callback<void>((resume) => session.publisher.whenIdle(() => resume(Effect.void))).pipe(
    Effect.interruptible,
    Effect.timeoutOption(limit),
    Effect.asVoid
  )
