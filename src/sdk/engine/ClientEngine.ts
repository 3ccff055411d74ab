/**
 * What the sessions of a client share: the connection that there is, the questions under way on it, and the way
 * from a frame to the session that it is for.
 */
import { Duration, Effect, Exit } from "effect"
import type { Deliver } from "../../protocol/Deliver.ts"
import type { Frame } from "../../protocol/Frame.ts"
import type { ClientMetrics, ClientOptions } from "../Client.ts"
import { ConnectionLost, PolestarError } from "../PolestarError.ts"
import type { ClientConnection, ConnectionEnd } from "./ClientConnection.ts"
import { ConnectionWindow } from "./ConnectionWindow.ts"
import { Counters } from "./Counters.ts"
import { DeliveryReader } from "./DeliveryReader.ts"
import type { InboundQueue } from "./InboundQueue.ts"
import type { OutboundOptions } from "./OutboundFrames.ts"
import { PendingRequests } from "./Requests.ts"
import type { SessionEngine, SessionHost } from "./SessionEngine.ts"
import type { Timers } from "./Timers.ts"

export class ClientEngine implements SessionHost {
  readonly options: ClientOptions
  readonly timers: Timers
  readonly counters = new Counters()
  readonly limits: OutboundOptions
  readonly requests: PendingRequests
  readonly sessions = new Set<SessionEngine>()
  connection: ClientConnection | undefined
  /** Why there will be no connection any more. */
  ended: PolestarError | undefined
  private readonly byNumber = new Map<number, SessionEngine>()
  private lastNumber = 0
  private readonly reader = new DeliveryReader()
  private toWake = new Set<InboundQueue>()
  private connectionWaiters = new Set<(exit: Exit.Exit<ClientConnection, PolestarError>) => void>()

  constructor(options: ClientOptions, timers: Timers) {
    this.options = options
    this.timers = timers
    const { maxRetries, queueBytes, queueSize, whenFull } = options
    const writeTimeout = Duration.toMillis(options.writeTimeout)
    this.limits = {
      maxRetries,
      queueBytes,
      queueSize,
      whenFull,
      writeTimeout,
      window: new ConnectionWindow(),
      timers,
      counters: this.counters
    }
    this.requests = new PendingRequests(timers, writeTimeout)
  }

  /** The connection that there is, or the next one. */
  get nextConnection(): Effect.Effect<ClientConnection, PolestarError> {
    return Effect.callback((resume) => {
      if (this.ended !== undefined) return resume(Effect.fail(this.ended))
      if (this.connection !== undefined) return resume(Effect.succeed(this.connection))
      this.connectionWaiters.add(resume)
      return Effect.sync(() => this.connectionWaiters.delete(resume))
    })
  }

  get metrics(): ClientMetrics {
    let queuedMessages = 0
    let queuedBytes = 0
    let queueShare = 0
    let inFlight = 0
    for (const { publisher } of this.sessions) {
      queuedMessages += publisher.queue.messages
      queuedBytes += publisher.queue.bytes
      queueShare = Math.max(queueShare, publisher.queue.fill)
      inFlight += publisher.messagesInFlight
    }
    return { ...this.counters, queuedMessages, queuedBytes, queueShare, inFlight }
  }

  /** Moves all sessions to a connection that was welcomed. */
  attach(connection: ClientConnection): void {
    this.connection = connection
    for (const session of this.sessions) session.attach()
    this.resumeWaiters(Exit.succeed(connection))
  }

  /** The connection has ended; everything waits for the next one. */
  detach({ reason }: ConnectionEnd): void {
    if (this.connection === undefined) return
    this.connection = undefined
    for (const session of this.sessions) session.detach(reason)
    this.byNumber.clear()
    this.requests.failAll(new PolestarError({ reason: new ConnectionLost({ closeReason: reason }) }))
  }

  /** Fails everything, now and from now on. */
  end(error: PolestarError): void {
    if (this.ended !== undefined) return
    this.ended = error
    for (const session of [...this.sessions]) session.end(error)
    this.requests.failAll(error)
    this.resumeWaiters(Exit.fail(error))
  }

  register(session: SessionEngine): number {
    do this.lastNumber = (this.lastNumber + 1) >>> 0
    while (this.lastNumber === 0 || this.byNumber.has(this.lastNumber))
    this.byNumber.set(this.lastNumber, session)
    return this.lastNumber
  }

  unregister(number: number): void {
    this.byNumber.delete(number)
  }

  /** Once for all that comes in this turn, so that readers get it together. */
  wakeLater(subscription: InboundQueue): void {
    if (this.toWake.size === 0) queueMicrotask(() => this.wake())
    this.toWake.add(subscription)
  }

  /** Passes a frame on. What is for a session that is no more is ignored; `false` if no hub sends such a frame. */
  frame(frame: Frame): boolean {
    switch (frame._tag) {
      case "Receipt":
        this.byNumber.get(frame.session)?.publisher.receipt(frame)
        return true
      case "Rejected":
        this.byNumber.get(frame.session)?.publisher.rejected(frame)
        return true
      case "CaughtUp":
      case "Dropped":
      case "Gap":
      case "Recovered":
        this.byNumber.get(frame.session)?.notice(frame)
        return true
      case "Closed":
        if (frame.request === 0) this.byNumber.get(frame.session)?.closedByHub(frame)
        else this.requests.answer(frame.request, frame)
        return true
      case "Left":
        this.byNumber.get(frame.session)?.left(frame)
        return true
      case "Opened":
      case "Subscribed":
      case "Joined":
      case "Acked":
      case "Unsubscribed":
      case "Response":
      case "Failure":
        this.requests.answer(frame.request, frame)
        return true
      default:
        return false
    }
  }

  /** Passes a delivery on; `false` if it is not one, or far beyond the credit. */
  deliver(deliver: Deliver): boolean {
    if (!this.reader.check(deliver)) return false
    const subscription = this.byNumber.get(deliver.session)?.subscriptions.get(deliver.subscription)
    if (subscription === undefined) return true
    const topic = this.reader.topicOf(deliver)
    return topic !== undefined && subscription.deliver(topic, deliver, this.reader.urgent)
  }

  private wake(): void {
    const subscriptions = this.toWake
    this.toWake = new Set()
    for (const subscription of subscriptions) subscription.wake()
  }

  private resumeWaiters(exit: Exit.Exit<ClientConnection, PolestarError>): void {
    const waiters = this.connectionWaiters
    this.connectionWaiters = new Set()
    for (const waiter of waiters) waiter(exit)
  }
}
