/**
 * Gives a batch to every subscriber of a topic, by reference. What fails on one client's way out is that client's end,
 * and not the others' loss.
 */
import { Cause, Effect } from "effect"
import type { Batch } from "../protocol/Batch.ts"
import type { SubscriberList } from "./SubscriberList.ts"
import type { Subscription } from "./Subscription.ts"

/** Answers what to wait for: the subscribers that must not miss it and have no room. */
export const fanOut = (list: SubscriberList, batch: Batch): Effect.Effect<void> | undefined => {
  const subscribers = list.walk()
  let full: Array<Subscription> | undefined
  for (let i = 0; i < subscribers.length; i++) {
    const subscription = subscribers[i]!
    if (deliver(subscription, batch)) continue
    full ??= []
    full.push(subscription)
  }
  list.walked()
  if (full === undefined) return undefined
  batch.keep()
  return Effect.forEach(full, (subscription) => deliverWhenRoom(subscription, batch), { discard: true })
}

/** As `Subscription.deliver`. */
const deliver = (subscription: Subscription, batch: Batch): boolean => {
  try {
    return subscription.deliver(batch)
  } catch (error) {
    subscription.session.broke(error, subscription)
    return true
  }
}

const deliverWhenRoom = (subscription: Subscription, batch: Batch): Effect.Effect<void> =>
  Effect.catchCause(subscription.deliverWhenRoom(batch), (cause) =>
    Cause.hasInterruptsOnly(cause)
      ? Effect.failCause(cause)
      : Effect.sync(() => subscription.session.broke(Cause.squash(cause), subscription))
  )
