/**
 * A group: a named, durable consumer whose members share the work. At least once: what a member was given comes again
 * until it is acknowledged, or has failed too often and is a dead letter.
 *
 * For each topic that its pattern matches it has a lane, which knows what is done, who has what, and what waits. What the
 * topic stores goes straight to a member that has room; what no member has room for is read from the log later. All
 * that changes is saved, and an acknowledgement is confirmed once that is safe.
 */
import { Effect } from "effect"
import type { Batch } from "../../protocol/Batch.ts"
import type { Counters } from "../../services/Counters.ts"
import { Alarm } from "../Alarm.ts"
import type { Registry } from "../Registry.ts"
import type { Follower, Topic } from "../Topic.ts"
import { Burial } from "./Burial.ts"
import { Dispatcher } from "./Dispatcher.ts"
import { type GroupLane, newGroupLane, rulesOf } from "./GroupLane.ts"
import { align } from "./GroupReader.ts"
import { encodeRecord, type GroupRecord, groupKey, laneKey } from "./GroupRecord.ts"
import { Lane } from "./Lane.ts"
import type { Member } from "./Member.ts"
import type { Saver } from "./Saver.ts"

/** Milliseconds of difference that are not a clock that was set. */
const leastSet = 1000

export class Group implements Follower {
  readonly registry: Registry
  readonly saver: Saver
  readonly lanes = new Map<string, GroupLane>()
  readonly members: Array<Member> = []
  /** Since the hub started. */
  readonly counts = { acknowledged: 0, redelivered: 0, deadLettered: 0, lost: 0 }
  record: GroupRecord
  closed = false
  /** Whether all topics of the pattern are known to it. */
  isAwake = false
  /** Messages that members have. */
  inFlight = 0
  /** When it lost its last member, or was last looked for to be joined, by the steady clock: since the hub began at most. */
  private usedAt: number
  /** Messages that are to become dead letters. */
  private dying = 0
  private readonly dispatcher: Dispatcher
  private readonly alarm: Alarm
  private readonly burial: Burial

  constructor(registry: Registry, saver: Saver, record: GroupRecord, hubId: string) {
    this.registry = registry
    this.record = record
    this.saver = saver
    this.alarm = new Alarm(
      registry.system,
      () => this.ring(),
      () => registry.system.steady()
    )
    this.dispatcher = new Dispatcher(this)
    this.burial = new Burial(this, hubId)
    this.usedAt = registry.system.steady()
  }

  get name(): string {
    return this.record.name
  }

  /** Changes what outlives the hub of the group itself. */
  setRecord(record: GroupRecord): void {
    // What is saved by now may be another group's of this name.
    if (this.closed) return
    this.record = record
    for (const place of this.lanes.values()) {
      place.lane.rules = rulesOf(record, place.topic)
      // There may be room for more now.
      this.dispatcher.consider(place)
    }
    this.saver.changed(groupKey(this.name), () => encodeRecord(this.record))
  }

  /** Begins in a topic at `offset`, or goes on with `lane`. */
  begin(topic: string, epoch: number, offset: number, restored?: Lane<Member>): GroupLane {
    const lane = restored ?? new Lane<Member>(rulesOf(this.record, topic), epoch, offset)
    lane.rules = rulesOf(this.record, topic)
    const place = newGroupLane(topic, lane)
    this.lanes.set(topic, place)
    this.update(place, () => {})
    this.dying += lane.dying
    this.afterFailures()
    return place
  }

  /** A topic is there that the pattern matches: one that is new to the group is had from its beginning. */
  attach(topic: Topic): void {
    if (this.closed) return
    const { epoch, firstOffset, nextOffset } = topic.log
    const place = this.lanes.get(topic.name) ?? this.begin(topic.name, epoch, firstOffset)
    // Of a log that is gone nothing more is delivered; one that is not open yet has no epoch.
    if (place.lane.epoch !== epoch && epoch > 0) this.align(place, topic)
    place.isBehind = place.lane.next < nextOffset || place.lane.epoch !== epoch
    if (place.lane.epoch === epoch) place.foundEnd ??= nextOffset
    topic.follow(this)
    this.update(place, () => {})
  }

