/** The requests about groups and dead letters, in JSON: see `src/protocol/README.md`. */
import { Effect, Schema } from "effect"
import { decodeText, encodeText } from "../../protocol/Bytes.ts"
import type { ErrorCode } from "../../protocol/ErrorCode.ts"
import { octetsContentType } from "../../protocol/Message.ts"
import { checkPattern, isLiteral } from "../../protocol/Pattern.ts"
import { Orders, type Start } from "../../protocol/Position.ts"
import { isForSubscribers, isGroupName } from "../../protocol/TopicName.ts"
import { type Identity, mayRemoveTopic } from "../../services/auth/Identity.ts"
import { mayUseGroup } from "../../services/auth/OwnGroups.ts"
import type { MessageLogError } from "../../services/MessageLog.ts"
import { pageOf } from "../HubPages.ts"
import type { Peer } from "../Refusals.ts"
import type { Registry } from "../Registry.ts"
import type { DeadLetter, DeadLetters } from "./DeadLetters.ts"
import type { Group } from "./Group.ts"
import { groupInfoOf, lanesOf } from "./GroupInfo.ts"
import { type Groups, offsetOf, shareOf } from "./Groups.ts"

export interface GroupAnswers {
  readonly registry: Registry
  readonly groups: Groups
  readonly deadLetters: DeadLetters
  /** Bytes of JSON that a frame of this hub can hold. */
  readonly maxAnswer: number
}

type Answer = Effect.Effect<Uint8Array, ErrorCode | MessageLogError>
/** The body is text, or `undefined` if it is not. */
type Method = (asked: Asked, body: string | undefined) => Answer

/** The hub, and who asks it. */
interface Asked extends GroupAnswers {
  readonly identity: Identity
  readonly peer: Peer
}

const maxLanes = 1000
const defaultShown = 100
const mostShown = 1000
/** Bytes of a payload that are shown. */
const maxShownPayload = 262_144

const Milliseconds = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 0xffff_fffe }))
const Count = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 0xffff_fffe }))
const Offset = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const Beginning = Schema.Union([
  Schema.Literals(["first", "now"]),
  Schema.Struct({ time: Offset }),
  Schema.Struct({ epoch: Schema.optionalKey(Offset), offset: Offset })
])
const Named = Schema.Struct({ name: Schema.String })
const After = Schema.Struct({ after: Schema.optionalKey(Schema.String) })
const Reset = Schema.Struct({ name: Schema.String, to: Beginning, topic: Schema.optionalKey(Schema.String) })
const Create = Schema.Struct({
  name: Schema.String,
  pattern: Schema.String,
  start: Schema.optionalKey(Beginning),
  order: Schema.optionalKey(Schema.Literals(Orders)),
  ackWait: Schema.optionalKey(Milliseconds),
  maxDeliveries: Schema.optionalKey(Count),
  maxInFlight: Schema.optionalKey(Milliseconds),
  backoff: Schema.optionalKey(Milliseconds),
  maxBackoff: Schema.optionalKey(Milliseconds),
  inactiveThreshold: Schema.optionalKey(Milliseconds)
})
const Dead = Schema.Struct({
  group: Schema.optionalKey(Schema.String),
  after: Schema.optionalKey(Schema.String)
})
const Show = Schema.Struct({
  topic: Schema.String,
  after: Schema.optionalKey(Offset),
  limit: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: mostShown })))
})
const Chosen = Schema.Struct({
  topic: Schema.String,
  offsets: Schema.optionalKey(Schema.Array(Offset))
})

const encode = (value: unknown): Uint8Array => encodeText(JSON.stringify(value))
const done = encode({})

/** A method whose body must be of the schema. */
const method = <A>(
  schema: Schema.Codec<A, unknown>,
  answer: (answers: Asked, request: A) => Answer
): Method => {
  const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(schema))
  return (answers, body) =>
    decode(body === "" ? "{}" : body).pipe(
      Effect.mapError((): ErrorCode | MessageLogError => "bad-request"),
      Effect.flatMap((request) => answer(answers, request))
    )
}

