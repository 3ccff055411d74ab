/**
 * The pauses of topics whose batches the hub refused for a passing reason: exponential, with jitter and a cap,
 * begun anew once the hub takes a batch of that topic.
 */
import { Effect, Schedule } from "effect"
import { reconnectSchedule } from "./ReconnectSchedule.ts"
import type { Timers } from "./Timers.ts"
import type { TopicLane } from "./TopicLane.ts"

export class LaneRests {
  /** For each lane that was refused, the sleep for the next delay of its schedule. */
  private readonly delays = new Map<TopicLane, Effect.Effect<void>>()
  private readonly timers: Timers
  private readonly rested: (lane: TopicLane) => void

  constructor(timers: Timers, rested: (lane: TopicLane) => void) {
    this.timers = timers
    this.rested = rested
  }

  begin(lane: TopicLane): void {
    if (lane.isResting) return
    lane.isResting = true
    const rested = Effect.sync(() => {
      lane.isResting = false
      this.rested(lane)
    })
    this.timers.fork(Effect.andThen(this.delays.get(lane) ?? Effect.flatten(this.newDelay(lane)), rested))
  }

  /** The hub took a batch of this topic. */
  forget(lane: TopicLane): void {
    this.delays.delete(lane)
  }

  private newDelay(lane: TopicLane): Effect.Effect<Effect.Effect<void>> {
    return Effect.map(Schedule.toStepWithSleep(reconnectSchedule), (step) => {
      const delay = Effect.ignore(step(undefined))
      this.delays.set(lane, delay)
      return delay
    })
  }
}