  /** The same as `wake`, while others run in between. */
  readonly awake: Effect.Effect<void> = Effect.suspend(() => {
    if (this.isAwake) return Effect.void
    return Effect.andThen(
      this.registry.wakeInTurns(this.record.pattern),
      Effect.sync(() => this.wake())
    )
  })

  /** Makes all topics of the pattern known, also those that only the log knows. */
  wake(): void {
    if (this.isAwake) return
    this.isAwake = true
    this.registry.wake(this.record.pattern)
    this.registry.forEachTopic(this.record.pattern, (topic) => this.attach(topic))
  }

  follow(topic: Topic, batch: Batch): void {
    const place = this.lanes.get(topic.name)
    if (place === undefined) {
      this.attach(topic)
      return
    }
    const { lane } = place
    const isNext = !place.isBehind && lane.next === batch.offset && lane.epoch === batch.epoch
    if (isNext && this.members.length > 0 && this.dispatcher.hasRoom(place)) {
      batch.keep()
      this.update(place, () => lane.push(batch))
    } else {
      place.isBehind = true
      this.dispatcher.consider(place)
    }
    this.dispatch()
  }

  /** Somebody is about to join it. */
  used(): void {
    this.usedAt = this.registry.system.steady()
  }

  /** Whether it had no member for as long as it may. */
  get isExpired(): boolean {
    const { inactiveThreshold } = this.record.options
    if (inactiveThreshold === undefined || this.members.length > 0) return false
    return this.registry.system.steady() - this.usedAt >= inactiveThreshold
  }

  join(member: Member): void {
    this.members.push(member)
    this.wake()
    this.dispatch()
  }

  /** A member goes: what it has is given to others. `isFailure` if it may have failed because of what it had. */
  leave(member: Member, isFailure: boolean, error: string): void {
    const at = this.members.indexOf(member)
    if (at < 0) return
    this.members.splice(at, 1)
    const now = this.registry.system.steady()
    this.usedAt = now
    for (const place of this.lanes.values()) {
      if (place.lane.inFlight === 0) continue
      const changed = this.update(place, (lane) => lane.leave(member, now, isFailure, error))
      if (changed > 0) this.save(place)
    }
    this.afterFailures()
    this.dispatch()
  }

  /** Whether what its members have room for is still being read from the log. */
  get isReading(): boolean {
    return this.dispatcher.isReading
  }

  /** Gives members what they have room for. */
  dispatch(): void {
    this.dispatcher.dispatch()
  }

  /** Begins anew at `offset` of the topic's log. */
  reset(place: GroupLane, epoch: number, offset: number): void {
    place.generation++
    place.isBehind = true
    place.foundEnd = 0
    this.update(place, (lane) => lane.reset(epoch, offset))
    this.save(place)
  }

  setPaused(isPaused: boolean): void {
    this.setRecord({ ...this.record, isPaused })
    if (isPaused) return
    for (const place of this.lanes.values()) {
      if (place.lane.parked === 0) continue
      this.update(place, (lane) => lane.release())
      this.save(place)
    }
    this.dispatch()
  }

  /** Forgets the group, for good. */
  remove(): void {
    this.closed = true
    this.saver.changed(groupKey(this.name), () => undefined)
    for (const topic of this.lanes.keys()) {
      this.saver.changed(laneKey(this.name, topic), () => undefined)
      this.registry.topics.get(topic)?.unfollow(this)
    }
    for (const member of [...this.members]) member.session.removeMember(member, "group-removed")
    this.members.length = 0
    this.lanes.clear()
    this.dispatcher.clear()
  }