/** Whether the identity may look at the group and manage it: whoever may join it may. */
const mayManage = (identity: Identity, group: Group): boolean =>
  identity.subscribe.allowsPattern(group.record.pattern) && mayUseGroup(identity, group.name)

/** For whoever may subscribe the topic. */
const whoSees = (identity: Identity, topic: string, answer: Answer): Answer =>
  identity.subscribe.allowsTopic(topic) ? answer : Effect.fail("forbidden")

const groupNamed = ({ groups, identity }: Asked, name: string): Effect.Effect<Group, ErrorCode> => {
  const group = groups.find(name)
  // Whoever may not see a group is not told that there is one.
  if (group === undefined || !mayManage(identity, group)) return Effect.fail("unknown-group")
  return Effect.as(group.awake, group)
}

/** Does something with a group, and answers when that is saved. */
const change = (answers: Asked, name: string, f: (group: Group) => void): Answer =>
  Effect.flatMap(groupNamed(answers, name), (group) => {
    f(group)
    return Effect.as(group.saver.saved, done)
  })

const startOf = (beginning: typeof Beginning.Type, epoch: number): Start => {
  if (beginning === "first") return { _tag: "First" }
  if (beginning === "now") return { _tag: "Now" }
  if ("time" in beginning) return { _tag: "Time", time: beginning.time }
  return { _tag: "Position", position: { epoch: beginning.epoch ?? epoch, offset: beginning.offset } }
}

const reset = Effect.fnUntraced(function* (answers: Asked, { name, to, topic }: typeof Reset.Type) {
  const group = yield* groupNamed(answers, name)
  const isPosition = typeof to === "object" && "offset" in to
  if (isPosition && topic === undefined && !isLiteral(group.record.pattern))
    return yield* Effect.fail<ErrorCode>("bad-request")
  const places = [...group.lanes.values()].filter((place) => topic === undefined || place.topic === topic)
  if (topic !== undefined && places.length === 0) return yield* Effect.fail<ErrorCode>("topic-not-found")
  for (const place of places) {
    const found = answers.registry.topicNamed(place.topic)
    if (typeof found === "string") return yield* Effect.fail(found)
    yield* found.whenOpen
    group.reset(place, found.log.epoch, yield* offsetOf(found.log, startOf(to, found.log.epoch)))
  }
  group.dispatch()
  yield* group.saver.saved
  return encode(groupInfoOf(group))
})

const create = Effect.fnUntraced(function* (answers: Asked, request: typeof Create.Type) {
  const { name, order = "any", pattern, start = "now" } = request
  if (!isGroupName(name)) return yield* Effect.fail<ErrorCode>("bad-request")
  if (checkPattern(pattern) !== undefined) return yield* Effect.fail<ErrorCode>("invalid-pattern")
  if (!isForSubscribers(pattern)) return yield* Effect.fail<ErrorCode>("reserved-topic")
  if (!answers.identity.subscribe.allowsPattern(pattern) || !mayUseGroup(answers.identity, name))
    return yield* Effect.fail<ErrorCode>("forbidden")
  const isPosition = typeof start === "object" && "offset" in start
  if (isPosition && !isLiteral(pattern)) return yield* Effect.fail<ErrorCode>("bad-request")
  const epoch = answers.registry.placeOf(pattern)?.epoch ?? 0
  const { group } = yield* answers.groups.findOrCreate({
    name,
    pattern,
    order,
    start: startOf(start, epoch),
    owner: shareOf(answers.peer),
    options: {
      ackWait: request.ackWait,
      maxDeliveries: request.maxDeliveries,
      maxInFlight: request.maxInFlight,
      backoff: request.backoff,
      maxBackoff: request.maxBackoff,
      inactiveThreshold: request.inactiveThreshold
    }
  })
  return encode(groupInfoOf(group))
})

const shown = ({ epoch, message, offset, timestamp }: DeadLetter) => ({
  epoch,
  offset,
  timestamp,
  key: message.key,
  id: message.id,
  headers: message.headers ?? {},
  contentType: message.contentType ?? octetsContentType,
  // Of one that is too large for a frame its beginning.
  payload: Buffer.from(message.payload.subarray(0, maxShownPayload)).toString("base64"),
  size: message.payload.length
})

