/**
 * What a hub is asked and told besides messages: its topics, its groups, its dead letters. Each answer is checked; one
 * that is not what it should be is `DecodeFailed`. What the hub refuses is `Rejected`, with the code `unknown-group` or
 * `topic-not-found` for a name that it does not know.
 *
 * Times are milliseconds: durations, or since 1970 on the hub's clock. What a lost connection left without an answer is
 * asked again: nothing here does more when it is done twice, but a count may then be of the second time.
 */
import { Effect, Result, Schema } from "effect"
import type { Position } from "../protocol/Position.ts"
import type { Client } from "./Client.ts"
import { groupNumbers, groupThreshold, isCount, momentOf, type NewGroupOptions } from "./GroupOptions.ts"
import { decodeFailed, messageInvalid, type PolestarError } from "./PolestarError.ts"
import type { TimeInput } from "./Times.ts"

const TopicInfoSchema = Schema.Struct({
  name: Schema.String,
  subscribers: Schema.Number,
  /** Messages that the hub holds. */
  messages: Schema.Number,
  epoch: Schema.Number,
  /** The oldest message held, and the one that comes next. */
  firstOffset: Schema.Number,
  nextOffset: Schema.Number
})

/** What a hub says of one of its topics. */
export type TopicInfo = typeof TopicInfoSchema.Type

const groupFields = {
  name: Schema.String,
  pattern: Schema.String,
  order: Schema.Literals(["any", "key"]),
  paused: Schema.Boolean,
  members: Schema.Number,
  /** Messages that are neither acknowledged nor dead letters. */
  lag: Schema.Number,
  /** Of those: with a member; waiting to be delivered again; set aside until the group is resumed. */
  inFlight: Schema.Number,
  waiting: Schema.Number,
  parked: Schema.Number,
  topics: Schema.Number,
  /** Counts since the hub started; lost: no longer kept when their turn came. */
  acknowledged: Schema.Number,
  redelivered: Schema.Number,
  deadLettered: Schema.Number,
  lost: Schema.Number,
  ackWait: Schema.Number,
  /** 0 is no limit. */
  maxDeliveries: Schema.Number,
  maxInFlight: Schema.Number,
  backoff: Schema.Number,
  maxBackoff: Schema.Number,
  /** Milliseconds without a member after which it is removed; absent if it never is. */
  inactiveThreshold: Schema.optionalKey(Schema.Number)
}

const GroupInfoSchema = Schema.Struct(groupFields)

/** What a hub says of one of its groups. */
export type GroupInfo = typeof GroupInfoSchema.Type

const LaneInfoSchema = Schema.Struct({
  topic: Schema.String,
  epoch: Schema.Number,
  /** All before it is done. */
  floor: Schema.Number,
  /** The first that was not taken from the log yet, and the end of the log. */
  next: Schema.Number,
  end: Schema.Number,
  lag: Schema.Number,
  inFlight: Schema.Number,
  waiting: Schema.Number,
  parked: Schema.Number
})

/** Where a group is in one topic. */
export type LaneInfo = typeof LaneInfoSchema.Type

const GroupDetailSchema = Schema.Struct({ ...groupFields, lanes: Schema.Array(LaneInfoSchema) })

/** A group with its places in its topics, 1,000 of them at most. */
export type GroupDetail = typeof GroupDetailSchema.Type

const DeadLetterTopicSchema = Schema.Struct({
  /** `$dead.<group>.<topic>`. */
  topic: Schema.String,
  group: Schema.String,
  /** The topic that its messages came from; `""` if there are several. */
  origin: Schema.String,
  /** Those that were neither requeued nor dropped. */
  messages: Schema.Number
})

/** A topic of dead letters. */
export type DeadLetterTopic = typeof DeadLetterTopicSchema.Type

const DeadLetterSchema = Schema.Struct({
  epoch: Schema.Number,
  offset: Schema.Number,
  timestamp: Schema.Number,
  key: Schema.optional(Schema.NullOr(Schema.String)),
  id: Schema.optional(Schema.NullOr(Schema.String)),
  headers: Schema.Record(Schema.String, Schema.String),
  contentType: Schema.optional(Schema.NullOr(Schema.String)),
  payload: Schema.Uint8ArrayFromBase64
})

