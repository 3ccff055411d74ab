/**
 * What a consumer of a group has in hand: taken, and neither acknowledged nor refused. It says which deliveries are to
 * be handled, so that no message is in two handlers here at once. Bounded by what the hub delivers.
 */
import type { Membership, TopicRange } from "./Client.ts"
import { type GroupDelivery, rangeOf } from "./GroupSubscription.ts"

/** One delivery in hand. */
export interface Held<A, Params> {
  readonly delivery: GroupDelivery<A, Params>
  /** On which connection of the member it came. */
  readonly cuts: number
  hasBegun: boolean
}

export class HeldDeliveries<A, Params> {
  private readonly member: Membership
  private readonly topics = new Map<string, Map<number, Held<A, Params>>>()

  constructor(member: Membership) {
    this.member = member
  }

  /**
   * Takes a delivery in hand. `undefined` if its message is being handled: it is done when that is. Of one that has not
   * begun, the later delivery is the one that counts.
   */
  add(delivery: GroupDelivery<A, Params>): Held<A, Params> | undefined {
    const { position, topic } = delivery
    const offsets = this.offsetsOf(topic)
    const known = offsets.get(position.offset)
    if (known?.hasBegun === true && known.delivery.position.epoch === position.epoch) return undefined
    const held = { delivery, cuts: this.member.cuts(), hasBegun: false }
    offsets.set(position.offset, held)
    return held
  }

  /** Begins to handle it; `false` if it is another delivery's turn, or another member's by now. */
  begin(held: Held<A, Params>): boolean {
    if (this.find(held) !== held) return false
    if (held.cuts !== this.member.cuts()) {
      this.remove(held)
      return false
    }
    held.hasBegun = true
    return true
  }

  /** It is acknowledged or refused. */
  remove(held: Held<A, Params>): void {
    const { position, topic } = held.delivery
    const offsets = this.topics.get(topic)
    if (offsets?.get(position.offset) !== held) return
    offsets.delete(position.offset)
    if (offsets.size === 0) this.topics.delete(topic)
  }

  all(): ReadonlyArray<TopicRange> {
    return this.ranges(() => true)
  }

  notBegun(): ReadonlyArray<TopicRange> {
    const cuts = this.member.cuts()
    return this.ranges((held) => !held.hasBegun && held.cuts === cuts)
  }

  private ranges(isWanted: (held: Held<A, Params>) => boolean): ReadonlyArray<TopicRange> {
    const ranges: Array<TopicRange> = []
    for (const offsets of this.topics.values()) {
      for (const held of offsets.values()) if (isWanted(held)) ranges.push(rangeOf(held.delivery))
    }
    return ranges
  }

  private find({ delivery }: Held<A, Params>): Held<A, Params> | undefined {
    return this.topics.get(delivery.topic)?.get(delivery.position.offset)
  }

  private offsetsOf(topic: string): Map<number, Held<A, Params>> {
    const known = this.topics.get(topic)
    if (known !== undefined) return known
    const offsets = new Map<number, Held<A, Params>>()
    this.topics.set(topic, offsets)
    return offsets
  }
}
