/**
 * What a connection does with a client's control frames. What is wrong with one request is answered by FAILURE
 * and touches nothing else; what breaks the protocol ends the connection with the reason that is answered.
 */
import type { CloseReason } from "../protocol/CloseReason.ts"
import { type ErrorCode, errorMessage } from "../protocol/ErrorCode.ts"
import { type Frame, type FrameOf, magic } from "../protocol/Frame.ts"
import { Features, protocolVersion, unlimitedCredit } from "../protocol/Op.ts"
import { checkPattern, isLiteral, matches } from "../protocol/Pattern.ts"
import type { Position } from "../protocol/Position.ts"
import { isForSubscribers } from "../protocol/TopicName.ts"
import type { FrameHost } from "./FrameHost.ts"
import { GroupFrames } from "./groups/GroupFrames.ts"
import { begin } from "./Replay.ts"
import { Session } from "./Session.ts"

type Request = { readonly session: number; readonly request: number }

export class ClientFrames {
  private readonly host: FrameHost
  private readonly groupFrames: GroupFrames
  private hasCredit: boolean

  /** `hasCredit` says whether deliveries are limited by credit before a hello has said so. */
  constructor(host: FrameHost, hasCredit = false) {
    this.host = host
    this.hasCredit = hasCredit
    this.groupFrames = new GroupFrames(this, host)
  }

  /** Answers why the connection must end, if it must. */
  handle(frame: Frame): CloseReason | undefined {
    if (!this.host.welcomed) return frame._tag === "Hello" ? this.hello(frame) : "protocol-error"
    switch (frame._tag) {
      case "Open":
        return this.open(frame)
      case "Close":
        return this.close(frame)
      case "Subscribe":
        return this.subscribe(frame)
      case "Unsubscribe":
        return this.unsubscribe(frame)
      case "Credit":
        this.sessionOf(frame.session)?.receiver(frame.subscription)?.addCredit(frame.messages, frame.bytes)
        return undefined
      case "Join":
        return this.groupFrames.join(frame)
      case "Ack":
        return this.groupFrames.acknowledge(frame)
      case "Refuse":
        return this.groupFrames.refuse(frame)
      case "Request":
        this.host.requests.take(frame)
        return undefined
      case "Ping":
        this.host.writer.control({ _tag: "Pong", token: frame.token })
        return undefined
      case "Pong":
        return undefined
      case "Goodbye":
        return "normal"
      default:
        return "protocol-error"
    }
  }

  /** `what` is the pattern or the group that it was about. */
  fail(request: Request, code: ErrorCode, message = errorMessage(code), what?: string): void {
    this.host.options.refusals.ofFrame(this.host, code, what)
    this.host.writer.control({
      _tag: "Failure",
      session: request.session,
      request: request.request,
      code,
      message
    })
  }

  sessionOf(number: number): Session | undefined {
    return this.host.sessions.get(number)
  }

  /** What a new subscription may be sent. */
  creditOf(frame: { readonly creditMessages: number; readonly creditBytes: number }) {
    return {
      creditMessages: this.hasCredit ? frame.creditMessages : unlimitedCredit,
      creditBytes: this.hasCredit ? frame.creditBytes : unlimitedCredit
    }
  }

  private hello(frame: FrameOf<"Hello">): CloseReason | undefined {
    if (frame.magic !== magic) return "protocol-error"
    if (frame.minVersion > protocolVersion || frame.maxVersion < protocolVersion) return "unsupported-version"
    this.host.authenticate(frame.token, () => this.welcome(frame))
    return undefined
  }

  private welcome(frame: FrameOf<"Hello">): void {
    const { hubId, maxFrame, maxMessage, registry } = this.host.options
    const features = frame.features & (Features.credit | Features.requests)
    this.hasCredit = (features & Features.credit) !== 0
    this.host.welcome(frame.name)
    this.host.writer.control({
      _tag: "Welcome",
      version: protocolVersion,
      features,
      hub: hubId,
      maxFrame,
      maxMessage: Math.min(maxMessage, this.host.identity.limits.messageSize ?? maxMessage),
      pingInterval: registry.settings.pingInterval
    })
  }