/** A dead letter: the message as it was, and in its headers `polestar-…` where it came from and why it is here. */
export interface DeadLetter {
  /** In the topic of dead letters. */
  readonly position: Position
  readonly timestamp: number
  readonly key: string | undefined
  readonly id: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly contentType: string | undefined
  readonly payload: Uint8Array
}

const RequeuedSchema = Schema.Struct({ requeued: Schema.Number, missing: Schema.Number })
const DroppedSchema = Schema.Struct({ dropped: Schema.Number })

/** Where a group is set to. A position needs one topic: the group's pattern, or the one that is named. */
export type ResetTo =
  | "first"
  | "now"
  | { readonly time: TimeInput }
  /** Without an epoch: the topic's present one. */
  | { readonly position: { readonly epoch?: number | undefined; readonly offset: number } }

export interface Groups {
  /** All groups, by name. */
  readonly list: Effect.Effect<ReadonlyArray<GroupInfo>, PolestarError>
  readonly info: (name: string) => Effect.Effect<GroupDetail, PolestarError>
  /**
   * Makes a group that has no members yet, starting at `start`, by default now. One of that name that is there stays
   * as it is, if its pattern and order are the same; else `Rejected` with `group-mismatch`.
   */
  readonly create: (
    name: string,
    pattern: string,
    options?: NewGroupOptions
  ) => Effect.Effect<GroupInfo, PolestarError>
  /** Forgets what is pending, and goes on from there: in all topics of the group, or in the one that is named. */
  readonly reset: (
    name: string,
    to: ResetTo,
    options?: { readonly topic?: string | undefined }
  ) => Effect.Effect<GroupInfo, PolestarError>
  /** Delivers nothing more until it is resumed. */
  readonly pause: (name: string) => Effect.Effect<void, PolestarError>
  /** Delivers again, also what was parked. */
  readonly resume: (name: string) => Effect.Effect<void, PolestarError>
  /** Forgets the group and where it was; its members end with `Disconnected`, `group-removed`. */
  readonly remove: (name: string) => Effect.Effect<void, PolestarError>
}

export interface DeadLetters {
  /** The topics that have dead letters, by name: all, or those of one group. */
  readonly list: (options?: {
    readonly group?: string | undefined
  }) => Effect.Effect<ReadonlyArray<DeadLetterTopic>, PolestarError>
  /** The oldest dead letters of a topic, 100 unless told otherwise. */
  readonly show: (
    topic: string,
    options?: { readonly limit?: number | undefined }
  ) => Effect.Effect<ReadonlyArray<DeadLetter>, PolestarError>
  /**
   * Gives messages to their group again, with fresh attempts: those at `offsets` of the topic of dead letters, or all.
   * `missing` are no longer kept where they came from; they stay dead letters.
   */
  readonly requeue: (
    topic: string,
    offsets?: ReadonlyArray<number>
  ) => Effect.Effect<{ readonly requeued: number; readonly missing: number }, PolestarError>
  /** Lets go of dead letters: those at `offsets`, or all. Answers how many. */
  readonly drop: (topic: string, offsets?: ReadonlyArray<number>) => Effect.Effect<number, PolestarError>
}

type Ask = <S extends Schema.ConstraintDecoder<unknown>>(
  method: string,
  body: object,
  schema: S
) => Effect.Effect<S["Type"], PolestarError>

/** `undefined` members of the body are left out, as JSON does. */
const asker =
  (client: Client): Ask =>
  (method, body, schema) =>
    Effect.flatMap(client.request(method, body), (answer) =>
      Effect.mapError(Effect.fromResult(Schema.decodeUnknownResult(schema)(answer)), decodeFailed)
    )

/** A hub answers as many as fit into a frame; what comes after the last of them is asked for next. */
const allPages = Effect.fnUntraced(function* <A>(
  page: (after: string | undefined) => Effect.Effect<ReadonlyArray<A>, PolestarError>,
  nameOf: (item: A) => string
): Effect.fn.Return<ReadonlyArray<A>, PolestarError> {
  const all: Array<A> = []
  const seen = new Set<string>()
  for (;;) {
    const last = all.at(-1)
    const items = yield* page(last === undefined ? undefined : nameOf(last))
    // A hub that does not know `after` answers the same again.
    if (items.length === 0 || items.some((item) => seen.has(nameOf(item)))) return all
    for (const item of items) {
      seen.add(nameOf(item))
      all.push(item)
    }
  }
})

