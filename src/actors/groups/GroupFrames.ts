/** What a connection does with the frames of groups: joining one, and saying what became of its messages. */
import { Effect } from "effect"
import { type ErrorCode, errorMessage } from "../../protocol/ErrorCode.ts"
import type { FrameOf } from "../../protocol/Frame.ts"
import { maxAckRanges, notGiven } from "../../protocol/Op.ts"
import { checkPattern, isLiteral } from "../../protocol/Pattern.ts"
import { isForSubscribers, isGroupName } from "../../protocol/TopicName.ts"
import type { Identity } from "../../services/auth/Identity.ts"
import { mayUseGroup } from "../../services/auth/OwnGroups.ts"
import type { ClientFrames } from "../ClientFrames.ts"
import type { FrameHost } from "../FrameHost.ts"
import type { Session } from "../Session.ts"
import type { Group } from "./Group.ts"
import { shareOf } from "./Groups.ts"
import { Member } from "./Member.ts"
import { acknowledge, refuse } from "./Outcomes.ts"

/** Members of one group. */
const maxMembers = 1000

type Refusal = readonly [ErrorCode, string?]

export class GroupFrames {
  private readonly frames: ClientFrames
  private readonly host: FrameHost

  constructor(frames: ClientFrames, host: FrameHost) {
    this.frames = frames
    this.host = host
  }

  join(frame: FrameOf<"Join">): undefined {
    const session = this.frames.sessionOf(frame.session)
    if (session === undefined) return void this.frames.fail(frame, "unknown-session")
    const refusal = refusalOf(session, frame, this.host.identity)
    if (refusal !== undefined)
      return void this.frames.fail(
        frame,
        refusal[0],
        refusal[1] ?? errorMessage(refusal[0]),
        `${frame.group}: ${frame.pattern}`
      )
    const { creditBytes, creditMessages } = this.frames.creditOf(frame)
    const member = new Member(session, frame.subscription, frame.group, creditMessages, creditBytes)
    session.addMember(member)
    const { groups, registry } = this.host.options
    const { clientGroupInactiveThreshold } = registry.settings
    const joining = groups.findOrCreate({
      name: frame.group,
      pattern: frame.pattern,
      start: frame.start,
      order: frame.order,
      owner: shareOf(this.host),
      options: {
        ...givenOptions(frame),
        inactiveThreshold: this.host.hasClientGroups ? clientGroupInactiveThreshold : undefined
      }
    })
    session.fork(
      Effect.match(joining, {
        onSuccess: ({ created, group }) => this.joined(frame, member, group, created),
        onFailure: (code) => {
          session.dropMember(member)
          this.frames.fail(frame, code)
        }
      })
    )
  }

  private joined(frame: FrameOf<"Join">, member: Member, group: Group, created: boolean): void {
    // It may have left while the group was made.
    if (member.closed) {
      this.frames.fail(frame, "unknown-subscription")
      return
    }
    const refusal = group.closed ? "unknown-group" : group.members.length >= maxMembers ? "limit-reached" : ""
    if (refusal !== "") {
      member.session.dropMember(member)
      this.frames.fail(frame, refusal)
      return
    }
    member.group = group
    this.host.writer.control({
      _tag: "Joined",
      session: frame.session,
      request: frame.request,
      subscription: frame.subscription,
      created,
      ackWait: group.record.options.ackWait
    })
    group.join(member)
  }

  acknowledge(frame: FrameOf<"Ack">): undefined {
    const group = this.groupOf(frame)
    if (group === undefined) return
    acknowledge(group, frame.topic, frame.epoch, frame.ranges)
    this.confirm(frame, group)
  }

  refuse(frame: FrameOf<"Refuse">): undefined {
    const session = this.frames.sessionOf(frame.session)
    const group = this.groupOf(frame)
    if (group === undefined || session === undefined) return
    refuse(group, session, frame.topic, frame.epoch, frame.ranges, {
      fate: frame.fate,
      delay: frame.delay === notGiven.u32 ? undefined : frame.delay,
      error: frame.error
    })
    this.confirm(frame, group)
  }

  /** The group that the session has joined; if there is none, the client is told. */
  private groupOf(frame: FrameOf<"Ack"> | FrameOf<"Refuse">): Group | undefined {
    const session = this.frames.sessionOf(frame.session)
    const isMember = session?.memberOf(frame.group) !== undefined
    const group = isMember ? this.host.options.groups.find(frame.group) : undefined
    const code: ErrorCode | undefined =
      session === undefined
        ? "unknown-session"
        : group === undefined
          ? "unknown-group"
          : frame.ranges.length > maxAckRanges
            ? "limit-reached"
            : undefined
    if (code === undefined) return group
    if (frame.request !== 0) this.frames.fail(frame, code)
    return undefined
  }

  private confirm(frame: FrameOf<"Ack"> | FrameOf<"Refuse">, group: Group): void {
    const { request, session } = frame
    if (request === 0) return
    group.saver.whenSaved(() => this.host.writer.control({ _tag: "Acked", session, request }))
  }
}

const refusalOf = (session: Session, frame: FrameOf<"Join">, identity: Identity): Refusal | undefined => {
  const error = checkPattern(frame.pattern)
  if (error !== undefined) return ["invalid-pattern", error.message]
  if (!isForSubscribers(frame.pattern)) return ["reserved-topic"]
  if (!isGroupName(frame.group))
    return ["bad-request", "not a group's name: 1 to 64 bytes without dots, *, >, $, / or white space"]
  if (!identity.subscribe.allowsPattern(frame.pattern) || !mayUseGroup(identity, frame.group))
    return ["forbidden"]
  const { start } = frame
  if (start._tag === "Last" || start._tag === "Resume")
    return ["bad-request", "a group starts now, at the first message, at a time, or at a position"]
  if (start._tag === "Position" && !isLiteral(frame.pattern))
    return ["bad-request", "a position is of one topic; the pattern has wildcards"]
  // Without a wait, what is delivered would at once be delivered again, for ever.
  if (frame.ackWait === 0 || frame.maxInFlight === 0)
    return ["bad-request", "ackWait and maxInFlight are 1 or more"]
  if (frame.subscription === 0) return ["bad-request", "a subscription's number is not 0"]
  if (session.memberOf(frame.group) !== undefined)
    return ["subscription-exists", "this session has joined the group already"]
  const taken = session.mayNotAdd(frame.subscription)
  if (taken !== undefined) return taken
  const missing = topicMissing(session, frame.pattern)
  return missing === undefined ? undefined : [missing]
}

/** Where topics are not made by use, a group of one that does not exist is refused, as a subscription is. */
const topicMissing = ({ hub }: Session, pattern: string): ErrorCode | undefined => {
  if (hub.settings.autoCreateTopics || !isLiteral(pattern)) return undefined
  const topic = hub.topicNamed(pattern)
  return typeof topic === "string" ? topic : undefined
}

/** What the frame says of the group's options; what it leaves to the group is absent. */
const givenOptions = (frame: FrameOf<"Join">) => {
  const given = (value: number) => (value === notGiven.u32 ? undefined : value)
  return {
    ackWait: given(frame.ackWait),
    maxDeliveries: frame.maxDeliveries === notGiven.u16 ? undefined : frame.maxDeliveries,
    maxInFlight: given(frame.maxInFlight),
    backoff: given(frame.backoff),
    maxBackoff: given(frame.maxBackoff)
  }
}
