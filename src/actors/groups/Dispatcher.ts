/**
 * Gives a group's messages to its members: in turn, as far as each has credit and the group may have in flight, of each
 * topic in turn. What is not at hand is read from the log, but only when a member has room for it.
 */
import { Effect } from "effect"
import { sliceBatch } from "../../protocol/Batch.ts"
import type { Group, GroupLane } from "./Group.ts"
import { fillOne } from "./GroupReader.ts"
import type { Member } from "./Member.ts"

/** Bytes of messages at hand in a lane for members that have no room yet. */
const readyBytesLimit = 1_048_576

export class Dispatcher {
  private readonly group: Group
  /** The lanes that may have something to give, or to read. */
  private readonly active = new Set<GroupLane>()
  /** The member that was given something last. */
  private turn = 0
  private isDispatching = false
  private isToDispatch = false
  private isFilling = false

  constructor(group: Group) {
    this.group = group
  }

  /** To be called when a lane may have become one that has something. */
  consider(place: GroupLane): void {
    if (place.lane.ready > 0 || place.isBehind) this.active.add(place)
  }

  forget(place: GroupLane): void {
    this.active.delete(place)
  }

  clear(): void {
    this.active.clear()
  }

  /** Gives members what they have room for. */
  dispatch(): void {
    this.isToDispatch = true
    // What is called from here may have brought something new.
    if (this.isDispatching || !this.mayGive) return
    this.isDispatching = true
    try {
      while (this.isToDispatch) {
        this.isToDispatch = false
        while (this.mayGive && this.dispatchOne()) {}
      }
    } finally {
      this.isDispatching = false
    }
  }

  /** Whether the lane may take more from the log. */
  hasRoom({ lane }: GroupLane): boolean {
    const { maxInFlight } = this.group.record.options
    return (
      lane.ready < maxInFlight &&
      lane.readyBytes < readyBytesLimit &&
      lane.pending - lane.parked < maxInFlight * 2
    )
  }

  private get mayGive(): boolean {
    const { closed, inFlight, record } = this.group
    return !closed && !record.isPaused && inFlight < record.options.maxInFlight
  }

  /** Whose turn it is of those that are free; -1 if none is. */
  private nextFree(): number {
    const { members } = this.group
    for (let tried = 1; tried <= members.length; tried++) {
      const at = (this.turn + tried) % members.length
      if (members[at]!.isFree) return at
    }
    return -1
  }

  /** Answers whether there may be more to give. */
  private dispatchOne(): boolean {
    const at = this.nextFree()
    const member = this.group.members[at]
    if (member === undefined) return false
    let needsFill = false
    for (const place of this.active) {
      const entry = place.lane.peek()
      if (entry?.batch !== undefined) {
        if (this.give(place, member)) this.turn = at
        return true
      }
      if (this.isToFill(place)) needsFill = true
      else if (entry === undefined && !place.isBehind) this.active.delete(place)
    }
    if (needsFill) this.fill()
    return false
  }

  /** Gives the member as much of the first entry as is its share. Answers whether it got something. */
  private give(place: GroupLane, member: Member): boolean {
    const { group } = this
    const { lane } = place
    const entry = lane.peek()
    const batch = entry?.batch
    if (entry === undefined || batch === undefined) return false
    const { system } = group.registry
    if (batch.expires > 0 && batch.expires <= system.now()) {
      group.registry.counters.messagesExpired += entry.count
      group.update(place, () => lane.acknowledge(entry.offset, entry.offset + entry.count))
      group.save(place)
      return false
    }
    const { ackWait, maxInFlight } = group.record.options
    const free = group.members.filter((each) => each.isFree).length
    const share = Math.max(1, Math.ceil(lane.ready / free))
    const count = Math.min(entry.count, member.room, share, maxInFlight - group.inFlight)
    const failures = entry.failures
    group.update(place, () => lane.give(entry, count, member, system.steady() + ackWait))
    if (failures > 0) group.count("redelivered", count)
    member.deliver(count === batch.count ? batch : sliceBatch(batch, 0, count), Math.min(failures + 1, 255))
    // The other topics' turn.
    this.toEnd(place)
    return true
  }

  private toEnd(place: GroupLane): void {
    if (this.active.size > 1 && this.active.delete(place)) this.active.add(place)
  }

  /** Whether reading the log would bring something that can be delivered. */
  private isToFill(place: GroupLane): boolean {
    if (place.notBefore > this.group.registry.system.steady()) return false
    const entry = place.lane.peek()
    return entry === undefined || entry.batch !== undefined ? place.isBehind && this.hasRoom(place) : true
  }

  private nextToFill(): GroupLane | undefined {
    for (const place of this.active) {
      if (place.lane.peek()?.batch === undefined && this.isToFill(place)) return place
    }
    return undefined
  }

  private fill(): void {
    if (this.isFilling) return
    this.isFilling = true
    const ended = Effect.sync(() => {
      this.isFilling = false
    })
    this.group.registry.system.fork(Effect.ensuring(this.fillAll(), ended))
  }

  private readonly fillAll = Effect.fnUntraced({ self: this }, function* (this: Dispatcher) {
    for (;;) {
      const place = this.nextToFill()
      if (place === undefined || !this.mayGive || !this.group.members.some((member) => member.isFree)) return
      yield* fillOne(this.group, place)
      // One that cannot be read must not keep the others from being read.
      this.toEnd(place)
      this.group.registry.system.turn(() => this.dispatch())
      yield* Effect.yieldNow
    }
  })
}
