/**
 * Gives a group's messages to its members: in turn, as far as each has credit and the group may have in flight, of each
 * topic in turn. What is not at hand is read from the log, but only when a member has room for it.
 */
import { Effect } from "effect"
import { sliceBatch } from "../../protocol/Batch.ts"
import type { Group } from "./Group.ts"
import type { GroupLane } from "./GroupLane.ts"
import { fillOne } from "./GroupReader.ts"
import type { Member } from "./Member.ts"

/** Bytes of messages at hand in a lane for members that have no room yet. */
const readyBytesLimit = 1_048_576

export class Dispatcher {
  private readonly group: Group
  /** The lanes that have something at hand, in turn: there may be many more that have nothing. */
  private readonly giving = new Set<GroupLane>()
  /** The lanes that want something from the log, in turn. */
  private readonly reading = new Set<GroupLane>()
  /** The member that was given something last. */
  private turn = 0
  private isDispatching = false
  private isToDispatch = false
  private isFilling = false

  constructor(group: Group) {
    this.group = group
  }

  /** To be called when a lane has changed. */
  consider(place: GroupLane): void {
    if (isAtHand(place)) this.giving.add(place)
    if (this.isToRead(place)) this.reading.add(place)
  }

  forget(place: GroupLane): void {
    this.giving.delete(place)
    this.reading.delete(place)
  }

  clear(): void {
    this.giving.clear()
    this.reading.clear()
  }

  /** Whether more is being read for the members, of which they will be told when it is over. */
  get isReading(): boolean {
    return this.isFilling || (this.mayGive && this.reading.size > 0)
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
    for (const place of this.giving) {
      if (isAtHand(place)) {
        if (this.give(place, member)) this.turn = at
        return true
      }
      this.giving.delete(place)
    }
    if (this.reading.size > 0) this.fill()
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
    toEnd(this.giving, place)
    return true
  }

  /** Whether reading the log would bring something that can be delivered. */
  private isToRead(place: GroupLane): boolean {
    if (place.notBefore > 0 || isAtHand(place)) return false
    return place.lane.peek() !== undefined || (place.isBehind && this.hasRoom(place))
  }

  private nextToRead(): GroupLane | undefined {
    for (const place of this.reading) {
      if (this.isToRead(place)) return place
      this.reading.delete(place)
    }
    return undefined
  }

  private fill(): void {
    if (this.isFilling) return
    this.isFilling = true
    const ended = Effect.sync(() => {
      this.isFilling = false
      for (const { session } of this.group.members) session.outlet.groupRead?.()
    })
    this.group.registry.system.fork(Effect.ensuring(this.fillAll(), ended))
  }

  private readonly fillAll = Effect.fnUntraced({ self: this }, function* (this: Dispatcher) {
    for (;;) {
      const place = this.nextToRead()
      if (place === undefined || !this.mayGive || !this.group.members.some((member) => member.isFree)) return
      yield* fillOne(this.group, place)
      // One that cannot be read must not keep the others from being read.
      toEnd(this.reading, place)
      this.group.registry.system.turn(() => this.dispatch())
      yield* Effect.yieldNow
    }
  })
}

/** Whether the lane's next message is at hand. */
const isAtHand = ({ lane }: GroupLane): boolean => lane.peek()?.batch !== undefined

const toEnd = (places: Set<GroupLane>, place: GroupLane): void => {
  if (places.size > 1 && places.delete(place)) places.add(place)
}