  /** Changes a lane, and sees to what follows from it. */
  update<A>(place: GroupLane, change: (lane: Lane<Member>) => A): A {
    const { lane } = place
    const { dying, inFlight } = lane
    const result = change(lane)
    this.inFlight += lane.inFlight - inFlight
    this.dying += lane.dying - dying
    this.alarm.set(lane.nextDue)
    this.dispatcher.consider(place)
    return result
  }

  save(place: GroupLane): void {
    if (this.closed) return
    this.saver.changed(laneKey(this.name, place.topic), () => place.lane.encode(this.clockSet))
  }

  /** Milliseconds by which the clock was set since the hub began: what waits does so by the steady one. */
  private get clockSet(): number {
    const { system } = this.registry
    const set = system.now() - system.steady()
    return Math.abs(set) < leastSet ? 0 : set
  }

  /** Messages that retention took, or that are damaged: the group will never have them. They may be of an earlier epoch. */
  lost(place: GroupLane, from: number, to: number, messages: number, epochBefore = place.lane.epoch): void {
    this.count("lost", messages)
    const { epoch } = place.lane
    for (const member of this.members)
      member.tellGap(place.topic, { epoch: epochBefore, offset: from }, { epoch, offset: to })
    const details = { group: this.name, topic: place.topic, from, to, messages }
    this.registry.system.fork(Effect.logWarning("messages were lost to a group", details))
  }

  count(what: keyof Counters["group"], messages: number): void {
    this.counts[what] += messages
    this.registry.counters.group[what] += messages
  }

  /** The topic is being removed: it is not read until that is over, for who reads it would make it anew. */
  topicLeaving({ name }: Topic): void {
    const place = this.lanes.get(name)
    if (place !== undefined) place.notBefore = Number.POSITIVE_INFINITY
  }

  /** The topic could not be removed: the group goes on where it is. */
  topicKept({ name }: Topic): void {
    const place = this.lanes.get(name)
    if (place === undefined) return
    this.retry(place)
    this.afterFailures()
    this.dispatch()
  }

  /** The topic was removed: what the group had not done of it is lost, and its place is forgotten. */
  topicRemoved({ log, name: topic }: Topic): void {
    const place = this.lanes.get(topic)
    if (place === undefined) return
    const successor = this.registry.topics.get(topic)
    // It may be in the next of that name already.
    if (successor?.log.epoch === place.lane.epoch) {
      this.topicKept(successor)
      return
    }
    place.generation++
    const { floor, next, pending } = place.lane
    const missed = pending + Math.max(0, log.nextOffset - next)
    this.update(place, (lane) => lane.reset(lane.epoch, log.nextOffset))
    place.isBehind = false
    if (missed > 0) this.lost(place, floor, log.nextOffset, missed)
    this.lanes.delete(topic)
    this.dispatcher.forget(place)
    this.saver.changed(laneKey(this.name, topic), () => this.lanes.get(topic)?.lane.encode(this.clockSet))
    if (successor !== undefined) this.attach(successor)
  }

  /** The topic's log cannot be read now: the others go on, and it is tried again later. */
  postpone(place: GroupLane, milliseconds: number): void {
    place.notBefore = this.registry.system.steady() + milliseconds
    this.alarm.set(place.notBefore)
  }

  private retry(place: GroupLane): void {
    if (place.notBefore === 0) return
    place.notBefore = 0
    this.dispatcher.consider(place)
  }

  afterFailures(): void {
    if (this.dying > 0) this.burial.start()
  }

  private ring(): void {
    const now = this.registry.system.steady()
    for (const place of this.lanes.values()) {
      if (place.lane.nextDue <= now && this.update(place, (lane) => lane.expire(now)) > 0) this.save(place)
      else this.alarm.set(place.lane.nextDue)
      if (place.notBefore > now) this.alarm.set(place.notBefore)
      else this.retry(place)
    }
    this.afterFailures()
    this.dispatch()
  }

  /** Takes note of what the topic's log says now. */
  align(place: GroupLane, topic: Topic): void {
    align(this, place, topic.log)
  }
}
