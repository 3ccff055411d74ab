/**
 * The groups of a hub: found by name, made by the first who joins or by a request, kept in the store, and told of every
 * topic that their patterns match.
 */
import { Effect, Fiber, Semaphore } from "effect"
import type { ErrorCode } from "../../protocol/ErrorCode.ts"
import { logText } from "../../protocol/LogText.ts"
import { PatternTrie } from "../../protocol/PatternTrie.ts"
import type { Order, Start } from "../../protocol/Position.ts"
import { MessageLogError, type TopicLog } from "../../services/MessageLog.ts"
import { addressOf, limitKeyOf } from "../../services/PublishRate.ts"
import type { StateStore, StateStoreError } from "../../services/StateStore.ts"
import type { Peer } from "../Refusals.ts"
import type { Registry } from "../Registry.ts"
import type { Topic } from "../Topic.ts"
import { changedOptions, type GivenOptions, newOptions } from "./GivenOptions.ts"
import { Group } from "./Group.ts"
import { isOpenSoon } from "./GroupReader.ts"
import { decodeRecord, type GroupRecord, groupsPrefix, lanePrefix } from "./GroupRecord.ts"
import { Lane } from "./Lane.ts"
import type { Member } from "./Member.ts"
import { Saver } from "./Saver.ts"

/** Milliseconds that a new group may take to be saved. */
const savePatience = 5000