/** Each when it is asked for: of many, a page has few. */
function* infosOf(groups: ReadonlyArray<Group>) {
  for (const group of groups) yield groupInfoOf(group)
}

const methods: ReadonlyMap<string, Method> = new Map([
  [
    "groups",
    method(After, ({ groups, identity, maxAnswer }, { after = "" }) => {
      const managed = groups.all().filter((group) => group.name > after && mayManage(identity, group))
      return Effect.forEach(managed, (group) => group.awake, { discard: true }).pipe(
        Effect.map(() => pageOf(infosOf(managed), ({ name }) => name, undefined, maxAnswer))
      )
    })
  ],
  [
    "group",
    method(Named, (answers, { name }) =>
      Effect.map(groupNamed(answers, name), (group) =>
        encode({ ...groupInfoOf(group), lanes: lanesOf(group, maxLanes) })
      )
    )
  ],
  ["group.create", method(Create, create)],
  ["group.reset", method(Reset, reset)],
  [
    "group.pause",
    method(Named, (answers, { name }) => change(answers, name, (group) => group.setPaused(true)))
  ],
  [
    "group.resume",
    method(Named, (answers, { name }) => change(answers, name, (group) => group.setPaused(false)))
  ],
  [
    "group.remove",
    method(Named, (answers, { name }) =>
      Effect.flatMap(groupNamed(answers, name), () => Effect.as(answers.groups.remove(name), done))
    )
  ],
  [
    "dead",
    method(Dead, ({ deadLetters, identity, maxAnswer }, { after, group }) =>
      Effect.sync(() => {
        const visible = deadLetters.list(group).filter(({ topic }) => identity.subscribe.allowsTopic(topic))
        return pageOf(visible, ({ topic }) => topic, after, maxAnswer)
      })
    )
  ],
  [
    "dead.show",
    method(Show, ({ deadLetters, identity, maxAnswer }, { after, limit = defaultShown, topic }) =>
      whoSees(
        identity,
        topic,
        Effect.map(deadLetters.show(topic, { after, limit, maxBytes: maxAnswer / 2 }), (letters) =>
          pageOf(letters.map(shown), ({ offset }) => String(offset), undefined, maxAnswer)
        )
      )
    )
  ],
  [
    "dead.requeue",
    method(Chosen, ({ deadLetters, identity }, { offsets, topic }) =>
      whoSees(identity, topic, Effect.map(deadLetters.requeue(topic, offsets), encode))
    )
  ],
  [
    "dead.drop",
    method(Chosen, ({ deadLetters, identity }, { offsets, topic }) =>
      whoSees(
        identity,
        topic,
        Effect.map(deadLetters.drop(topic, offsets), (dropped) => encode({ dropped }))
      )
    )
  ],
  [
    "topic.remove",
    method(Named, ({ identity, registry }, { name }) => {
      if (!isForSubscribers(name) || checkPattern(name) !== undefined || !isLiteral(name))
        return Effect.fail<ErrorCode>("invalid-topic")
      if (!mayRemoveTopic(identity, name)) return Effect.fail<ErrorCode>("forbidden")
      return Effect.flatMap(registry.removeTopic(name), (isRemoved) =>
        isRemoved ? Effect.succeed(done) : Effect.fail<ErrorCode>("topic-not-found")
      )
    })
  ]
])

/** The answer to a request about groups or dead letters; `undefined` if it is about something else. */
export const answerGroupRequest = (
  answers: GroupAnswers,
  name: string,
  body: Uint8Array,
  peer: Peer
): Effect.Effect<Uint8Array, ErrorCode> | undefined => {
  const found = methods.get(name)
  if (found === undefined) return undefined
  return Effect.suspend(() => found({ ...answers, peer, identity: peer.identity }, decodeText(body))).pipe(
    Effect.catchTag("MessageLogError", (error) =>
      Effect.fail<ErrorCode>(error.reason === "full" ? "storage-full" : "topic-failed")
    ),
    Effect.withSpan(`Hub.${name}`)
  )
}
