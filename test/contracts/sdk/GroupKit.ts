/** What the tests of groups share. */
import { Effect, Schedule, Schema } from "effect"
import { Polestar } from "../../../src/sdk/Polestar.ts"
import * as Topic from "../../../src/sdk/Topic.ts"
import { patience } from "../../Patience.ts"
import { ownPrefix, range } from "./Kit.ts"

/** A topic of numbers, so many of them published, and options of a group of its own. */
export const setUp = Effect.fnUntraced(function* (count = 0) {
  const star = yield* Polestar
  const prefix = ownPrefix()
  const topic = Topic.make(`${prefix}.work`, Schema.Number)
  yield* star.publishAll(topic, range(count))
  // Fast, so that what comes again comes soon.
  const options = { group: prefix, start: "first", backoff: 20, maxBackoff: 40 } as const
  return { star, topic, options, prefix }
})

/** Waits until the group has nothing pending, and answers what the hub says of it. */
export const settled = (name: string) =>
  Effect.gen(function* () {
    const star = yield* Polestar
    const info = star.groups.info(name)
    return yield* Effect.repeat(info, {
      until: ({ lag }) => lag === 0,
      schedule: Schedule.spaced("5 millis")
    })
  }).pipe(Effect.timeout(patience))