/** Names of groups in a line of the log. */
const namesInLine = 5

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
  private readonly patterns = new PatternTrie<Group>()
  /**
   * By the name of the group: one that is removed may not be forgotten yet when the next of its name is made, and what is
   * saved of that must come after.
   */
  private readonly savers = new Map<string, Saver>()
  /** The new groups that are not safe yet. They are waited for, also after whoever had them made has gone. */
  private readonly saving = new Map<string, Fiber.Fiber<Found, ErrorCode>>()
  /** One at a time finds out where it begins, which takes memory for each topic. The store is not waited for. */
  private readonly beginning = Semaphore.makeUnsafe(1)

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
      const group = this.add(record)
      const prefix = lanePrefix(record.name)
      for (const [key, value] of yield* this.store.entries(prefix)) {
        const topic = key.slice(prefix.length)
        const lane = Lane.decode<Member>(value, record.options)
        if (lane === undefined)
          yield* Effect.logError(`where ${record.name} was in ${topic} cannot be read: it begins there anew`)
        else group.begin(topic, lane.epoch, lane.next, lane)
      }
    }
  )

  private add(record: GroupRecord): Group {
    const { name, pattern } = record
    const saver = this.savers.get(name) ?? new Saver(this.registry.system, this.store)
    const group = new Group(this.registry, saver, record, this.hubId)
    this.savers.set(name, saver)
    this.groups.set(name, group)
    this.patterns.add(pattern, group)
    return group
  }

  /** The name is free at once. */
  private forget(group: Group): void {
    const { name, record, saver } = group
    this.groups.delete(name)
    this.patterns.remove(record.pattern, group)
    group.remove()
    saver.whenSaved(() => {
      if (saver.isIdle && !this.groups.has(name)) this.savers.delete(name)
    })
  }

  /** All groups, by name. */
  all(): ReadonlyArray<Group> {
    return [...this.groups.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** All groups, in no order. */
  values(): Iterable<Group> {
    return this.groups.values()
  }

  find(name: string): Group | undefined {
    return this.groups.get(name)
  }

  get size(): number {
    return this.groups.size
  }

  /** Whether also those that are no more are forgotten. */
  get isSaved(): boolean {
    for (const saver of this.savers.values()) if (!saver.isIdle) return false
    return true
  }

  /** Calls `f` with the groups that have the topic. */
  forEachOf(topic: string, f: (group: Group) => void): void {
    this.patterns.forEachMatch(topic, f)
  }

  /** The group of that name. If it is new it is made, and is there for good when this answers. */
  findOrCreate(request: GroupRequest): Effect.Effect<Found, ErrorCode> {
    return Effect.suspend(() => {
      const again = Effect.suspend(() => this.findOrCreate(request))
      const saving = this.saving.get(request.name)
      // If it cannot be saved, this one tries.
      if (saving !== undefined) return Effect.andThen(Fiber.await(saving), again)
      const found = this.groups.get(request.name)
      if (found !== undefined) return this.use(found, request)
      const made = this.beginning.withPermit(Effect.suspend(() => this.make(request)))
      return Effect.flatMap(made, (saved) => (saved === undefined ? again : Fiber.join(saved)))
    })
  }

  private use(group: Group, { options, order, pattern }: GroupRequest): Effect.Effect<Found, ErrorCode> {
    const { record } = group
    if (record.pattern !== pattern || record.options.order !== order) return Effect.fail("group-mismatch")
    const changed = changedOptions(record.options, options)
    if (changed !== undefined) group.setRecord({ ...record, options: changed })
    group.used()
    return Effect.as(group.awake, { group, created: false })
  }

  /** Answers what to wait for until it is saved, or `undefined` if others were faster. */
  private readonly make = Effect.fn("Groups.make")(
    { self: this },
    function* (
      this: Groups,
      request: GroupRequest
    ): Effect.fn.Return<Fiber.Fiber<Found, ErrorCode> | undefined, ErrorCode> {
      const { name, owner, pattern } = request
      if (this.groups.has(name) || this.saving.has(name)) return undefined
      const { settings, system } = this.registry
      if (this.groups.size >= settings.maxGroups) return yield* Effect.fail<ErrorCode>("limit-reached")
      if (owner !== undefined && this.countOf(owner) >= settings.maxGroupsPerClient)
        return yield* Effect.fail<ErrorCode>("too-many-groups")
      // While nothing can be saved, those that are no more are still to be forgotten.
      if (this.savers.size >= settings.maxGroups) return yield* Effect.fail<ErrorCode>("storage-full")
      const beginnings = this.beginnings(request)
      const begun = yield* Effect.mapError(beginnings, (): ErrorCode => "topic-failed")
      // From here on in one turn, so that no topic is made that the group does not hear of.
      const group = this.add({
        name,
        pattern,
        isPaused: false,
        options: newOptions(settings, request.order, request.options),
        ...(owner === undefined ? {} : { owner })
      })
      for (const [topic, offset] of begun) group.save(group.begin(topic.name, topic.log.epoch, offset))
      group.wake()
      group.setRecord(group.record)
      const saved = system.fork(this.whenMade(group))
      this.saving.set(name, saved)
      saved.addObserver(() => this.saving.delete(name))
      return saved
    }
  )

  /** A new group is there once it is saved. One that cannot be is forgotten. */
  private readonly whenMade = Effect.fnUntraced(
    { self: this },
    function* (this: Groups, group: Group): Effect.fn.Return<Found, ErrorCode> {
      const isSaved = yield* Effect.timeoutOption(group.saver.saved, savePatience)
      if (isSaved._tag === "Some") return { group, created: true }
      if (!group.closed) this.forget(group)
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
    return this.removeExpired(expired)
  })

  private readonly removeExpired = Effect.fn("Groups.expire")(
    { self: this },
    function* (this: Groups, expired: ReadonlyArray<Group>) {
      const removed: Array<Group> = []
      for (const group of expired) {
        yield* Effect.yieldNow
        // Somebody may have come meanwhile.
        if (!group.isExpired || group.closed) continue
        this.forget(group)
        removed.push(group)
      }
      if (removed.length === 0) return
      this.registry.counters.groupsExpired += removed.length
      const names = removed.slice(0, namesInLine).map(({ name }) => logText(name))
      yield* Effect.logInfo("groups that nobody used were removed", { groups: removed.length, names })
    }
  )

  /** Forgets a group for good; `false` if there is none of that name. It is done also if whoever asked for it goes. */
  readonly remove = Effect.fn("Groups.remove")({ self: this }, function* (this: Groups, name: string) {
    const group = this.groups.get(name)
    if (group === undefined) return false
    this.forget(group)
    yield* group.saver.saved
    return true
  })
}

/** Whose share of groups it is what a client makes: the identity's, or everyone's at an address. */
export const shareOf = ({ identity, peer, transport }: Peer): string | undefined =>
  // Whoever is in this process is not limited.
  transport === "memory" ? undefined : limitKeyOf(identity, addressOf(peer))

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
