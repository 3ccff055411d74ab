/**
 * The groups of a hub: found by name, made by the first who joins or by a request, kept in the store, and told of every
 * topic that their patterns match.
 */
import { Effect, Semaphore } from "effect"
import type { ErrorCode } from "../../protocol/ErrorCode.ts"
import { logText } from "../../protocol/LogText.ts"
import { matches } from "../../protocol/Pattern.ts"
import type { Order, Start } from "../../protocol/Position.ts"
import { MessageLogError, type TopicLog } from "../../services/MessageLog.ts"
import { addressOf, limitKeyOf } from "../../services/PublishRate.ts"
import type { StateStore, StateStoreError } from "../../services/StateStore.ts"
import type { Peer } from "../Refusals.ts"
import type { Registry } from "../Registry.ts"
import type { Topic } from "../Topic.ts"
import { Group } from "./Group.ts"
import { isOpenSoon } from "./GroupReader.ts"
import { decodeRecord, type GroupOptions, type GroupRecord, groupsPrefix, lanePrefix } from "./GroupRecord.ts"
import { Lane } from "./Lane.ts"
import type { Member } from "./Member.ts"

/** Milliseconds that a new group may take to be saved. */
const savePatience = 5000

/** Names of groups in a line of the log. */
const namesInLine = 5

/** Options that may be left to the group, or for a new one to the hub's settings. */
export type GivenOptions = { readonly [K in keyof Omit<GroupOptions, "order">]: number | undefined }

export interface GroupRequest {
  readonly name: string
  readonly pattern: string
  readonly start: Start
  readonly order: Order
  readonly options: GivenOptions
  /** Whose share of groups a new one is of; `undefined` is nobody's. */
  readonly owner: string | undefined
}

export interface Found {
  readonly group: Group
  readonly created: boolean
}

export class Groups {
  private readonly registry: Registry
  private readonly store: StateStore["Service"]
  private readonly hubId: string
  private readonly groups = new Map<string, Group>()
  private readonly making = Semaphore.makeUnsafe(1)

  constructor(registry: Registry, store: StateStore["Service"], hubId: string) {
    this.registry = registry
    this.store = store
    this.hubId = hubId
  }

  /** Brings back all groups as they were. To be called before anybody may publish or join. */
  readonly load = Effect.fnUntraced({ self: this }, function* (this: Groups) {
    for (const [key, value] of yield* this.store.entries(groupsPrefix)) {
      const record = decodeRecord(value)
      if (record === undefined)
        yield* Effect.logError(`the group under ${key} cannot be read, and is left out`)
      else yield* this.restore(record)
    }
  })

  private readonly restore = Effect.fnUntraced(
    { self: this },
    function* (this: Groups, record: GroupRecord): Effect.fn.Return<void, StateStoreError> {
      const group = new Group(this.registry, this.store, record, this.hubId)
      const prefix = lanePrefix(record.name)
      for (const [key, value] of yield* this.store.entries(prefix)) {
        const topic = key.slice(prefix.length)
        const lane = Lane.decode<Member>(value, record.options)
        if (lane === undefined)
          yield* Effect.logError(`where ${record.name} was in ${topic} cannot be read: it begins there anew`)
        else group.begin(topic, lane.epoch, lane.next, lane)
      }
      this.groups.set(record.name, group)
    }
  )