  private open(frame: FrameOf<"Open">): undefined {
    const { options, sessions, writer } = this.host
    const { registry } = options
    if (sessions.has(frame.session)) return void this.fail(frame, "session-exists")
    if (sessions.size >= registry.settings.maxSessionsPerConnection)
      return void this.fail(frame, "limit-reached")
    if (this.host.isDraining) return void this.fail(frame, "shutting-down")
    const session = new Session(
      registry,
      writer,
      { number: frame.session, id: frame.id, incarnation: frame.incarnation, name: frame.name },
      this.host
    )
    sessions.set(frame.session, session)
    registry.sessionOpened(frame.id)
    writer.control({ _tag: "Opened", session: frame.session, request: frame.request })
  }

  private close(frame: FrameOf<"Close">): undefined {
    const session = this.sessionOf(frame.session)
    if (session === undefined) return void this.fail(frame, "unknown-session")
    this.host.sessions.delete(frame.session)
    session.close("normal")
    this.host.writer.control({
      _tag: "Closed",
      session: frame.session,
      request: frame.request,
      reason: "normal",
      subscription: 0
    })
  }

  private refusal(session: Session, frame: FrameOf<"Subscribe">): readonly [ErrorCode, string?] | undefined {
    const error = checkPattern(frame.pattern)
    if (error !== undefined) return ["invalid-pattern", error.message]
    if (!isForSubscribers(frame.pattern)) return ["reserved-topic"]
    if (!this.host.identity.subscribe.allowsPattern(frame.pattern)) return ["forbidden"]
    const taken = session.mayNotAdd(frame.subscription)
    if (taken !== undefined) return taken
    if (frame.start._tag === "Position" && !isLiteral(frame.pattern)) {
      return ["bad-request", "a position is of one topic; the pattern has wildcards"]
    }
    return undefined
  }

  private subscribe(frame: FrameOf<"Subscribe">): undefined {
    const session = this.sessionOf(frame.session)
    if (session === undefined) return void this.fail(frame, "unknown-session")
    const refusal = this.refusal(session, frame)
    if (refusal !== undefined)
      return void this.fail(frame, refusal[0], refusal[1] ?? errorMessage(refusal[0]), frame.pattern)
    // The topic is made now, so that the client can be told where in it its subscription begins.
    const topic = isLiteral(frame.pattern) ? session.hub.topicNamed(frame.pattern) : undefined
    if (typeof topic === "string") return void this.fail(frame, topic)
    const { clientQueueBytes, clientQueueSize } = session.hub.settings
    const subscription = session.subscribe({
      id: frame.subscription,
      pattern: frame.pattern,
      overflow: frame.overflow,
      echo: frame.echo,
      ...this.creditOf(frame),
      maxMessages: clientQueueSize,
      maxBytes: clientQueueBytes
    })
    const log = topic?.log
    this.host.writer.control({
      _tag: "Subscribed",
      session: frame.session,
      request: frame.request,
      subscription: frame.subscription,
      time: session.hub.system.now(),
      position: log === undefined ? undefined : { epoch: log.epoch, offset: log.nextOffset }
    })
    begin(subscription, frame.start, positionsOf(frame))
  }

  private unsubscribe(frame: FrameOf<"Unsubscribe">): undefined {
    const session = this.sessionOf(frame.session)
    if (session === undefined) return void this.fail(frame, "unknown-session")
    if (!session.unsubscribe(frame.subscription) && !session.leave(frame.subscription))
      return void this.fail(frame, "unknown-subscription")
    this.host.writer.control({ _tag: "Unsubscribed", session: frame.session, request: frame.request })
  }
}

/** The positions that a client gives, of topics that it may have them of. */
const positionsOf = (frame: FrameOf<"Subscribe">): ReadonlyMap<string, Position> => {
  const start = frame.start
  if (start._tag === "Position") return new Map([[frame.pattern, start.position]])
  if (start._tag !== "Resume") return new Map()
  return new Map(
    start.topics
      .filter(
        ({ topic }) => checkPattern(topic) === undefined && isLiteral(topic) && matches(frame.pattern, topic)
      )
      .map(({ topic, epoch, offset }) => [topic, { epoch, offset }])
  )
}
