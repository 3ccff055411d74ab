/**
 * The subscriptions of a topic, in an array that a fan-out walks. A short array is never changed but replaced, and
 * topics whose only subscription is the same share one, so that with many topics a fan-out touches little memory. A
 * long one is changed in constant time, or copied first if it is being walked.
 */
import type { Subscription } from "./Subscription.ts"

const longFrom = 16

const nobody: ReadonlyArray<Subscription> = []

export class SubscriberList {
  items: ReadonlyArray<Subscription> = nobody
  /** Of a long list: the array that `items` is, and who is where in it. */
  private long: Array<Subscription> | undefined
  private places: Map<Subscription, number> | undefined
  private isWalked = false

  get length(): number {
    return this.items.length
  }

  /** Answers `false` if it is there already. */
  add(subscription: Subscription): boolean {
    if (this.placeOf(subscription) >= 0) return false
    if (this.items.length < longFrom) {
      this.items = this.items.length === 0 ? subscription.alone : [...this.items, subscription]
      return true
    }
    const long = this.toChange()
    this.places?.set(subscription, long.length)
    long.push(subscription)
    return true
  }

  /** Answers `false` if it is not there. */
  remove(subscription: Subscription): boolean {
    const place = this.placeOf(subscription)
    if (place < 0) return false
    if (this.items.length <= longFrom) {
      this.long = undefined
      this.places = undefined
      const left = this.items.filter((each) => each !== subscription)
      this.items = left.length === 1 ? left[0]!.alone : left
      return true
    }
    // The last one takes its place.
    const long = this.toChange()
    const last = long.pop()
    this.places?.delete(subscription)
    if (last !== undefined && last !== subscription) {
      long[place] = last
      this.places?.set(last, place)
    }
    return true
  }

  /** Those that are there now: the array stays as it is until `walked` is called. */
  walk(): ReadonlyArray<Subscription> {
    if (this.long !== undefined) this.isWalked = true
    return this.items
  }

  walked(): void {
    if (this.long !== undefined) this.isWalked = false
  }

  private placeOf(subscription: Subscription): number {
    return this.places === undefined
      ? this.items.indexOf(subscription)
      : (this.places.get(subscription) ?? -1)
  }

  private toChange(): Array<Subscription> {
    if (this.long !== undefined && !this.isWalked) return this.long
    this.isWalked = false
    this.long = [...this.items]
    this.items = this.long
    this.places ??= new Map(this.long.map((each, index) => [each, index]))
    return this.long
  }
}