  /** All groups, by name. */
  all(): ReadonlyArray<Group> {
    return [...this.groups.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  find(name: string): Group | undefined {
    return this.groups.get(name)
  }

  get isSaved(): boolean {
    for (const group of this.groups.values()) if (!group.saver.isIdle) return false
    return true
  }

  topicMade(topic: Topic): void {
    for (const group of this.groups.values()) {
      if (matches(group.record.pattern, topic.name)) group.attach(topic)
    }
  }

  /** The topic is gone for good. */
  topicRemoved(topic: Topic): void {
    for (const group of this.groups.values()) group.topicRemoved(topic)
  }

  /** The group of that name. If it is new it is made, and is there for good when this answers. */
  findOrCreate(request: GroupRequest): Effect.Effect<Found, ErrorCode> {
    return Effect.suspend(() => {
      const found = this.groups.get(request.name)
      // One that is being made is waited for.
      return found?.saver.isIdle === true
        ? this.use(found, request)
        : this.making.withPermit(Effect.suspend(() => this.findOrMake(request)))
    })
  }

  private findOrMake(request: GroupRequest): Effect.Effect<Found, ErrorCode> {
    const found = this.groups.get(request.name)
    return found === undefined ? this.make(request) : this.use(found, request)
  }

  private use(group: Group, { options, order, pattern }: GroupRequest): Effect.Effect<Found, ErrorCode> {
    const { record } = group
    if (record.pattern !== pattern || record.options.order !== order) return Effect.fail("group-mismatch")
    const changed = { ...record.options, ...givenOf(options), ...expiryOf(record.options, options) }
    const isSame = changeableKeys.every((key) => changed[key] === record.options[key])
    if (!isSame) group.setRecord({ ...record, options: changed })
    group.used()
    return Effect.as(group.awake, { group, created: false })
  }

  private readonly make = Effect.fn("Groups.make")(
    { self: this },
    function* (this: Groups, request: GroupRequest): Effect.fn.Return<Found, ErrorCode> {
      const { settings } = this.registry
      if (this.groups.size >= settings.maxGroups) return yield* Effect.fail<ErrorCode>("limit-reached")
      const { owner } = request
      if (owner !== undefined && this.countOf(owner) >= settings.maxGroupsPerClient)
        return yield* Effect.fail<ErrorCode>("too-many-groups")
      const { inactiveThreshold } = request.options
      const options: GroupOptions = {
        order: request.order,
        ackWait: settings.groupAckWait,
        maxDeliveries: settings.maxRetries + 1,
        maxInFlight: settings.groupMaxInFlight,
        backoff: settings.groupBackoff,
        maxBackoff: settings.groupMaxBackoff,
        ...givenOf(request.options),
        ...(inactiveThreshold === undefined ? {} : { inactiveThreshold })
      }
      const record: GroupRecord = {
        name: request.name,
        pattern: request.pattern,
        isPaused: false,
        options,
        ...(owner === undefined ? {} : { owner })
      }
      const group = new Group(this.registry, this.store, record, this.hubId)
      const beginnings = this.beginnings(request)
      const begun = yield* Effect.mapError(beginnings, (): ErrorCode => "topic-failed")
      // From here on in one turn, so that no topic is made that the group does not hear of.
      this.groups.set(request.name, group)
      for (const [topic, offset] of begun) group.save(group.begin(topic.name, topic.log.epoch, offset))
      group.wake()
      group.setRecord(record)
      const isSaved = yield* Effect.timeoutOption(group.saver.saved, savePatience)
      if (isSaved._tag === "Some") return { group, created: true }
      this.groups.delete(request.name)
      group.remove()
      return yield* Effect.fail<ErrorCode>("storage-full")
    }
  )

  private countOf(owner: string): number {
    let count = 0
    for (const { record } of this.groups.values()) if (record.owner === owner) count++
    return count
  }

  /** Where the group begins in each topic that is there. */
  private readonly beginnings = Effect.fnUntraced(
    { self: this },
    function* (
      this: Groups,
      { pattern, start }: GroupRequest
    ): Effect.fn.Return<ReadonlyArray<readonly [Topic, number]>, MessageLogError> {
      yield* this.registry.wakeInTurns(pattern)
      this.registry.wake(pattern)
      const topics: Array<Topic> = []
      this.registry.forEachTopic(pattern, (topic) => topics.push(topic))
      const begun: Array<readonly [Topic, number]> = []
      for (const topic of topics) {
        if (!(yield* isOpenSoon(topic)))
          return yield* new MessageLogError({ reason: "io", topic: topic.name })
        begun.push([topic, yield* offsetOf(topic.log, start)])
      }
      return begun
    }
  )

  /** To be done at intervals: forgets the groups that had no member for as long as they may. */
  readonly expire: Effect.Effect<void> = Effect.suspend(() => {
    const expired = [...this.groups.values()].filter((group) => group.isExpired)
    if (expired.length === 0) return Effect.void
    // A new group of the same name is saved after this one was forgotten.
    return this.making.withPermit(this.removeExpired(expired))
  })

  private readonly removeExpired = Effect.fn("Groups.expire")(
    { self: this },
    function* (this: Groups, expired: ReadonlyArray<Group>) {
      const removed: Array<Group> = []
      for (const group of expired) {
        yield* Effect.yieldNow
        // Somebody may have come meanwhile.
        if (!group.isExpired || this.groups.get(group.name) !== group) continue
        this.groups.delete(group.name)
        group.remove()
        removed.push(group)
      }
      if (removed.length === 0) return
      this.registry.counters.groupsExpired += removed.length
      const names = removed.slice(0, namesInLine).map(({ name }) => logText(name))
      yield* Effect.logInfo("groups that nobody used were removed", { groups: removed.length, names })
      for (const { saver } of removed) yield* saver.saved
    }
  )

  /** Forgets a group for good; `false` if there is none of that name. */
  readonly remove = Effect.fn("Groups.remove")(
    { self: this },
    function* (this: Groups, name: string) {
      const group = this.groups.get(name)
      if (group === undefined) return false
      this.groups.delete(name)
      group.remove()
      yield* group.saver.saved
      return true
    },
    // A new group of its name is saved after this one was forgotten.
    (removing) => this.making.withPermit(removing)
  )
}

const givenKeys = ["ackWait", "maxDeliveries", "maxInFlight", "backoff", "maxBackoff"] as const

const changeableKeys = [...givenKeys, "inactiveThreshold"] as const

/** A group that was made for good stays so, whoever joins it. */
const expiryOf = (
  { inactiveThreshold: present }: GroupOptions,
  { inactiveThreshold: given }: GivenOptions
): Partial<GroupOptions> => (present === undefined || given === undefined ? {} : { inactiveThreshold: given })

/** Whose share of groups it is what a client makes: the identity's, or everyone's at an address. */
export const shareOf = ({ identity, peer, transport }: Peer): string | undefined =>
  // Whoever is in this process is not limited.
  transport === "memory" ? undefined : limitKeyOf(identity, addressOf(peer))

const givenOf = (options: GivenOptions): Partial<GroupOptions> =>
  Object.fromEntries(givenKeys.flatMap((key) => (options[key] === undefined ? [] : [[key, options[key]]])))

/** The first offset that a group which starts so is given of a topic. */
export const offsetOf = (log: TopicLog, start: Start): Effect.Effect<number, MessageLogError> => {
  switch (start._tag) {
    case "Time":
      return log.offsetAt(start.time)
    case "Position": {
      const { epoch, offset } = start.position
      const isOfLog = epoch === log.epoch && offset >= log.firstOffset && offset <= log.nextOffset
      return Effect.succeed(isOfLog ? offset : log.firstOffset)
    }
    case "First":
      return Effect.succeed(log.firstOffset)
    default:
      return Effect.succeed(log.nextOffset)
  }
}
