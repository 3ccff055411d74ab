/**
 * The subscriptions of a topic, in an array that a fan-out walks. Adding and removing take constant time, also
 * while it is walked: then a copy is changed.
 */
import type { Subscription } from "./Subscription.ts"

/** Shorter lists are searched. */
const indexedFrom = 16

export class SubscriberList {
  private items: Array<Subscription> = []
  private places: Map<Subscription, number> | undefined
  private isWalked = false

  get length(): number {
    return this.items.length
  }

  /** Answers `false` if it is there already. */
  add(subscription: Subscription): boolean {
    if (this.placeOf(subscription) >= 0) return false
    this.beforeChange()
    this.places?.set(subscription, this.items.length)
    this.items.push(subscription)
    if (this.places === undefined && this.items.length > indexedFrom) {
      this.places = new Map(this.items.map((each, index) => [each, index]))
    }
    return true
  }

  /** Answers `false` if it is not there. The last one takes its place. */
  remove(subscription: Subscription): boolean {
    const place = this.placeOf(subscription)
    if (place < 0) return false
    this.beforeChange()
    const last = this.items.pop()
    this.places?.delete(subscription)
    if (last !== undefined && last !== subscription) {
      this.items[place] = last
      this.places?.set(last, place)
    }
    return true
  }

  /** Those that are there now: the array stays as it is until `walked` is called. */
  walk(): ReadonlyArray<Subscription> {
    this.isWalked = true
    return this.items
  }

  walked(): void {
    this.isWalked = false
  }

  private placeOf(subscription: Subscription): number {
    return this.places === undefined
      ? this.items.indexOf(subscription)
      : (this.places.get(subscription) ?? -1)
  }

  private beforeChange(): void {
    if (!this.isWalked) return
    this.items = this.items.slice()
    this.isWalked = false
  }
}