/** The hub's topics that match a pattern, or all but its own. */
export const listTopics = (
  client: Client,
  pattern: string | undefined
): Effect.Effect<ReadonlyArray<TopicInfo>, PolestarError> => {
  const ask = asker(client)
  return allPages(
    (after) => ask("topics", { pattern, after }, Schema.Array(TopicInfoSchema)),
    ({ name }) => name
  )
}

/** The hub's metrics. */
export const readStats = (
  client: Client
): Effect.Effect<{ readonly [name: string]: unknown }, PolestarError> =>
  asker(client)("stats", {}, Schema.Record(Schema.String, Schema.Unknown))

export const removeTopic = (client: Client, name: string): Effect.Effect<void, PolestarError> =>
  Effect.asVoid(client.request("topic.remove", { name }))

export const makeGroups = (client: Client): Groups => {
  const ask = asker(client)
  const tell = (method: string) => (name: string) => Effect.asVoid(client.request(method, { name }))
  return {
    list: allPages(
      (after) => ask("groups", { after }, Schema.Array(GroupInfoSchema)),
      ({ name }) => name
    ),
    info: (name) => ask("group", { name }, GroupDetailSchema),
    create: Effect.fnUntraced(function* (name, pattern, options = {}) {
      const numbers = yield* Effect.fromResult(groupNumbers(options))
      const start = yield* Effect.fromResult(placeOf(options.start, "start"))
      const inactiveThreshold = yield* Effect.fromResult(groupThreshold(options.inactiveThreshold))
      const body = { name, pattern, start, order: options.order, inactiveThreshold, ...numbers }
      return yield* ask("group.create", body, GroupInfoSchema)
    }),
    reset: Effect.fnUntraced(function* (name, to, options = {}) {
      const place = yield* Effect.fromResult(placeOf(to, "to"))
      return yield* ask("group.reset", { name, to: place, topic: options.topic }, GroupInfoSchema)
    }),
    pause: tell("group.pause"),
    resume: tell("group.resume"),
    remove: tell("group.remove")
  }
}

export const makeDeadLetters = (client: Client): DeadLetters => {
  const ask = asker(client)
  return {
    list: ({ group } = {}) =>
      allPages(
        (after) => ask("dead", { group, after }, Schema.Array(DeadLetterTopicSchema)),
        ({ topic }) => topic
      ),
    show: (topic, { limit } = {}) =>
      Effect.map(ask("dead.show", { topic, limit }, Schema.Array(DeadLetterSchema)), (letters) =>
        letters.map(letterOf)
      ),
    requeue: (topic, offsets) => ask("dead.requeue", { topic, offsets }, RequeuedSchema),
    drop: (topic, offsets) =>
      Effect.map(ask("dead.drop", { topic, offsets }, DroppedSchema), ({ dropped }) => dropped)
  }
}

const letterOf = (letter: typeof DeadLetterSchema.Type): DeadLetter => ({
  position: { epoch: letter.epoch, offset: letter.offset },
  timestamp: letter.timestamp,
  key: letter.key ?? undefined,
  id: letter.id ?? undefined,
  headers: letter.headers,
  contentType: letter.contentType ?? undefined,
  payload: letter.payload
})

type Place =
  | "first"
  | "now"
  | { readonly time: number }
  | { readonly epoch: number | undefined; readonly offset: number }

/** A place as a request names it. */
const placeOf = (to: ResetTo | undefined, name: string): Result.Result<Place | undefined, PolestarError> => {
  if (to === undefined || to === "first" || to === "now") return Result.succeed(to)
  if ("time" in to) return Result.map(momentOf(to.time, `${name}.time`), (time) => ({ time }))
  const { epoch, offset } = to.position
  return isCount(offset) && (epoch === undefined || isCount(epoch))
    ? Result.succeed({ epoch, offset })
    : Result.fail(messageInvalid(`${name}.position is not a position`))
}
