/**
 * What happens when an actor fails: it rests, longer each time, and goes on; one actor's failure touches no
 * other. If it fails more often than `restartLimit` within `restartWindow`, the failure goes up and ends the hub.
 */
import { Deferred, Effect, Schedule, Schema } from "effect"
import type { Counters } from "../services/Counters.ts"
import type { Settings } from "../services/Settings.ts"
import type { ActorSystem } from "./ActorSystem.ts"

/** The hub cannot go on. */
export class HubError extends Schema.TaggedError<HubError>()("HubError", {
  reason: Schema.Literals(["actor-failed"]),
  actor: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `${this.actor} failed too often`
  }
}

/** The failures of one actor within the window, and the rest that grows with them. */
interface Failures {
  readonly times: Array<number>
  readonly rest: Effect.Effect<void>
}

/** Actors whose failures are remembered at most; those that have recovered are forgotten first. */
const maxRemembered = 1024

export class Supervisor {
  /** Completed when a failure goes up. */
  readonly failed = Deferred.makeUnsafe<never, HubError>()
  private readonly system: ActorSystem
  private readonly counters: Counters
  private readonly settings: Settings["Service"]
  private readonly failures = new Map<string, Failures>()

  constructor(system: ActorSystem, counters: Counters, settings: Settings["Service"]) {
    this.system = system
    this.counters = counters
    this.settings = settings
  }

  /** Counts a failure of `actor` and waits for as long as it should rest. */
  readonly restart = Effect.fn("Supervisor.restart")(
    { self: this },
    function* (this: Supervisor, actor: string, cause: unknown): Effect.fn.Return<void> {
      this.counters.actorFailures++
      const now = this.system.now()
      const { restartLimit, restartWindow } = this.settings
      const recent = this.failures.get(actor)?.times.filter((time) => time > now - restartWindow) ?? []
      const rest = recent.length > 0 ? this.failures.get(actor)?.rest : undefined
      const failures = { times: [...recent, now], rest: rest ?? (yield* this.newRest) }
      if (this.failures.size >= maxRemembered) this.forgetRecovered(now)
      this.failures.set(actor, failures)
      yield* Effect.logWarning(`${actor} failed`, cause)
      if (failures.times.length > restartLimit) {
        Deferred.doneUnsafe(this.failed, Effect.fail(new HubError({ reason: "actor-failed", actor, cause })))
      }
      yield* failures.rest
    }
  )

  private get newRest(): Effect.Effect<Effect.Effect<void>> {
    const { restartBackoff, restartBackoffMax } = this.settings
    const schedule = Schedule.min([Schedule.exponential(restartBackoff), Schedule.spaced(restartBackoffMax)])
    return Effect.map(Schedule.toStepWithSleep(schedule), (step) => Effect.ignore(step(undefined)))
  }

  private forgetRecovered(now: number): void {
    const oldest = now - this.settings.restartWindow
    for (const [actor, { times }] of this.failures) {
      if (times.every((time) => time <= oldest)) this.failures.delete(actor)
    }
  }
}
